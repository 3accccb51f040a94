//! Applications that call services over ZeroMQ: every call ends once, in its own answer or a typed error.

use crate::support::site::{socket, sockets};
use crate::support::{Gate, Site, within};
use brubeck::prelude::*;
use brubeck::{Dialect, Phase, Running, ServiceAddress};
use std::future::IntoFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::Barrier;

const SECRET: &str = "my_shared_secret";

// ---- a service --------------------------------------------------------------------------------

#[derive(Clone, AppState)]
struct Works {
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

/// Answers nobody before all are there.
#[service_handler(path = "^/together", method = "request")]
async fn together(all: State<Arc<Barrier>>) -> Reply {
    all.wait().await;
    Reply::empty().field("text", "together")
}

#[service_handler(path = "^/panic", method = "request")]
async fn panics() -> Reply {
    panic!("as the test wants it")
}

const WORKS: Routes<Works> = routes![echo, slow, together, panics];

struct Worker {
    running: Running,
    address: String,
    gate: Gate,
    sockets: TempDir,
}

async fn serve(address: &str, gate: &Gate) -> Running {
    let works = Works {
        gate: gate.clone(),
        all: Arc::new(Barrier::new(200)),
    };
    within(App::new(WORKS, works).start(Service::bind(address, SECRET)))
        .await
        .expect("a free address")
}

async fn service() -> Worker {
    let (sockets, gate) = (sockets(), Gate::new());
    let address = socket(&sockets, "service");
    Worker {
        running: serve(&address, &gate).await,
        address,
        gate,
        sockets,
    }
}

fn client(address: &str) -> Client {
    Client::connect(&ServiceAddress::new(address, SECRET).dialect(Dialect::Branch)).expect("an address")
}

// ---- calls without an application ---------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn call_returns_status_message_and_body() {
    let service = service().await;
    let answer = within(
        client(&service.address)
            .request("/echo")
            .argument("text", "héllo")
            .into_future(),
    )
    .await
    .unwrap();
    assert_eq!(answer.status.to_string(), "200 Took a while, but I am back.");
    assert_eq!(answer.body["text"], "héllo");
    within(service.running.stop()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn call_waits_for_a_service_that_starts_later() {
    let (sockets, gate) = (sockets(), Gate::new());
    let address = socket(&sockets, "service");
    let call = tokio::spawn(
        client(&address)
            .request("/echo")
            .argument("text", "early")
            .into_future(),
    );
    let running = serve(&address, &gate).await;
    assert_eq!(within(call).await.unwrap().unwrap().body["text"], "early");
    within(running.stop()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_passphrase_is_401() {
    let service = service().await;
    let stranger =
        Client::connect(&ServiceAddress::new(&service.address, "guessed").dialect(Dialect::Branch)).unwrap();
    let answer = within(
        stranger
            .request("/echo")
            .argument("text", "let me in")
            .into_future(),
    )
    .await
    .unwrap();
    assert_eq!(answer.status.code(), 401);
    assert!(answer.body.get("text").is_none(), "{answer:?}");
    within(service.running.stop()).await.unwrap();
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
        let told = format!("{call:?}");
        assert_eq!(
            within(call.into_future()).await.unwrap().status.code(),
            status,
            "{told}"
        );
    }
    within(service.running.stop()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn call_timeout_returns_deadline_error_with_phase() {
    let service = service().await;
    let deadline = Duration::from_millis(50);
    let late = client(&service.address)
        .request("/slow")
        .argument("text", "late")
        .timeout(deadline);
    let error = within(late.into_future()).await.unwrap_err();
    assert_eq!(
        error,
        CallError::Deadline {
            phase: Phase::Running
        }
    );

    let nobody = client(&socket(&service.sockets, "nobody"));
    let error = within(nobody.request("/echo").timeout(deadline).into_future())
        .await
        .unwrap_err();
    assert_eq!(
        error,
        CallError::Deadline {
            phase: Phase::Waiting
        }
    );

    service.gate.open(1);
    within(service.running.stop()).await.unwrap();
}

/// The answers to calls that were given up come all the same, and no later call may get one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn response_to_a_cancelled_call_is_discarded() {
    let service = service().await;
    let client = client(&service.address);
    let given_up: Vec<_> = (0..100)
        .map(|_| tokio::spawn(client.request("/slow").argument("text", "given up").into_future()))
        .collect();
    service.gate.arrived(100).await;
    for call in given_up {
        call.abort();
        assert!(within(call).await.unwrap_err().is_cancelled());
    }
    service.gate.open(200);
    for n in 0..100 {
        let answer = within(
            client
                .request("/slow")
                .argument("text", n.to_string())
                .into_future(),
        )
        .await
        .unwrap();
        assert_eq!(answer.body["text"], n.to_string());
    }
    within(service.running.stop()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_calls_run_concurrently() {
    let service = service().await;
    let client = client(&service.address);
    let calls: Vec<_> = (0..200)
        .map(|_| tokio::spawn(client.request("/together").into_future()))
        .collect();
    for call in calls {
        assert_eq!(within(call).await.unwrap().unwrap().body["text"], "together");
    }
    within(service.running.stop()).await.unwrap();
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
    service.gate.arrived(1).await;
    let stopping = tokio::spawn(service.running.stop());
    service.gate.open(1);
    assert_eq!(within(call).await.unwrap().unwrap().body["text"], "last");
    within(stopping).await.unwrap().unwrap();
}

/// Whatever happens to the service, each call ends; what is sent once it is back is answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn client_reconnects_after_service_restarts_under_load() {
    let mut service = service().await;
    let client = client(&service.address);
    let (back, lost) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let callers: Vec<_> = (0..16)
        .map(|caller| {
            let (client, back, lost) = (client.clone(), back.clone(), lost.clone());
            tokio::spawn(async move {
                let mut since = 0;
                for n in 0_u64.. {
                    let counts = back.load(Ordering::SeqCst) > 0;
                    let text = format!("{caller}.{n}");
                    match within(client.request("/echo").argument("text", &text).into_future()).await {
                        // A service that is stopping takes no more calls, and says so.
                        Ok(answer) if answer.status.code() == 503 && !counts => {}
                        Ok(answer) => assert_eq!(answer.body["text"], text),
                        Err(CallError::Lost { .. }) if !counts => {
                            lost.fetch_add(1, Ordering::SeqCst);
                        }
                        Err(error) => panic!("{error}, after the last start: {counts}"),
                    }
                    since += usize::from(counts);
                    if since == 50 {
                        return;
                    }
                }
            })
        })
        .collect();
    for _ in 0..5 {
        within(service.running.stop()).await.unwrap();
        service.running = serve(&service.address, &service.gate).await;
        within(client.request("/echo").argument("text", "back").into_future())
            .await
            .ok();
    }
    // A call that follows an answer on the new connection is not lost with the old one.
    assert!(
        within(client.request("/echo").argument("text", "back").into_future())
            .await
            .is_ok()
    );
    back.store(1, Ordering::SeqCst);
    for caller in callers {
        within(caller).await.unwrap();
    }
    within(service.running.stop()).await.unwrap();
}

// ---- calls of an application --------------------------------------------------------------------

#[derive(Clone, AppState)]
struct Pages {
    address: Address,
    answers: Gate,
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
        .argument("text", "nobody waits")
        .nowait();
    Ok("gone on")
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

#[get("^/stranger$")]
async fn stranger(services: Services, address: State<Address>) -> Result<&'static str, CallError> {
    services.register(&address.0.0, SECRET)?;
    services.register(&address.0.0, "guessed")?;
    Ok("let in")
}

#[response_handler("^/slow")]
async fn on_slow(reply: ServiceResponse, answers: State<Gate>) -> usize {
    answers.knock();
    reply.body["text"].as_str().unwrap_or_default().len()
}

const PAGES: Routes<Pages> = routes![on_slow, sync, nowait, unhandled, stranger];

async fn pages(service: &Worker) -> (Site, Gate) {
    let answers = Gate::new();
    let state = Pages {
        address: Address(service.address.clone()),
        answers: answers.clone(),
    };
    (Site::http(App::new(PAGES, state)).await, answers)
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
    assert_eq!(
        site.browser().await.get("/unhandled").await.text(),
        "\"a story\" Handled::NONE"
    );
    site.stop().await;
    within(service.running.stop()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nowait_call_returns_before_the_service_responds() {
    let service = service().await;
    let (site, answers) = pages(&service).await;
    assert_eq!(site.browser().await.get("/async").await.text(), "gone on");
    service.gate.arrived(1).await;
    assert_eq!(answers.waiting(), 0);
    service.gate.open(1);
    answers.arrived(1).await;
    site.stop().await;
    within(service.running.stop()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn call_error_is_a_bare_502_for_browsers() {
    let service = service().await;
    let (site, _) = pages(&service).await;
    let answer = site.browser().await.get("/stranger").await;
    assert_eq!((answer.status, answer.text()), (502, "Bad Gateway"));
    site.stop().await;
    within(service.running.stop()).await.unwrap();
}
