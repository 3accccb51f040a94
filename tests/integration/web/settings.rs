//! The settings of all builders with 0, 1 and the largest value: an application starts and responds, or says what is wrong.

use crate::support::served_app::{socket_address, socket_folder};
use crate::support::{Browser, with_timeout};
use brubeck::prelude::*;
use brubeck::{Limits, Mongrel2, Running, Service, ServiceAddress, legacy};
use std::future::IntoFuture;
use std::time::Duration;

#[get("^/$")]
async fn index() -> &'static str {
    tokio::task::yield_now().await;
    "hello"
}

#[service_handler(path = "^/echo$", method = "request")]
async fn echo(text: Arg<String>) -> Json<String> {
    tokio::task::yield_now().await;
    Json(text.0)
}

const ROUTES: Routes<()> = routes![index, echo];
const SECRET: &str = "my_shared_secret";

fn app() -> App<()> {
    App::new(ROUTES, ())
}

/// What a value of a setting leads to.
#[derive(Clone, Copy, PartialEq)]
enum Expected {
    Works,
    /// The application starts. The setting is too low for a response.
    Starts,
    /// The application does not start, and the error names the setting.
    Error,
}
use Expected::{Error, Starts, Works};

const TIMES: [Duration; 3] = [Duration::ZERO, Duration::from_secs(30), Duration::MAX];
const NUMBERS: [usize; 3] = [0, 1, usize::MAX];

fn check_start(
    what: &str,
    setting: &str,
    expected: Expected,
    started: brubeck::Result<Running>,
) -> Option<Running> {
    match started {
        Ok(running) => {
            assert!(expected != Error, "{what} starts");
            Some(running)
        }
        Err(error) => {
            let text = format!("{error:?}");
            assert!(expected == Error, "{what} does not start: {text}");
            assert!(
                text.contains(setting) && text.contains("is 0, so"),
                "{what}: {text}"
            );
            None
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_of_the_application_and_of_the_embedded_server() {
    type Configure<T> = Box<dyn Fn(T) -> (App<()>, Http)>;
    fn of_app<T: 'static>(set: impl Fn(App<()>, T) -> App<()> + 'static) -> Configure<T> {
        Box::new(move |value| (set(app(), value), Http::bind("127.0.0.1:0")))
    }
    fn of_http<T: 'static>(set: impl Fn(Http, T) -> Http + 'static) -> Configure<T> {
        Box::new(move |value| (app(), set(Http::bind("127.0.0.1:0"), value)))
    }
    let durations: [(&str, Configure<Duration>, [Expected; 3]); 7] = [
        (
            "App::timeout",
            of_app(|app, time| app.timeout(time)),
            [Error, Works, Works],
        ),
        ("App::drain", of_app(App::drain), [Works; 3]),
        (
            "Limits::timeout",
            of_app(|app, time| app.limit::<index>(Limits::new().timeout(time))),
            [Error, Works, Works],
        ),
        (
            "Http::header_timeout",
            of_http(Http::header_timeout),
            [Error, Works, Works],
        ),
        (
            "Http::idle_timeout",
            of_http(Http::idle_timeout),
            [Error, Works, Works],
        ),
        (
            "Http::body_timeout",
            of_http(Http::body_timeout),
            [Error, Works, Works],
        ),
        (
            "Http::write_timeout",
            of_http(Http::write_timeout),
            [Error, Works, Works],
        ),
    ];
    let numbers: [(&str, Configure<usize>, [Expected; 3]); 6] = [
        ("App::body_limit", of_app(App::body_limit), [Works; 3]),
        (
            "Limits::body_limit",
            of_app(|app, bytes| app.limit::<index>(Limits::new().body_limit(bytes))),
            [Works; 3],
        ),
        (
            "Limits::part_limit",
            of_app(|app, bytes| app.limit::<index>(Limits::new().part_limit(bytes))),
            [Works; 3],
        ),
        (
            "Limits::concurrency",
            of_app(|app, requests| app.limit::<index>(Limits::new().concurrency(requests))),
            [Error, Works, Works],
        ),
        (
            "Http::max_connections",
            of_http(Http::max_connections),
            [Error, Works, Works],
        ),
        (
            "Http::max_connections_per_address",
            of_http(Http::max_connections_per_address),
            [Error, Works, Works],
        ),
    ];
    let mut cases = Vec::new();
    for (setting, configure, expected) in durations {
        for (value, expected) in TIMES.into_iter().zip(expected) {
            cases.push((
                setting,
                format!("{setting}({value:?})"),
                configure(value),
                expected,
            ));
        }
    }
    for (setting, configure, expected) in numbers {
        for (value, expected) in NUMBERS.into_iter().zip(expected) {
            cases.push((setting, format!("{setting}({value})"), configure(value), expected));
        }
    }
    for (setting, what, (app, http), expected) in cases {
        let Some(running) = check_start(&what, setting, expected, with_timeout(app.start(http)).await) else {
            continue;
        };
        let address = running.address().trim_start_matches("http://").parse().unwrap();
        let mut browser = Browser::connect(address).await;
        let response = with_timeout(browser.post("/", b"")).await;
        assert_eq!(response.status, 405, "{what}");
        let response = with_timeout(browser.get("/")).await;
        assert_eq!((response.status, response.text()), (200, "hello"), "{what}");
        drop(browser);
        // With a drain of 0, the connection may still be closing.
        let _ = with_timeout(running.stop()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_of_services_and_their_clients() {
    type Configure = fn(Service, ServiceAddress, usize) -> (Service, ServiceAddress);
    let cases: [(&str, Configure, [Expected; 3]); 5] = [
        (
            "Service::concurrency",
            |service, address, n| (service.concurrency(n), address),
            [Error, Works, Works],
        ),
        (
            "Service::body_limit",
            |service, address, n| (service.body_limit(n), address),
            [Error, Starts, Works],
        ),
        (
            "Service::max_connections",
            |service, address, n| (service.max_connections(n), address),
            [Error, Works, Works],
        ),
        (
            "ServiceAddress::concurrency",
            |service, address, n| (service, address.concurrency(n)),
            [Error, Works, Works],
        ),
        (
            "ServiceAddress::body_limit",
            |service, address, n| (service, address.body_limit(n)),
            [Error, Starts, Works],
        ),
    ];
    let folder = socket_folder();
    for (index, (setting, configure, expected)) in cases.into_iter().enumerate() {
        for (value, expected) in NUMBERS.into_iter().zip(expected) {
            let what = format!("{setting}({value})");
            let address = socket_address(&folder, &format!("{index}-{}", value.min(2)));
            let (service, client) = configure(
                Service::bind(&address, SECRET),
                ServiceAddress::new(&address, SECRET),
                value,
            );
            let of_client = setting.starts_with("ServiceAddress");
            let expected_start = if of_client { Works } else { expected };
            let started = with_timeout(app().start(service)).await;
            let Some(running) = check_start(&what, setting, expected_start, started) else {
                continue;
            };
            match Client::connect(&client) {
                Ok(client) => {
                    assert!(expected != Error, "{what}: connected");
                    let call = client.request("/echo").argument("text", "hi").into_future();
                    let response = with_timeout(call).await;
                    if expected == Works {
                        assert_eq!(response.expect(&what).body, "hi", "{what}");
                    } else {
                        let error = response.expect_err(&what).to_string();
                        assert!(error.contains(setting), "{what}: {error}");
                    }
                }
                Err(error) => {
                    assert!(
                        expected == Error && error.to_string().contains(setting),
                        "{what}: {error}"
                    );
                }
            }
            with_timeout(running.stop()).await.expect(&what);
        }
    }
}

#[tokio::test]
async fn settings_of_connections_to_other_programs() {
    let folder = socket_folder();
    let [requests, responses] = ["requests", "responses"].map(|name| socket_address(&folder, name));
    for (value, expected) in NUMBERS.into_iter().zip([Error, Works, Works]) {
        let service = legacy::Service::connect(&requests, &responses, SECRET).concurrency(value);
        let what = format!("legacy::Service::concurrency({value})");
        let started = with_timeout(app().start(service)).await;
        if let Some(running) = check_start(&what, "legacy::Service::concurrency", expected, started) {
            with_timeout(running.stop()).await.expect(&what);
        }
    }
    for (value, expected) in TIMES.into_iter().zip([Error, Works, Works]) {
        let mongrel2 = Mongrel2::new(&requests, &responses).keep_alive(value);
        let what = format!("Mongrel2::keep_alive({value:?})");
        let started = with_timeout(app().start(mongrel2)).await;
        if let Some(running) = check_start(&what, "Mongrel2::keep_alive", expected, started) {
            with_timeout(running.stop()).await.expect(&what);
        }
    }
}

#[tokio::test]
async fn timeouts_of_calls() {
    let folder = socket_folder();
    let address = socket_address(&folder, "echo");
    let running = app().start(Service::bind(&address, SECRET)).await.unwrap();
    let client = Client::connect(&ServiceAddress::new(&address, SECRET)).unwrap();
    let call = |timeout| {
        let call = client.request("/echo").argument("text", "hi").timeout(timeout);
        with_timeout(call.into_future())
    };
    assert!(matches!(
        call(Duration::ZERO).await,
        Err(CallError::Deadline { .. })
    ));
    assert_eq!(call(Duration::MAX).await.unwrap().body, "hi");
    with_timeout(running.stop()).await.unwrap();
}

#[tokio::test]
async fn body_limit_of_a_route_applies_to_service_handlers() {
    let site = brubeck::TestSite::new(routes![], ())
        .service(
            Service::bind("ipc://run/echo", SECRET),
            app().limit::<echo>(Limits::new().body_limit(20)),
        )
        .start()
        .await
        .unwrap();
    let client = site
        .client(&ServiceAddress::new("ipc://run/echo", SECRET))
        .unwrap();
    for (length, status) in [(5, 200), (9, 200), (10, 413), (1000, 413)] {
        // `{"text":""}` has 11 bytes.
        let call = client.request("/echo").argument("text", "x".repeat(length));
        let response = with_timeout(call.into_future()).await.unwrap();
        assert_eq!(response.status.code(), status, "{length}");
    }
    site.stop().await;
}

#[tokio::test]
async fn status_that_http_does_not_have_becomes_500() {
    #[get("^/(?<code>-?[0-9]+)$")]
    async fn with_code(code: i32) -> Reply {
        Reply::empty().code(code)
    }
    const CODES: Routes<()> = routes![with_code];
    let site = brubeck::TestSite::new(CODES, ()).start().await.unwrap();
    for (code, status) in [
        (0, 500),
        (1, 500),
        (99, 500),
        (100, 500),
        (1000, 500),
        (-9, 500),
        (-3, 404),
        (200, 200),
        (999, 999),
    ] {
        let response = site.browser().get(&format!("/{code}")).await;
        response.assert_status(status);
    }
}

#[tokio::test]
async fn service_may_respond_with_any_code() {
    #[service_handler(path = "^/code$", method = "request")]
    async fn with_code(code: Arg<i32>) -> Reply {
        Reply::empty().code(code.0)
    }
    const CODES: Routes<()> = routes![with_code];
    let site = brubeck::TestSite::new(routes![], ())
        .service(Service::bind("ipc://run/code", SECRET), App::new(CODES, ()))
        .start()
        .await
        .unwrap();
    let client = site
        .client(&ServiceAddress::new("ipc://run/code", SECRET))
        .unwrap();
    for code in [i32::MIN, -5, 0, 1, 99, 1000, i32::MAX] {
        let response = client.request("/code").argument("code", code).await.unwrap();
        assert_eq!(
            (response.status.code(), response.status.is_success()),
            (code, false)
        );
    }
}
