//! brubeck as a user writes it: a contract, a handler, a client, and defaults.

use super::{Flavor, Serving, Side, Transport};
use crate::Result;
use crate::load::{self, Load, Seen};
use crate::work::Note;
use ::brubeck::{Dialect, ServiceAddress, prelude::*};
use futures_util::future::BoxFuture;

/// What both sides know.
pub const PASSPHRASE: &str = "my_shared_secret";

/// What both sides agree on.
#[service_client]
pub trait Echo {
    /// Says it back.
    #[call("/echo")]
    async fn echo(&self, note: Note) -> Result<Note, Fault>;
}

#[service_handler(echo::echo)]
async fn answer(Args(ask): Args<echo::echo>) -> Result<Note, Fault> {
    Ok(ask.note)
}

/// What the service answers.
pub const ROUTES: Routes<()> = routes![answer];

impl load::Echo for EchoClient {
    async fn echo(&self, note: Note) -> Result<Note> {
        Ok(EchoClient::echo(self, note).await?.body)
    }
}

/// A wire, and how many threads the handlers have.
pub struct Brubeck {
    name: &'static str,
    what: &'static str,
    dialect: Option<Dialect>,
    flavor: Flavor,
}

impl Brubeck {
    /// As it comes.
    pub const V2: Brubeck = Brubeck {
        name: "brubeck",
        what: "a contract, its client and its handler as the README writes them, in brubeck's protocol, authenticated, on all defaults",
        dialect: None,
        flavor: Flavor::MultiThread,
    };

    /// The same in a program of `#[tokio::main(flavor = "current_thread")]`.
    pub const ONE_THREAD: Brubeck = Brubeck {
        name: "brubeck-one",
        what: "the same program under `#[tokio::main(flavor = \"current_thread\")]`",
        dialect: None,
        flavor: Flavor::CurrentThread,
    };

    /// The wire of the Python original.
    pub const BRANCH: Brubeck = Brubeck {
        name: "branch",
        what: "the same program on the wire of the Python original's branch",
        dialect: Some(Dialect::Branch),
        flavor: Flavor::MultiThread,
    };
}

impl Side for Brubeck {
    fn name(&self) -> &'static str {
        self.name
    }

    fn what(&self) -> &'static str {
        self.what
    }

    fn transports(&self) -> &'static [Transport] {
        &[Transport::Tcp, Transport::Ipc]
    }

    fn flavor(&self) -> Flavor {
        self.flavor
    }

    fn serve(&self, address: String) -> BoxFuture<'static, Result<Serving>> {
        Box::pin(async move {
            let running = App::new(ROUTES, ())
                .start(Service::bind(address, PASSPHRASE))
                .await?;
            Ok(Serving {
                address: running.address().to_owned(),
                pids: Vec::new(),
                alive: Box::new(running),
            })
        })
    }

    fn drive(&self, address: String, load: Load) -> BoxFuture<'static, Result<Seen>> {
        let service = ServiceAddress::new(address, PASSPHRASE);
        let service = match self.dialect {
            Some(dialect) => service.dialect(dialect),
            None => service,
        };
        Box::pin(async move { load.drive(EchoClient::new(Client::connect(&service)?)).await })
    }
}
