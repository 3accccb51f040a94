//! A call that nobody waits for has somebody who takes its answer, or is not sent.

use brubeck::prelude::*;
use brubeck::{TestSite, TestSiteHandle};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

const PLACE: &str = "ipc://run/slow";
const SECRET: &str = "my_shared_secret";

#[service_client]
trait SlowEcho {
    #[call("/service/slow")]
    async fn echo(&self, text: String) -> Result<String, Fault>;

    #[call("/service/user/{id}")]
    async fn user(&self, id: u64) -> Result<u64, Fault>;
}

#[derive(Clone, Default)]
struct Counted(Arc<AtomicUsize>);

#[service_handler(slow_echo::echo)]
async fn echo(Args(ask): Args<slow_echo::echo>, counted: State<Counted>) -> Result<String, Fault> {
    counted.0.0.fetch_add(1, Ordering::Relaxed);
    Ok(ask.text)
}

#[derive(Clone, Default)]
struct Answered(Arc<Notify>);

#[response_handler(slow_echo::echo)]
async fn on_slow(reply: ServiceResponse<String>, answered: State<Answered>) -> usize {
    answered.0.0.notify_one();
    reply.body.len()
}

/// The operation is seen in the text of the handler.
#[get("^/async$")]
async fn call_async(services: Services, _slow: SlowEchoClient) -> Result<&'static str, CallError> {
    let slow = SlowEchoClient::new(services.register(PLACE, SECRET)?);
    slow.echo("hello".into())
        .timeout(Duration::from_secs(1))
        .nowait()
        .await?;
    Ok("sent")
}

/// The operation is not seen: the call is a value.
#[get("^/hidden$")]
async fn hidden(services: Services) -> Result<&'static str, CallError> {
    let slow = SlowEchoClient::new(services.register(PLACE, SECRET)?);
    let call = slow.echo("hello".into());
    call.nowait().await?;
    Ok("sent")
}

/// The path is seen.
#[get("^/path$")]
async fn by_path(services: Services) -> Result<&'static str, CallError> {
    services
        .register(PLACE, SECRET)?
        .request("/service/slow")
        .argument("text", "hello")
        .nowait()
        .await?;
    Ok("sent")
}

#[derive(Clone, AppState)]
struct Site {
    slow: SlowEchoClient,
    answered: Answered,
}

impl Site {
    fn new() -> Site {
        Site {
            // Not called: handlers call on behalf of their application.
            slow: SlowEchoClient::new(
                brubeck::Client::connect(&brubeck::ServiceAddress::new("tcp://127.0.0.1:9", SECRET)).unwrap(),
            ),
            answered: Answered::default(),
        }
    }
}

async fn start(routes: Routes<Site>) -> (brubeck::Result<TestSiteHandle>, Counted, Answered) {
    let (counted, site) = (Counted::default(), Site::new());
    let answered = site.answered.clone();
    let service = App::new(routes![echo], counted.clone());
    let started = TestSite::new(routes, site)
        .service(Service::bind(PLACE, SECRET), service)
        .start()
        .await;
    (started, counted, answered)
}

async fn why_not(routes: Routes<Site>) -> String {
    match start(routes).await.0 {
        Err(error) => error.to_string(),
        Ok(_) => panic!("it starts"),
    }
}

#[tokio::test]
async fn nowait_call_without_response_handler_fails_at_startup() {
    let why = why_not(routes![call_async]).await;
    assert!(
        why.starts_with("`call_async` at tests/integration/calls/nowait.rs:"),
        "{why}"
    );
    assert!(why.contains("calls `slow_echo::echo` with `nowait`"), "{why}");
    assert!(why.contains("#[response_handler(slow_echo::echo)]"), "{why}");

    let why = why_not(routes![by_path]).await;
    assert!(why.contains("calls `/service/slow` with `nowait`"), "{why}");
    assert!(why.contains("#[response_handler(\"^/service/slow\")]"), "{why}");
}

#[tokio::test]
async fn nowait_call_without_response_handler_is_not_sent() {
    let (site, counted, _) = start(routes![hidden]).await;
    let site = site.unwrap();
    let page = site.browser().get("/hidden").await;
    page.assert_status(502);
    site.stop().await;
    assert_eq!(counted.0.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn nowait_call_runs_its_response_handler() {
    let (site, counted, answered) = start(routes![on_slow, call_async, hidden, by_path]).await;
    let site = site.unwrap();
    for path in ["/async", "/hidden", "/path"] {
        site.browser()
            .get(path)
            .await
            .assert_status(200)
            .assert_text("sent");
        let taken = tokio::time::timeout(Duration::from_secs(10), answered.0.notified());
        taken.await.expect("the response handler runs");
    }
    site.stop().await;
    assert_eq!(counted.0.load(Ordering::Relaxed), 3);
}
