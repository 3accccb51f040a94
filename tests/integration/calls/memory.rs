//! Applications and services in memory, while the clock stands still.

use brubeck::prelude::*;
use brubeck::{Phase, ServiceAddress, TestSite};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::Instant;

const SECRET: &str = "my_shared_secret";
const SLOW: &str = "ipc://run/slow";
const OTHER: &str = "tcp://other.example:9000";

#[derive(Clone, AppState)]
struct Works {
    stopped: Stopped,
}

#[derive(Clone, Default)]
struct Stopped(Arc<AtomicUsize>);

impl Drop for Stopped {
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
async fn never(_stopped: State<Stopped>) {
    std::future::pending().await
}

/// Asks for what never ends, at another service.
#[service_handler(path = "^/service/ask-never", method = "request")]
async fn ask_never(services: Services) -> Result<(), CallError> {
    let other = services.register(OTHER, SECRET)?;
    // More time than the caller has left, which does not help.
    other
        .request("/service/never")
        .timeout(Duration::from_secs(3600))
        .await
        .map(drop)
}

/// Asks another service.
#[service_handler(path = "^/service/ask", method = "request")]
async fn ask(services: Services) -> Result<Json<String>, CallError> {
    let other = services.register(SLOW, SECRET)?;
    let answer = other.request("/service/slow").argument("text", "far").await?;
    Ok(Json(answer.body.as_str().unwrap_or_default().to_owned()))
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
        .request("/service/ask")
        .await?
        .body
        .to_string())
}

const WORKS: Routes<()> = routes![slow, ask];
const PAGES: Routes<()> = routes![on_slow, call_sync, call_far];

#[tokio::test(start_paused = true)]
async fn web_handler_calls_service_and_response_handler_in_memory() {
    let site = TestSite::new(PAGES, ())
        .service(Service::bind(SLOW, SECRET), App::new(WORKS, ()))
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
    let site = TestSite::new(PAGES, ())
        .service(Service::bind(SLOW, SECRET), App::new(WORKS, ()))
        .service(Service::bind(OTHER, SECRET), App::new(WORKS, ()))
        .start()
        .await
        .unwrap();
    site.browser().get("/service/far").await.assert_text("\"far\"");
    site.stop().await;
}

#[tokio::test(start_paused = true)]
async fn unavailable_refused_timed_out_and_cancelled_calls_fail_in_memory() {
    let stopped = Stopped::default();
    let count = stopped.0.clone();
    let works = Works { stopped };
    let site = TestSite::new(PAGES, ())
        .service(
            Service::bind(SLOW, SECRET).concurrency(1),
            App::new(routes![never], works),
        )
        .start()
        .await
        .unwrap();
    // Nobody serves the other address.
    site.browser().get("/service/far").await.assert_status(503);
    let never = |passphrase: &str| {
        let client = site.client(&ServiceAddress::new(SLOW, passphrase)).unwrap();
        client.request("/service/never")
    };
    let error = never("guessed").await.unwrap_err();
    assert!(matches!(error, CallError::Refused(_)), "{error}");

    let began = Instant::now();
    let running = Phase::Running;
    assert_eq!(
        never(SECRET).await.unwrap_err(),
        CallError::Deadline { phase: running }
    );
    assert_eq!(began.elapsed(), Duration::from_secs(10));
    // One that is given up frees the only slot, which the next one needs to run at all.
    for _ in 0..3 {
        let before = count.load(Ordering::SeqCst);
        let call = tokio::spawn(never(SECRET).into_future());
        tokio::time::sleep(Duration::from_secs(1)).await;
        call.abort();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(
            count.load(Ordering::SeqCst) > before,
            "its handler was not dropped"
        );
    }
    site.stop().await;
}

/// What a handler calls ends with it, by the deadline that it has itself, or when it is given up.
#[tokio::test(start_paused = true)]
async fn nested_call_inherits_deadline_and_cancellation() {
    let stopped = Stopped::default();
    let count = stopped.0.clone();
    let works = Works { stopped };
    let site = TestSite::new(PAGES, ())
        .service(Service::bind(SLOW, SECRET), App::new(routes![ask_never], ()))
        .service(Service::bind(OTHER, SECRET), App::new(routes![never], works))
        .start()
        .await
        .unwrap();
    let client = site.client(&ServiceAddress::new(SLOW, SECRET)).unwrap();
    let call = client
        .request("/service/ask-never")
        .timeout(Duration::from_secs(2));
    let began = Instant::now();
    call.clone().await.unwrap_err();
    assert_eq!(began.elapsed(), Duration::from_secs(2));
    // A moment for the cancellation to get there.
    tokio::time::sleep(Duration::from_millis(10)).await;
    let by_deadline = count.load(Ordering::SeqCst);
    assert!(by_deadline > 0, "the deadline was not inherited");

    let given_up = tokio::spawn(call.into_future());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(count.load(Ordering::SeqCst), by_deadline);
    given_up.abort();
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert!(
        count.load(Ordering::SeqCst) > by_deadline,
        "the second service was not told"
    );
    site.stop().await;
}

#[tokio::test(start_paused = true)]
async fn duplicate_service_address_is_an_error() {
    let service = || Service::bind(SLOW, SECRET);
    let both = TestSite::new(PAGES, ())
        .service(service(), App::new(WORKS, ()))
        .service(service(), App::new(WORKS, ()));
    let error = both.start().await.err().expect("an error");
    assert!(format!("{error:?}").contains(SLOW), "{error:?}");
    // In two worlds they are no neighbours.
    for _ in 0..2 {
        let site = TestSite::new(PAGES, ()).service(service(), App::new(WORKS, ()));
        site.start().await.unwrap().stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn legacy_dialect_is_rejected_in_memory() {
    let site = TestSite::new(PAGES, ()).start().await.unwrap();
    let seed = ServiceAddress::new(SLOW, SECRET).dialect(brubeck::Dialect::Seed);
    let error = site.client(&seed).unwrap_err().to_string();
    assert!(error.contains("leave `.dialect(..)` out"), "{error}");
}

/// Tells which task it runs in.
#[service_handler(path = "^/service/moody", method = "request")]
async fn moody(text: Arg<String>, stopped: State<Stopped>) -> Json<String> {
    let _stopped = stopped;
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
    let stopped = Stopped::default();
    let count = stopped.0.clone();
    let works = App::new(routes![moody], Works { stopped });
    let site = TestSite::new(routes![], ())
        .service(Service::bind(SLOW, SECRET), works)
        .start()
        .await
        .unwrap();
    let client = site.client(&ServiceAddress::new(SLOW, SECRET)).unwrap();
    let call = |text: &str| client.request("/service/moody").argument("text", text);
    let task = async |text: &str| call(text).await.unwrap().body.to_string();
    let quick = async || {
        for _ in 0..300 {
            task("").await;
        }
        let there = task("").await;
        assert_eq!(task("").await, there, "the task that reads has it");
        there
    };
    assert_ne!(task("").await, task("").await, "each has its own task");

    let there = quick().await;
    let began = Instant::now();
    assert_ne!(
        task("wait").await,
        there,
        "it was handed to a task when it had to wait"
    );
    assert_eq!(began.elapsed(), Duration::from_secs(5));
    assert_ne!(task("").await, task("").await, "it is not counted on any more");

    quick().await;
    let before = count.load(Ordering::SeqCst);
    let error = call("never").timeout(Duration::from_secs(1)).await.unwrap_err();
    let running = Phase::Running;
    assert_eq!(error, CallError::Deadline { phase: running });
    // The next one is answered behind the news that nobody waits.
    task("").await;
    assert_eq!(count.load(Ordering::SeqCst), before + 2, "it was stopped");

    quick().await;
    assert_eq!(call("panic").await.unwrap().status.code(), 500);
    task("").await;
    site.stop().await;
}
