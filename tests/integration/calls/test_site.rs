//! Applications and services in memory, with a paused clock.

use brubeck::prelude::*;
use brubeck::{Phase, Service, ServiceAddress, TestSite};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::Instant;

const SECRET: &str = "my_shared_secret";
const SLOW: &str = "ipc://run/slow";
const OTHER: &str = "tcp://other.example:9000";

#[derive(Clone, AppState)]
struct ServiceState {
    drops: DropCounter,
}

/// Counts the drops of its clones. A handler with this state as an argument drops one clone when it ends.
#[derive(Clone, Default)]
struct DropCounter(Arc<AtomicUsize>);

impl Drop for DropCounter {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[service_handler(path = "^/service/slow", method = "request")]
async fn slow(text: Arg<String>) -> Json<String> {
    tokio::time::sleep(Duration::from_secs(5)).await;
    Json(text.0)
}

#[service_handler(path = "^/service/never", method = "request")]
async fn never(_drops: State<DropCounter>) {
    std::future::pending().await
}

/// Calls the handler `never` of another service.
#[service_handler(path = "^/service/call-never", method = "request")]
async fn call_never(services: Services) -> Result<(), CallError> {
    let other = services.register(OTHER, SECRET)?;
    // Longer than the inherited deadline, which takes precedence.
    other
        .request("/service/never")
        .timeout(Duration::from_secs(3600))
        .await
        .map(drop)
}

/// Calls another service, and returns the text of its response.
#[service_handler(path = "^/service/relay", method = "request")]
async fn relay(services: Services) -> Result<Json<String>, CallError> {
    let other = services.register(SLOW, SECRET)?;
    let response = other.request("/service/slow").argument("text", "far").await?;
    Ok(Json(response.body.as_str().unwrap_or_default().to_owned()))
}

#[response_handler("^/service/slow")]
async fn on_slow(reply: ServiceResponse<String>) -> usize {
    reply.body.len()
}

#[get("^/service/sync$")]
async fn call_sync(services: Services) -> Result<String, CallError> {
    let slow = services.register(SLOW, SECRET)?;
    let (reply, handled) = slow
        .request("/service/slow")
        .argument("text", "hello")
        .handled()
        .await?;
    Ok(format!("{} {:?}", reply.body, handled.downcast::<usize>()))
}

#[get("^/service/far$")]
async fn call_far(services: Services) -> Result<String, CallError> {
    Ok(services
        .register(OTHER, SECRET)?
        .request("/service/relay")
        .await?
        .body
        .to_string())
}

const SERVICE_ROUTES: Routes<()> = routes![slow, relay];
const WEB_ROUTES: Routes<()> = routes![on_slow, call_sync, call_far];

#[tokio::test(start_paused = true)]
async fn web_handler_calls_service_and_response_handler_in_memory() {
    let site = TestSite::new(WEB_ROUTES, ())
        .service(Service::bind(SLOW, SECRET), App::new(SERVICE_ROUTES, ()))
        .start()
        .await
        .unwrap();
    let began = Instant::now();
    site.browser()
        .get("/service/sync")
        .await
        .assert_text("\"hello\" Some(5)");
    let took = began.elapsed();
    assert!(
        took >= Duration::from_secs(5) && took < Duration::from_secs(6),
        "{took:?}"
    );
    site.stop().await;
}

#[tokio::test(start_paused = true)]
async fn services_call_each_other_in_memory() {
    let site = TestSite::new(WEB_ROUTES, ())
        .service(Service::bind(SLOW, SECRET), App::new(SERVICE_ROUTES, ()))
        .service(Service::bind(OTHER, SECRET), App::new(SERVICE_ROUTES, ()))
        .start()
        .await
        .unwrap();
    site.browser().get("/service/far").await.assert_text("\"far\"");
    site.stop().await;
}

#[tokio::test(start_paused = true)]
async fn unavailable_timed_out_and_cancelled_calls_fail_in_memory() {
    let drops = DropCounter::default();
    let count = drops.0.clone();
    let state = ServiceState { drops };
    let site = TestSite::new(WEB_ROUTES, ())
        .service(
            Service::bind(SLOW, SECRET).concurrency(1),
            App::new(routes![never], state),
        )
        .start()
        .await
        .unwrap();
    // No service is registered at this address.
    site.browser().get("/service/far").await.assert_status(503);
    let never = || {
        let client = site.client(&ServiceAddress::new(SLOW, SECRET)).unwrap();
        client.request("/service/never")
    };

    let began = Instant::now();
    let running = Phase::Running;
    assert_eq!(never().await.unwrap_err(), CallError::deadline(running));
    assert_eq!(began.elapsed(), Duration::from_secs(10));
    // A cancelled call frees the only slot, so the next one can run.
    for _ in 0..3 {
        let before = count.load(Ordering::SeqCst);
        let call = tokio::spawn(never().into_future());
        tokio::time::sleep(Duration::from_secs(1)).await;
        call.abort();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(
            count.load(Ordering::SeqCst) > before,
            "the handler was not dropped"
        );
    }
    site.stop().await;
}

/// A call made by a handler ends at the deadline of the handler, or when the handler is cancelled.
#[tokio::test(start_paused = true)]
async fn nested_call_inherits_deadline_and_cancellation() {
    let drops = DropCounter::default();
    let count = drops.0.clone();
    let state = ServiceState { drops };
    let site = TestSite::new(WEB_ROUTES, ())
        .service(Service::bind(SLOW, SECRET), App::new(routes![call_never], ()))
        .service(Service::bind(OTHER, SECRET), App::new(routes![never], state))
        .start()
        .await
        .unwrap();
    let client = site.client(&ServiceAddress::new(SLOW, SECRET)).unwrap();
    let call = client
        .request("/service/call-never")
        .timeout(Duration::from_secs(2));
    let began = Instant::now();
    call.clone().await.unwrap_err();
    assert_eq!(began.elapsed(), Duration::from_secs(2));
    // Time for the cancellation to arrive.
    tokio::time::sleep(Duration::from_millis(10)).await;
    let by_deadline = count.load(Ordering::SeqCst);
    assert!(by_deadline > 0, "the deadline was not inherited");

    let cancelled = tokio::spawn(call.into_future());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(count.load(Ordering::SeqCst), by_deadline);
    cancelled.abort();
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert!(
        count.load(Ordering::SeqCst) > by_deadline,
        "the cancellation did not reach the second service"
    );
    site.stop().await;
}

#[tokio::test(start_paused = true)]
async fn duplicate_service_address_is_an_error() {
    let service = || Service::bind(SLOW, SECRET);
    let both = TestSite::new(WEB_ROUTES, ())
        .service(service(), App::new(SERVICE_ROUTES, ()))
        .service(service(), App::new(SERVICE_ROUTES, ()));
    let error = both.start().await.err().expect("one address for two services");
    assert!(format!("{error:?}").contains(SLOW), "{error:?}");
    // Each site has a network of its own.
    for _ in 0..2 {
        let site = TestSite::new(WEB_ROUTES, ()).service(service(), App::new(SERVICE_ROUTES, ()));
        site.start().await.unwrap().stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn legacy_dialect_is_rejected_in_memory() {
    let site = TestSite::new(WEB_ROUTES, ()).start().await.unwrap();
    let seed = ServiceAddress::new(SLOW, SECRET).dialect(brubeck::Dialect::Seed);
    let error = site.client(&seed).unwrap_err().to_string();
    assert!(error.contains("remove `.dialect(..)`"), "{error}");
}

/// Waits or panics if `text` says so, then returns the id of the task that it runs in.
#[service_handler(path = "^/service/dispatched", method = "request")]
async fn dispatched(text: Arg<String>, drops: State<DropCounter>) -> Json<String> {
    let _drops = drops;
    match text.0.as_str() {
        "wait" => tokio::time::sleep(Duration::from_secs(5)).await,
        "never" => std::future::pending().await,
        "panic" => panic!("on purpose"),
        _ => {}
    }
    Json(tokio::task::id().to_string())
}

#[tokio::test(start_paused = true)]
async fn fast_handler_is_polled_inline_and_still_waits_times_out_and_panics() {
    let drops = DropCounter::default();
    let count = drops.0.clone();
    let service = App::new(routes![dispatched], ServiceState { drops });
    let site = TestSite::new(routes![], ())
        .service(Service::bind(SLOW, SECRET), service)
        .start()
        .await
        .unwrap();
    let client = site.client(&ServiceAddress::new(SLOW, SECRET)).unwrap();
    let call = |text: &str| client.request("/service/dispatched").argument("text", text);
    let task = async |text: &str| call(text).await.unwrap().body.to_string();
    let until_inline = async || {
        for _ in 0..300 {
            task("").await;
        }
        let inline_task = task("").await;
        assert_eq!(task("").await, inline_task, "the handler is not polled inline");
        inline_task
    };
    assert_ne!(
        task("").await,
        task("").await,
        "the handler is polled inline before it was fast"
    );

    let inline_task = until_inline().await;
    let began = Instant::now();
    assert_ne!(task("wait").await, inline_task, "the handler waited inline");
    assert_eq!(began.elapsed(), Duration::from_secs(5));
    assert_ne!(
        task("").await,
        task("").await,
        "the handler is still polled inline after it waited"
    );

    until_inline().await;
    let before = count.load(Ordering::SeqCst);
    let error = call("never").timeout(Duration::from_secs(1)).await.unwrap_err();
    let running = Phase::Running;
    assert_eq!(error, CallError::deadline(running));
    // The cancellation is sent before the next call, so it has arrived when the service responds to that call.
    task("").await;
    // Two handlers have ended: that of the last call, and the cancelled one.
    assert_eq!(
        count.load(Ordering::SeqCst),
        before + 2,
        "the handler was not dropped"
    );

    until_inline().await;
    assert_eq!(call("panic").await.unwrap().status.code(), 500);
    task("").await;
    site.stop().await;
}
