//! A process without free file descriptors serves its open connections, and accepts new ones once descriptors are free.

use crate::support::{child, with_timeout};
use brubeck::Service;
use brubeck::prelude::*;
use std::fs::File;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};

const SECRET: &str = "my_shared_secret";
/// The descriptor limit of the child. Listeners leave some descriptors to the rest of the process; the handler `take`
/// opens those, too.
const MAX_DESCRIPTORS: usize = 200;

#[service_handler(path = "^/echo", method = "request")]
async fn echo(n: Arg<u64>) -> Json<u64> {
    Json(n.0)
}

#[derive(Clone, AppState)]
struct ChildState {
    taken: Arc<Mutex<Vec<File>>>,
}

type Taken = Arc<Mutex<Vec<File>>>;

/// Opens files until the process has no descriptor left, and returns their number.
#[service_handler(path = "^/take", method = "request")]
async fn take(taken: State<Taken>) -> Json<usize> {
    let files: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok())
        .take(MAX_DESCRIPTORS)
        .collect();
    let all = files.len();
    taken.0.lock().unwrap().extend(files);
    Json(all)
}

/// Closes the files that `take` opened, and returns their number.
#[service_handler(path = "^/free", method = "request")]
async fn free(taken: State<Taken>) -> Json<usize> {
    Json(taken.0.lock().unwrap().drain(..).count())
}

const ROUTES: Routes<ChildState> = routes![echo, take, free];

/// The child process of the test below.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_with_few_descriptors() {
    if !child::is_child(child_with_few_descriptors) {
        return;
    }
    let running = App::new(
        ROUTES,
        ChildState {
            taken: Arc::default(),
        },
    )
    .start(Service::bind("tcp://127.0.0.1:0", SECRET))
    .await
    .unwrap();
    println!("\nserving {}", running.address());
    running.until_signal().await.unwrap();
}

/// Returns the CPU time that a process has used, in ticks of 10 ms.
fn cpu_ticks(process: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let after_name = stat.rsplit(')').next().unwrap();
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

fn open_descriptors(process: u32) -> usize {
    std::fs::read_dir(format!("/proc/{process}/fd")).unwrap().count()
}

async fn assert_echo(client: &Client) {
    let response = with_timeout(client.request("/echo").argument("n", 7).into_future())
        .await
        .unwrap();
    assert_eq!((response.status.code(), response.body), (200, 7.into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn descriptor_exhaustion_spares_open_connections_and_recovers() {
    let script = format!("ulimit -n {MAX_DESCRIPTORS}; exec \"$@\"");
    let mut child = child::command_after(&script, child_with_few_descriptors)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let address = with_timeout(async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if let Some(address) = line.strip_prefix("serving ") {
                return address.to_owned();
            }
        }
        panic!("the child ended before it served requests");
    })
    .await;
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    let process = child.id().unwrap();
    let early = Client::connect(&brubeck::ServiceAddress::new(&address, SECRET)).unwrap();
    assert_echo(&early).await;

    let taken = with_timeout(early.request("/take").into_future()).await.unwrap();
    assert!(taken.body.as_u64() > Some(0), "{taken:?}");
    assert!(open_descriptors(process) >= MAX_DESCRIPTORS, "{taken:?}");
    let late = Client::connect(&brubeck::ServiceAddress::new(&address, SECRET)).unwrap();
    let refused = with_timeout(
        late.request("/echo")
            .argument("n", 7)
            .timeout(Duration::from_millis(500))
            .into_future(),
    );
    assert!(refused.await.is_err());
    // The open connection is served, and the failing accepts use little CPU time. Ten calls take about a second, so a
    // tick is about 1 % of a CPU.
    let before = cpu_ticks(process);
    let mut idle = tokio::time::interval(Duration::from_millis(100));
    for _ in 0..10 {
        idle.tick().await;
        assert_echo(&early).await;
    }
    let ticks = cpu_ticks(process) - before;
    println!(
        "{} descriptors open; {ticks} % of a CPU used",
        open_descriptors(process)
    );
    assert!(ticks < 50, "{ticks} % of a CPU");
    // With free descriptors, the new connection is accepted.
    with_timeout(early.request("/free").into_future()).await.unwrap();
    with_timeout(async { while late.request("/echo").argument("n", 7).await.is_err() {} }).await;
    assert_echo(&late).await;
    assert_echo(&early).await;
    child.start_kill().unwrap();
    with_timeout(child.wait()).await.unwrap();
}
