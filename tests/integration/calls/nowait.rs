//! `nowait` calls need a response handler: without one the application does not start, or the call is not sent.

use brubeck::prelude::*;
use brubeck::{Service, TestSite, TestSiteHandle};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

const ADDRESS: &str = "ipc://run/slow";
const SECRET: &str = "my_shared_secret";

#[service_client]
trait SlowEcho {
    #[call("/service/slow")]
    async fn echo(&self, text: String) -> Result<String, Problem>;

    #[call("/service/user/{id}")]
    async fn user(&self, id: u64) -> Result<u64, Problem>;
}

#[derive(Clone, Default)]
struct CallCount(Arc<AtomicUsize>);

#[service_handler(slow_echo::echo)]
async fn echo(Args(ask): Args<slow_echo::echo>, count: State<CallCount>) -> Result<String, Problem> {
    count.0.0.fetch_add(1, Ordering::Relaxed);
    Ok(ask.text)
}

#[derive(Clone, Default)]
struct ResponseHandled(Arc<Notify>);

#[response_handler(slow_echo::echo)]
async fn on_slow(reply: ServiceResponse<String>, handled: State<ResponseHandled>) -> usize {
    handled.0.0.notify_one();
    reply.body.len()
}

/// The attribute macro detects the `nowait` call: it takes the method name from the call, and the contract from the type of the
/// argument `_slow`. The call itself is made with the client `slow`; `_slow` is there only for the macro.
#[get("^/async$")]
async fn call_async(services: Services, _slow: SlowEchoClient) -> Result<&'static str, CallError> {
    let slow = SlowEchoClient::new(services.register(ADDRESS, SECRET)?);
    slow.echo("hello".into())
        .timeout(Duration::from_secs(1))
        .nowait()
        .await?;
    Ok("sent")
}

/// The attribute macro does not find the operation, because the call is a variable.
#[get("^/hidden$")]
async fn hidden(services: Services) -> Result<&'static str, CallError> {
    let slow = SlowEchoClient::new(services.register(ADDRESS, SECRET)?);
    let call = slow.echo("hello".into());
    call.nowait().await?;
    Ok("sent")
}

/// The attribute macro finds the path.
#[get("^/path$")]
async fn by_path(services: Services) -> Result<&'static str, CallError> {
    services
        .register(ADDRESS, SECRET)?
        .request("/service/slow")
        .argument("text", "hello")
        .nowait()
        .await?;
    Ok("sent")
}

#[derive(Clone, AppState)]
struct WebState {
    slow: SlowEchoClient,
    handled: ResponseHandled,
}

impl WebState {
    fn new() -> WebState {
        WebState {
            // Never used for a call: the handlers create clients of their own.
            slow: SlowEchoClient::new(
                brubeck::Client::connect(&brubeck::ServiceAddress::new("tcp://127.0.0.1:9", SECRET)).unwrap(),
            ),
            handled: ResponseHandled::default(),
        }
    }
}

async fn start(routes: Routes<WebState>) -> (brubeck::Result<TestSiteHandle>, CallCount, ResponseHandled) {
    let (count, state) = (CallCount::default(), WebState::new());
    let handled = state.handled.clone();
    let service = App::new(routes![echo], count.clone());
    let started = TestSite::new(routes, state)
        .service(Service::bind(ADDRESS, SECRET), service)
        .start()
        .await;
    (started, count, handled)
}

async fn start_error(routes: Routes<WebState>) -> String {
    match start(routes).await.0 {
        Err(error) => error.to_string(),
        Ok(_) => panic!("the application started"),
    }
}

#[tokio::test]
async fn nowait_call_without_response_handler_fails_at_startup() {
    let error = start_error(routes![call_async]).await;
    assert!(
        error.starts_with("`call_async` at tests/integration/calls/nowait.rs:"),
        "{error}"
    );
    assert!(error.contains("calls `slow_echo::echo` with `nowait`"), "{error}");
    assert!(error.contains("#[response_handler(slow_echo::echo)]"), "{error}");

    let error = start_error(routes![by_path]).await;
    assert!(error.contains("calls `/service/slow` with `nowait`"), "{error}");
    assert!(
        error.contains("#[response_handler(\"^/service/slow\")]"),
        "{error}"
    );
}

#[tokio::test]
async fn nowait_call_without_response_handler_is_not_sent() {
    let (site, count, _) = start(routes![hidden]).await;
    let site = site.unwrap();
    let page = site.browser().get("/hidden").await;
    page.assert_status(502);
    site.stop().await;
    assert_eq!(count.0.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn nowait_call_runs_its_response_handler() {
    let (site, count, handled) = start(routes![on_slow, call_async, hidden, by_path]).await;
    let site = site.unwrap();
    for path in ["/async", "/hidden", "/path"] {
        site.browser()
            .get(path)
            .await
            .assert_status(200)
            .assert_text("sent");
        let taken = tokio::time::timeout(Duration::from_secs(10), handled.0.notified());
        taken.await.expect("the response handler runs");
    }
    site.stop().await;
    assert_eq!(count.0.load(Ordering::Relaxed), 3);
}
