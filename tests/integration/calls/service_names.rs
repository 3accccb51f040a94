//! The name of a service: the path of its address.

use brubeck::prelude::*;
use brubeck::{Dialect, Running, Service, ServiceAddress, TestSite};

const SECRET: &str = "the-secret-of-names";

#[service_handler("^/name$")]
async fn name() -> Json<&'static str> {
    Json("thumbs")
}

const ROUTES: Routes<()> = routes![name];
const NO_ROUTES: Routes<()> = routes![];

async fn call(address: &str) -> Result<serde_json::Value, CallError> {
    let client = Client::lazy(ServiceAddress::new(address, SECRET));
    Ok(client.request("/name").await?.body)
}

async fn start(address: &str) -> Running {
    let service = Service::bind(address, SECRET).dialects(SECRET);
    App::new(ROUTES, ()).start(service).await.unwrap()
}

#[tokio::test]
async fn client_with_another_name_is_refused_with_the_reason() {
    let running = start("tcp://127.0.0.1:0/thumbs").await;
    let address = running.address().to_owned();
    assert!(!address.ends_with("thumbs"), "{address}");
    for path in ["", "/", "/thumbs"] {
        assert_eq!(
            call(&format!("{address}{path}")).await.unwrap(),
            "thumbs",
            "{path}"
        );
    }
    let error = call(&format!("{address}/prices")).await.unwrap_err();
    assert!(matches!(error, CallError::Refused(_)), "{error:?}");
    assert!(
        error.to_string().contains("a service with another name"),
        "{error}"
    );

    // The dialects have no names.
    let seed = ServiceAddress::new(format!("{address}/prices"), SECRET).dialect(Dialect::Seed);
    let response = Client::connect(&seed).unwrap().request("/name").await.unwrap();
    assert_eq!(response.body, "thumbs");
    running.stop().await.unwrap();
}

#[tokio::test]
async fn service_without_a_name_serves_all_callers() {
    let running = start("tcp://127.0.0.1:0").await;
    let address = format!("{}/prices", running.address());
    assert_eq!(call(&address).await.unwrap(), "thumbs");
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn names_count_in_memory() {
    let site = TestSite::new(NO_ROUTES, ())
        .service(
            Service::bind("tcp://10.0.0.6:9000/thumbs", SECRET),
            App::new(ROUTES, ()),
        )
        .start()
        .await
        .unwrap();
    let client = |address: &str| site.client(&ServiceAddress::new(address, SECRET)).unwrap();
    let response = client("tcp://10.0.0.6:9000/thumbs")
        .request("/name")
        .await
        .unwrap();
    assert_eq!(response.body, "thumbs");
    let error = client("tcp://10.0.0.6:9000/prices")
        .request("/name")
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("a service with another name"),
        "{error}"
    );
}

#[tokio::test]
async fn names_that_make_no_sense_are_refused() {
    let address = ServiceAddress::new("tcp://10.0.0.6:9000/thumbs", SECRET);
    let mixed = address
        .clone()
        .and("tcp://10.0.0.7:9000")
        .and("tcp://10.0.0.8:9000/prices");
    let error = Client::connect(&mixed).unwrap_err().to_string();
    assert!(error.contains("`thumbs` and `prices`"), "{error}");
    let error = call("tcp://10.0.0.6:9000/a/b").await.unwrap_err().to_string();
    assert!(
        error.contains("after the port") && error.contains("\"a/b\""),
        "{error}"
    );
    let service = Service::bind("tcp://127.0.0.1:0/two words", SECRET);
    let error = App::new(ROUTES, ())
        .start(service)
        .await
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.contains("after the port") && error.contains("\"two words\""),
        "{error}"
    );

    let client = Client::connect(&address).unwrap();
    let error = client
        .add_worker("tcp://10.0.0.7:9000/prices")
        .unwrap_err()
        .to_string();
    assert!(error.contains("is that of `prices`"), "{error}");
    client.add_worker("tcp://10.0.0.7:9000/thumbs").unwrap();
    assert_eq!(client.workers(), ["tcp://10.0.0.6:9000", "tcp://10.0.0.7:9000"]);
    assert!(client.remove_worker("tcp://10.0.0.7:9000/thumbs").unwrap());
}
