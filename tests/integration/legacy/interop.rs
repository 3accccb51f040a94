//! The originals and us: an independent peer in Python on libzmq calls our services, and answers our calls, in every
//! dialect. The matrix of what works is printed at the end.

use crate::support::peers::{self, Peer};
use crate::support::site::{socket, sockets};
use crate::support::{Gate, Site, parts, within};
use brubeck::prelude::*;
use brubeck::{Dialect, Phase, Running, ServiceAddress, legacy};
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
const MANY: usize = 256;
const DIALECTS: [Dialect; 4] = [Dialect::Seed, Dialect::Branch, Dialect::Pypi, Dialect::Pypi01x];

// ---- the matrix --------------------------------------------------------------------------------

/// What came out, by direction and case, and within that by dialect.
#[derive(Default)]
struct Matrix(BTreeMap<(&'static str, usize, String), BTreeMap<String, Outcome>>);

/// What was wrong with a case, if anything was.
type Outcome = Result<(), String>;

impl Matrix {
    fn note(&mut self, direction: &'static str, case: &str, dialect: Dialect, outcome: Result<(), String>) {
        // Cases are listed in the order in which they came first.
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

    fn print_and_judge(self) {
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
            DIALECTS.len() * (CASES.len() + 1 + CASES.len() + 2)
        );
    }
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic")
        .to_owned()
}

// ---- addresses ---------------------------------------------------------------------------------

/// The addresses that two peers of one dialect meet at.
struct Place {
    dialect: Dialect,
    address: String,
    responses: Option<String>,
    _folder: TempDir,
}

impl Place {
    fn new(dialect: Dialect) -> Place {
        let folder = sockets();
        Place {
            dialect,
            address: socket(&folder, "requests"),
            responses: matches!(dialect, Dialect::Pypi | Dialect::Pypi01x)
                .then(|| socket(&folder, "responses")),
            _folder: folder,
        }
    }

    async fn start<S: Send + Sync + 'static>(&self, app: App<S>) -> brubeck::Result<Running> {
        match &self.responses {
            None => app.start(Service::bind(&self.address, SECRET)).await,
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

    fn peer(&self, python: &Path, program: &str) -> Peer {
        let dialect = self.dialect.to_string();
        let mut arguments = vec![dialect.as_str(), SECRET, &self.address];
        arguments.extend(self.responses.as_deref());
        Peer::start(python, program, &arguments)
    }
}

// ---- our service, their client -------------------------------------------------------------------

/// The cases of both directions. Behind them comes `restart`, and before that one, of a service in Python, `foreign`.
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

/// Answers nobody before all are there.
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
    panic!("as the test wants it")
}

const SERVICE: Routes<Arc<Barrier>> = routes![echo, gather, status, envelope, fault];

async fn serve(place: &Place) -> Running {
    within(place.start(App::new(SERVICE, Arc::new(Barrier::new(MANY)))))
        .await
        .expect("a free address")
}

async fn stop(service: Option<Running>) {
    let service = service.expect("a service that runs");
    within(service.stop()).await.expect("an end");
}

async fn python_calls(python: &Path, dialect: Dialect, matrix: &mut Matrix) {
    let place = Place::new(dialect);
    let mut note = |case: &str, outcome| matrix.note("python -> brubeck", case, dialect, outcome);
    let mut service = Some(serve(&place).await);
    let mut client = place.peer(python, "client.py");
    while let Some(line) = client.line().await {
        match line.split_once(' ') {
            Some(("ok", case)) => note(case, Ok(())),
            Some(("failed", rest)) => {
                let (case, why) = rest.split_once(": ").unwrap_or((rest, ""));
                note(case, Err(why.to_owned()));
            }
            _ if line == "stop" => {
                stop(service.take()).await;
                client.tell("stopped").await;
            }
            _ if line == "start" => {
                service = Some(serve(&place).await);
                client.tell("started").await;
            }
            _ if line == "done" => break,
            _ => panic!("client.py said {line:?}"),
        }
    }
    client.ended().await;
    stop(service).await;
}

// ---- their service, our client -------------------------------------------------------------------

/// Short, for calls that the originals never answer.
const NEVER: Duration = Duration::from_millis(300);

/// What the cases of one dialect share.
struct Calls {
    python: std::path::PathBuf,
    place: Place,
    client: Client,
    service: tokio::sync::Mutex<Peer>,
}

impl Calls {
    fn echo(&self, value: &Value) -> brubeck::Call {
        self.client
            .request("/service/echo")
            .argument("RETURN_DATA", value)
            .timeout(Duration::from_secs(20))
    }

    async fn echoes(&self, value: impl Into<Value>) {
        let value = value.into();
        let answer = within(self.echo(&value).into_future()).await.unwrap();
        assert_eq!(answer.status.to_string(), "200 OK");
        assert_eq!(answer.body["RETURN_DATA"], value);
    }

    async fn call(&self, path: &str) -> Result<ServiceResponse, CallError> {
        within(self.client.request(path).into_future()).await
    }

    /// Makes a call that the service does not answer, and waits until it says why.
    async fn unanswered(&self, client: &Client, path: &str, why: &str) {
        let error = within(client.request(path).timeout(NEVER).into_future())
            .await
            .unwrap_err();
        assert_eq!(
            error,
            CallError::Deadline {
                phase: Phase::Running
            }
        );
        self.service.lock().await.says(why).await;
    }
}

async fn case(name: &str, calls: Arc<Calls>) {
    match name {
        // The service pulls before it can answer, and this client calls as soon as it is there.
        "first_call" => calls.echoes("the very first").await,
        "sync" => calls.echoes("hello").await,
        "nowait" => nowait(&calls).await,
        "many" => many(&calls).await,
        "one_megabyte" => {
            calls.echoes("x".repeat(1_000_000)).await;
            calls.echoes("é".repeat(500_000)).await;
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
                calls.echoes(text).await;
            }
            let call = calls
                .client
                .request("/service/echo/café")
                .argument("RETURN_DATA", 1);
            assert_eq!(within(call.into_future()).await.unwrap().body["RETURN_DATA"], 1);
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
struct Pages {
    service: ServiceAddress,
    answers: Gate,
}

#[get("^/nowait$")]
async fn ask(services: Services, service: State<ServiceAddress>) -> Result<&'static str, CallError> {
    for n in 0..10 {
        services
            .connect(&service)?
            .request("/service/echo")
            .argument("RETURN_DATA", n)
            .nowait();
    }
    Ok("gone on")
}

#[response_handler("^/service/echo")]
async fn on_echo(reply: ServiceResponse, answers: State<Gate>) {
    assert_eq!(reply.status.code(), 200);
    answers.knock();
}

const PAGES: Routes<Pages> = routes![on_echo, ask];

/// An application of its own, because only an application has response handlers.
async fn nowait(calls: &Calls) {
    let place = Place::new(calls.place.dialect);
    let mut service = place.peer(&calls.python, "service.py");
    service.says("ready").await;
    let answers = Gate::new();
    let pages = Pages {
        service: place.address(SECRET),
        answers: answers.clone(),
    };
    let site = Site::http(App::new(PAGES, pages)).await;
    assert_eq!(site.browser().await.get("/nowait").await.text(), "gone on");
    answers.arrived(10).await;
    site.stop().await;
    service.stop().await;
}

async fn many(calls: &Calls) {
    let call = |n: usize| {
        calls
            .client
            .request("/service/gather")
            .argument("RETURN_DATA", n)
            .argument("ALL", MANY)
            .timeout(Duration::from_secs(20))
    };
    let waiting: Vec<_> = (0..MANY).map(|n| tokio::spawn(call(n).into_future())).collect();
    for (n, answer) in waiting.into_iter().enumerate() {
        assert_eq!(within(answer).await.unwrap().unwrap().body["RETURN_DATA"], n);
    }
}

async fn corpus(calls: &Calls) {
    let text = std::fs::read(peers::file("corpus.json")).unwrap();
    let corpus: Vec<Value> = serde_json::from_slice(&text).unwrap();
    assert!(corpus.len() > 50);
    for value in corpus {
        calls.echoes(value).await;
    }
}

async fn status_texts(calls: &Calls) {
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
        let answer = within(call.into_future()).await.unwrap();
        assert_eq!((answer.status.code(), answer.status.text()), (code, message));
        assert_eq!(answer.body["k"], "v");
    }
    let listing = calls.call("/service/listing").await.unwrap();
    assert_eq!(listing.body, json!([1, "two", null]));
}

async fn envelopes(calls: &Calls) {
    let call = calls
        .client
        .request("/service/envelope")
        .argument("a", 1)
        .header("x-trace", "7")
        .body(json!({"b": [2]}));
    let answer = within(call.into_future()).await.unwrap();
    let seen = &answer.body["request"];
    assert_eq!(seen["path"], "/service/envelope");
    assert_eq!(seen["method"], "request");
    assert_eq!(seen["headers"]["x-trace"], "7");
    // Calls on nobody's behalf: no original can take an empty field.
    for name in ["origin_sender_id", "origin_conn_id", "origin_out_addr"] {
        assert_eq!(seen[name], "-");
    }
    match calls.place.dialect {
        Dialect::Seed => assert_eq!(seen["body"], json!({"a": 1, "b": [2]})),
        _ => {
            assert_eq!(seen["arguments"], json!({"a": 1}));
            assert_eq!(seen["body"], json!({"b": [2]}));
        }
    }
    let stamp = match calls.place.dialect {
        Dialect::Seed => None,
        Dialect::Branch => Some("start_timestamp"),
        _ => Some("request_timestamp"),
    };
    if let Some(name) = stamp {
        let millis: u64 = seen[name].as_str().unwrap().parse().unwrap();
        let answered = answer.body["timestamp"].as_u64().unwrap();
        assert!(
            millis <= answered && answered < millis + 60_000,
            "{millis} {answered}"
        );
    }
}

async fn errors(calls: &Calls) {
    let fault = calls.call("/service/fault").await.unwrap();
    assert_eq!(fault.status.to_string(), "-1 Bad request");
    let method = calls.client.request("/service/echo").method(Method::Delete);
    let answer = within(method.into_future()).await.unwrap();
    assert_eq!(answer.status.to_string(), "-1 Bad request");
    calls.unanswered(&calls.client, "/none", "no such path").await;
    let error = calls.call("/service/broken").await.unwrap_err();
    assert!(matches!(error, CallError::BadReply(_)), "{error}");
    calls.echoes("still there").await;
}

async fn passphrase(calls: &Calls) {
    let forged = calls.client.request("/service/forge").timeout(NEVER);
    assert!(matches!(
        within(forged.into_future()).await,
        Err(CallError::Deadline { .. })
    ));
    calls.echoes("still there").await;

    // A caller with another passphrase, and in pypi a place of its own, for only one client binds.
    let (place, mut service);
    let place = match calls.place.responses {
        None => &calls.place,
        Some(_) => {
            place = Place::new(calls.place.dialect);
            &place
        }
    };
    let stranger = Client::connect(&place.address("guessed")).unwrap();
    if calls.place.responses.is_some() {
        service = place.peer(&calls.python, "service.py");
        service.says("ready").await;
        let error = within(
            stranger
                .request("/service/echo")
                .timeout(Duration::from_secs(2))
                .into_future(),
        );
        assert!(matches!(error.await, Err(CallError::Deadline { .. })));
        service.says("another passphrase").await;
        service.stop().await;
    } else {
        calls
            .unanswered(&stranger, "/service/echo", "another passphrase")
            .await;
    }
}

async fn malformed(calls: &Calls) {
    for _ in 0..3 {
        let answer = calls.call("/service/garbage").await.unwrap();
        assert_eq!(answer.body["RETURN_DATA"], "good");
        calls.echoes("between").await;
    }
}

async fn foreign(calls: &Calls) {
    let answer = calls.call("/service/foreign").await.unwrap();
    assert_eq!(answer.status.to_string(), "200 success");
    assert_eq!(answer.body, "hello from afar!");
}

async fn restart(calls: &Calls) {
    let error = calls.call("/service/leave").await.unwrap_err();
    assert_eq!(error, CallError::Lost { may_have_run: true });
    let mut service = calls.service.lock().await;
    assert_eq!(service.line().await, None);
    *service = calls.place.peer(&calls.python, "service.py");
    for n in 0..20 {
        calls.echoes(n).await;
    }
}

async fn python_answers(python: &Path, dialect: Dialect, matrix: &mut Matrix) {
    let place = Place::new(dialect);
    let calls = Arc::new(Calls {
        python: python.to_owned(),
        client: Client::connect(&place.address(SECRET)).expect("free addresses"),
        service: tokio::sync::Mutex::new(place.peer(python, "service.py")),
        place,
    });
    for name in CASES.into_iter().chain(["foreign", "restart"]) {
        let outcome = tokio::spawn(case(name, calls.clone()))
            .await
            .map_err(|error| text_of(&*error.into_panic()));
        matrix.note("brubeck -> python", name, dialect, outcome);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_dialect_interoperates_with_python_in_both_directions() {
    let Some(python) = parts::pyzmq() else {
        return;
    };
    let mut matrix = Matrix::default();
    for dialect in DIALECTS {
        python_calls(&python, dialect, &mut matrix).await;
        python_answers(&python, dialect, &mut matrix).await;
    }
    matrix.print_and_judge();
}
