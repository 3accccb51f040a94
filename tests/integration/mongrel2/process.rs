//! A Mongrel2 that is told what the routes say.

use crate::support::laboratory::{Laboratory, plain, until};
use crate::support::site::{socket, sockets};
use crate::support::websocket::Wire;
use crate::support::{Browser, Gate, behaviour, parts, within};
use brubeck::prelude::*;
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

const ROUTES: Routes<()> = routes![user, chat, game];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mongrel2_configuration_is_generated_from_routes() {
    if !parts::mongrel2() {
        return;
    }
    let folder = sockets();
    let (send, recv) = (socket(&folder, "send"), socket(&folder, "recv"));
    let config = ROUTES.mongrel2_conf("127.0.0.1:0", Mongrel2Handler::new(&send, &recv));
    let text = config.conf("web-1", "/srv/m2").expect("a configuration");
    assert!(
        text.contains(r#"routes={"/live/chat": handler0, "/user/": handler0, "@game": handler0}"#),
        "{text}"
    );
    let server = within(config.start()).await.expect("a Mongrel2 that starts");
    let link = Mongrel2::new(send, recv);
    let counts = link.counts();
    let running = within(App::new(ROUTES, ()).start(link)).await.expect("a link");
    assert_eq!(
        Browser::connect(server.address())
            .await
            .get("/user/7")
            .await
            .text(),
        "user 7"
    );
    assert_eq!(
        Wire::open(server.address(), "/live/chat").await.heard().await,
        "hello"
    );
    let before = counts.requests();
    let answer = Browser::connect(server.address()).await.get("/nothing").await;
    assert_eq!((answer.status, counts.requests()), (404, before));
    within(running.stop()).await.expect("an end");
    within(server.stop()).await.expect("an end");
}

/// One that is killed is started again, and the application finds it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_mongrel2_is_restarted() {
    let Some(laboratory) = Laboratory::new(behaviour::app(&Gate::new()), plain).await else {
        return;
    };
    let server = laboratory.server.as_ref().expect("a Mongrel2");
    let pid = server.pid().expect("it runs");
    let killed = std::process::Command::new("kill")
        .args(["-KILL", &pid.to_string()])
        .status();
    assert!(killed.is_ok_and(|status| status.success()));
    until(|| server.pid().is_some_and(|now| now != pid)).await;
    assert_eq!(laboratory.browser().await.get("/hello").await.text(), "hello");
    laboratory.stop().await;
}
