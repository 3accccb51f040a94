//! Problems: one failure type for pages and services, whole on the wire and bounded in its envelope.

use crate::support::with_timeout;
use brubeck::prelude::*;
use brubeck::{Dialect, Running, Service, ServiceAddress, TestSite};
use serde_json::json;
use std::future::IntoFuture;

const SECRET: &str = "my_shared_secret";

#[service_client]
pub trait Orders {
    #[call("/orders/place")]
    async fn place(&self, kind: String) -> Result<u64, Problem>;
    #[call("/orders/long")]
    async fn long(&self, length: usize) -> Result<u64, Problem>;
}

/// A problem with every part that a problem can have.
fn full() -> Problem {
    Problem::new(422, "the order is not valid")
        .with_type("https://example.com/problems/order")
        .with_title("No such order")
        .with_instance("/orders/7")
        .invalid("lines[0].amount", "must be positive")
        .invalid("é", "\u{1F600}")
        .with("balance", 30)
        .with("nested", json!({"a": [null, 1.5]}))
}

fn problem(kind: &str) -> Problem {
    match kind {
        "full" => full(),
        "status" => Status::NOT_FOUND.into(),
        "unusual" => Problem::new(-7, "not a status of HTTP"),
        "success" => Problem::new(204, ""),
        _ => Problem::new(409, "taken").with("errors", "a member"),
    }
}

const KINDS: [&str; 5] = ["full", "status", "unusual", "success", "member"];

#[service_handler(orders::place)]
async fn place(args: Args<orders::place>) -> Result<u64, Problem> {
    Err(problem(&args.kind))
}

#[service_handler(orders::long)]
async fn long(args: Args<orders::long>) -> Result<u64, Problem> {
    Err(Problem::new(422, "é".repeat(args.length)))
}

#[service_handler("/plain/long")]
async fn plain_long() -> Result<String, Problem> {
    Err(full_of("x"))
}

#[service_handler("/plain/success")]
async fn plain_success() -> Reply {
    let reply = Reply::empty().field("kept", true).status(200, "é".repeat(2000));
    (0..200).fold(reply, |reply, i| reply.header(format!("x-{i}"), "v".repeat(200)))
}

#[service_handler("/plain/refused")]
async fn plain_refused() -> Status {
    Status::new(404).message("there is no such order")
}

fn full_of(letter: &str) -> Problem {
    Problem::new(422, letter.repeat(1025))
}

const ROUTES: Routes<()> = routes![place, long, plain_long, plain_success, plain_refused];
serves!(ROUTES => orders);

async fn start() -> (Running, ServiceAddress) {
    let service = Service::bind("tcp://127.0.0.1:0", SECRET).dialects(SECRET);
    let running = App::new(ROUTES, ()).start(service).await.unwrap();
    let address = ServiceAddress::new(running.address(), SECRET);
    (running, address)
}

async fn failure(orders: &OrdersClient, kind: &str) -> Problem {
    match with_timeout(orders.place(kind.into()).into_future())
        .await
        .unwrap_err()
    {
        CallError::Failure { status, error, .. } => {
            assert_eq!(&status, error.status(), "{kind}");
            error
        }
        other => panic!("{kind}: {other:?}"),
    }
}

#[tokio::test]
async fn problem_of_a_service_arrives_as_it_was_returned() {
    let (running, address) = start().await;
    let orders = OrdersClient::new(Client::connect(&address).unwrap());
    for kind in KINDS {
        assert_eq!(failure(&orders, kind).await, problem(kind));
    }
    running.stop().await.unwrap();
}

#[tokio::test]
async fn problem_of_a_service_in_a_test_site_arrives_as_it_was_returned() {
    const NO_ROUTES: Routes<()> = routes![];
    let address = ServiceAddress::new("ipc://orders", SECRET);
    let site = TestSite::new(NO_ROUTES, ())
        .service(Service::bind("ipc://orders", SECRET), App::new(ROUTES, ()))
        .start()
        .await
        .unwrap();
    let orders = OrdersClient::new(site.client(&address).unwrap());
    for kind in KINDS {
        assert_eq!(failure(&orders, kind).await, problem(kind));
    }
}

/// The Python original reads the status from the body, which a caller of the contract need not know.
#[tokio::test]
async fn problem_arrives_in_a_dialect_too() {
    let (running, address) = start().await;
    let client = Client::connect(&address.dialect(Dialect::Branch)).unwrap();
    let orders = OrdersClient::new(client.clone());
    for kind in ["full", "status", "unusual", "member"] {
        assert_eq!(failure(&orders, kind).await, problem(kind));
    }
    let response = with_timeout(
        client
            .request("/orders/place")
            .argument("kind", "full")
            .into_future(),
    )
    .await
    .unwrap();
    assert_eq!(
        (&response.body["status_code"], &response.body["status_msg"]),
        (&json!(422), &json!("the order is not valid"))
    );
    running.stop().await.unwrap();
}

#[tokio::test]
async fn long_texts_and_headers_never_change_the_status_of_a_response() {
    let (running, address) = start().await;
    let client = Client::connect(&address).unwrap();
    let orders = OrdersClient::new(client.clone());
    for length in [512, 513, 100_000] {
        let error = with_timeout(orders.long(length).into_future()).await.unwrap_err();
        let CallError::Failure { status, error, .. } = error else {
            panic!("{error:?}");
        };
        // The body has the whole reason.
        assert_eq!(
            (status.code(), error),
            (422, Problem::new(422, "é".repeat(length)))
        );
    }
    let failed = with_timeout(client.request("/plain/long").into_future())
        .await
        .unwrap();
    assert_eq!(
        (failed.status.code(), failed.status.text()),
        (422, &*"x".repeat(1024))
    );
    assert_eq!(failed.body["detail"], "x".repeat(1025));
    let success = with_timeout(client.request("/plain/success").into_future())
        .await
        .unwrap();
    assert_eq!(
        (success.status.code(), success.status.text()),
        (200, &*"é".repeat(512))
    );
    assert_eq!(success.body, json!({"kept": true}));
    let omitted = success.headers["brubeck-omitted-headers"].to_str().unwrap();
    assert!(omitted.starts_with("x-77, x-78"), "{omitted}");
    assert!(success.headers.contains_key("x-0"));
    running.stop().await.unwrap();
}

/// The contract of a caller whose operation is served without the contract.
#[service_client]
pub trait Plain {
    #[call("/plain/refused")]
    async fn refused(&self) -> Result<u64, Problem>;
}

#[tokio::test]
async fn error_status_without_a_body_is_a_problem() {
    let (running, address) = start().await;
    for address in [address.clone(), address.dialect(Dialect::Branch)] {
        let plain = PlainClient::new(Client::connect(&address).unwrap());
        match with_timeout(plain.refused().into_future()).await.unwrap_err() {
            CallError::Failure { error, .. } => {
                assert_eq!(error, Problem::new(404, "there is no such order"));
            }
            other => panic!("{other:?}"),
        }
    }
    running.stop().await.unwrap();
}
