//! Mongrel2 as a managed child process, configured from the routes.

use crate::support::served_app::{socket_address, socket_folder};
use crate::support::test_bed::{TestBed, default_settings, wait_until};
use crate::support::websocket::WebSocketClient;
use crate::support::{Browser, Gate, behaviour, requirements, with_timeout};
use brubeck::prelude::*;
use brubeck::testing::TestClient;
use brubeck::{Mongrel2, Mongrel2Handler};

#[get(r"^/user/(?<id>\d+)$")]
async fn user(id: u64) -> String {
    format!("user {id}")
}

#[websocket("^/live/chat$")]
async fn chat(socket: WebSocket) -> Result<(), Closed> {
    socket.send("hello").await
}

#[json_socket("@game")]
async fn game() {}

/// Handlers whose paths begin with literal text, or do not.
mod prefixes {
    use super::*;

    macro_rules! handlers {
        ($($name:ident $path:literal),* $(,)?) => {
            $( #[get($path)] async fn $name() {} )*
            pub const ROUTES: &[(Routes<()>, &str)] = &[$((routes![$name], $path)),*];
        };
    }

    handlers! {
        root "^/", hello "^/hello$", escaped r"^/a\.b$", digit r"^/\d", optional "^/colou?r", counted "^/a{2}", either "^/ab|/ac",
        group "^/a/(?:b|c)", parenthesis "/f(x)", cafe "/café", space "/a b", dots "/a.b+c", bracket "/a[1]",
    }
}

#[test]
fn mongrel2_routes_are_the_literal_beginnings_of_paths() {
    let expected: &[&[&str]] = &[
        &["/"],
        &["/hello"],
        &["/a.b"],
        &["/"],
        &["/color", "/colour"],
        &["/aa"],
        &["/ab", "/ac"],
        &["/a/b", "/a/c"],
        &["/f"],
        &["/caf"],
        &["/a"],
        &["/a.b"],
        &["/a"],
    ];
    for ((routes, path), expected) in prefixes::ROUTES.iter().zip(expected) {
        let handler = Mongrel2Handler::new("ipc://send", "ipc://recv");
        let text = routes
            .mongrel2_conf("127.0.0.1:0", handler)
            .conf("web-1", "/srv/m2")
            .unwrap();
        let expected: Vec<String> = expected
            .iter()
            .map(|route| format!("\"{route}\": handler0"))
            .collect();
        let expected = format!("routes={{{}}}", expected.join(", "));
        assert!(text.contains(&expected), "{path}: {expected} is not in\n{text}");
    }
}

/// Patterns with branches, classes, escapes, repetitions and flags, and paths for them.
mod branches {
    use super::*;

    macro_rules! handlers {
        ($($name:ident($($argument:ident)?) $path:literal $paths:expr),* $(,)?) => {
            $( #[get($path)] async fn $name($($argument: String)?) -> &'static str { $(drop($argument);)? stringify!($name) } )*
            pub const ROUTES: Routes<()> = routes![$($name),*];
            pub const PATHS: &[(&str, &[&str])] = &[$((stringify!($name), &$paths)),*];
        };
    }

    handlers! {
        alone() r"^/alone\.html$|^/other(?:\.html)?$" ["/alone.html", "/other", "/other.html", "/alone"],
        second() r"^/a1$|^/b(?:\d*)$" ["/a1", "/b", "/b7", "/b77", "/a2", "/bx"],
        class() r"^/c$|^/[(|]d$" ["/c", "/(d", "/%28d", "/%7Cd"],
        digits() "^/1$|^/2$" ["/1", "/2", "/3"],
        three() "^/red$|^/rose$|^/ruby(?:/|$)" ["/red", "/rose", "/ruby", "/ruby/7", "/rub"],
        nested() "^/n(?:a|b(?:c|d)|e?f)$" ["/na", "/nbc", "/nbd", "/nf", "/nef", "/nb"],
        empty_branch() "^/v(?:|/x)$" ["/v", "/v/x", "/v/y"],
        optional() "^/colou?r$" ["/color", "/colour", "/colouur"],
        star() "^/l(?:ab)*c$" ["/lc", "/labc", "/lababc", "/la"],
        plus() "^/m+n$" ["/mn", "/mmmn", "/n"],
        counted() "^/s{1,3}t$" ["/st", "/ssst", "/sssst"],
        insensitive() "^/(?i:up)$" ["/up", "/UP", "/uP", "/upp"],
        escaped_bar() r"^/e\|f$" ["/e%7Cf", "/e"],
        escaped_parenthesis() r"^/w\(x\)$" ["/w(x)", "/w%28x%29", "/w"],
        punctuation() "^/p:q@r,s;t=u$" ["/p:q@r,s;t=u", "/p%3Aq%40r%2Cs%3Bt%3Du", "/p"],
        quotes() "^/k'l!m&n$" ["/k'l!m&n", "/k%27l%21m%26n"],
        sum() "^/u\\+v$" ["/u+v", "/u%2Bv"],
        percent() "^/o%41$" ["/o%2541", "/oA"],
        cafe() "^/café$|^/thé$" ["/caf%C3%A9", "/th%C3%A9", "/cafe"],
        space() "^/hello world$" ["/hello%20world", "/hello"],
        tilde() "^/~joe$" ["/~joe"],
        dots() r"^/\.well-known/(?:a|b)$" ["/.well-known/a", "/.well-known/b", "/.well-known/c"],
        template(id) "/user/{id}" ["/user/7", "/user/seven", "/user"],
        template_rest(path) "/tree/{*path}" ["/tree/a/b", "/tree"],
        template_text() "/tag+(x)" ["/tag+(x)", "/tag%2B%28x%29"],
        many() "^/many/(?:aa|bb|cc|dd|ee|ff|gg|hh|ii|jj|kk)$" ["/many/aa", "/many/kk", "/many/zz"],
        wide() "^/wide/(?:[ab][ab][ab][ab][ab])$" ["/wide/ababa", "/wide/bbbbb", "/wide/ccccc"],
        word() r"^/word/\w+$|^/sentence/[^/]+\.$" ["/word/x", "/sentence/It%20is.", "/sentence/it"],
        prefix() "^/open|^/ajar/" ["/open", "/opening", "/ajar/7", "/ajar"],
        slashes() "^/x//y$" ["/x//y", "/x/y"],
        numbers() r"^/year/(?:19|20)\d\d$" ["/year/1999", "/year/2001", "/year/2101"],
        long() "^/long/abcdefghijklmnopqrstuvwxyz/(?:one|two)$" ["/long/abcdefghijklmnopqrstuvwxyz/two", "/long"],
    }
}

/// Mongrel2 passes on what the embedded server answers: the same status for each path.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mongrel2_passes_every_branch_of_a_pattern_on() {
    if !requirements::mongrel2() {
        return;
    }
    let folder = socket_folder();
    let (send, recv) = (socket_address(&folder, "send"), socket_address(&folder, "recv"));
    let config = branches::ROUTES.mongrel2_conf("127.0.0.1:0", Mongrel2Handler::new(&send, &recv));
    let server = with_timeout(config.start()).await.expect("a running Mongrel2");
    let running = with_timeout(App::new(branches::ROUTES, ()).start(Mongrel2::new(send, recv)))
        .await
        .expect("a running application");
    let client = TestClient::new(App::new(branches::ROUTES, ()));
    let mut found = 0;
    for (name, paths) in branches::PATHS {
        for path in *paths {
            let expected = client.get(path).await;
            let response = Browser::connect(server.address()).await.get(path).await;
            assert_eq!(response.status, expected.status(), "{name}: {path}");
            if expected.status() == 200 {
                assert_eq!((response.text(), expected.text()), (*name, *name), "{path}");
                found += 1;
            }
        }
    }
    assert!(found >= 60, "{found}");
    with_timeout(running.stop()).await.expect("a clean shutdown");
    with_timeout(server.stop()).await.expect("a clean shutdown");
}

const ROUTES: Routes<()> = routes![user, chat, game];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mongrel2_configuration_is_generated_from_routes() {
    if !requirements::mongrel2() {
        return;
    }
    let folder = socket_folder();
    let (send, recv) = (socket_address(&folder, "send"), socket_address(&folder, "recv"));
    let config = ROUTES.mongrel2_conf("127.0.0.1:0", Mongrel2Handler::new(&send, &recv));
    let text = config.conf("web-1", "/srv/m2").expect("a configuration");
    assert!(
        text.contains(r#"routes={"/live/chat": handler0, "/user/": handler0, "@game": handler0}"#),
        "{text}"
    );
    let server = with_timeout(config.start()).await.expect("a running Mongrel2");
    let link = Mongrel2::new(send, recv);
    let counts = link.counts();
    let running = with_timeout(App::new(ROUTES, ()).start(link))
        .await
        .expect("a running application");
    assert_eq!(
        Browser::connect(server.address())
            .await
            .get("/user/7")
            .await
            .text(),
        "user 7"
    );
    assert_eq!(
        WebSocketClient::open(server.address(), "/live/chat")
            .await
            .recv_text()
            .await,
        "hello"
    );
    // Mongrel2 itself responds to paths outside of the routes.
    let before = counts.requests();
    let response = Browser::connect(server.address()).await.get("/nothing").await;
    assert_eq!((response.status, counts.requests()), (404, before));
    with_timeout(running.stop()).await.expect("a clean shutdown");
    with_timeout(server.stop()).await.expect("a clean shutdown");
}

/// A killed Mongrel2 is restarted, and the application reconnects.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_mongrel2_is_restarted() {
    let Some(test_bed) = TestBed::mongrel2(behaviour::app(&Gate::new()), default_settings).await else {
        return;
    };
    let server = test_bed.server.as_ref().expect("a Mongrel2");
    let pid = server.pid().expect("a running process");
    let killed = std::process::Command::new("kill")
        .args(["-KILL", &pid.to_string()])
        .status();
    assert!(killed.is_ok_and(|status| status.success()));
    wait_until(|| server.pid().is_some_and(|now| now != pid)).await;
    assert_eq!(test_bed.browser().await.get("/hello").await.text(), "hello");
    test_bed.stop().await;
}
