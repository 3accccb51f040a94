//! Calls over ZeroMQ: of a client in the dialect `Branch`, and of an application in brubeck's protocol. Each call ends with its
//! own response or with a typed error.

use crate::support::served_app::{socket_address, socket_folder};
use crate::support::{Gate, ServedApp, with_timeout};
use brubeck::prelude::*;
use brubeck::{Dialect, Method, Phase, Running, Service, ServiceAddress};
use std::future::IntoFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::Barrier;

const SECRET: &str = "my_shared_secret";
const PASSPHRASE: &str = "of_the_dialects";

// ---- a service --------------------------------------------------------------------------------

#[derive(Clone, AppState)]
struct ServiceState {
    gate: Gate,
    all: Arc<Barrier>,
}

#[service_handler(path = "^/echo", method = "request")]
async fn echo(text: Arg<String>) -> Reply {
    Reply::empty()
        .status(200, "Took a while, but I am back.")
        .field("text", text.0)
}

#[service_handler(path = "^/slow", method = "request")]
async fn slow(text: Arg<String>, gate: State<Gate>) -> Reply {
    gate.pass().await;
    Reply::empty().field("text", text.0)
}

/// Waits until 200 calls have arrived.
#[service_handler(path = "^/together", method = "request")]
async fn together(all: State<Arc<Barrier>>) -> Reply {
    all.wait().await;
    Reply::empty().field("text", "together")
}

#[service_handler(path = "^/panic", method = "request")]
async fn panics() -> Reply {
    panic!("on purpose")
}

const SERVICE_ROUTES: Routes<ServiceState> = routes![echo, slow, together, panics];

struct TestService {
    running: Running,
    address: String,
    gate: Gate,
    sockets: TempDir,
}

async fn serve(address: &str, gate: &Gate) -> Running {
    let state = ServiceState {
        gate: gate.clone(),
        all: Arc::new(Barrier::new(200)),
    };
    let service = Service::bind(address, SECRET).dialects(PASSPHRASE);
    with_timeout(App::new(SERVICE_ROUTES, state).start(service))
        .await
        .expect("a free address")
}

async fn service() -> TestService {
    let (sockets, gate) = (socket_folder(), Gate::new());
    let address = socket_address(&sockets, "service");
    TestService {
        running: serve(&address, &gate).await,
        address,
        gate,
        sockets,
    }
}

fn client(address: &str) -> Client {
    Client::connect(&ServiceAddress::new(address, PASSPHRASE).dialect(Dialect::Branch)).expect("an address")
}

// ---- calls without an application ---------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn call_returns_status_message_and_body() {
    let service = service().await;
    let response = with_timeout(
        client(&service.address)
            .request("/echo")
            .argument("text", "héllo")
            .into_future(),
    )
    .await
    .unwrap();
    assert_eq!(response.status.to_string(), "200 Took a while, but I am back.");
    assert_eq!(response.body["text"], "héllo");
    with_timeout(service.running.stop()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn call_waits_for_a_service_that_starts_later() {
    let (sockets, gate) = (socket_folder(), Gate::new());
    let address = socket_address(&sockets, "service");
    let call = tokio::spawn(
        client(&address)
            .request("/echo")
            .argument("text", "early")
            .into_future(),
    );
    let running = serve(&address, &gate).await;
    assert_eq!(with_timeout(call).await.unwrap().unwrap().body["text"], "early");
    with_timeout(running.stop()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_passphrase_is_401() {
    let service = service().await;
    let wrong_passphrase =
        Client::connect(&ServiceAddress::new(&service.address, "guessed").dialect(Dialect::Branch)).unwrap();
    let response = with_timeout(
        wrong_passphrase
            .request("/echo")
            .argument("text", "hello")
            .into_future(),
    )
    .await
    .unwrap();
    assert_eq!(response.status.code(), 401);
    assert!(response.body.get("text").is_none(), "{response:?}");
    with_timeout(service.running.stop()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn service_errors_are_404_405_400_and_500() {
    let service = service().await;
    let client = client(&service.address);
    let cases = [
        (client.request("/none"), 404),
        (client.request("/echo").method(Method::Delete), 405),
        (client.request("/echo"), 400),
        (client.request("/panic"), 500),
        (client.request("/echo").argument("text", "still there"), 200),
    ];
    for (call, status) in cases {
        let description = format!("{call:?}");
        assert_eq!(
            with_timeout(call.into_future()).await.unwrap().status.code(),
            status,
            "{description}"
        );
    }
    with_timeout(service.running.stop()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn call_timeout_returns_deadline_error_with_phase() {
    let service = service().await;
    let deadline = Duration::from_millis(50);
    let slow = client(&service.address)
        .request("/slow")
        .argument("text", "late")
        .timeout(deadline);
    let error = with_timeout(slow.into_future()).await.unwrap_err();
    assert_eq!(error, CallError::deadline(Phase::Running));

    let unavailable = client(&socket_address(&service.sockets, "unavailable"));
    let error = with_timeout(unavailable.request("/echo").timeout(deadline).into_future())
        .await
        .unwrap_err();
    assert_eq!(error, CallError::deadline(Phase::Waiting));

    service.gate.open(1);
    with_timeout(service.running.stop()).await.unwrap();
}

/// The service still sends responses to cancelled calls. They must not be delivered to later calls.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn response_to_a_cancelled_call_is_discarded() {
    let service = service().await;
    let client = client(&service.address);
    let cancelled: Vec<_> = (0..100)
        .map(|_| {
            tokio::spawn(
                client
                    .request("/slow")
                    .argument("text", "cancelled")
                    .into_future(),
            )
        })
        .collect();
    service.gate.wait_for_arrivals(100).await;
    for call in cancelled {
        call.abort();
        assert!(with_timeout(call).await.unwrap_err().is_cancelled());
    }
    service.gate.open(200);
    for n in 0..100 {
        let response = with_timeout(
            client
                .request("/slow")
                .argument("text", n.to_string())
                .into_future(),
        )
        .await
        .unwrap();
        assert_eq!(response.body["text"], n.to_string());
    }
    with_timeout(service.running.stop()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_calls_run_concurrently() {
    let service = service().await;
    let client = client(&service.address);
    let calls: Vec<_> = (0..200)
        .map(|_| tokio::spawn(client.request("/together").into_future()))
        .collect();
    for call in calls {
        assert_eq!(
            with_timeout(call).await.unwrap().unwrap().body["text"],
            "together"
        );
    }
    with_timeout(service.running.stop()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn graceful_shutdown_drains_accepted_calls() {
    let service = service().await;
    let call = tokio::spawn(
        client(&service.address)
            .request("/slow")
            .argument("text", "last")
            .into_future(),
    );
    service.gate.wait_for_arrivals(1).await;
    let stopping = tokio::spawn(service.running.stop());
    service.gate.open(1);
    assert_eq!(with_timeout(call).await.unwrap().unwrap().body["text"], "last");
    with_timeout(stopping).await.unwrap().unwrap();
}

/// Every call ends while the service restarts, and calls that follow the last restart succeed.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn client_reconnects_after_service_restarts_under_load() {
    let mut service = service().await;
    let client = client(&service.address);
    let restarted = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..16)
        .map(|caller| {
            let (client, restarted) = (client.clone(), restarted.clone());
            tokio::spawn(async move {
                let mut after_restart = 0;
                for n in 0_u64.. {
                    let is_final = restarted.load(Ordering::SeqCst);
                    let text = format!("{caller}.{n}");
                    match with_timeout(client.request("/echo").argument("text", &text).into_future()).await {
                        // A draining service refuses calls with 503.
                        Ok(response) if response.status.code() == 503 && !is_final => {}
                        Ok(response) => assert_eq!(response.body["text"], text),
                        Err(CallError::Lost { .. }) if !is_final => {}
                        Err(error) => panic!("{error}, after the last restart: {is_final}"),
                    }
                    after_restart += usize::from(is_final);
                    if after_restart == 50 {
                        return;
                    }
                }
            })
        })
        .collect();
    for _ in 0..5 {
        with_timeout(service.running.stop()).await.unwrap();
        service.running = serve(&service.address, &service.gate).await;
        with_timeout(client.request("/echo").argument("text", "back").into_future())
            .await
            .ok();
    }
    // The first response proves that the new connection is used, so later calls cannot be lost with the old one.
    assert!(
        with_timeout(client.request("/echo").argument("text", "back").into_future())
            .await
            .is_ok()
    );
    restarted.store(true, Ordering::SeqCst);
    for caller in callers {
        with_timeout(caller).await.unwrap();
    }
    with_timeout(service.running.stop()).await.unwrap();
}

// ---- calls of an application --------------------------------------------------------------------

#[derive(Clone, AppState)]
struct WebState {
    address: Address,
    responses: Gate,
}

#[derive(Clone)]
struct Address(String);

#[get("^/sync$")]
async fn sync(services: Services, address: State<Address>) -> Result<String, CallError> {
    let service = services.register(&address.0.0, SECRET)?;
    let (reply, handled) = service
        .request("/slow")
        .argument("text", "a story")
        .handled()
        .await?;
    Ok(format!(
        "{} {:?}",
        reply.body["text"],
        handled.downcast::<usize>()
    ))
}

#[get("^/async$")]
async fn nowait(services: Services, address: State<Address>) -> Result<&'static str, CallError> {
    services
        .register(&address.0.0, SECRET)?
        .request("/slow")
        .argument("text", "nowait")
        .nowait();
    Ok("sent")
}

#[get("^/unhandled$")]
async fn unhandled(services: Services, address: State<Address>) -> Result<String, CallError> {
    let service = services.register(&address.0.0, SECRET)?;
    let (reply, handled) = service
        .request("/echo")
        .argument("text", "a story")
        .handled()
        .await?;
    Ok(format!("{} {handled:?}", reply.body["text"]))
}

/// Fails at the second `register`: an address has one secret.
#[get("^/wrong-secret$")]
async fn wrong_secret(services: Services, address: State<Address>) -> Result<&'static str, CallError> {
    services.register(&address.0.0, SECRET)?;
    services.register(&address.0.0, "another, of 16 characters")?;
    Ok("connected")
}

#[response_handler("^/slow")]
async fn on_slow(reply: ServiceResponse, responses: State<Gate>) -> usize {
    responses.signal_arrival();
    reply.body["text"].as_str().unwrap_or_default().len()
}

const WEB_ROUTES: Routes<WebState> = routes![on_slow, sync, nowait, unhandled, wrong_secret];

async fn pages(service: &TestService) -> (ServedApp, Gate) {
    let responses = Gate::new();
    let state = WebState {
        address: Address(service.address.clone()),
        responses: responses.clone(),
    };
    (ServedApp::http(App::new(WEB_ROUTES, state)).await, responses)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handled_call_returns_the_value_of_the_response_handler() {
    let service = service().await;
    let (site, _) = pages(&service).await;
    service.gate.open(1);
    assert_eq!(
        site.browser().await.get("/sync").await.text(),
        "\"a story\" Some(7)"
    );
    // No response handler is registered for `/echo`.
    assert_eq!(
        site.browser().await.get("/unhandled").await.text(),
        "\"a story\" Handled::NONE"
    );
    site.stop().await;
    with_timeout(service.running.stop()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nowait_call_returns_before_the_service_responds() {
    let service = service().await;
    let (site, responses) = pages(&service).await;
    assert_eq!(site.browser().await.get("/async").await.text(), "sent");
    service.gate.wait_for_arrivals(1).await;
    assert_eq!(responses.unobserved_arrivals(), 0);
    service.gate.open(1);
    responses.wait_for_arrivals(1).await;
    site.stop().await;
    with_timeout(service.running.stop()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn call_error_is_a_bare_502_for_browsers() {
    let service = service().await;
    let (site, _) = pages(&service).await;
    let response = site.browser().await.get("/wrong-secret").await;
    let text = response.text();
    assert_eq!((response.status, text.lines().next()), (502, Some("Bad Gateway")));
    assert!(text.contains("\ntrace: "), "{text}");
    site.stop().await;
    with_timeout(service.running.stop()).await.unwrap();
}
