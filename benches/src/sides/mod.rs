//! The sides that are compared, in a file each: a server of the echo, and its client.

mod axum;
pub mod brubeck;
mod nats;
mod raw;
pub mod tarpc;
mod tonic;

use crate::Result;
use crate::load::{Load, LoadResults};
use crate::work::Kind;
use futures_util::future::BoxFuture;
use std::any::Any;

/// The transport between the two processes of a side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// The loopback interface.
    Tcp,
    /// A Unix socket.
    Ipc,
}

impl Transport {
    /// Returns `tcp` or `ipc`.
    pub fn name(self) -> &'static str {
        match self {
            Transport::Tcp => "tcp",
            Transport::Ipc => "ipc",
        }
    }
}

/// The flavor of the tokio runtime of a side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavor {
    /// Everything on one thread.
    CurrentThread,
    /// Two worker threads, as with `#[tokio::main]` on two cores.
    MultiThread,
}

/// A running server. It is stopped when dropped.
pub struct RunningServer {
    /// Its address.
    pub address: String,
    /// The processes that it started.
    pub pids: Vec<u32>,
    /// Keeps the server running.
    pub alive: Box<dyn Any + Send>,
}

/// A crate, protocol or configuration that is measured.
pub trait Side: Sync {
    /// The name in options and tables.
    fn name(&self) -> &'static str;

    /// A short description.
    fn description(&self) -> &'static str;

    /// The supported transports.
    fn transports(&self) -> &'static [Transport] {
        &[Transport::Tcp]
    }

    /// The kinds of arguments that it can carry, up to this number of bytes.
    fn kinds(&self) -> &'static [(Kind, usize)] {
        &[(Kind::Json, usize::MAX)]
    }

    /// The runtime of both its processes.
    fn flavor(&self) -> Flavor {
        Flavor::MultiThread
    }

    /// Serves at `tcp://127.0.0.1:0` or `ipc://path`.
    fn serve(&self, address: String) -> BoxFuture<'static, Result<RunningServer>>;

    /// Runs the load against the server at `address`.
    fn drive(&self, address: String, load: Load) -> BoxFuture<'static, Result<LoadResults>>;
}

/// Every side. The first is the lower bound, to which the others are compared.
pub const SIDES: &[&dyn Side] = &[
    &raw::Raw,
    &brubeck::Brubeck::V2,
    &brubeck::Brubeck::ONE_THREAD,
    &brubeck::Brubeck::BRANCH,
    &tarpc::Tarpc::Json,
    &tarpc::Tarpc::Bincode,
    &tonic::Tonic,
    &nats::Nats,
    &axum::Axum,
];

/// Finds a side by its name.
///
/// # Errors
///
/// Returns an error if the name is unknown.
pub fn named(name: &str) -> Result<&'static dyn Side> {
    let known = || {
        SIDES
            .iter()
            .map(|side| side.name())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let found = SIDES.iter().find(|side| side.name() == name);
    found
        .copied()
        .ok_or_else(|| format!("unknown side `{name}`; use one of {}", known()).into())
}

impl Flavor {
    /// Returns the flavor as in `#[tokio::main]`, as Markdown.
    pub fn name(self) -> &'static str {
        match self {
            Flavor::CurrentThread => "`current_thread`",
            Flavor::MultiThread => "`multi_thread`, 2 workers",
        }
    }

    /// Builds the runtime.
    ///
    /// # Errors
    ///
    /// Returns an error if the system cannot start the threads.
    pub fn build(self) -> Result<tokio::runtime::Runtime> {
        let mut builder = match self {
            Flavor::CurrentThread => tokio::runtime::Builder::new_current_thread(),
            Flavor::MultiThread => tokio::runtime::Builder::new_multi_thread(),
        };
        Ok(builder.worker_threads(2).enable_all().build()?)
    }
}
