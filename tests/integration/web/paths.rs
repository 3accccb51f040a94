//! The path of a request: routes, mounted services and logs see the same text, in every front end.

use crate::support::served_app::Protocol;
use crate::support::{Browser, ServedApp, requirements};
use brubeck::prelude::*;
use brubeck::testing::TestClient;

#[get(r"^/doc/(?<name>[^/.]+)$")]
async fn doc(name: String) -> String {
    format!("doc {name}")
}

#[get(r"^/not/(?<name>[^;<>]+)$")]
async fn not(name: String) -> String {
    format!("not {name}")
}

#[get(r"^/title/(?<title>[a-z ]+)$")]
async fn title(title: String) -> String {
    format!("title {title}")
}

#[get("^/three/(?<text>.{3})$")]
async fn three(text: String) -> String {
    format!("three {text}")
}

#[get("^/proxy/(?<url>.+)$")]
async fn proxy(url: String) -> String {
    format!("proxy {url}")
}

#[get("^/café$")]
async fn cafe() -> &'static str {
    "cafe"
}

#[get("^/hello world$")]
async fn space() -> &'static str {
    "space"
}

#[get("^/~joe$")]
async fn joe() -> &'static str {
    "joe"
}

#[get(r#"^/odd/["<>\\^`{|}%]+$"#)]
async fn odd() -> &'static str {
    "odd"
}

#[get(r"^/list/\[(?<index>\d+)\]$")]
async fn list(index: u32) -> String {
    format!("list {index}")
}

#[get("^/seen")]
async fn seen(message: Message, uri: http::Uri) -> String {
    format!("{} {uri}", message.path())
}

#[get("/user/{id}")]
async fn user(id: u32) -> String {
    format!("user {id}")
}

#[get("/tag/{name}.html")]
async fn tag(name: String) -> String {
    format!("tag {name}")
}

#[get("/tree/{*path}")]
async fn tree(path: String) -> String {
    format!("tree {path}")
}

#[get("/a+(b)")]
async fn literal() -> &'static str {
    "literal"
}

#[post("^/store/")]
async fn store() {}

const ROUTES: Routes<()> = routes![
    doc, not, title, three, proxy, cafe, space, joe, odd, list, seen, user, tag, tree, literal, store,
];

fn app() -> App<()> {
    let mounted = axum::Router::new().fallback(|uri: http::Uri| async move { format!("mounted {uri}") });
    App::new(ROUTES, ()).mount("/old é", mounted)
}

/// Request targets, each with the status and, for 200, the body of the response.
const TARGETS: &[(&str, u16, &str)] = &[
    ("/doc/plain", 200, "doc plain"),
    ("/doc/%2e%2e%2fsecret", 404, ""),
    ("/doc/%2e%2e", 404, ""),
    ("/doc/a%2Fb", 404, ""),
    ("/doc/a%2eb", 404, ""),
    ("/doc/%252e", 200, "doc %2e"),
    ("/not/%3Cscript%3E", 404, ""),
    ("/not/%3cscript%3ealert(1)%3C%2Fscript%3E", 404, ""),
    ("/not/caf%C3%A9", 200, "not café"),
    ("/title/a%20b", 200, "title a b"),
    ("/title/a+b", 404, ""),
    ("/three/%C3%A9%E2%82%AC%F0%9D%84%9E", 200, "three é€𝄞"),
    ("/three/%C3%A9", 404, ""),
    (
        "/proxy/https%3A%2F%2Fa.example%2Fb%3Fc%3Dd",
        200,
        "proxy https://a.example/b?c=d",
    ),
    ("/proxy/a//b/", 200, "proxy a//b/"),
    ("/caf%C3%A9", 200, "cafe"),
    ("/caf%c3%a9", 200, "cafe"),
    ("/%63%61f%C3%A9", 200, "cafe"),
    ("/hello%20world", 200, "space"),
    ("/hello+world", 404, ""),
    ("/%7Ejoe", 200, "joe"),
    ("/~joe", 200, "joe"),
    ("/odd/%22%3C%3E%5C%5E%60%7B%7C%7D%25", 200, "odd"),
    ("/list/%5B7%5D", 200, "list 7"),
    ("/x/../~joe", 200, "joe"),
    ("/x/%2E%2e/~joe", 200, "joe"),
    ("/./%2e/~joe", 200, "joe"),
    ("/~joe/.", 404, ""),
    ("/../../~joe", 200, "joe"),
    (
        "/seen/a%2Fb/../%C3%A9?q=%20",
        200,
        "/seen/é /seen/a%2Fb/../%C3%A9?q=%20",
    ),
    ("/old%20%C3%A9", 200, "mounted /"),
    ("/old%20%C3%A9?q", 200, "mounted /?q"),
    ("/%6fld%20%c3%a9/a%2Fb?q=%20", 200, "mounted /a%2Fb?q=%20"),
    ("/x/../old%20%C3%A9/../old%20%c3%a9/b/./c", 200, "mounted /b/c"),
    ("/old%20%C3%A9x", 404, ""),
    ("/user/7", 200, "user 7"),
    ("/user/%37", 200, "user 7"),
    ("/user/", 404, ""),
    ("/user/7/", 404, ""),
    ("/tag/a%2Fb.html", 200, "tag a/b"),
    ("/tag/a.html.html", 200, "tag a.html"),
    ("/tag/.html", 404, ""),
    ("/tag/a/b.html", 404, ""),
    ("/tree/a//b%2Fc/", 200, "tree a//b/c/"),
    ("/tree/a/../%62", 200, "tree b"),
    ("/tree/", 404, ""),
    ("/a+(b)", 200, "literal"),
    ("/a%2B%28b%29", 200, "literal"),
    ("/%", 400, ""),
    ("/%4", 400, ""),
    ("/%zz", 400, ""),
    ("/%00", 400, ""),
    ("/doc/%ff", 400, ""),
    ("/doc/%C3", 400, ""),
];

/// Targets that browsers send and Mongrel2 refuses.
const TARGETS_OF_BROWSERS: &[(&str, u16, &str)] = &[
    ("/list/[7]", 200, "list 7"),
    ("/seen?q=%zz&r=[1]", 200, "/seen /seen?q=%zz&r=[1]"),
];

/// Targets with bytes that no URI contains. Servers may refuse them before the application sees them.
const NO_TARGETS: &[&[u8]] = &[
    b"/caf\xc3\xa9",
    b"/caf\xe9",
    b"/a|b",
    b"/a^b",
    b"/a{b}",
    b"/a`b",
    b"/a\"b",
    b"/a\\b",
    b"/seen?q=\xc3\xa9",
    b"/seen?q=\"",
];

async fn check_targets(site: &ServedApp, targets: &[&[(&str, u16, &str)]]) {
    for (target, status, body) in targets.iter().copied().flatten() {
        let mut browser = Browser::connect(site.address).await;
        let response = browser.get(target).await;
        assert_eq!(response.status, *status, "{target}");
        if *status == 200 {
            assert_eq!(String::from_utf8_lossy(&response.body), *body, "{target}");
        }
    }
    for target in NO_TARGETS {
        let mut browser = Browser::connect(site.address).await;
        let request = [b"GET ", *target, b" HTTP/1.1\r\nhost: localhost\r\n\r\n"].concat();
        browser.send(request).await;
        let response = browser.try_read_response(false).await;
        // Mongrel2 closes the connection after some of its refusals.
        let status = response.map_or(400, |response| response.status);
        assert_eq!(status, 400, "{}", target.escape_ascii());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_server_decodes_each_path_once() {
    let site = ServedApp::http(app()).await;
    check_targets(&site, &[TARGETS, TARGETS_OF_BROWSERS]).await;
    site.stop().await;
}

/// The forms of a request target (RFC 9112, section 3.2). Mongrel2 refuses `*`, and passes `http://host/path` as `//host/path`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_server_serves_every_form_of_target() {
    let site = ServedApp::http(app()).await;
    for (line, status, header, value) in [
        ("GET http://localhost/~joe", 200, "content-length", "3"),
        ("GET http://localhost/x/../%7Ejoe", 200, "content-length", "3"),
        ("GET http://localhost/~joe?q=1", 200, "content-length", "3"),
        ("GET *", 400, "content-type", "text/plain; charset=utf-8"),
        ("OPTIONS *", 204, "allow", "GET, POST, HEAD, OPTIONS"),
        (
            "CONNECT localhost:80",
            501,
            "content-type",
            "text/plain; charset=utf-8",
        ),
    ] {
        let mut browser = Browser::connect(site.address).await;
        browser
            .send(format!("{line} HTTP/1.1\r\nhost: localhost\r\n\r\n"))
            .await;
        let response = browser.read_response().await;
        assert_eq!(response.status, status, "{line}");
        assert_eq!(response.header(header), Some(value), "{line}");
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mongrel2_decodes_each_path_once() {
    if !requirements::mongrel2() {
        return;
    }
    let site = ServedApp::mongrel2(app(), Protocol::Tnetstring).await;
    check_targets(&site, &[TARGETS]).await;
    site.stop().await;
}

#[tokio::test]
async fn test_client_decodes_each_path_once() {
    let client = TestClient::new(app());
    for (target, status, body) in TARGETS.iter().chain(TARGETS_OF_BROWSERS) {
        let response = client.get(target).await;
        assert_eq!(response.status(), *status, "{target}");
        if *status == 200 {
            assert_eq!(response.text(), *body, "{target}");
        }
    }
}

#[tokio::test]
async fn hook_sees_the_path_that_the_route_matches() {
    async fn no_docs(message: Message) -> Result<(), Status> {
        if message.path().starts_with("/doc/") {
            Err(Status::FORBIDDEN)
        } else {
            Ok(())
        }
    }
    let client = TestClient::new(App::new(ROUTES, ()).before(no_docs));
    for target in ["/doc/a", "/%64oc/a", "/x/../doc/a", "/./%64oc/%61"] {
        client.get(target).await.assert_status(403);
    }
    client.get("/~joe").await.assert_status(200);
}
