//! A Brubeck service client: pages that call the slow service of `demo_service`, in two ways.

use brubeck::prelude::*;

// some static data for testing
const SERVICE_PATH: &str = "/service/slow";
const SYNC: &str = "I made a round trip, it took a while and I have a great story.";
const ASYNC: &str = "I made a round trip, it took so long and everyone is gone now.";

#[derive(Template)]
#[template("demo/index.html")]
struct Index;

#[derive(Template)]
#[template("demo/success.html")]
struct Success {
    name: String,
}

/// Just a page with some links.
#[get("^/")]
async fn demo() -> Page<Index> {
    Page(Index)
}

#[get("^/service/async")]
async fn call_service_async(services: Services, slow: State<Slow>) -> Result<Page<Success>, Fault> {
    // register our service, if it exists nothing happens
    let service = services.register(&slow.addr, &slow.passphrase)?;
    let request = service.request(SERVICE_PATH).argument("RETURN_DATA", ASYNC);
    request.nowait();
    // now return to the client whatever you want
    let name = "Async is faster, but ... nothing to report on my trip.".into();
    Ok(Page(Success { name }))
}

#[get("^/service/sync")]
async fn call_service_sync(services: Services, slow: State<Slow>) -> Result<Page<Success>, Fault> {
    // register our service, if it exists nothing happens
    let service = services.register(&slow.addr, &slow.passphrase)?;
    let request = service.request(SERVICE_PATH).argument("RETURN_DATA", SYNC);
    let (response, handler_response) = request.handled().await?;
    tracing::debug!("Took a while, but lots to say now: {response:?}, {handler_response:?}");
    // now return to the client what you got back
    let story = response.body["RETURN_DATA"].as_str().unwrap_or_default();
    Ok(Page(Success { name: story.into() }))
}

/// Handles the response from our service.
#[response_handler("^/service/slow")]
async fn service_response(reply: ServiceResponse) -> Status {
    let success = reply.status.is_success();
    tracing::debug!(success, "The slow service is back: {}", reply.status);
    reply.status
}

/// Set up our routes.
const ROUTES: Routes<Slow> = routes![service_response, call_service_sync, call_service_async, demo];

/// The application, which knows where the slow service is.
pub(crate) fn app(slow: Slow) -> App<Slow> {
    App::new(ROUTES, slow)
}

/// Get us started!
#[tokio::main]
async fn main() -> brubeck::Result {
    let at = command_line();
    match at.mongrel2.as_slice() {
        [send, recv] => app(at.slow).serve(Mongrel2::new(send, recv)).await,
        _ => app(at.slow).serve(Http::bind(at.http)).await,
    }
}

// ---- the command line -------------------------------------------------------------------------

use clap::Parser;
use std::io::IsTerminal;

fn command_line() -> Arguments {
    log();
    Arguments::parse()
}

/// One line per call on standard error, and what the demo programs say themselves.
fn log() {
    tracing_subscriber::fmt()
        .compact()
        .with_env_filter("info,demo=debug")
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
}

/// Where the slow service is.
#[derive(Clone, clap::Args)]
pub(crate) struct Slow {
    /// The address of the service
    #[arg(long, default_value = "ipc://run/slow")]
    pub(crate) addr: String,
    /// What the service wants its callers to know
    #[arg(long, default_value = "my_shared_secret")]
    pub(crate) passphrase: String,
}

/// Pages that call the slow service of `demo_service`.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    slow: Slow,
    /// Answer requests of a Mongrel2 with this send_spec and recv_spec
    #[arg(long, num_args = 2, value_names = ["SEND", "RECV"], conflicts_with = "http")]
    mongrel2: Vec<String>,
    /// Answer browsers at this address
    #[arg(long, default_value = "127.0.0.1:6767", value_name = "ADDR")]
    http: String,
}
