//! brubeck as in the README: a contract, a handler and a client with defaults.

use super::{Flavor, RunningServer, Side, Transport};
use crate::Result;
use crate::load::{self, Load, LoadResults};
use crate::work::Note;
use ::brubeck::{Dialect, Service, ServiceAddress, prelude::*};
use futures_util::future::BoxFuture;

/// The passphrase of the service.
pub const PASSPHRASE: &str = "my_shared_secret";

/// The contract of the service.
#[service_client]
pub trait Echo {
    /// Returns the note.
    #[call("/echo")]
    async fn echo(&self, note: Note) -> Result<Note, Problem>;
}

#[service_handler(echo::echo)]
async fn echo_handler(Args(ask): Args<echo::echo>) -> Result<Note, Problem> {
    Ok(ask.note)
}

/// The routes of the service.
pub const ROUTES: Routes<()> = routes![echo_handler];

impl load::Echo for EchoClient {
    async fn echo(&self, note: Note) -> Result<Note> {
        Ok(EchoClient::echo(self, note).await?)
    }
}

/// A protocol and a runtime flavor.
pub struct Brubeck {
    name: &'static str,
    description: &'static str,
    dialect: Option<Dialect>,
    flavor: Flavor,
}

impl Brubeck {
    /// All defaults.
    pub const V2: Brubeck = Brubeck {
        name: "brubeck",
        description: "a contract, its client and its handler as in the README, with brubeck's protocol, authenticated, all defaults",
        dialect: None,
        flavor: Flavor::MultiThread,
    };

    /// The same program under `#[tokio::main(flavor = "current_thread")]`.
    pub const ONE_THREAD: Brubeck = Brubeck {
        name: "brubeck-one",
        description: "the same program under `#[tokio::main(flavor = \"current_thread\")]`",
        dialect: None,
        flavor: Flavor::CurrentThread,
    };

    /// The same program in a dialect of the Python original.
    pub const BRANCH: Brubeck = Brubeck {
        name: "branch",
        description: "the same program in the dialect of the Python original's branch",
        dialect: Some(Dialect::Branch),
        flavor: Flavor::MultiThread,
    };
}

impl Side for Brubeck {
    fn name(&self) -> &'static str {
        self.name
    }

    fn description(&self) -> &'static str {
        self.description
    }

    fn transports(&self) -> &'static [Transport] {
        &[Transport::Tcp, Transport::Ipc]
    }

    fn flavor(&self) -> Flavor {
        self.flavor
    }

    fn serve(&self, address: String) -> BoxFuture<'static, Result<RunningServer>> {
        Box::pin(async move {
            let running = App::new(ROUTES, ())
                .start(Service::bind(address, PASSPHRASE).dialects(PASSPHRASE))
                .await?;
            Ok(RunningServer {
                address: running.address().to_owned(),
                pids: Vec::new(),
                alive: Box::new(running),
            })
        })
    }

    fn drive(&self, address: String, load: Load) -> BoxFuture<'static, Result<LoadResults>> {
        let service = ServiceAddress::new(address, PASSPHRASE);
        let service = match self.dialect {
            Some(dialect) => service.dialect(dialect),
            None => service,
        };
        Box::pin(async move { load.drive(EchoClient::new(Client::connect(&service)?)).await })
    }
}
