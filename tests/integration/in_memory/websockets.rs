//! WebSockets of `TestClient` and `TestSite`.

use brubeck::prelude::*;
use brubeck::testing::{TestClient, TestWebSocket};
use brubeck::{MemoryStore, Scheme, Service, TestSite};
use futures_util::FutureExt;
use serde_json::json;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;

#[websocket("^/echo$", protocols = ["v2.chat", "v1.chat"], origins = ["https://app.example"])]
async fn echo(mut socket: WebSocket) -> Result<(), Closed> {
    while let Some(message) = socket.recv().await {
        socket.send(message).await?;
    }
    Ok(())
}

/// Does what the client says.
#[websocket("^/obey$")]
async fn obey(mut socket: WebSocket, ends: State<Ends>) -> Result<(), &'static str> {
    while let Some(message) = socket.recv().await {
        match message.text() {
            Some("return") => break,
            Some("fail") => return Err("as the client said"),
            Some("panic") => panic!("as the client said"),
            Some("close") => {
                socket.close(Close::new(4001, "é"));
                break;
            }
            Some("sleep") => {
                tokio::time::sleep(Duration::from_secs(3600)).await;
                let _ = socket.send("slept").await;
            }
            Some("flood") => {
                for _ in 0..8 {
                    let _ = socket.send(vec![7; 100_000]).await;
                }
                let _ = socket.send("done").await;
            }
            _ => {}
        }
    }
    ends.note(&socket);
    Ok(())
}

#[websocket("^/room$")]
async fn room(mut socket: WebSocket, room: State<Broadcast>) {
    let _subscription = room.join(&socket);
    while let Some(message) = socket.recv().await {
        room.send(message).await;
    }
}

#[get("^/visit$")]
async fn visit(upgrade: Upgrade, session: Session, headers: Headers) -> Result<Response, Status> {
    if headers.contains_key("x-stay-away") {
        return Err(Status::FORBIDDEN);
    }
    let visits = session.get::<u32>("visits").unwrap_or(0) + 1;
    session.set("visits", visits);
    Ok(upgrade
        .on(async move |socket: WebSocket| {
            let _ = socket.send(visits.to_string()).await;
        })
        .with_header("x-visit", "yes"))
}

#[websocket("^/who$")]
async fn who(socket: WebSocket, address: Option<RemoteAddr>, headers: Headers, scheme: Scheme) {
    let origin = headers
        .get("origin")
        .map(|origin| origin.to_str().unwrap_or_default().to_owned());
    let _ = socket
        .send(format!(
            "{:?} {origin:?} {scheme}",
            address.map(|address| address.0)
        ))
        .await;
}

#[get("^/page$")]
async fn page() -> &'static str {
    "no WebSocket"
}

#[websocket("^/limited$")]
async fn limited(mut socket: WebSocket) {
    while socket.recv().await.is_some() {}
}

/// The codes with which handlers ended.
#[derive(Clone)]
struct Ends(mpsc::UnboundedSender<Option<u16>>);

impl Ends {
    fn note(&self, socket: &WebSocket) {
        // Fails if the test does not look.
        let _ = self.0.send(socket.ended().map(Close::code));
    }
}

#[derive(AppState, Clone)]
struct Site {
    ends: Ends,
    room: Broadcast,
}

const ROUTES: Routes<Site> = routes![echo, obey, room, visit, who, page, limited];

fn app() -> (App<Site>, Broadcast, mpsc::UnboundedReceiver<Option<u16>>) {
    let (ends, ended) = mpsc::unbounded_channel();
    let room = Broadcast::new();
    let state = Site {
        ends: Ends(ends),
        room: room.clone(),
    };
    let app = App::new(ROUTES, state)
        .cookie_secret("a secret of the test, 32 bytes long")
        .limit::<limited>(Limits::new().concurrency(1));
    (app, room, ended)
}

fn client() -> TestClient {
    TestClient::new(app().0)
}

/// Returns the message of a panic.
async fn panic_of(future: impl Future) -> String {
    let panicked = AssertUnwindSafe(future)
        .catch_unwind()
        .await
        .err()
        .expect("a panic");
    match panicked.downcast::<String>() {
        Ok(text) => *text,
        Err(other) => other.downcast::<&str>().expect("a text").to_string(),
    }
}

#[tokio::test(start_paused = true)]
async fn messages_are_echoed() {
    let mut socket = client().websocket("/echo").await;
    for size in [0, 1, 125, 126, 65_535, 65_536, 1 << 20] {
        let text = "é".repeat(size / 2);
        socket.send(text.clone()).await;
        assert_eq!(socket.recv_text().await, text);
        socket.send(vec![0xff; size]).await;
        assert_eq!(socket.recv_bytes().await, vec![0xff; size]);
    }
    socket.send_json(&json!({ "a": [1, 2] })).await;
    assert_eq!(
        socket.recv_json::<serde_json::Value>().await,
        json!({ "a": [1, 2] })
    );
    socket.send_json(&[1, 2]).await;
    socket.assert_json([1, 2]).await;
    socket.send(vec![1, 2]).await;
    socket.assert_bytes([1, 2]).await;
    socket.assert_silent(Duration::from_secs(3600)).await;
    socket.close(Close::NORMAL).await;
    assert_eq!(socket.ended(), Some(&Close::NORMAL));
    socket.send("discarded").await;
    assert_eq!(socket.recv().await, None);
}

#[tokio::test(start_paused = true)]
async fn handshake_is_that_of_a_browser() {
    let client = client();
    let socket = client.websocket("/echo").protocols(["v1.chat", "v2.chat"]).await;
    assert_eq!(socket.protocol(), Some("v2.chat"));
    socket
        .response()
        .assert_status(101)
        .assert_header("upgrade", "websocket")
        .assert_header("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_eq!(
        client.websocket("/echo").protocols(["v3.chat"]).await.protocol(),
        None
    );

    let who = [
        (client.websocket("/who"), r#"None Some("http://localhost") http"#),
        (
            client.websocket("wss://example.org/who?x=1"),
            r#"None Some("https://example.org") https"#,
        ),
        (
            client.websocket("/who").header("host", "example.org:81"),
            r#"None Some("http://example.org:81") http"#,
        ),
        (
            client
                .websocket("/who")
                .without_origin()
                .from([10, 0, 0, 7].into()),
            "Some(10.0.0.7) None http",
        ),
        (
            client
                .websocket("ws://localhost/who")
                .header("Origin", "http://localhost:80"),
            r#"None Some("http://localhost:80") http"#,
        ),
    ];
    for (handshake, expected) in who {
        handshake.await.assert_text(expected).await;
    }
}

#[tokio::test(start_paused = true)]
async fn rejections_are_responses() {
    let client = client();
    let rejection = async |path: &str| client.websocket(path).rejection().await;
    rejection("/missing").await.assert_status(404);
    rejection("/page")
        .await
        .assert_status(200)
        .assert_text("no WebSocket");
    for (name, value, status) in [
        ("origin", "https://evil.example", 403),
        ("origin", "null", 403),
        ("sec-websocket-version", "8", 426),
        ("sec-websocket-key", "short", 400),
        ("connection", "close", 426),
        ("upgrade", "h2c", 426),
        ("host", "two hosts", 400),
    ] {
        let response = client.websocket("/echo").header(name, value).rejection().await;
        response.assert_status(status);
    }
    client.websocket("/echo").origin("https://app.example").await;
    client
        .websocket("/visit")
        .header("x-stay-away", "1")
        .rejection()
        .await
        .assert_status(403);
    let message = panic_of(client.websocket("/missing").into_future()).await;
    assert!(
        message.contains("the WebSocket was not opened, at tests/integration/in_memory"),
        "{message}"
    );
    assert!(message.contains("404 Not Found"), "{message}");
    let message = panic_of(client.websocket("/echo").rejection()).await;
    assert!(message.contains("expected a rejection"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn cookies_of_the_client_are_sent_and_kept() {
    for app in [app().0, app().0.sessions(MemoryStore::default())] {
        let client = TestClient::new(app);
        for visit in ["1", "2", "3"] {
            let mut socket = client.websocket("/visit").await;
            socket.response().assert_header("x-visit", "yes");
            socket.assert_text(visit).await;
            socket.assert_closed(1000).await;
        }
        client.forget_cookies();
        client.websocket("/visit").await.assert_text("1").await;
    }
}

#[tokio::test(start_paused = true)]
async fn closes_of_the_server_have_their_code_and_reason() {
    let client = client();
    for (command, code, reason) in [
        ("return", 1000, ""),
        ("fail", 1011, ""),
        ("panic", 1011, ""),
        ("close", 4001, "é"),
    ] {
        let mut socket = client.websocket("/obey").await;
        socket.send(command).await;
        socket.assert_closed(code).await;
        assert_eq!(socket.ended(), Some(&Close::new(code, reason)));
    }
}

#[tokio::test(start_paused = true)]
async fn closes_of_the_client_arrive_before_close_returns() {
    let (app, _, mut ended) = app();
    let client = TestClient::new(app);
    for (close, seen) in [
        (Close::NORMAL, 1000),
        (Close::new(4321, "bye"), 4321),
        (Close::NONE, 1005),
        (Close::AWAY, 1001),
    ] {
        let mut socket = client.websocket("/obey").await;
        socket.close(close).await;
        assert_eq!(ended.try_recv(), Ok(Some(seen)));
    }
    drop(client.websocket("/obey").await);
    assert_eq!(ended.recv().await, Some(Some(1006)));
}

#[tokio::test(start_paused = true)]
async fn assertions_say_what_they_got_and_where() {
    let client = client();
    let mut socket = client.websocket("/echo").await;
    async fn received(socket: &mut TestWebSocket, message: &str) -> String {
        socket.send(message).await;
        panic_of(socket.assert_text("hello")).await
    }
    let message = received(&mut socket, "hallo").await;
    let expected =
        "expected the text \"hello\", got the text \"hallo\", at tests/integration/in_memory/websockets.rs:";
    assert!(message.starts_with(expected), "{message}");
    socket.send(vec![0, b'a']).await;
    let message = panic_of(socket.recv_text()).await;
    assert!(
        message.starts_with(r#"expected a text message, got 2 binary bytes: "\x00a""#),
        "{message}"
    );
    socket.send("7").await;
    let message = panic_of(socket.assert_closed(1000)).await;
    assert!(
        message.starts_with("expected a close with code 1000, got the text \"7\""),
        "{message}"
    );
    let message = panic_of(socket.assert_closed(1000)).await;
    assert!(
        message.contains("stayed open within a day of the paused clock"),
        "{message}"
    );
    let message = panic_of(socket.recv()).await;
    assert!(
        message.starts_with("received no message and no close within a day"),
        "{message}"
    );
    socket.send("7").await;
    let message = panic_of(socket.assert_silent(Duration::from_secs(1))).await;
    assert!(
        message.starts_with("expected no message for 1s, got the text \"7\""),
        "{message}"
    );
    let mut socket = client.websocket("/obey").await;
    socket.send("close").await;
    let message = panic_of(socket.recv_json::<u8>()).await;
    assert!(
        message.starts_with("expected a JSON message, but the server closed with 4001 é"),
        "{message}"
    );
    let message = panic_of(socket.assert_closed(1000)).await;
    assert!(
        message.starts_with("expected a close with code 1000, but the server closed with 4001 é"),
        "{message}"
    );
}

#[tokio::test(start_paused = true)]
async fn long_waits_take_no_real_time() {
    let mut socket = client().websocket("/obey").await;
    socket.send("sleep").await;
    socket.assert_silent(Duration::from_secs(3599)).await;
    socket.assert_text("slept").await;
}

/// A client that answers pings stays connected, one that does not is disconnected.
#[tokio::test(start_paused = true)]
async fn silent_client_is_closed_after_its_pings() {
    let (app, _, mut ended) = app();
    let client = TestClient::new(app);
    let mut lively = client.websocket("/obey").await;
    let mut frozen = client.websocket("/obey").await;
    frozen.freeze();
    tokio::time::sleep(Duration::from_secs(119)).await;
    assert!(ended.try_recv().is_err());
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(ended.try_recv(), Ok(Some(1006)));
    frozen.thaw();
    frozen.assert_closed(1006).await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    lively.send("close").await;
    lively.assert_closed(4001).await;
}

/// The handler waits while the client does not read, and goes on when it does.
#[tokio::test(start_paused = true)]
async fn handler_waits_for_a_frozen_client() {
    let mut socket = client().websocket("/obey").await;
    socket.freeze();
    socket.send("flood").await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    socket.thaw();
    for _ in 0..8 {
        assert_eq!(socket.recv_bytes().await.len(), 100_000);
    }
    socket.assert_text("done").await;
    // The write timeout of the embedded server applies.
    socket.freeze();
    socket.send("flood").await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    socket.thaw();
    while socket.recv().await.is_some() {}
    assert_eq!(socket.ended(), Some(&Close::BROKEN));
}

#[tokio::test(start_paused = true)]
async fn broadcasts_reach_all_members() {
    let (app, room, _) = app();
    let client = TestClient::new(app);
    let mut members = Vec::new();
    for _ in 0..20 {
        members.push(client.websocket("/room").await);
        tokio::task::yield_now().await;
    }
    members[0].send("joined").await;
    for member in &mut members {
        member.assert_text("joined").await;
    }
    assert_eq!(room.len(), 20);
    for n in 0..50 {
        room.send(n.to_string()).await;
        tokio::task::yield_now().await;
    }
    for member in &mut members {
        for n in 0..50 {
            member.assert_text(&n.to_string()).await;
        }
    }
    for member in &mut members {
        member.close(Close::NORMAL).await;
    }
    assert_eq!(room.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn limits_of_the_application_apply() {
    let (app, ..) = app();
    let client = TestClient::new(app.message_limit(1000));
    let mut socket = client.websocket("/echo").await;
    socket.send("x".repeat(1000)).await;
    assert_eq!(socket.recv_text().await.len(), 1000);
    socket.send("x".repeat(1001)).await;
    socket.assert_closed(1009).await;
    let mut first = client.websocket("/limited").await;
    client.websocket("/limited").rejection().await.assert_status(503);
    first.close(Close::NORMAL).await;
    client.websocket("/limited").await;
}

#[tokio::test(start_paused = true)]
async fn messages_are_compressed_if_the_handshake_offers_it() {
    let client = client();
    let handshake = client
        .websocket("/echo")
        .header("sec-websocket-extensions", "permessage-deflate");
    let mut socket = handshake.await;
    let accepted = socket
        .response()
        .header("sec-websocket-extensions")
        .expect("the extension");
    assert!(accepted.starts_with("permessage-deflate"), "{accepted}");
    for text in ["short".to_owned(), "long ".repeat(1000)] {
        socket.send(text.clone()).await;
        socket.assert_text(&text).await;
    }
}

#[tokio::test(start_paused = true)]
async fn layers_and_hooks_see_the_opening() {
    let seen = Arc::new(AtomicUsize::new(0));
    let count = seen.clone();
    let (app, ..) = app();
    let client = TestClient::new(app.after(move |message, response| {
        count.fetch_add(usize::from(response.status().code() == 101), Ordering::Relaxed);
        match message.path() {
            "/room" => Response::text(Status::FORBIDDEN, "not today"),
            _ => response.with_header("x-own", "1"),
        }
    }));
    client
        .websocket("/echo")
        .await
        .response()
        .assert_header("x-own", "1");
    client
        .websocket("/room")
        .rejection()
        .await
        .assert_status(403)
        .assert_text("not today");
    assert_eq!(seen.load(Ordering::Relaxed), 2);
}

/// Another client has the same application, and its own cookies.
#[tokio::test(start_paused = true)]
async fn another_client_shares_the_application() {
    let first = client();
    let second = first.another();
    first.websocket("/visit").await.assert_text("1").await;
    second.websocket("/visit").await.assert_text("1").await;
    first.websocket("/visit").await.assert_text("2").await;
    let mut from_first = first.websocket("/room").await;
    let mut from_second = second.websocket("/room").await;
    from_second.send("hello").await;
    from_second.assert_text("hello").await;
    from_first.assert_text("hello").await;
}

/// A WebSocket outlives the client that opened it.
#[tokio::test(start_paused = true)]
async fn dropped_client_does_not_stop_the_application() {
    let client = client();
    let mut socket = client.websocket("/echo").await;
    drop(client);
    tokio::time::sleep(Duration::from_secs(300)).await;
    socket.send("hello").await;
    socket.assert_text("hello").await;
}

#[service_handler(path = "^/service/upper$", method = "request")]
async fn upper(text: Arg<String>) -> Json<String> {
    tokio::time::sleep(Duration::from_secs(2)).await;
    Json(text.to_uppercase())
}

const SERVICE: (&str, &str) = ("ipc://run/upper", "my_shared_secret");

#[websocket("^/upper$")]
async fn upper_socket(mut socket: WebSocket, services: Services, ends: State<Ends>) -> Result<(), CallError> {
    let service = services.register(SERVICE.0, SERVICE.1)?;
    while let Some(message) = socket.recv().await {
        let text = message.text().unwrap_or_default();
        match service.request("/service/upper").argument("text", text).await {
            Ok(response) => drop(socket.send(response.body.to_string()).await),
            Err(error) => drop(socket.send(error.to_string()).await),
        }
    }
    ends.note(&socket);
    Ok(())
}

const SITE: Routes<Ends> = routes![upper_socket];

/// A WebSocket of a site calls its services, and is closed with 1001 when the site stops.
#[tokio::test(start_paused = true)]
async fn site_has_websockets() {
    let (ends, mut ended) = mpsc::unbounded_channel();
    let site = TestSite::new(SITE, Ends(ends))
        .service(Service::bind(SERVICE.0, SERVICE.1), App::new(routes![upper], ()))
        .start()
        .await
        .expect("a running site");
    let browser = site.browser();
    let mut first = browser.websocket("/upper").await;
    let mut second = site.browser().websocket("/upper").await;
    first.send("hello").await;
    first.assert_text("\"HELLO\"").await;
    site.stop().await;
    assert_eq!(ended.try_recv(), Ok(Some(1001)));
    assert_eq!(ended.try_recv(), Ok(Some(1001)));
    first.assert_closed(1001).await;
    second.assert_closed(1001).await;
}
