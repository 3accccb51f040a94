//! What RFC 9110 and RFC 6455 demand of a server, on both front ends.

use super::server::run;
use crate::support::served_app::Protocol;
use crate::support::{ServedApp, WebResponse, requirements};
use brubeck::prelude::*;

#[get("^/page$")]
async fn page() -> &'static str {
    "page"
}

#[get("^/street$")]
async fn street() -> Redirect {
    Redirect::to("/straße?q=a b")
}

#[get("^/reset$")]
async fn reset() -> (Status, &'static str) {
    (Status::new(205), "content")
}

#[websocket("^/socket$")]
async fn socket(mut socket: WebSocket) {
    while socket.recv().await.is_some() {}
}

const ROUTES: Routes<()> = routes![page, street, reset, socket];

async fn ask(site: &ServedApp, head: &str) -> WebResponse {
    let mut browser = site.browser().await;
    browser.send(format!("{head}\r\nhost: localhost\r\n\r\n")).await;
    browser.read_head_response().await
}

#[tokio::test]
async fn requests_are_answered_as_the_rfcs_demand() {
    let app = || App::new(ROUTES, ());
    let mut sites = vec![ServedApp::http(app()).await];
    if requirements::mongrel2() {
        sites.push(ServedApp::mongrel2(app(), Protocol::Json).await);
    }
    for (position, site) in sites.iter().enumerate() {
        let is_mongrel2 = position == 1;
        // Methods are case-sensitive. Mongrel2 refuses other ones itself.
        for method in ["get", "gET", "head", "options", "Post"] {
            let response = ask(site, &format!("{method} /page HTTP/1.1")).await;
            let expected = if is_mongrel2 { 400 } else { 501 };
            assert_eq!(response.status, expected, "{method} {position}");
        }
        if !is_mongrel2 {
            assert_eq!(ask(site, "CONNECT localhost:80 HTTP/1.1").await.status, 501);
        }

        let plain = ask(site, "GET /socket HTTP/1.1").await;
        assert_eq!(
            (plain.status, plain.header("upgrade")),
            (426, Some("websocket")),
            "{position}"
        );
        const UPGRADE: &str =
            "GET /socket HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13";
        for (key, status) in [
            ("dGhlIHNhbXBsZSBub25jZQ==", 101),
            ("************************", 400),
            ("dGhlIHNhbXBsZSBub25j", 400),
        ] {
            let response = ask(site, &format!("{UPGRADE}\r\nsec-websocket-key: {key}")).await;
            assert_eq!(response.status, status, "{key} {position}");
        }

        let redirect = ask(site, "GET /street HTTP/1.1").await;
        let location = redirect.header("location");
        assert_eq!((redirect.status, location), (303, Some("/stra%C3%9Fe?q=a%20b")));
        let mut browser = site.browser().await;
        browser
            .send("GET /reset HTTP/1.1\r\nhost: localhost\r\n\r\n")
            .await;
        let reset = browser.read_response().await;
        assert_eq!(
            (reset.status, reset.header("content-length"), reset.text()),
            (205, Some("0"), "")
        );
        assert_eq!(
            browser.get("/page").await.text(),
            "page",
            "the connection is in step"
        );
    }
    // HTTP/2 has no upgrades: a handshake is a CONNECT.
    let target = format!("http://{}/socket", sites[0].address);
    let arguments = [
        "--silent",
        "--http2-prior-knowledge",
        "--max-time",
        "10",
        "--write-out",
        " %{http_code}",
        &target,
    ];
    if let Some(response) = run("curl", &arguments).await {
        assert!(
            response.ends_with(" 400") && response.contains("CONNECT with `:protocol: websocket`"),
            "{response}"
        );
    }
    for site in sites {
        site.stop().await;
    }
}
