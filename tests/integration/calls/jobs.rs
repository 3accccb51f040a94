//! `nowait` calls as jobs: each one that was sent ends once in the application's own code, with its ID.

use crate::support::logs::CapturedLogs;
use crate::support::{Gate, with_timeout};
use brubeck::prelude::*;
use brubeck::{CallId, Dialect, Service, ServiceAddress, TestSite};
use std::time::Duration;
use tokio::sync::mpsc;
use tracing::Level;

const ADDRESS: &str = "ipc://run/jobs";
const SECRET: &str = "my_shared_secret";

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum Refusal {
    Empty { year: u32 },
}

#[service_client]
pub trait Reports {
    #[call("/reports/write/{year}")]
    async fn write(&self, year: u32) -> Result<String, Refusal>;
    #[call("/reports/check")]
    async fn check(&self, year: u32) -> Result<u32, Problem>;
    #[call("/reports/missing")]
    async fn missing(&self) -> Result<u32, Problem>;
}

#[service_handler(reports::write)]
async fn write(args: Args<reports::write>, gate: State<Gate>) -> Result<String, Refusal> {
    match args.year {
        0 => Err(Refusal::Empty { year: 0 }),
        1 => panic!("on purpose"),
        2 => {
            gate.0.pass().await;
            Ok("late".into())
        }
        year => Ok(format!("the report of {year}")),
    }
}

#[service_handler(reports::check)]
async fn check(args: Args<reports::check>) -> Result<u32, Problem> {
    match args.year {
        0 => Err(Problem::new(404, "there is no year 0")),
        year => Ok(year),
    }
}

const SERVICE: Routes<Gate> = routes![write, check];

/// The end of a job: its ID, and the result that its response handler received.
type End = (CallId, String);

#[derive(Clone, AppState)]
struct Site {
    address: ServiceAddress,
    ends: Ends,
}

#[derive(Clone)]
struct Ends(mpsc::UnboundedSender<End>);

impl Ends {
    fn push(&self, id: CallId, end: String) {
        self.0.send((id, end)).expect("a test that waits");
    }
}

#[response_handler(reports::write)]
async fn written(result: CallResult<String, Refusal>, id: CallId, ends: State<Ends>) {
    let end = match result {
        Ok(response) => response.body,
        Err(CallError::Failure { status, error, .. }) => format!("{} {error:?}", status.code()),
        Err(error) => error.to_string(),
    };
    ends.push(id, end);
}

#[response_handler(reports::check)]
async fn checked(id: CallId, result: CallResult<u32>, ends: State<Ends>) {
    let end = match result {
        Ok(response) => response.body.to_string(),
        Err(CallError::Failure { error, .. }) => format!("the service says: {}", error.detail()),
        Err(error) => error.to_string(),
    };
    ends.push(id, end);
}

#[response_handler(reports::missing)]
async fn missing(result: Result<ServiceResponse<u32>, CallError>, id: CallId, ends: State<Ends>) {
    let refused = matches!(&result, Err(CallError::Refused(reason)) if reason.status().is_some_and(|status| status.code() == 404));
    ends.push(id, format!("refused: {refused}"));
}

/// Handles calls without a contract.
#[response_handler("^/plain")]
async fn plain(result: CallResult, id: Option<CallId>, ends: State<Ends>) {
    let end = match result {
        Ok(response) => response.status.to_string(),
        Err(error) => error.to_string(),
    };
    ends.push(id.expect("the ID of a call"), end);
}

/// Takes no errors.
#[response_handler("^/silent")]
async fn silent(_response: ServiceResponse, id: CallId, ends: State<Ends>) {
    ends.push(id, "there is a response".into());
}

/// Starts a job and does not wait for its acceptance. Returns its ID.
#[get("/start/{kind}")]
async fn start(kind: String, services: Services, state: State<Site>) -> Result<String, Problem> {
    let client = services.connect(&state.address)?;
    let reports = ReportsClient::new(client.clone());
    let id = CallId::new();
    let timeout = Duration::from_millis(100);
    match &*kind {
        "value" => drop(reports.write(7).id(id).nowait()),
        "failure" => drop(reports.write(0).id(id).nowait()),
        "panic" => drop(reports.write(1).id(id).nowait()),
        "late" => drop(reports.write(2).id(id).timeout(timeout).nowait()),
        "held" => drop(reports.write(2).id(id).nowait()),
        "check" => drop(reports.check(7).id(id).nowait()),
        "problem" => drop(reports.check(0).id(id).nowait()),
        "missing" => drop(reports.missing().id(id).nowait()),
        "plain" => drop(client.request("/plain").id(id).nowait()),
        "silent" => drop(client.request("/silent").id(id).nowait()),
        other => panic!("{other}"),
    }
    Ok(id.to_string())
}

/// Waits for the acceptance of a job, and returns its ID.
#[get("/accepted")]
async fn accepted(services: Services, state: State<Site>) -> Result<String, Problem> {
    let reports = ReportsClient::new(services.connect(&state.address)?);
    Ok(reports.write(7).nowait().await?.to_string())
}

const SITE: Routes<Site> = routes![written, checked, missing, plain, silent, start, accepted];

fn site(address: ServiceAddress) -> (App<Site>, mpsc::UnboundedReceiver<End>) {
    let (sender, ends) = mpsc::unbounded_channel();
    let site = Site {
        address,
        ends: Ends(sender),
    };
    (App::new(SITE, site).development(false), ends)
}

async fn next(ends: &mut mpsc::UnboundedReceiver<End>) -> End {
    with_timeout(ends.recv()).await.expect("an end")
}

/// Every kind of job, with a part of the result that its response handler receives.
const JOBS: [(&str, &str); 8] = [
    ("value", "the report of 7"),
    ("failure", "400 Empty { year: 0 }"),
    ("panic", "the handler panicked"),
    (
        "late",
        "the deadline passed without a response; the call may have run",
    ),
    ("check", "7"),
    ("problem", "the service says: there is no year 0"),
    ("missing", "refused: true"),
    ("plain", "404 Not Found"),
];

#[tokio::test]
async fn every_job_ends_once_with_its_id_in_memory() {
    let (app, mut ends) = site(ServiceAddress::new(ADDRESS, SECRET));
    let service = App::new(SERVICE, Gate::new());
    let site = TestSite::of(app).service(Service::bind(ADDRESS, SECRET), service);
    let site = site.start().await.unwrap();
    for (kind, part) in JOBS {
        let page = site.browser().get(&format!("/start/{kind}")).await;
        page.assert_status(200);
        let (id, end) = next(&mut ends).await;
        assert_eq!(page.text(), id.to_string(), "{kind}");
        assert!(end.contains(part), "{kind}: {end}");
    }
    let page = site.browser().get("/accepted").await;
    let (id, end) = next(&mut ends).await;
    assert_eq!((page.text(), &*end), (&*id.to_string(), "the report of 7"));
    site.stop().await;
    assert_eq!(with_timeout(ends.recv()).await, None, "a job has ended twice");
}

#[tokio::test]
async fn every_job_ends_once_with_its_id_over_sockets() {
    let service = Service::bind("tcp://127.0.0.1:0", SECRET).dialects(SECRET);
    let service = App::new(SERVICE, Gate::new()).start(service).await.unwrap();
    let (app, mut ends) = site(ServiceAddress::new(service.address(), SECRET));
    let client = brubeck::testing::TestClient::new(app);
    for (kind, part) in JOBS {
        let page = client.get(&format!("/start/{kind}")).await;
        let (id, end) = next(&mut ends).await;
        assert_eq!(page.text(), id.to_string(), "{kind}");
        assert!(end.contains(part), "{kind}: {end}");
    }
    // A dialect has no outcomes, but problems and the errors of the caller.
    let address = ServiceAddress::new(service.address(), SECRET).dialect(Dialect::Branch);
    let (app, mut ends) = site(address);
    let client = brubeck::testing::TestClient::new(app);
    for (kind, part) in [
        ("value", "the report of 7"),
        ("problem", "the service says: there is no year 0"),
        ("panic", "its log has the reason"),
    ] {
        let page = client.get(&format!("/start/{kind}")).await;
        let (id, end) = next(&mut ends).await;
        assert_eq!(page.text(), id.to_string(), "{kind}");
        assert!(end.contains(part), "{kind}: {end}");
    }
    with_timeout(service.stop()).await.unwrap();
}

/// A worker whose runtime ends is lost like one that was killed.
#[test]
fn job_of_a_lost_worker_ends_with_its_id() {
    let (gate, workers) = (Gate::new(), tokio::runtime::Runtime::new().unwrap());
    let service = App::new(SERVICE, gate.clone()).start(Service::bind("tcp://127.0.0.1:0", SECRET));
    let service = workers.block_on(service).unwrap();
    let callers = tokio::runtime::Runtime::new().unwrap();
    callers.block_on(async {
        let (app, mut ends) = site(ServiceAddress::new(service.address(), SECRET));
        let client = brubeck::testing::TestClient::new(app);
        let page = client.get("/start/held").await;
        gate.wait_for_arrivals(1).await;
        workers.shutdown_background();
        let (id, end) = next(&mut ends).await;
        assert_eq!(page.text(), id.to_string());
        for part in ["was lost", "may have run", "`reports::write`", service.address()] {
            assert!(end.contains(part), "{part}: {end}");
        }
    });
}

/// Without a worker, the error goes to the caller that waits for the acceptance, or else to the response handler.
#[tokio::test]
async fn job_without_a_worker_ends_where_it_was_started_or_in_its_response_handler() {
    let (app, mut ends) = site(ServiceAddress::new("ipc://run/nowhere", SECRET));
    let site = TestSite::of(app).start().await.unwrap();
    let page = site.browser().get("/start/value").await;
    let (id, end) = next(&mut ends).await;
    assert_eq!(page.text(), id.to_string());
    assert!(end.contains("no worker of the service is reachable"), "{end}");

    site.browser().get("/accepted").await.assert_status(503);
    // A response handler that takes no errors does not run, and the error is logged.
    let logs = CapturedLogs::start(Level::WARN);
    site.browser().get("/start/silent").await.assert_status(200);
    site.browser().get("/start/plain").await.assert_status(200);
    let (_, end) = next(&mut ends).await;
    assert!(end.contains("`request /plain`"), "{end}");
    assert_eq!(logs.count("`nowait` call failed"), 1, "{}", logs.text());
    assert_eq!(logs.count("`request /silent`"), 1, "{}", logs.text());
    site.stop().await;
    assert_eq!(with_timeout(ends.recv()).await, None, "a job has ended twice");
}
