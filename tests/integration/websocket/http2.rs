//! WebSockets over HTTP/2 (RFC 8441).

use crate::support::websocket::frame;
use crate::support::{ServedApp, http2};
use brubeck::prelude::*;

#[websocket("^/echo$")]
async fn echo(mut socket: WebSocket) {
    while let Some(message) = socket.recv().await {
        if socket.send(message).await.is_err() {
            break;
        }
    }
}

#[get("^/page$")]
async fn page() -> &'static str {
    "page"
}

const ROUTES: Routes<()> = routes![echo, page];

const VERSION: (&str, &str) = ("sec-websocket-version", "13");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn websocket_opens_over_http_2() {
    let site = ServedApp::http(App::new(ROUTES, ())).await;
    let own = format!("http://{}", site.address);
    for headers in [vec![VERSION], vec![VERSION, ("origin", &own)]] {
        let frames = frame(0x81, b"hello");
        let opened = http2::websocket(site.address, "/echo", &headers, frames, 7).await;
        assert!(opened.offers_websockets);
        assert_eq!((opened.status, opened.reset), (Some(200), None), "{opened:?}");
        assert_eq!(opened.body, b"\x81\x05hello");
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_websocket_has_a_response_over_http_2() {
    let site = ServedApp::http(App::new(ROUTES, ())).await;
    let missing = http2::websocket(site.address, "/none", &[VERSION], Vec::new(), usize::MAX).await;
    assert_eq!(missing.status, Some(404));
    let foreign = [VERSION, ("origin", "http://evil.example")];
    let refused = http2::websocket(site.address, "/echo", &foreign, Vec::new(), usize::MAX).await;
    assert_eq!(refused.body, b"the origin is not allowed to open this WebSocket");
    let old = http2::websocket(
        site.address,
        "/echo",
        &[("sec-websocket-version", "8")],
        Vec::new(),
        usize::MAX,
    )
    .await;
    assert_eq!(
        old.body,
        b"only version 13 of the WebSocket protocol is supported"
    );
    let page = http2::websocket(site.address, "/page", &[VERSION], Vec::new(), usize::MAX).await;
    assert_eq!(
        (page.status, &*page.body),
        (Some(400), &b"there is no WebSocket at this path"[..])
    );
    site.stop().await;
}
