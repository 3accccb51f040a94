//! Cookies and sessions that a handler changes when the head of its response is sent already.

use crate::support::logs::CapturedLogs;
use crate::support::test_bed::{TestBed, default_settings};
use crate::support::websocket::WebSocketClient;
use brubeck::prelude::*;
use brubeck::{MemoryStore, Service, TestSite};
use futures_util::{StreamExt, stream};
use tokio::sync::mpsc;

#[websocket("^/socket$")]
async fn socket(mut socket: WebSocket, session: Session, cookies: Cookies) {
    while socket.recv().await.is_some() {
        session.set("late", 1);
        session.log_in("dave");
        cookies.set(Cookie::new("late", "1"));
        let answer = (session.get::<u32>("late"), session.get::<u32>("early"));
        let _ = socket.send(format!("{answer:?} {:?}", session.user_id())).await;
    }
}

#[get("^/upgrade$")]
async fn upgrade(upgrade: Upgrade, session: Session, signed: SignedCookies) -> Response {
    session.set("early", 7);
    signed.set(Cookie::new("early", "7"));
    upgrade.on(async move |mut socket: WebSocket| {
        while socket.recv().await.is_some() {
            session.set("late", 1);
            signed.set(Cookie::new("late", "1"));
            let answer = (session.get::<u32>("late"), session.get::<u32>("early"));
            let _ = socket.send(format!("{answer:?} {:?}", session.user_id())).await;
        }
    })
}

#[get("^/events$")]
async fn events(session: Session, cookies: Cookies) -> Events {
    Events::new(stream::iter(1..=3).map(move |n| {
        session.set("late", n);
        cookies.remove("late");
        Event::data(n.to_string())
    }))
}

#[get("^/stream$")]
async fn streamed(session: Session, cookies: Cookies) -> Response {
    let parts = stream::iter(["a", "b", "c"]).map(move |part| {
        session.log_out();
        cookies.set(Cookie::new("late", part));
        Ok::<_, std::io::Error>(part)
    });
    Response::stream(Status::OK, "text/plain", brubeck::Body::from_stream(parts))
}

/// Changes the session in a task that outlives the response.
#[get("^/task$")]
async fn task(session: Session, done: State<mpsc::Sender<()>>) -> &'static str {
    let (done, session) = (done.clone(), session.clone());
    tokio::spawn(async move {
        // The task runs when the handler has returned: the runtime has one thread.
        session.set("late", 1);
        let _ = done.send(()).await;
    });
    "ok"
}

#[get("^/kept$")]
async fn kept(session: Session, cookies: Cookies) -> String {
    format!("{:?} {:?}", session.get::<u32>("late"), cookies.get("late"))
}

const ROUTES: Routes<mpsc::Sender<()>> = routes![socket, upgrade, events, streamed, task, kept];

/// The handlers, and the lines that each of them logs.
const EXPECTED: &[(&str, &[&str])] = &[
    (
        "socket",
        &[
            "`Session::set` has no effect",
            "`Session::log_in` has no effect",
            "`Cookies::set` has no effect",
        ],
    ),
    (
        "upgrade",
        &["`Session::set` has no effect", "`Cookies::set` has no effect"],
    ),
    (
        "events",
        &["`Session::set` has no effect", "`Cookies::remove` has no effect"],
    ),
    (
        "streamed",
        &["`Session::log_out` has no effect", "`Cookies::set` has no effect"],
    ),
    ("task", &["`Session::set` has no effect"]),
];

async fn assert_logged(test_bed: TestBed, mut done: mpsc::Receiver<()>) {
    let logs = CapturedLogs::start(tracing::Level::ERROR);
    for (path, early) in [("/socket", "None"), ("/upgrade", "Some(7)")] {
        let mut client = WebSocketClient::open(test_bed.address, path).await;
        assert_eq!(client.head.contains("set-cookie"), path == "/upgrade");
        for _ in 0..3 {
            client.send_text("change").await;
            assert_eq!(client.recv_text().await, format!("(None, {early}) None"));
        }
    }
    let mut browser = test_bed.browser().await;
    for path in ["/events", "/stream", "/task"] {
        let response = browser.get(path).await;
        assert_eq!((response.status, response.header("set-cookie")), (200, None));
    }
    done.recv().await.expect("the end of the task");
    for (handler, lines) in EXPECTED {
        let logged = logs.lines(&format!("handler=\"{handler}\""));
        assert_eq!(logged.len(), lines.len(), "{logged:#?}");
        for line in *lines {
            assert!(
                logged.iter().any(|logged| logged.contains(line)),
                "{line}: {logged:#?}"
            );
        }
    }
    drop(logs);
    test_bed.stop().await;
}

fn app(done: mpsc::Sender<()>) -> App<mpsc::Sender<()>> {
    App::new(ROUTES, done).cookie_secret("a secret of the test, 32 bytes long")
}

#[tokio::test]
async fn late_changes_are_refused_and_logged_once_on_the_embedded_server() {
    let (sender, done) = mpsc::channel(1);
    assert_logged(TestBed::embedded(app(sender)).await, done).await;
}

#[tokio::test]
async fn late_changes_of_a_session_in_a_store_are_refused_and_logged_once() {
    let (sender, done) = mpsc::channel(1);
    let app = app(sender).sessions(MemoryStore::default());
    assert_logged(TestBed::embedded(app).await, done).await;
}

#[tokio::test]
async fn late_changes_are_refused_and_logged_once_behind_mongrel2() {
    let (sender, done) = mpsc::channel(1);
    if let Some(test_bed) = TestBed::mongrel2(app(sender), default_settings).await {
        assert_logged(test_bed, done).await;
    }
}

#[service_handler(path = "^/service/remember$", method = "request")]
async fn remember(cookies: Cookies) -> String {
    cookies.set(Cookie::new("late", "1"));
    format!("{:?}", cookies.get("late"))
}

/// A call of a service has no response that could have cookies.
#[tokio::test]
async fn cookies_of_a_service_call_are_refused_and_logged() {
    let logs = CapturedLogs::start(tracing::Level::ERROR);
    let address = ("ipc://run/remember", "my_shared_secret");
    let site = TestSite::new(routes![], ())
        .service(
            Service::bind(address.0, address.1),
            App::new(routes![remember], ()),
        )
        .start()
        .await
        .expect("a running site");
    let client = site
        .client(&brubeck::ServiceAddress::new(address.0, address.1))
        .expect("a client");
    let response = client.request("/service/remember").await.expect("a response");
    assert_eq!(response.body, serde_json::json!("None"));
    assert_eq!(
        logs.count("the call of a service has no HTTP response"),
        1,
        "{}",
        logs.text()
    );
    site.stop().await;
}
