//! Clients that outlive the tokio runtime in which they were first used, or are used in several at once, or in none.

use crate::support::served_app::{socket_address, socket_folder};
use crate::support::{Gate, with_timeout};
use brubeck::prelude::*;
use brubeck::{Dialect, Service, ServiceAddress, TestSite, legacy};
use futures_util::FutureExt;
use std::future::{IntoFuture, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

const SECRET: &str = "my_shared_secret";
const PASSPHRASE: &str = "of_the_dialects";

#[service_client]
trait Doubler {
    #[call("/double")]
    async fn double(&self, number: u32) -> Result<u32, Problem>;

    #[call("/held")]
    async fn held(&self) -> Result<u32, Problem>;
}

#[service_handler(doubler::double)]
async fn double(args: Args<doubler::double>) -> Result<u32, Problem> {
    Ok(args.number * 2)
}

#[service_handler(doubler::held)]
async fn held(gate: State<Gate>) -> Result<u32, Problem> {
    gate.pass().await;
    Ok(1)
}

#[response_handler(doubler::double)]
async fn doubled(response: ServiceResponse<u32>) -> u32 {
    response.body
}

#[get("^/double$")]
async fn page(services: Services, address: State<String>) -> Result<String, CallError> {
    let client = services.register(&address, SECRET)?;
    let response = client.request("/double").argument("number", 21).await?;
    Ok(response.body.to_string())
}

#[derive(Clone, AppState)]
struct WebState {
    address: String,
}

#[derive(Clone, AppState)]
struct ServiceState {
    gate: Gate,
}

const ROUTES: Routes<ServiceState> = routes![double, held];
const WEB: Routes<WebState> = routes![doubled, page];

fn single_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn multi_thread() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

/// A service in a runtime of its own, which no test ends.
struct RemoteService {
    address: String,
    gate: Gate,
    _folder: TempDir,
    _runtime: Runtime,
}

impl RemoteService {
    fn start() -> RemoteService {
        let (runtime, folder, gate) = (multi_thread(), socket_folder(), Gate::new());
        let address = socket_address(&folder, "double");
        let app = App::new(ROUTES, ServiceState { gate: gate.clone() });
        let running = runtime
            .block_on(app.start(Service::bind(&address, SECRET).dialects(PASSPHRASE)))
            .unwrap();
        // Kept running until the runtime is dropped.
        runtime.spawn(async move {
            let _running = running;
            std::future::pending::<()>().await;
        });
        RemoteService {
            address,
            gate,
            _folder: folder,
            _runtime: runtime,
        }
    }
}

fn assert_no_runtime(error: impl std::fmt::Debug) {
    let text = format!("{error:?}");
    assert!(
        text.contains("no tokio runtime") && text.contains("async function"),
        "{text}"
    );
}

#[test]
fn contract_client_works_in_each_of_several_runtimes() {
    let service = RemoteService::start();
    let client = DoublerClient::at(&service.address, SECRET);
    for runtime in [single_thread, multi_thread, single_thread, multi_thread] {
        let runtime = runtime();
        let doubled = runtime.block_on(with_timeout(client.double(21).into_future()));
        assert_eq!(doubled.unwrap(), 42);
    }
}

#[test]
fn clients_and_services_work_in_two_runtimes_at_once() {
    let service = RemoteService::start();
    let address = ServiceAddress::new(&service.address, SECRET);
    let (first, second) = (single_thread(), multi_thread());
    let connected = first.block_on(async { Client::connect(&address).unwrap() });
    for number in 0..20 {
        for runtime in [&first, &second] {
            let call = connected.request("/double").argument("number", number);
            let response = runtime.block_on(with_timeout(async { call.await })).unwrap();
            assert_eq!(response.body, number * 2);
        }
    }
    drop(first);
    let call = connected.request("/double").argument("number", 4);
    assert_eq!(
        second.block_on(with_timeout(async { call.await })).unwrap().body,
        8
    );

    // A worker that was added in one runtime is known in the other ones.
    let other = RemoteService::start();
    second.block_on(async { connected.add_worker(&other.address).unwrap() });
    assert!(connected.remove_worker(&service.address).unwrap());
    let third = single_thread();
    let call = connected.request("/double").argument("number", 5);
    assert_eq!(
        third.block_on(with_timeout(async { call.await })).unwrap().body,
        10
    );
    assert_eq!(connected.workers(), std::slice::from_ref(&other.address));
}

#[test]
fn tower_service_registers_its_services_in_each_runtime() {
    let service = RemoteService::start();
    let state = WebState {
        address: service.address.clone(),
    };
    let web = App::new(WEB, state).into_service().unwrap();
    for runtime in [single_thread, multi_thread, single_thread] {
        let runtime = runtime();
        let request = http::Request::get("/double")
            .body(brubeck::Body::empty())
            .unwrap();
        let response = runtime.block_on(with_timeout(tower::ServiceExt::oneshot(web.clone(), request)));
        let body = response.unwrap().into_body().collect(100);
        assert_eq!(runtime.block_on(body).unwrap(), "42");
    }
}

#[test]
fn call_outside_of_a_runtime_fails_at_once() {
    let service = RemoteService::start();
    let address = ServiceAddress::new(&service.address, SECRET);
    let client = DoublerClient::at(&service.address, SECRET);
    let call = client.double(1).into_future();
    assert_no_runtime(call.now_or_never().expect("no wait").unwrap_err());
    assert_no_runtime(Client::connect(&address).expect_err("an error"));

    let runtime = single_thread();
    let connected = runtime.block_on(async { Client::connect(&address).unwrap() });
    let call = connected.request("/double").into_future();
    assert_no_runtime(call.now_or_never().expect("no wait").unwrap_err());
    let nowait = connected.request("/double").nowait().into_future();
    assert_no_runtime(nowait.now_or_never().expect("no wait").unwrap_err());
    let lazy: Client = Client::lazy(address);
    assert_no_runtime(lazy.add_worker("ipc://run/other").unwrap_err());

    // A call may be made outside, if it is polled inside.
    let call = client.double(21).into_future();
    assert_eq!(runtime.block_on(call).unwrap(), 42);
}

#[test]
fn pending_call_ends_with_its_runtime_or_at_its_deadline() {
    let service = RemoteService::start();
    let client = DoublerClient::at(&service.address, SECRET);
    for ends in [true, false] {
        let (first, second) = (single_thread(), single_thread());
        let mut call = pin!(client.held().timeout(Duration::from_secs(2)).into_future());
        first.block_on(async {
            client.double(1).await.expect("a connection");
            let polled = poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await;
            assert!(polled.is_pending());
        });
        // Nothing runs the tasks of the first runtime from here on.
        if ends {
            drop(first);
            let error = second.block_on(with_timeout(call)).unwrap_err();
            assert!(matches!(error, CallError::ShuttingDown(_)), "{error:?}");
        } else {
            let error = second.block_on(with_timeout(call)).unwrap_err();
            assert!(matches!(error, CallError::Deadline { .. }), "{error:?}");
        }
    }
    service.gate.open(10);
}

#[test]
fn nowait_call_works_in_each_runtime() {
    let service = RemoteService::start();
    let state = WebState {
        address: service.address.clone(),
    };
    #[get("^/later$")]
    async fn later(services: Services, address: State<String>) -> Result<&'static str, CallError> {
        let client = services.register(&address, SECRET)?;
        client.request("/double").argument("number", 1).nowait().await?;
        Ok("accepted")
    }
    const LATER: Routes<WebState> = routes![doubled, later];
    let browser = brubeck::testing::TestClient::new(App::new(LATER, state));
    for runtime in [single_thread, multi_thread, single_thread] {
        let response = runtime().block_on(with_timeout(browser.get("/later").into_future()));
        response.assert_status(200).assert_text("accepted");
    }
}

#[test]
fn dialects_work_in_each_of_several_runtimes() {
    let service = RemoteService::start();
    let address = ServiceAddress::new(&service.address, PASSPHRASE).dialect(Dialect::Seed);
    let first = single_thread();
    let seed = first.block_on(async { Client::connect(&address).unwrap() });
    let call = || seed.request("/double").argument("number", 21);
    let value = |runtime: &Runtime| {
        runtime
            .block_on(with_timeout(async { call().await }))
            .unwrap()
            .body
    };
    assert_eq!(value(&first), 42);
    let mut pending = pin!(
        seed.request("/held")
            .timeout(Duration::from_secs(60))
            .into_future()
    );
    first.block_on(async {
        let polled = poll_fn(|cx| Poll::Ready(pending.as_mut().poll(cx))).await;
        assert!(polled.is_pending());
    });
    drop(first);
    let second = multi_thread();
    let error = second.block_on(with_timeout(pending)).unwrap_err();
    assert!(matches!(error, CallError::ShuttingDown(_)), "{error:?}");
    assert_eq!(value(&second), 42);
    assert_eq!(value(&single_thread()), 42);
}

#[test]
fn client_that_binds_is_shared_and_binds_again_in_the_next_runtime() {
    let folder = socket_folder();
    let [requests, responses] = ["requests", "responses"].map(|name| socket_address(&folder, name));
    let server = multi_thread();
    let app = App::new(ROUTES, ServiceState { gate: Gate::new() });
    let service = legacy::Service::connect(&requests, &responses, SECRET);
    let _running = server.block_on(app.start(service)).unwrap();
    let address = ServiceAddress::new(&requests, SECRET)
        .dialect(Dialect::Pypi)
        .responses_at(&responses);
    let first = multi_thread();
    let client = first.block_on(async { Client::connect(&address).unwrap() });
    let double = |runtime: &Runtime| {
        let call = client.request("/double").argument("number", 21);
        runtime.block_on(with_timeout(async { call.await })).unwrap().body
    };
    assert_eq!(double(&first), 42);
    let second = single_thread();
    assert_eq!(
        double(&second),
        42,
        "the sockets of the first runtime serve the second, too"
    );
    drop(first);
    assert_eq!(double(&second), 42, "bound again");
}

#[test]
fn test_site_whose_runtime_has_ended_fails_calls_in_time() {
    let first = single_thread();
    let gate = Gate::new();
    let state = WebState {
        address: "ipc://run/double".to_owned(),
    };
    let site = TestSite::new(WEB, state).service(
        Service::bind("ipc://run/double", SECRET),
        App::new(ROUTES, ServiceState { gate }),
    );
    let site = first.block_on(site.start()).unwrap();
    first
        .block_on(site.browser().get("/double").into_future())
        .assert_text("42");
    // While the services run, the site can be used in any runtime.
    let second = multi_thread();
    let client = second.block_on(async { site.client(&ServiceAddress::new("ipc://run/double", SECRET)) });
    let client = client.unwrap();
    drop(first);
    let call = client.request("/double").argument("number", 1);
    let error = second.block_on(with_timeout(async { call.await })).unwrap_err();
    assert!(matches!(error, CallError::NoWorkers(_)), "{error:?}");
}
