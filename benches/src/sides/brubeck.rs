//! brubeck as in the README: a contract, a handler and a client with defaults.

use super::{Flavor, RunningServer, Side, Transport};
use crate::Result;
use crate::load::{self, Load, LoadResults};
use crate::work::{Kind, Note, Numbers, Picture};
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
    /// Returns the bytes.
    #[call("/bytes")]
    async fn bytes(&self, data: Bytes) -> Result<Bytes, Problem>;
    /// Returns the picture.
    #[call("/picture")]
    async fn picture(&self, picture: Picture) -> Result<Picture, Problem>;
    /// Returns the numbers.
    #[call("/numbers")]
    async fn numbers(&self, numbers: Numbers) -> Result<Numbers, Problem>;
}

#[service_handler(echo::echo)]
async fn echo_handler(Args(ask): Args<echo::echo>) -> Result<Note, Problem> {
    Ok(ask.note)
}

#[service_handler(echo::bytes)]
async fn bytes_handler(Args(ask): Args<echo::bytes>) -> Result<Bytes, Problem> {
    Ok(ask.data)
}

#[service_handler(echo::picture)]
async fn picture_handler(Args(ask): Args<echo::picture>) -> Result<Picture, Problem> {
    Ok(ask.picture)
}

#[service_handler(echo::numbers)]
async fn numbers_handler(Args(ask): Args<echo::numbers>) -> Result<Numbers, Problem> {
    Ok(ask.numbers)
}

/// The routes of the service.
pub const ROUTES: Routes<()> = routes![echo_handler, bytes_handler, picture_handler, numbers_handler];

/// Room for 5 MB as numbers.
const BODY_LIMIT: usize = 64 << 20;

impl load::Echo for EchoClient {
    async fn echo(&self, note: Note) -> Result<Note> {
        Ok(EchoClient::echo(self, note).await?)
    }

    async fn echo_bytes(&self, data: Bytes) -> Result<Bytes> {
        Ok(self.bytes(data).await?)
    }

    async fn echo_picture(&self, picture: Picture) -> Result<Picture> {
        Ok(self.picture(picture).await?)
    }

    async fn echo_numbers(&self, numbers: Numbers) -> Result<Numbers> {
        Ok(self.numbers(numbers).await?)
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

    fn kinds(&self) -> &'static [(Kind, usize)] {
        match self.dialect {
            Some(_) => &[(Kind::Json, usize::MAX)],
            None => &[
                (Kind::Json, usize::MAX),
                (Kind::Bytes, usize::MAX),
                (Kind::Nested, usize::MAX),
                (Kind::Array, usize::MAX),
            ],
        }
    }

    fn flavor(&self) -> Flavor {
        self.flavor
    }

    fn serve(&self, address: String) -> BoxFuture<'static, Result<RunningServer>> {
        Box::pin(async move {
            let running = App::new(ROUTES, ())
                .start(
                    Service::bind(address, PASSPHRASE)
                        .dialects(PASSPHRASE)
                        .body_limit(BODY_LIMIT),
                )
                .await?;
            Ok(RunningServer {
                address: running.address().to_owned(),
                pids: Vec::new(),
                alive: Box::new(running),
            })
        })
    }

    fn drive(&self, address: String, load: Load) -> BoxFuture<'static, Result<LoadResults>> {
        let service = ServiceAddress::new(address, PASSPHRASE).body_limit(BODY_LIMIT);
        let service = match self.dialect {
            Some(dialect) => service.dialect(dialect),
            None => service,
        };
        Box::pin(async move { load.drive(EchoClient::new(Client::connect(&service)?)).await })
    }
}
