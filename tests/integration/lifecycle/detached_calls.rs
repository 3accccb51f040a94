//! A stop waits for `nowait` calls and their response handlers, within the drain limit.

use super::process::Process;
use crate::support::child;
use crate::support::served_app::{socket_address, socket_folder};
use brubeck::prelude::*;
use brubeck::{CallResult, Service, TestSite};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

const SECRET: &str = "the secret of the detached calls";
const ADDRESS: &str = "BRUBECK_TEST_ADDRESS";
const LIMIT: &str = "BRUBECK_TEST_DRAIN_MS";

#[service_client]
trait Work {
    #[call("/work", timeout = "60s")]
    async fn perform(&self) -> Result<u32, Problem>;
}

#[service_handler(work::perform)]
async fn perform(_args: Args<work::perform>, release: State<Arc<Notify>>) -> Result<u32, Problem> {
    release.notified().await;
    Ok(7)
}

/// The web application.
#[derive(Clone)]
struct Web {
    address: String,
    /// The time that the response handler takes.
    pause: Duration,
    endings: Arc<Mutex<Vec<String>>>,
}

#[get("/start")]
async fn start(services: Services, web: State<Web>) -> Result<&'static str, CallError> {
    let work = WorkClient::new(services.register(&web.address, SECRET)?);
    let call = work.perform();
    call.nowait().await?;
    println!("waiting");
    Ok("on its way")
}

#[response_handler(work::perform)]
async fn on_work(result: CallResult<u32, Problem>, web: State<Web>) {
    tokio::time::sleep(web.pause).await;
    let ending = match &result {
        Ok(response) => format!("response {}", response.body),
        Err(CallError::ShuttingDown(_)) => "shutting down".to_owned(),
        Err(error) => format!("{error:?}"),
    };
    println!("handled {ending}");
    web.endings.lock().unwrap().push(ending);
}

const SERVICE: Routes<Arc<Notify>> = routes![perform];
const WEB: Routes<Web> = routes![on_work, start];

/// The child process: the web application. It ends with the code 4 if calls were given up.
#[test]
fn child_process() {
    if !child::is_child(child_process) {
        return;
    }
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
    let limit = Duration::from_millis(std::env::var(LIMIT).unwrap().parse().unwrap());
    let web = Web {
        address: std::env::var(ADDRESS).unwrap(),
        pause: Duration::ZERO,
        endings: Arc::default(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let ended = runtime.block_on(async {
        let web = App::new(WEB, web).drain(limit);
        let web = web.start(Http::bind("127.0.0.1:0")).await.unwrap();
        println!("address {}", web.address());
        web.until_signal().await
    });
    drop(runtime);
    std::process::exit(if ended.is_ok() { 0 } else { 4 });
}

fn start_process(address: &str, limit: Duration) -> Process {
    let mut command = child::command(child_process);
    let limit = limit.as_millis().to_string();
    Process::start(command.env(ADDRESS, address).env(LIMIT, limit))
}

#[tokio::test]
async fn stopping_process_waits_for_nowait_calls_and_their_response_handlers() {
    let folder = socket_folder();
    let address = socket_address(&folder, "work");
    let release = Arc::new(Notify::new());
    let service = App::new(SERVICE, release.clone());
    let service = service.start(Service::bind(&address, SECRET)).await.unwrap();
    let mut process = start_process(&address, Duration::from_secs(3600));
    process.request("/start").await;
    process.signal("TERM").await;
    process.wait_for_log(&["finishing", "1 `nowait` call "]).await;
    release.notify_one();
    assert_eq!(process.read("handled").await, "response 7");
    assert_eq!(process.exit().await.code(), Some(0));
    service.stop().await.unwrap();
}

#[tokio::test]
async fn nowait_call_that_is_given_up_is_logged_and_reaches_its_response_handler() {
    let folder = socket_folder();
    let address = socket_address(&folder, "work");
    let service = App::new(SERVICE, Arc::new(Notify::new())).drain(Duration::from_millis(100));
    let service = service.start(Service::bind(&address, SECRET)).await.unwrap();
    let mut process = start_process(&address, Duration::from_millis(200));
    process.request("/start").await;
    process.signal("TERM").await;
    assert_eq!(process.read("handled").await, "shutting down");
    process
        .wait_for_log(&["`nowait` call failed", "work::perform", "shutting down"])
        .await;
    assert_eq!(process.exit().await.code(), Some(4));
    // The call was cancelled, so the service has nothing to wait for.
    service.stop().await.unwrap();
}

/// Stops a site with a `nowait` call whose handler never returns. Returns the time that the stop takes, and how the call ends.
async fn stop_site(pause: Duration, releases: bool) -> (Duration, Vec<String>) {
    let web = Web {
        address: "ipc://run/work".to_owned(),
        pause,
        endings: Arc::default(),
    };
    let release = Arc::new(Notify::new());
    let site = TestSite::of(App::new(WEB, web.clone()).drain(Duration::from_secs(5)))
        .service(
            Service::bind(&web.address, SECRET),
            App::new(SERVICE, release.clone()).drain(Duration::from_secs(20)),
        )
        .start()
        .await
        .unwrap();
    site.browser().get("/start").await.assert_text("on its way");
    let started = Instant::now();
    if releases {
        release.notify_one();
    }
    site.stop().await;
    let endings = web.endings.lock().unwrap().clone();
    (started.elapsed(), endings)
}

#[tokio::test(start_paused = true)]
async fn test_site_waits_for_nowait_calls_within_the_drain_limit() {
    let (limit, grace) = (Duration::from_secs(5), Duration::from_millis(500));
    let pause = Duration::from_secs(3);
    assert_eq!(
        stop_site(pause, true).await,
        (pause, vec!["response 7".to_owned()])
    );
    let given_up = vec!["shutting down".to_owned()];
    assert_eq!(stop_site(Duration::ZERO, false).await, (limit, given_up));
    // A response handler that takes longer than the grace is dropped.
    assert_eq!(stop_site(pause, false).await, (limit + grace, Vec::new()));
}
