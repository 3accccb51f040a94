//! The response and the log line of each ending of a call, in production and in development.

use super::{PRIVATE, SECRET, STORE, Store, TOO_LONG, called, served};
use crate::support::logs::CapturedLogs;
use crate::support::{Browser, ServedApp, with_timeout};
use brubeck::prelude::*;
use brubeck::{Phase, Service, ServiceAddress, ServiceRequest, TestSite, TestSiteHandle};
use brubeck_runtime::{Link, Origin, PendingResponse};
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tracing::Level;

/// A link whose calls end with an error that a test cannot provoke in time, or that only peers of another version cause.
struct Scripted(&'static str);

const SCRIPTED: &str = "tcp://10.9.8.7:6543";

impl Link for Scripted {
    fn call(&self, _: ServiceRequest, _: Option<Origin>, _: Instant) -> PendingResponse {
        let error = match self.0 {
            "busy" => CallError::busy(Duration::from_millis(10)),
            "draining" => CallError::lost(false),
            "lost" => CallError::lost(true),
            "queued" => CallError::deadline(Phase::Queued),
            "cancelled" => CallError::Cancelled(PRIVATE.into()),
            "stopping" => CallError::ShuttingDown(PRIVATE.into()),
            "malformed" => CallError::Refused(PRIVATE.into()),
            "failed" => CallError::BadReply(PRIVATE.into()),
            other => panic!("{other}"),
        };
        Box::pin(ready(Err(error)))
    }

    fn address(&self) -> &str {
        SCRIPTED
    }
}

#[derive(Clone, AppState)]
struct Site {
    addresses: Addresses,
}

#[derive(Clone)]
struct Addresses {
    store: ServiceAddress,
    nowhere: ServiceAddress,
}

#[get("/ending/{kind}")]
async fn ending(kind: String, services: Services, addresses: State<Addresses>) -> Result<String, Problem> {
    let store = services.connect(&addresses.store)?;
    let (served, called) = (
        served::StockClient::new(store.clone()),
        called::StockClient::new(store.clone()),
    );
    let value = match &*kind {
        "value" => served.value().await?,
        "failure" => served.fails().await?,
        "failure-of-a-contract" => served.refuses().await?,
        "rejected" => called.counts(PRIVATE.into()).await?,
        "unknown-operation" => called.newer().await?,
        "panicked" => served.panics().await?,
        "timed-out" => served.sleeps().timeout(Duration::from_millis(50)).await?,
        "refused" => served.value().header("x-long", PRIVATE.repeat(1000)).await?,
        "refused-registration" => {
            let address = addresses.store.address();
            services.register(address, "another, of 16 characters")?;
            0
        }
        "too-large" => called.counts("x".repeat(TOO_LONG)).await?,
        "too-large-response" => served.long().await?.len() as u32,
        "unreadable" => called.shelf().await?.boxes[0].amount.into(),
        "may-not-cross" => served.keys().await?.len() as u32,
        "no-workers" => {
            let nowhere = services.connect(&addresses.nowhere)?;
            served::StockClient::new(nowhere).value().await?
        }
        "without-a-contract" => {
            let response = store
                .request("/stock/sleeps")
                .timeout(Duration::from_millis(50))
                .await?;
            response.status.code() as u32
        }
        "nowait" => {
            served.value().nowait().await?;
            0
        }
        _ => {
            let script = SCRIPTS
                .iter()
                .find(|(script, ..)| *script == kind)
                .expect("a script")
                .0;
            let scripted = Client::over(Arc::new(Scripted(script)));
            served::StockClient::new(scripted).value().await?
        }
    };
    Ok(value.to_string())
}

const SITE: Routes<Site> = routes![ending];

/// An ending: its name, the status for a browser, and the parts that its text must contain, except for the address.
type Ending = (&'static str, u16, &'static [&'static str]);

const ENDINGS: [Ending; 15] = [
    (
        "failure",
        409,
        &["stock::fails", "the handler failed: 409", PRIVATE],
    ),
    (
        "failure-of-a-contract",
        400,
        &[
            "stock::refuses",
            r#"400 Bad Request: {"Empty":{"because":"#,
            PRIVATE,
        ],
    ),
    (
        "rejected",
        502,
        &[
            "stock::counts",
            "refused: 400 the argument `amount` is not valid",
            PRIVATE,
            "expected u8",
        ],
    ),
    (
        "unknown-operation",
        502,
        &["refused: 404 the service does not serve the operation `stock::newer`"],
    ),
    ("panicked", 502, &["stock::panics", "the handler panicked"]),
    ("timed-out", 504, &["stock::sleeps", "raise the timeout"]),
    (
        "refused",
        502,
        &["stock::value", "the call was refused", "headers"],
    ),
    ("refused-registration", 502, &["already registered with another"]),
    (
        "too-large",
        413,
        &[
            "stock::counts",
            "the request has 70",
            "`ServiceAddress::body_limit`",
        ],
    ),
    (
        "too-large-response",
        502,
        &[
            "stock::long",
            "no usable response: the response has 70",
            "`body_limit`",
        ],
    ),
    (
        "unreadable",
        502,
        &[
            "stock::shelf",
            "`boxes[0].amount`: invalid type: string",
            PRIVATE,
            "expected u8",
        ],
    ),
    (
        "may-not-cross",
        500,
        &["stock::keys", "cannot be sent as JSON: key must be a string"],
    ),
    (
        "no-workers",
        503,
        &["stock::value", "no worker of the service is reachable"],
    ),
    (
        "without-a-contract",
        504,
        &["request /stock/sleeps", "raise the timeout"],
    ),
    ("nowait", 502, &["stock::value", "no response handler is listed"]),
];

const SCRIPTS: [Ending; 8] = [
    ("busy", 503, &["stock::value", "retry in 10ms"]),
    (
        "draining",
        502,
        &["stock::value", "all workers were shutting down", "did not run"],
    ),
    ("lost", 502, &["stock::value", "may have run"]),
    ("queued", 504, &["stock::value", "did not run"]),
    ("cancelled", 499, &["stock::value", PRIVATE]),
    ("stopping", 503, &["stock::value", PRIVATE]),
    ("malformed", 502, &["stock::value", PRIVATE]),
    ("failed", 502, &["stock::value", PRIVATE]),
];

/// A running site, in memory or over sockets.
enum Front {
    InMemory(TestSiteHandle),
    Sockets(Box<ServedApp>, brubeck::Running),
}

impl Front {
    async fn in_memory(development: bool) -> (Front, Addresses) {
        let address = |name: &str| ServiceAddress::new(name, SECRET).body_limit(TOO_LONG - 5000);
        let addresses = Addresses {
            store: address("ipc://run/store"),
            nowhere: address("ipc://run/nowhere"),
        };
        let app = App::new(
            SITE,
            Site {
                addresses: addresses.clone(),
            },
        )
        .development(development);
        let site = TestSite::of(app)
            .service(Service::bind("ipc://run/store", SECRET), App::new(STORE, Store))
            .start()
            .await
            .unwrap();
        (Front::InMemory(site), addresses)
    }

    async fn sockets(development: bool) -> (Front, Addresses) {
        let service = Service::bind("tcp://127.0.0.1:0", SECRET);
        let service = App::new(STORE, Store).start(service).await.unwrap();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let nowhere = format!("tcp://{}", free.local_addr().unwrap());
        drop(free);
        let address = |name: &str| ServiceAddress::new(name, SECRET).body_limit(TOO_LONG - 5000);
        let addresses = Addresses {
            store: address(service.address()),
            nowhere: address(&nowhere),
        };
        let app = App::new(
            SITE,
            Site {
                addresses: addresses.clone(),
            },
        )
        .development(development);
        (
            Front::Sockets(Box::new(ServedApp::http(app).await), service),
            addresses,
        )
    }

    /// Returns the status, and the headers and the body as one text.
    async fn get(&self, path: &str, accept: &str) -> (u16, String) {
        match self {
            Front::InMemory(site) => {
                let response = site.browser().get(path).accept(accept).await;
                (
                    response.status(),
                    format!("{:?}\n{}", response.headers(), response.text()),
                )
            }
            Front::Sockets(site, _) => {
                let mut browser = Browser::connect(site.address).await;
                browser
                    .send(format!(
                        "GET {path} HTTP/1.1\r\nhost: localhost\r\naccept: {accept}\r\n\r\n"
                    ))
                    .await;
                let response = browser.read_response().await;
                let headers = response.headers.iter();
                let headers: String = headers
                    .map(|(name, value)| format!("{name}: {}\n", value.escape_ascii()))
                    .collect();
                (response.status, format!("{headers}\n{}", response.text()))
            }
        }
    }

    async fn stop(self) {
        match self {
            Front::InMemory(site) => site.stop().await,
            Front::Sockets(site, service) => {
                site.stop().await;
                service.stop().await.unwrap();
            }
        }
    }
}

const FORMATS: [&str; 3] = ["application/json", "text/html", "text/plain"];

/// The trace that a response names: the 32 hexadecimal digits behind `trace`.
fn trace_of(text: &str) -> &str {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let digits = text.as_bytes().windows(32);
    let start = digits
        .clone()
        .position(|window| window.iter().all(|byte| is_hex(*byte)));
    let start = start.unwrap_or_else(|| panic!("no trace: {text}"));
    &text[start..start + 32]
}

/// Undoes the escaping of HTML and JSON, as far as the texts of the tests need it.
fn unescaped(text: &str) -> String {
    text.replace("&quot;", "\"")
        .replace("&#x27;", "'")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
        .replace("\\\"", "\"")
}

/// Browsers see the status and the trace. The rest is in the log, once, and in the response in development.
async fn check_endings(front: Front, addresses: Addresses, development: bool) {
    assert!(front.get("/ending/value", "*/*").await.1.ends_with("\n7"));
    let (store, nowhere) = (addresses.store.address(), addresses.nowhere.address());
    for (kind, status, parts) in ENDINGS.iter().chain(&SCRIPTS) {
        for accept in FORMATS {
            let logs = CapturedLogs::start(Level::INFO);
            let (code, text) = with_timeout(front.get(&format!("/ending/{kind}"), accept)).await;
            let logged = logs.lines("call failed");
            drop(logs);
            let context = format!("{kind}, {accept}\n{text}\n{logged:#?}");
            assert_eq!(code, *status, "{context}");
            let address = match *kind {
                "no-workers" => nowhere,
                script if SCRIPTS.iter().any(|(name, ..)| *name == script) => SCRIPTED,
                _ => store,
            };
            // Once, with the trace, the address and the cause.
            assert_eq!(logged.len(), 1, "{context}");
            assert!(
                logged[0].contains(&format!("trace_id=\"{}\"", trace_of(&text))),
                "{context}"
            );
            for part in parts.iter().copied().chain([address]) {
                assert!(
                    logged[0].replace("\\\"", "\"").contains(part),
                    "{part}: {context}"
                );
                assert_eq!(unescaped(&text).contains(part), development, "{part}: {context}");
            }
            let warns = *status >= 500 || !kind.starts_with("failure");
            assert_eq!(logged[0].contains(" WARN "), warns, "{context}");
            if !development {
                for part in [
                    "stock",
                    "expected",
                    "invalid type",
                    "cannot be sent",
                    "://",
                    "handler",
                    "worker",
                ] {
                    assert!(!text.contains(part), "{part}: {context}");
                }
            }
        }
    }
    front.stop().await;
}

#[tokio::test]
async fn browsers_see_status_and_trace_of_every_ending_in_memory() {
    let (front, addresses) = Front::in_memory(false).await;
    check_endings(front, addresses, false).await;
}

#[tokio::test]
async fn browsers_see_the_cause_in_development_in_memory() {
    let (front, addresses) = Front::in_memory(true).await;
    check_endings(front, addresses, true).await;
}

#[tokio::test]
async fn browsers_see_status_and_trace_of_every_ending_over_sockets() {
    let (front, addresses) = Front::sockets(false).await;
    check_endings(front, addresses, false).await;
}

#[tokio::test]
async fn browsers_see_the_cause_in_development_over_sockets() {
    let (front, addresses) = Front::sockets(true).await;
    check_endings(front, addresses, true).await;
}

#[get("/dropped")]
async fn dropped(services: Services, addresses: State<Addresses>) -> Result<&'static str, Problem> {
    let store = services.connect(&addresses.store)?;
    served::StockClient::new(store).value().nowait();
    Ok("sent")
}

/// The error of a `nowait` call is logged by the handler that got it, or else by the call.
#[tokio::test]
async fn error_of_a_nowait_call_is_logged_once() {
    let addresses = Addresses {
        store: ServiceAddress::new("ipc://run/store", SECRET),
        nowhere: ServiceAddress::new("ipc://run/nowhere", SECRET),
    };
    const ROUTES: Routes<Site> = routes![ending, dropped];
    let site = TestSite::new(ROUTES, Site { addresses }).start().await.unwrap();
    for (path, line) in [
        ("/ending/nowait", " call failed"),
        ("/dropped", "`nowait` call failed"),
    ] {
        let logs = CapturedLogs::start(Level::INFO);
        site.browser().get(path).await;
        let lines = logs.lines("no response handler is listed");
        assert_eq!(lines.len(), 1, "{path}: {lines:#?}");
        assert!(
            lines[0].contains(line) && lines[0].contains("trace_id="),
            "{lines:#?}"
        );
    }
    site.stop().await;
}
