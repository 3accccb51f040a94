//! What the child processes do.

use brubeck::{Running, ServiceAddress, prelude::*};
use brubeck_benches::child::{self, Ready};
use brubeck_benches::load::{Echo, Load, ready};
use brubeck_benches::sides::brubeck::{EchoClient, PASSPHRASE, ROUTES};
use brubeck_benches::work::Note;
use brubeck_benches::{Error, Result};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::Value;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How long the handler takes that only waits.
pub(crate) const NAP: Duration = Duration::from_millis(10);

/// Longer than any measurement.
const LONG: Duration = Duration::from_secs(600);

/// How many clients connect at a time.
const AT_A_TIME: usize = 64;

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
    /// Calls all of these addresses
    #[command(hide = true)]
    Drive {
        #[arg(value_enum)]
        what: What,
        in_flight: usize,
        seconds: f64,
        addresses: Vec<String>,
    },
    /// Sends bodies of this size there and back, one at a time
    #[command(hide = true)]
    Send {
        address: String,
        size: usize,
        seconds: f64,
    },
    /// Connects so many clients, and leaves them idle
    #[command(hide = true)]
    Hold { address: String, clients: usize },
    /// Makes so many calls that are not answered
    #[command(hide = true)]
    Pend { address: String, calls: usize },
}

/// What is called.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum What {
    /// The echo, which is all work.
    Echo,
    /// The handler that only waits.
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

static HELD: AtomicUsize = AtomicUsize::new(0);

#[service_handler(path = "^/hold$", method = "request")]
async fn hold(note: Json<Note>) -> Json<Note> {
    HELD.fetch_add(1, Relaxed);
    tokio::time::sleep(LONG).await;
    note
}

#[service_handler(path = "^/held$", method = "request")]
async fn held() -> Json<usize> {
    Json(HELD.load(Relaxed))
}

const SERVICE: Routes<()> = routes![..ROUTES, nap, back, hold, held];

impl Role {
    /// Does it.
    pub(crate) async fn play(self) -> Result {
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
                child::say(&Ready {
                    address: running.address().to_owned(),
                    pids: Vec::new(),
                })?;
                child::until_left_alone().await;
                Ok(())
            }
            Role::Drive {
                what,
                in_flight,
                seconds,
                addresses,
            } => drive(what, in_flight, seconds, &addresses).await,
            Role::Send {
                address,
                size,
                seconds,
            } => send(&address, size, seconds).await,
            Role::Hold { address, clients } => keep(&address, clients).await,
            Role::Pend { address, calls } => pend(&address, calls).await,
        }
    }
}

/// One that calls the handler that only waits.
#[derive(Clone)]
struct Napper(Client);

impl Echo for Napper {
    async fn echo(&self, note: Note) -> Result<Note> {
        let answer = self.0.request("/nap").body(&note).await?;
        Ok(serde_json::from_value(answer.body)?)
    }
}

async fn drive(what: What, in_flight: usize, seconds: f64, addresses: &[String]) -> Result {
    let (first, more) = addresses.split_first().ok_or("no address")?;
    let service = more
        .iter()
        .fold(ServiceAddress::new(first, PASSPHRASE), ServiceAddress::and);
    let client = Client::connect(&service)?;
    let load = Load {
        note: Note::of_size(100),
        in_flight,
        window: Duration::from_secs_f64(seconds),
    };
    let seen = match what {
        What::Echo => load.drive(EchoClient::new(client)).await?,
        What::Nap => load.drive(Napper(client)).await?,
    };
    child::say(&seen)?;
    child::until_left_alone().await;
    Ok(())
}

/// A digit, or as much text.
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
        let answer = client.request("/back").body(&body).timeout(LONG).await?;
        match answer.body == body {
            true => Result::<(), Error>::Ok(()),
            false => Err("the answer is not what was asked".into()),
        }
    };
    once().await?;
    ready().await?;
    let (began, mut times) = (Instant::now(), Vec::new());
    while times.is_empty() || began.elapsed() < window {
        let asked = Instant::now();
        once().await?;
        times.push(asked.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    child::say(&median)?;
    child::until_left_alone().await;
    Ok(())
}

async fn keep(address: &str, clients: usize) -> Result {
    let connected = stream::iter(0..clients)
        .map(async |_| {
            let client = Client::connect(&ServiceAddress::new(address, PASSPHRASE))?;
            client.request("/held").timeout(LONG).await?;
            Ok::<_, Error>(client)
        })
        .buffer_unordered(AT_A_TIME);
    let clients: Vec<Client> = connected.try_collect().await?;
    child::say(&clients.len())?;
    child::until_left_alone().await;
    Ok(())
}

async fn pend(address: &str, calls: usize) -> Result {
    let service = ServiceAddress::new(address, PASSPHRASE).concurrency(calls + 1);
    let client = Client::connect(&service)?;
    let note = Note::of_size(100);
    client.request("/back").body(&note).await?;
    ready().await?;
    let mut waiting = JoinSet::new();
    for _ in 0..calls {
        let call = client.request("/hold").body(&note).timeout(LONG);
        waiting.spawn(async move { call.await.map(drop) });
    }
    while client.request("/held").timeout(LONG).await?.body != calls {
        if let Some(ended) = waiting.try_join_next() {
            return Err(format!("a call ended early: {ended:?}").into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    child::say(&waiting.len())?;
    child::until_left_alone().await;
    Ok(())
}
