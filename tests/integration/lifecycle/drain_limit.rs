//! The drain limit bounds the life of a process, whatever its handlers do.

use super::process::{Process, log_to_stderr};
use crate::support::served_app::{socket_address, socket_folder};
use crate::support::{Gate, child, with_timeout};
use brubeck::prelude::*;
use brubeck::{Events, Service, ServiceAddress, TestSite};
use futures_util::stream;
use std::time::Duration;
use tokio::time::Instant;

const SECRET: &str = "the secret of the drain limit";
const ADDRESS: &str = "BRUBECK_TEST_ADDRESS";
const LIMIT: &str = "BRUBECK_TEST_DRAIN_MS";

#[service_client]
trait Work {
    #[call("/wait", timeout = "60s")]
    async fn wait(&self) -> Result<(), Problem>;
    #[call("/wait/blocking", timeout = "60s")]
    async fn wait_blocking(&self) -> Result<(), Problem>;
    #[call("/wait/block", timeout = "60s")]
    async fn block(&self) -> Result<(), Problem>;
}

/// Blocks its thread for good.
fn park() -> ! {
    println!("waiting");
    loop {
        std::thread::park();
    }
}

#[service_handler(work::wait)]
async fn wait(_args: Args<work::wait>, gate: State<Gate>) -> Result<(), Problem> {
    println!("waiting");
    gate.0.pass().await;
    Ok(())
}

#[service_handler(work::wait_blocking, blocking)]
fn wait_blocking(_args: Args<work::wait_blocking>) -> Result<(), Problem> {
    park()
}

#[service_handler(work::block)]
async fn block(_args: Args<work::block>) -> Result<(), Problem> {
    park()
}

#[get("/page")]
async fn page() -> &'static str {
    println!("waiting");
    std::future::pending().await
}

#[get("/news")]
async fn news() -> Events {
    println!("waiting");
    Events::new(stream::pending())
}

const SERVICE: Routes<Gate> = routes![wait, wait_blocking, block];
const WEB: Routes<()> = routes![page, news];

/// The child process: a service and a web application. It ends with the code 4 if requests were given up.
#[test]
fn child_process() {
    if !child::is_child(child_process) {
        return;
    }
    log_to_stderr();
    let address = std::env::var(ADDRESS).unwrap();
    let limit = Duration::from_millis(std::env::var(LIMIT).unwrap().parse().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let ended = runtime.block_on(async {
        let service = App::new(SERVICE, Gate::new()).drain(limit);
        let service = service.start(Service::bind(&address, SECRET)).await.unwrap();
        let web = App::new(WEB, ()).drain(limit);
        let web = web.start(Http::bind("127.0.0.1:0")).await.unwrap();
        let (service, web) = (service.until_signal(), async {
            println!("address {}", web.address());
            web.until_signal().await
        });
        let (service, web) = tokio::join!(service, web);
        service.and(web)
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
async fn process_ends_after_the_drain_limit_whatever_its_handlers_do() {
    let limit = Duration::from_millis(300);
    for (operation, code) in [("wait", 4), ("wait_blocking", 1), ("block", 1)] {
        let folder = socket_folder();
        let address = socket_address(&folder, "work");
        let mut process = start_process(&address, limit);
        process.read("address").await;
        let work = WorkClient::at(&address, SECRET);
        let call = tokio::spawn(async move {
            match operation {
                "wait" => work.wait().await,
                "wait_blocking" => work.wait_blocking().await,
                _ => work.block().await,
            }
        });
        process.read("waiting").await;
        process.signal("TERM").await;
        let started = Instant::now();
        if operation != "block" {
            let given_up = format!("handler=\"{operation}\"");
            process.wait_for_log(&["handler given up", &given_up]).await;
        }
        assert_eq!(process.exit().await.code(), Some(code), "{operation}");
        assert!(started.elapsed() >= limit, "{operation}");
        let error = with_timeout(call).await.unwrap().unwrap_err();
        assert!(
            matches!(
                error,
                CallError::Lost {
                    may_have_run: true,
                    ..
                }
            ),
            "{operation}: {error:?}"
        );
    }
}

#[tokio::test]
async fn page_that_is_given_up_is_named_in_the_log() {
    let folder = socket_folder();
    let mut process = start_process(&socket_address(&folder, "work"), Duration::from_millis(100));
    process.request("/page").await;
    process.signal("TERM").await;
    process
        .wait_for_log(&["handler given up", "handler=\"page\""])
        .await;
    assert_eq!(process.exit().await.code(), Some(4));
}

#[tokio::test]
async fn open_event_stream_ends_with_the_drain_and_is_no_failure() {
    let folder = socket_folder();
    let mut process = start_process(&socket_address(&folder, "work"), Duration::from_secs(3600));
    process.request("/news").await;
    process.signal("TERM").await;
    assert_eq!(process.exit().await.code(), Some(0));
}

#[tokio::test(start_paused = true)]
async fn test_site_stops_within_the_drain_limits_of_its_applications() {
    let gate = Gate::new();
    let site = TestSite::of(App::new(WEB, ()).drain(Duration::from_secs(1)))
        .service(
            Service::bind("ipc://run/work", SECRET),
            App::new(SERVICE, gate.clone()).drain(Duration::from_secs(5)),
        )
        .start()
        .await
        .unwrap();
    let address = ServiceAddress::new("ipc://run/work", SECRET);
    let work = WorkClient::new(site.client(&address).unwrap());
    let mut events = site.browser().get("/news").events().await;
    let call = tokio::spawn(async move { work.wait().await });
    gate.wait_for_arrivals(1).await;
    let started = Instant::now();
    site.stop().await;
    assert_eq!(started.elapsed(), Duration::from_secs(5));
    let error = call.await.unwrap().unwrap_err();
    assert!(
        matches!(
            error,
            CallError::Lost {
                may_have_run: true,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(events.recv().await.is_none());
}
