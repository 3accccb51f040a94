//! Interoperability with Python peers on libzmq, in every legacy dialect and both directions. Prints a matrix of the results.

use crate::support::python::{self as python_peer, PythonPeer};
use crate::support::served_app::{socket_address, socket_folder};
use crate::support::{Gate, ServedApp, requirements, with_timeout};
use brubeck::prelude::*;
use brubeck::{Dialect, Method, Phase, Running, Service, ServiceAddress, legacy};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::future::IntoFuture;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::Barrier;

const SECRET: &str = "my_shared_secret";
const CALLS: usize = 256;
const DIALECTS: [Dialect; 4] = [Dialect::Seed, Dialect::Branch, Dialect::Pypi, Dialect::Pypi01x];

// ---- the matrix ---------------------------------------------------------------------------------

/// Outcomes by direction and case, then by dialect.
#[derive(Default)]
struct Matrix(BTreeMap<(&'static str, usize, String), BTreeMap<String, Outcome>>);

/// The result of a case. The error is the reason of the failure.
type Outcome = Result<(), String>;

impl Matrix {
    fn record(&mut self, direction: &'static str, case: &str, dialect: Dialect, outcome: Result<(), String>) {
        // The index in the key keeps cases in the order of their first occurrence.
        let known = self
            .0
            .keys()
            .find(|(to, _, name)| *to == direction && name == case);
        let key = match known {
            Some(key) => key.clone(),
            None => (direction, self.0.len(), case.to_owned()),
        };
        self.0
            .entry(key)
            .or_default()
            .insert(dialect.to_string(), outcome);
    }

    fn print_and_assert(self) {
        let mut text = format!("\n{:18} {:14}", "direction", "case");
        for dialect in DIALECTS {
            text += &format!(" {dialect:8}");
        }
        let mut failures = Vec::new();
        for ((direction, _, case), outcomes) in &self.0 {
            text += &format!("\n{direction:18} {case:14}");
            for dialect in DIALECTS {
                let word = match outcomes.get(&dialect.to_string()) {
                    None => "-",
                    Some(Ok(())) => "ok",
                    Some(Err(why)) => {
                        failures.push(format!("{direction}, {case}, {dialect}: {why}"));
                        "FAILED"
                    }
                };
                text += &format!(" {word:8}");
            }
        }
        // Not `eprintln!`, which is only shown for tests that fail.
        writeln!(std::io::stderr(), "{text}\n").expect("standard error");
        assert!(failures.is_empty(), "{}", failures.join("\n"));
        assert_eq!(
            self.0.values().map(BTreeMap::len).sum::<usize>(),
            DIALECTS.len() * (CASES.len() + 1 + CASES.len() + 2),
            "a case did not run"
        );
    }
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic")
        .to_owned()
}

// ---- addresses ----------------------------------------------------------------------------------

/// The addresses of a service in one dialect.
struct DialectEndpoint {
    dialect: Dialect,
    address: String,
    responses: Option<String>,
    _folder: TempDir,
}

impl DialectEndpoint {
    fn new(dialect: Dialect) -> DialectEndpoint {
        let folder = socket_folder();
        DialectEndpoint {
            dialect,
            address: socket_address(&folder, "requests"),
            responses: matches!(dialect, Dialect::Pypi | Dialect::Pypi01x)
                .then(|| socket_address(&folder, "responses")),
            _folder: folder,
        }
    }

    async fn start<S: Send + Sync + 'static>(&self, app: App<S>) -> brubeck::Result<Running> {
        match &self.responses {
            None => {
                let service =
                    Service::bind(&self.address, "the secret of brubeck's protocol").dialects(SECRET);
                app.start(service).await
            }
            Some(responses) => {
                app.start(legacy::Service::connect(&self.address, responses, SECRET))
                    .await
            }
        }
    }

    fn address(&self, passphrase: &str) -> ServiceAddress {
        let address = ServiceAddress::new(&self.address, passphrase).dialect(self.dialect);
        match &self.responses {
            None => address,
            Some(responses) => address.responses_at(responses),
        }
    }

    fn peer(&self, python: &Path, program: &str) -> PythonPeer {
        let dialect = self.dialect.to_string();
        let mut arguments = vec![dialect.as_str(), SECRET, &self.address];
        arguments.extend(self.responses.as_deref());
        PythonPeer::start(python, program, &arguments)
    }
}

// ---- a Python client calls our service ----------------------------------------------------------

/// The first cases of both directions. After them, the calls to a Python service have the cases `foreign` and `restart`, and
/// the calls of a Python client the case `restart`.
const CASES: [&str; 12] = [
    "first_call",
    "sync",
    "nowait",
    "many",
    "one_megabyte",
    "unicode",
    "corpus",
    "status",
    "envelope",
    "errors",
    "passphrase",
    "malformed",
];

#[allow(non_snake_case)]
#[service_handler(path = "^/service/echo", method = "request")]
async fn echo(RETURN_DATA: Arg<Value>) -> Reply {
    Reply::empty().field("RETURN_DATA", RETURN_DATA.0)
}

/// Waits until [`CALLS`] calls have arrived.
#[allow(non_snake_case)]
#[service_handler(path = "^/service/gather", method = "request")]
async fn gather(RETURN_DATA: Arg<Value>, all: State<Arc<Barrier>>) -> Reply {
    all.wait().await;
    Reply::empty().field("RETURN_DATA", RETURN_DATA.0)
}

#[allow(non_snake_case)]
#[service_handler(path = "^/service/status", method = "request")]
async fn status(CODE: Arg<i32>, MSG: Arg<String>) -> Reply {
    Reply::empty().status(CODE.0, MSG.0).field("k", "v")
}

#[service_handler(path = "^/service/envelope", method = "request")]
async fn envelope(message: Message, headers: Headers, payload: Json<Value>) -> Reply {
    let json = |text: &[u8]| serde_json::from_slice::<Value>(text).unwrap_or(json!({}));
    Reply::empty()
        .field("arguments", json(message.arguments()))
        .field("body", json(message.body()))
        .field("payload", payload.0)
        .field("trace", headers.text("x-trace"))
        .field("method", message.method().as_str())
        .header("x-answered", "yes")
}

#[service_handler(path = "^/service/fault", method = "request")]
async fn fault() -> Reply {
    panic!("on purpose")
}

const SERVICE: Routes<Arc<Barrier>> = routes![echo, gather, status, envelope, fault];

async fn serve(endpoint: &DialectEndpoint) -> Running {
    with_timeout(endpoint.start(App::new(SERVICE, Arc::new(Barrier::new(CALLS)))))
        .await
        .expect("a free address")
}

async fn stop(service: Option<Running>) {
    let service = service.expect("a running service");
    with_timeout(service.stop()).await.expect("a clean shutdown");
}

async fn python_calls(python: &Path, dialect: Dialect, matrix: &mut Matrix) {
    let endpoint = DialectEndpoint::new(dialect);
    let mut record = |case: &str, outcome| matrix.record("python -> brubeck", case, dialect, outcome);
    let mut service = Some(serve(&endpoint).await);
    let mut client = endpoint.peer(python, "client.py");
    while let Some(line) = client.read_line().await {
        match line.split_once(' ') {
            Some(("ok", case)) => record(case, Ok(())),
            Some(("failed", rest)) => {
                let (case, why) = rest.split_once(": ").unwrap_or((rest, ""));
                record(case, Err(why.to_owned()));
            }
            _ if line == "stop" => {
                stop(service.take()).await;
                client.send_line("stopped").await;
            }
            _ if line == "start" => {
                service = Some(serve(&endpoint).await);
                client.send_line("started").await;
            }
            _ if line == "done" => break,
            _ => panic!("unexpected output of client.py: {line:?}"),
        }
    }
    client.wait_for_exit().await;
    stop(service).await;
}

// ---- our client calls a Python service ----------------------------------------------------------

/// A short timeout for calls to which the originals never respond.
const UNANSWERED_TIMEOUT: Duration = Duration::from_millis(300);

/// The state that the cases of one dialect share.
struct CaseContext {
    python: std::path::PathBuf,
    endpoint: DialectEndpoint,
    client: Client,
    service: tokio::sync::Mutex<PythonPeer>,
}

impl CaseContext {
    fn echo(&self, value: &Value) -> brubeck::Call {
        self.client
            .request("/service/echo")
            .argument("RETURN_DATA", value)
            .timeout(Duration::from_secs(20))
    }

    async fn assert_echo(&self, value: impl Into<Value>) {
        let value = value.into();
        let response = with_timeout(self.echo(&value).into_future()).await.unwrap();
        assert_eq!(response.status.to_string(), "200 OK");
        assert_eq!(response.body["RETURN_DATA"], value);
    }

    async fn call(&self, path: &str) -> Result<ServiceResponse, CallError> {
        with_timeout(self.client.request(path).into_future()).await
    }

    /// Makes a call to which the service does not respond, and waits until the service prints the reason `why`.
    async fn assert_unanswered(&self, client: &Client, path: &str, why: &str) {
        let error = with_timeout(client.request(path).timeout(UNANSWERED_TIMEOUT).into_future())
            .await
            .unwrap_err();
        assert_eq!(error, CallError::deadline(Phase::Running));
        self.service.lock().await.wait_for_line(why).await;
    }
}

async fn run_case(name: &str, calls: Arc<CaseContext>) {
    match name {
        // A service of the pypi dialects receives requests before it can send responses. The client must hold this call
        // back until the service is connected to both addresses.
        "first_call" => calls.assert_echo("the very first").await,
        "sync" => calls.assert_echo("hello").await,
        "nowait" => nowait(&calls).await,
        "many" => many(&calls).await,
        "one_megabyte" => {
            calls.assert_echo("x".repeat(1_000_000)).await;
            calls.assert_echo("é".repeat(500_000)).await;
        }
        "unicode" => {
            for text in [
                "café",
                "日本語",
                "🦊",
                "\0\x1f\x7f\u{2028}",
                "\"\\/\u{8}\u{c}\n\r\t",
                "100:abc 5:x,",
            ] {
                calls.assert_echo(text).await;
            }
            let call = calls
                .client
                .request("/service/echo/café")
                .argument("RETURN_DATA", 1);
            assert_eq!(
                with_timeout(call.into_future()).await.unwrap().body["RETURN_DATA"],
                1
            );
        }
        "corpus" => corpus(&calls).await,
        "status" => status_texts(&calls).await,
        "envelope" => envelopes(&calls).await,
        "errors" => errors(&calls).await,
        "passphrase" => passphrase(&calls).await,
        "malformed" => malformed(&calls).await,
        "foreign" => foreign(&calls).await,
        "restart" => restart(&calls).await,
        _ => panic!("no such case"),
    }
}

#[derive(Clone, AppState)]
struct WebState {
    service: ServiceAddress,
    responses: Gate,
}

#[get("^/nowait$")]
async fn call_nowait(services: Services, service: State<ServiceAddress>) -> Result<&'static str, CallError> {
    for n in 0..10 {
        services
            .connect(&service)?
            .request("/service/echo")
            .argument("RETURN_DATA", n)
            .nowait();
    }
    Ok("sent")
}

#[response_handler("^/service/echo")]
async fn on_echo(reply: ServiceResponse, responses: State<Gate>) {
    assert_eq!(reply.status.code(), 200);
    responses.signal_arrival();
}

const WEB_ROUTES: Routes<WebState> = routes![on_echo, call_nowait];

/// Calls from an application, because only applications have response handlers.
async fn nowait(calls: &CaseContext) {
    let endpoint = DialectEndpoint::new(calls.endpoint.dialect);
    let mut service = endpoint.peer(&calls.python, "service.py");
    service.wait_for_line("ready").await;
    let responses = Gate::new();
    let pages = WebState {
        service: endpoint.address(SECRET),
        responses: responses.clone(),
    };
    let site = ServedApp::http(App::new(WEB_ROUTES, pages)).await;
    assert_eq!(site.browser().await.get("/nowait").await.text(), "sent");
    responses.wait_for_arrivals(10).await;
    site.stop().await;
    service.stop().await;
}

async fn many(calls: &CaseContext) {
    let call = |n: usize| {
        calls
            .client
            .request("/service/gather")
            .argument("RETURN_DATA", n)
            .argument("ALL", CALLS)
            .timeout(Duration::from_secs(20))
    };
    let waiting: Vec<_> = (0..CALLS).map(|n| tokio::spawn(call(n).into_future())).collect();
    for (n, response) in waiting.into_iter().enumerate() {
        assert_eq!(
            with_timeout(response).await.unwrap().unwrap().body["RETURN_DATA"],
            n
        );
    }
}

async fn corpus(calls: &CaseContext) {
    let text = std::fs::read(python_peer::file("corpus.json")).unwrap();
    let corpus: Vec<Value> = serde_json::from_slice(&text).unwrap();
    assert!(corpus.len() > 50);
    for value in corpus {
        calls.assert_echo(value).await;
    }
}

async fn status_texts(calls: &CaseContext) {
    for (code, message) in [
        (200, "Took a while, but I am back."),
        (500, "it broke"),
        (-1, "a \"quote\""),
    ] {
        let call = calls
            .client
            .request("/service/status")
            .argument("CODE", code)
            .argument("MSG", message);
        let response = with_timeout(call.into_future()).await.unwrap();
        assert_eq!((response.status.code(), response.status.text()), (code, message));
        assert_eq!(response.body["k"], "v");
    }
    let listing = calls.call("/service/listing").await.unwrap();
    assert_eq!(listing.body, json!([1, "two", null]));
}

async fn envelopes(calls: &CaseContext) {
    let call = calls
        .client
        .request("/service/envelope")
        .argument("a", 1)
        .header("x-trace", "7")
        .body(json!({"b": [2]}));
    let response = with_timeout(call.into_future()).await.unwrap();
    let seen = &response.body["request"];
    assert_eq!(seen["path"], "/service/envelope");
    assert_eq!(seen["method"], "request");
    assert_eq!(seen["headers"]["x-trace"], "7");
    // The calls have no origin. Some originals cannot parse empty fields, so `-` is sent.
    for name in ["origin_sender_id", "origin_conn_id", "origin_out_addr"] {
        assert_eq!(seen[name], "-");
    }
    match calls.endpoint.dialect {
        Dialect::Seed => assert_eq!(seen["body"], json!({"a": 1, "b": [2]})),
        _ => {
            assert_eq!(seen["arguments"], json!({"a": 1}));
            assert_eq!(seen["body"], json!({"b": [2]}));
        }
    }
    let stamp = match calls.endpoint.dialect {
        Dialect::Seed => None,
        Dialect::Branch => Some("start_timestamp"),
        _ => Some("request_timestamp"),
    };
    if let Some(name) = stamp {
        let millis: u64 = seen[name].as_str().unwrap().parse().unwrap();
        let answered = response.body["timestamp"].as_u64().unwrap();
        assert!(
            millis <= answered && answered < millis + 60_000,
            "{millis} {answered}"
        );
    }
}

async fn errors(calls: &CaseContext) {
    let fault = calls.call("/service/fault").await.unwrap();
    assert_eq!(fault.status.to_string(), "-1 Bad request");
    let method = calls.client.request("/service/echo").method(Method::Delete);
    let response = with_timeout(method.into_future()).await.unwrap();
    assert_eq!(response.status.to_string(), "-1 Bad request");
    calls
        .assert_unanswered(&calls.client, "/none", "no such path")
        .await;
    let error = calls.call("/service/broken").await.unwrap_err();
    assert!(matches!(error, CallError::BadReply(_)), "{error}");
    calls.assert_echo("still there").await;
}

async fn passphrase(calls: &CaseContext) {
    let forged = calls.client.request("/service/forge").timeout(UNANSWERED_TIMEOUT);
    assert!(matches!(
        with_timeout(forged.into_future()).await,
        Err(CallError::Deadline { .. })
    ));
    calls.assert_echo("still there").await;

    // A caller with a wrong passphrase. In the pypi dialects the client binds, so it needs an endpoint of its own.
    let (endpoint, mut service);
    let endpoint = match calls.endpoint.responses {
        None => &calls.endpoint,
        Some(_) => {
            endpoint = DialectEndpoint::new(calls.endpoint.dialect);
            &endpoint
        }
    };
    let wrong_passphrase = Client::connect(&endpoint.address("guessed")).unwrap();
    if calls.endpoint.responses.is_some() {
        service = endpoint.peer(&calls.python, "service.py");
        service.wait_for_line("ready").await;
        let error = with_timeout(
            wrong_passphrase
                .request("/service/echo")
                .timeout(Duration::from_secs(2))
                .into_future(),
        );
        assert!(matches!(error.await, Err(CallError::Deadline { .. })));
        service.wait_for_line("another passphrase").await;
        service.stop().await;
    } else {
        calls
            .assert_unanswered(&wrong_passphrase, "/service/echo", "another passphrase")
            .await;
    }
}

async fn malformed(calls: &CaseContext) {
    for _ in 0..3 {
        let response = calls.call("/service/garbage").await.unwrap();
        assert_eq!(response.body["RETURN_DATA"], "good");
        calls.assert_echo("between").await;
    }
}

async fn foreign(calls: &CaseContext) {
    // The service responds with plain text, which is not JSON.
    let error = calls.call("/service/foreign").await.unwrap_err();
    assert!(
        matches!(error, CallError::BadReply(_)) && error.to_string().contains("line 1 column 1"),
        "{error}"
    );
    let response = calls.client.request("/service/foreign").text().await.unwrap();
    assert_eq!(response.status.to_string(), "200 success");
    assert_eq!(response.body, "hello from afar!");
}

async fn restart(calls: &CaseContext) {
    let error = calls.call("/service/leave").await.unwrap_err();
    assert_eq!(error, CallError::lost(true));
    let mut service = calls.service.lock().await;
    assert_eq!(service.read_line().await, None);
    *service = calls.endpoint.peer(&calls.python, "service.py");
    for n in 0..20 {
        calls.assert_echo(n).await;
    }
}

async fn python_answers(python: &Path, dialect: Dialect, matrix: &mut Matrix) {
    let endpoint = DialectEndpoint::new(dialect);
    let calls = Arc::new(CaseContext {
        python: python.to_owned(),
        client: Client::connect(&endpoint.address(SECRET)).expect("free addresses"),
        service: tokio::sync::Mutex::new(endpoint.peer(python, "service.py")),
        endpoint,
    });
    for name in CASES.into_iter().chain(["foreign", "restart"]) {
        let outcome = tokio::spawn(run_case(name, calls.clone()))
            .await
            .map_err(|error| text_of(&*error.into_panic()));
        matrix.record("brubeck -> python", name, dialect, outcome);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_dialect_interoperates_with_python_in_both_directions() {
    let Some(python) = requirements::pyzmq() else {
        return;
    };
    let mut matrix = Matrix::default();
    for dialect in DIALECTS {
        python_calls(&python, dialect, &mut matrix).await;
        python_answers(&python, dialect, &mut matrix).await;
    }
    matrix.print_and_assert();
}
