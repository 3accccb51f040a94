//! The roles of child processes.

use brubeck::{Running, Service, ServiceAddress, prelude::*};
use brubeck_benches::child::{self, Ready};
use brubeck_benches::load::{Echo, Load, wait_for_measurement};
use brubeck_benches::sides::brubeck::{EchoClient, PASSPHRASE, ROUTES};
use brubeck_benches::work::{Note, Work};
use brubeck_benches::{Error, Result};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::Value;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// The time for which the handler `nap` sleeps.
pub(crate) const NAP: Duration = Duration::from_millis(10);

/// A timeout that is longer than any measurement.
const LONG_TIMEOUT: Duration = Duration::from_secs(600);

/// Maximum number of clients that connect concurrently.
const CONNECTING: usize = 64;

#[derive(clap::Subcommand)]
pub(crate) enum Role {
    /// Serves until standard input ends
    #[command(hide = true)]
    Serve {
        address: String,
        #[arg(long, default_value_t = 1024)]
        concurrency: usize,
        #[arg(long, default_value_t = 4096)]
        max_connections: usize,
        #[arg(long, default_value_t = 8 << 20)]
        body_limit: usize,
    },
    /// Calls one service, whose workers have these addresses
    #[command(hide = true)]
    Drive {
        #[arg(value_enum)]
        target: Target,
        in_flight: usize,
        seconds: f64,
        addresses: Vec<String>,
    },
    /// Sends bodies of this size and receives them back, one at a time
    #[command(hide = true)]
    Send {
        address: String,
        size: usize,
        seconds: f64,
        /// Sends bytes as a part instead of a JSON string
        #[arg(long)]
        bytes: bool,
    },
    /// Connects idle clients
    #[command(hide = true)]
    Hold { address: String, clients: usize },
    /// Makes calls to which the service does not respond
    #[command(hide = true)]
    Pend { address: String, calls: usize },
}

/// The handler that is called.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum Target {
    /// The handler `echo`, which returns immediately.
    Echo,
    /// The handler that sleeps.
    Nap,
}

#[service_handler(path = "^/nap$", method = "request")]
async fn nap(note: Json<Value>) -> Json<Value> {
    tokio::time::sleep(NAP).await;
    note
}

#[service_handler(path = "^/back$", method = "request")]
async fn back(body: Json<Value>) -> Json<Value> {
    body
}

/// A contract with bytes.
#[service_client]
trait Blobs {
    #[call("/blob")]
    async fn back_bytes(&self, data: Bytes) -> Result<Bytes, Problem>;
}

#[service_handler(blobs::back_bytes)]
async fn back_bytes(Args(sent): Args<blobs::back_bytes>) -> Result<Bytes, Problem> {
    Ok(sent.data)
}

static HELD: AtomicUsize = AtomicUsize::new(0);

#[service_handler(path = "^/hold$", method = "request")]
async fn hold(note: Json<Note>) -> Json<Note> {
    HELD.fetch_add(1, Relaxed);
    tokio::time::sleep(LONG_TIMEOUT).await;
    note
}

#[service_handler(path = "^/held$", method = "request")]
async fn held() -> Json<usize> {
    Json(HELD.load(Relaxed))
}

const SERVICE: Routes<()> = routes![..ROUTES, nap, back, back_bytes, hold, held];

impl Role {
    /// Runs the role, and waits until the parent exits or closes standard input.
    ///
    /// # Errors
    ///
    /// Returns an error if the role fails.
    pub(crate) async fn run(self) -> Result {
        match self {
            Role::Serve {
                address,
                concurrency,
                max_connections,
                body_limit,
            } => {
                let service = Service::bind(address, PASSPHRASE)
                    .concurrency(concurrency)
                    .max_connections(max_connections)
                    .body_limit(body_limit);
                let running: Running = App::new(SERVICE, ()).start(service).await?;
                child::send(&Ready {
                    address: running.address().to_owned(),
                    pids: Vec::new(),
                })?;
                child::wait_for_end().await;
                Ok(())
            }
            Role::Drive {
                target,
                in_flight,
                seconds,
                addresses,
            } => drive(target, in_flight, seconds, &addresses).await,
            Role::Send {
                address,
                size,
                seconds,
                bytes: true,
            } => send_bytes(&address, size, seconds).await,
            Role::Send {
                address,
                size,
                seconds,
                bytes: false,
            } => send(&address, size, seconds).await,
            Role::Hold { address, clients } => keep(&address, clients).await,
            Role::Pend { address, calls } => pend(&address, calls).await,
        }
    }
}

/// A client of the handler that sleeps.
#[derive(Clone)]
struct NapClient(Client);

impl Echo for NapClient {
    async fn echo(&self, note: Note) -> Result<Note> {
        let response = self.0.request("/nap").body(&note).await?;
        Ok(serde_json::from_value(response.body)?)
    }
}

async fn drive(target: Target, in_flight: usize, seconds: f64, addresses: &[String]) -> Result {
    let (first, more) = addresses.split_first().ok_or("no address")?;
    let service = more
        .iter()
        .fold(ServiceAddress::new(first, PASSPHRASE), ServiceAddress::and);
    let client = Client::connect(&service)?;
    let load = Load {
        work: Work::Note(Note::of_size(100)),
        in_flight,
        window: Duration::from_secs_f64(seconds),
    };
    let results = match target {
        Target::Echo => load.drive(EchoClient::new(client)).await?,
        Target::Nap => load.drive(NapClient(client)).await?,
    };
    child::send(&results)?;
    child::wait_for_end().await;
    Ok(())
}

/// Returns a JSON value of `size` bytes, but at least 1: a digit for one byte, otherwise a text.
fn body(size: usize) -> Value {
    match size {
        0 | 1 => 7.into(),
        size => "x".repeat(size - 2).into(),
    }
}

async fn send(address: &str, size: usize, seconds: f64) -> Result {
    let window = Duration::from_secs_f64(seconds);
    let service = ServiceAddress::new(address, PASSPHRASE).body_limit(size.max(8 << 20));
    let client = Client::connect(&service)?;
    let body = body(size);
    let once = async || {
        let response = client.request("/back").body(&body).timeout(LONG_TIMEOUT).await?;
        if response.body == body {
            Result::<()>::Ok(())
        } else {
            Err("the response differs from the request".into())
        }
    };
    measure_round_trips(once, window).await
}

async fn send_bytes(address: &str, size: usize, seconds: f64) -> Result {
    let window = Duration::from_secs_f64(seconds);
    let service =
        ServiceAddress::new(address, PASSPHRASE).body_limit(size.saturating_add(1 << 10).max(8 << 20));
    let blobs = BlobsClient::new(Client::connect(&service)?);
    let data = Bytes::from(vec![b'x'; size]);
    let once = async || {
        let response = blobs.back_bytes(data.clone()).timeout(LONG_TIMEOUT).await?;
        if response == data {
            Result::<()>::Ok(())
        } else {
            Err("the response differs from the request".into())
        }
    };
    measure_round_trips(once, window).await
}

/// Sends the median of the seconds that a round trip takes to the parent.
async fn measure_round_trips(once: impl AsyncFn() -> Result, window: Duration) -> Result {
    once().await?;
    wait_for_measurement().await?;
    let (began, mut times) = (Instant::now(), Vec::new());
    while times.is_empty() || began.elapsed() < window {
        let asked = Instant::now();
        once().await?;
        times.push(asked.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    child::send(&median)?;
    child::wait_for_end().await;
    Ok(())
}

async fn keep(address: &str, clients: usize) -> Result {
    let connected = stream::iter(0..clients)
        .map(async |_| {
            let client = Client::connect(&ServiceAddress::new(address, PASSPHRASE))?;
            client.request("/held").timeout(LONG_TIMEOUT).await?;
            Ok::<_, Error>(client)
        })
        .buffer_unordered(CONNECTING);
    let clients: Vec<Client> = connected.try_collect().await?;
    child::send(&clients.len())?;
    child::wait_for_end().await;
    Ok(())
}

async fn pend(address: &str, calls: usize) -> Result {
    let service = ServiceAddress::new(address, PASSPHRASE).concurrency(calls + 1);
    let client = Client::connect(&service)?;
    let note = Note::of_size(100);
    client.request("/back").body(&note).await?;
    wait_for_measurement().await?;
    let mut waiting = JoinSet::new();
    for _ in 0..calls {
        let call = client.request("/hold").body(&note).timeout(LONG_TIMEOUT);
        waiting.spawn(async move { call.await.map(drop) });
    }
    while client.request("/held").timeout(LONG_TIMEOUT).await?.body != calls {
        if let Some(ended) = waiting.try_join_next() {
            return Err(format!("a call ended early: {ended:?}").into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    child::send(&waiting.len())?;
    child::wait_for_end().await;
    Ok(())
}
