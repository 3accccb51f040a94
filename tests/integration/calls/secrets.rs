//! Passphrases that are wrong or empty.

use crate::support::logs::CapturedLogs;
use crate::support::served_app::{socket_address, socket_folder};
use crate::support::with_timeout;
use brubeck::prelude::*;
use brubeck::{Dialect, Service, ServiceAddress, TestSite, legacy};
use std::future::IntoFuture;
use std::time::Duration;

const SECRET: &str = "my_shared_secret";

#[service_handler(path = "^/where$", method = "request")]
async fn here() -> &'static str {
    "here"
}

const ROUTES: Routes<()> = routes![here];

async fn call(client: &Client) -> CallError {
    with_timeout(client.request("/where").into_future())
        .await
        .unwrap_err()
}

#[tokio::test(start_paused = true)]
async fn wrong_passphrase_is_logged_once_on_both_sides_and_retried_with_backoff() {
    let logs = CapturedLogs::start(tracing::Level::DEBUG);
    let site = TestSite::new(routes![], ())
        .service(Service::bind("ipc://run/a", SECRET), App::new(ROUTES, ()))
        .start()
        .await
        .unwrap();
    let client = site
        .client(&ServiceAddress::new("ipc://run/a", "another one"))
        .unwrap();
    let error = call(&client).await;
    assert!(
        matches!(&error, CallError::Refused(reason) if reason.contains("different passphrase")),
        "{error:?}"
    );

    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(call(&client).await.to_string().contains("different passphrase"));
    let attempts = logs.count("denied a session to a caller");
    assert!(
        (5..40).contains(&attempts),
        "{attempts} attempts in one minute\n{}",
        logs.text()
    );
    let warnings = logs.lines(" WARN ");
    let of_service = warnings
        .iter()
        .filter(|line| line.contains("denied a session"))
        .count();
    let of_client = warnings
        .iter()
        .filter(|line| line.contains("closing connection"))
        .count();
    assert_eq!(
        (of_service, of_client, warnings.len()),
        (1, 1, 2),
        "{warnings:#?}"
    );
    assert!(
        warnings
            .iter()
            .all(|line| line.contains("configure the same one on both sides")),
        "{warnings:#?}"
    );
    site.stop().await;
}

#[tokio::test]
async fn wrong_passphrase_over_sockets_is_the_reason_of_failed_calls() {
    let logs = CapturedLogs::start(tracing::Level::WARN);
    let folder = socket_folder();
    let address = socket_address(&folder, "a");
    let running = App::new(ROUTES, ())
        .start(Service::bind(&address, SECRET))
        .await
        .unwrap();
    let client = Client::connect(&ServiceAddress::new(&address, "another one")).unwrap();
    for _ in 0..3 {
        assert!(call(&client).await.to_string().contains("different passphrase"));
    }
    assert_eq!(logs.count("passphrase"), 2, "{}", logs.text());
    running.stop().await.unwrap();
}

#[tokio::test]
async fn empty_passphrase_is_an_error_of_every_constructor() {
    let folder = socket_folder();
    let address = socket_address(&folder, "a");
    let responses = socket_address(&folder, "b");
    let mut errors = Vec::new();
    errors.push(
        App::new(ROUTES, ())
            .start(Service::bind(&address, ""))
            .await
            .err(),
    );
    let connected = legacy::Service::connect(&address, &responses, "");
    errors.push(App::new(ROUTES, ()).start(connected).await.err());
    let site = TestSite::new(routes![], ()).service(Service::bind(&address, ""), App::new(ROUTES, ()));
    errors.push(site.start().await.err());
    let plain = ServiceAddress::new(&address, "");
    for service in [
        plain.clone(),
        plain.clone().dialect(Dialect::Seed),
        plain.clone().dialect(Dialect::Pypi).responses_at(&responses),
    ] {
        errors.push(Client::connect(&service).err());
    }
    let site = TestSite::new(routes![], ()).start().await.unwrap();
    errors.push(site.client(&plain).err());
    for error in errors {
        let error = error.expect("an error").to_string();
        assert!(
            error.contains("the passphrase is empty") && error.contains(&address),
            "{error}"
        );
    }
    let lazy = call(&Client::lazy(plain)).await.to_string();
    assert!(lazy.contains("the passphrase is empty"), "{lazy}");
}

#[tokio::test(start_paused = true)]
async fn paused_clock_is_named_as_the_reason_why_sockets_do_not_connect() {
    let folder = socket_folder();
    let client = Client::connect(&ServiceAddress::new(socket_address(&folder, "none"), SECRET)).unwrap();
    let error = call(&client).await;
    assert!(
        matches!(&error, CallError::NoWorkers(reason) if reason.contains("clock is paused") && reason.contains("TestSite")),
        "{error:?}"
    );
}
