//! Every numeric setting with 0, 1 and its largest value: 0 is an error at the start that names the setting, unless it has a meaning.

use brubeck::prelude::*;
use brubeck::{Limits, Service, ServiceAddress};
use std::time::Duration;

const SECRET: &str = "my_shared_secret";

#[get("/")]
async fn index() -> &'static str {
    "hello"
}

const ROUTES: Routes<()> = routes![index];

/// Starts the application, and stops it again. Returns the error of the start.
async fn start(app: App<()>, connection: impl brubeck::Connection + 'static) -> Option<String> {
    match app.start(connection).await {
        Ok(running) => {
            running.stop().await.unwrap();
            None
        }
        Err(error) => Some(error.to_string()),
    }
}

#[track_caller]
fn assert_names(error: Option<String>, setting: &str) {
    let error = error.unwrap_or_else(|| panic!("{setting}(0) should not start"));
    assert!(error.contains(setting), "{setting}: {error}");
}

#[tokio::test]
async fn zero_is_refused_at_the_start_with_the_name_of_the_setting() {
    let app = || App::new(ROUTES, ());
    let http = || Http::bind("127.0.0.1:0");
    let service = || Service::bind("tcp://127.0.0.1:0", SECRET);
    let limited = |limits: Limits| app().limit::<index>(limits);
    assert_names(start(app(), service().concurrency(0)).await, "concurrency");
    assert_names(start(app(), service().body_limit(0)).await, "body_limit");
    assert_names(
        start(app(), service().max_connections(0)).await,
        "max_connections",
    );
    assert_names(start(app(), http().max_connections(0)).await, "max_connections");
    assert_names(
        start(app(), http().max_connections_per_address(0)).await,
        "max_connections_per_address",
    );
    for (setting, http) in [
        ("header_timeout", http().header_timeout(Duration::ZERO)),
        ("idle_timeout", http().idle_timeout(Duration::ZERO)),
        ("body_timeout", http().body_timeout(Duration::ZERO)),
        ("write_timeout", http().write_timeout(Duration::ZERO)),
    ] {
        assert_names(start(app(), http).await, setting);
    }
    assert_names(
        start(limited(Limits::new().concurrency(0)), http()).await,
        "concurrency",
    );
    assert_names(
        start(limited(Limits::new().timeout(Duration::ZERO)), http()).await,
        "timeout",
    );
    assert_names(start(app().timeout(Duration::ZERO), http()).await, "timeout");
    for (setting, address) in [
        (
            "concurrency",
            ServiceAddress::new("tcp://127.0.0.1:1", SECRET).concurrency(0),
        ),
        (
            "body_limit",
            ServiceAddress::new("tcp://127.0.0.1:1", SECRET).body_limit(0),
        ),
    ] {
        let error = Client::connect(&address).unwrap_err().to_string();
        assert!(error.contains(setting), "{setting}: {error}");
    }
}

#[tokio::test]
async fn one_and_the_largest_value_start() {
    let app = || App::new(ROUTES, ());
    for size in [1, usize::MAX] {
        let service = Service::bind("tcp://127.0.0.1:0", SECRET)
            .concurrency(size)
            .body_limit(size)
            .max_connections(size);
        assert_eq!(start(app(), service).await, None, "{size}");
        let http = Http::bind("127.0.0.1:0")
            .max_connections(size)
            .max_connections_per_address(size);
        let limits = Limits::new()
            .concurrency(size)
            .body_limit(size)
            .message_limit(size);
        assert_eq!(start(app().limit::<index>(limits), http).await, None, "{size}");
        let address = ServiceAddress::new("tcp://127.0.0.1:1", SECRET);
        Client::connect(&address.concurrency(size).body_limit(size)).unwrap();
    }
    for time in [Duration::from_nanos(1), Duration::MAX] {
        let http = Http::bind("127.0.0.1:0")
            .header_timeout(time)
            .idle_timeout(time)
            .body_timeout(time)
            .write_timeout(time);
        assert_eq!(start(app().timeout(time), http).await, None, "{time:?}");
    }
}
