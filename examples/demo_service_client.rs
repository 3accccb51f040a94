//! A Brubeck service client: pages that call the slow service of `demo_service`, synchronously and asynchronously.

use brubeck::prelude::*;
use brubeck::{Dialect, ServiceAddress};

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

/// A page with links to the others.
#[get("^/")]
async fn demo() -> Page<Index> {
    Page(Index)
}

#[get("^/service/async")]
async fn call_service_async(services: Services, slow: State<Slow>) -> Result<Page<Success>, Problem> {
    // Registering a service again has no effect.
    let service = services.connect(&slow.service())?;
    let request = service.request(SERVICE_PATH).argument("RETURN_DATA", ASYNC);
    request.nowait();
    // The page does not wait for the service.
    let name = "Async is faster, but ... nothing to report on my trip.".into();
    Ok(Page(Success { name }))
}

#[get("^/service/sync")]
async fn call_service_sync(services: Services, slow: State<Slow>) -> Result<Page<Success>, Problem> {
    // Registering a service again has no effect.
    let service = services.connect(&slow.service())?;
    let request = service.request(SERVICE_PATH).argument("RETURN_DATA", SYNC);
    let (response, handler_response) = request.handled().await?;
    tracing::debug!("received the response: {response:?}, {handler_response:?}");
    // The page shows the response of the service.
    let story = response.body["RETURN_DATA"].as_str().unwrap_or_default();
    Ok(Page(Success { name: story.into() }))
}

/// Handles the responses of the service.
#[response_handler("^/service/slow")]
async fn service_response(reply: ServiceResponse) -> Status {
    let success = reply.status.is_success();
    tracing::debug!(success, status = %reply.status, "the slow service responded");
    reply.status
}

/// The routes of the application.
const ROUTES: Routes<Slow> = routes![service_response, call_service_sync, call_service_async, demo];

/// Creates the application, with the address of the slow service as its state.
pub(crate) fn app(slow: Slow) -> App<Slow> {
    App::new(ROUTES, slow)
}

#[tokio::main]
async fn main() -> brubeck::Result {
    let arguments = command_line();
    match arguments.mongrel2.as_slice() {
        [send, recv] => app(arguments.slow).serve(Mongrel2::new(send, recv)).await,
        _ => app(arguments.slow).serve(Http::bind(arguments.http)).await,
    }
}

// ---- the command line -------------------------------------------------------------------------

use clap::Parser;
use std::io::IsTerminal;

fn command_line() -> Arguments {
    log();
    Arguments::parse()
}

/// Logs one line per call, and the messages of the demo, to standard error.
fn log() {
    tracing_subscriber::fmt()
        .compact()
        .with_env_filter("info,demo=debug")
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
}

/// The address and secret of the slow service.
#[derive(Clone, clap::Args)]
pub(crate) struct Slow {
    /// The address of the service
    #[arg(long, default_value = "ipc://run/slow")]
    pub(crate) addr: String,
    /// The secret of the service
    #[arg(long, default_value = "my_shared_secret")]
    pub(crate) secret: String,
    /// The dialect of a service of the Python original: seed, branch, pypi or pypi01x
    #[arg(long, value_parser = dialect)]
    pub(crate) dialect: Option<Dialect>,
    /// The address at which responses arrive, in the dialects pypi and pypi01x
    #[arg(long, requires = "dialect")]
    pub(crate) responses: Option<String>,
}

/// Parses the name of a dialect.
fn dialect(name: &str) -> Result<Dialect, String> {
    let dialects = [Dialect::Seed, Dialect::Branch, Dialect::Pypi, Dialect::Pypi01x];
    dialects
        .into_iter()
        .find(|dialect| dialect.to_string() == name)
        .ok_or_else(|| "the dialects are seed, branch, pypi and pypi01x".to_owned())
}

impl Slow {
    /// Returns the address of the service, which is called in brubeck's protocol unless a dialect is set.
    fn service(&self) -> ServiceAddress {
        let mut service = ServiceAddress::new(&self.addr, &self.secret);
        if let Some(dialect) = self.dialect {
            service = service.dialect(dialect);
        }
        if let Some(responses) = &self.responses {
            service = service.responses_at(responses);
        }
        service
    }
}

/// Pages that call the slow service of `demo_service`.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    slow: Slow,
    /// Serve requests of a Mongrel2 with this send_spec and recv_spec
    #[arg(long, num_args = 2, value_names = ["SEND", "RECV"], conflicts_with = "http")]
    mongrel2: Vec<String>,
    /// Serve browsers at this address
    #[arg(long, default_value = "127.0.0.1:6767", value_name = "ADDR")]
    http: String,
}
