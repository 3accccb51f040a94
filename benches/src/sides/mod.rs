//! The sides that are compared, a file for each: how it serves the echo, and how it calls it.

mod axum;
pub mod brubeck;
mod nats;
mod raw;
pub mod tarpc;
mod tonic;

use crate::Result;
use crate::load::{Load, Seen};
use futures_util::future::BoxFuture;
use std::any::Any;

/// What the two processes of a side talk over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// The loopback interface.
    Tcp,
    /// A socket file.
    Ipc,
}

impl Transport {
    /// `tcp` or `ipc`.
    pub fn name(self) -> &'static str {
        match self {
            Transport::Tcp => "tcp",
            Transport::Ipc => "ipc",
        }
    }
}

/// The tokio runtime that a side runs best on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavor {
    /// Everything on one thread.
    CurrentThread,
    /// Two worker threads: what `#[tokio::main]` gives on two cores.
    MultiThread,
}

/// A server that can be called, until this is dropped.
pub struct Serving {
    /// Where it is.
    pub address: String,
    /// Processes it started.
    pub pids: Vec<u32>,
    /// What keeps it up.
    pub alive: Box<dyn Any + Send>,
}

/// One way to make calls.
pub trait Side: Sync {
    /// As it is asked for, and as tables call it.
    fn name(&self) -> &'static str;

    /// What it is, in a few words.
    fn what(&self) -> &'static str;

    /// What it runs over.
    fn transports(&self) -> &'static [Transport] {
        &[Transport::Tcp]
    }

    /// The runtime of both its processes.
    fn flavor(&self) -> Flavor {
        Flavor::MultiThread
    }

    /// Serves at `tcp://127.0.0.1:0` or `ipc://path`.
    fn serve(&self, address: String) -> BoxFuture<'static, Result<Serving>>;

    /// Calls what serves there.
    fn drive(&self, address: String, load: Load) -> BoxFuture<'static, Result<Seen>>;
}

/// Every side; the first is what the others are measured by.
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

/// The side of this name.
///
/// # Errors
///
/// There is none.
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
        .ok_or_else(|| format!("there is no side `{name}`: there are {}", known()).into())
}

impl Flavor {
    /// As one asks for it.
    pub fn name(self) -> &'static str {
        match self {
            Flavor::CurrentThread => "`current_thread`",
            Flavor::MultiThread => "`multi_thread`, 2 workers",
        }
    }

    /// The runtime.
    ///
    /// # Errors
    ///
    /// The system is out of threads.
    pub fn build(self) -> Result<tokio::runtime::Runtime> {
        let mut builder = match self {
            Flavor::CurrentThread => tokio::runtime::Builder::new_current_thread(),
            Flavor::MultiThread => tokio::runtime::Builder::new_multi_thread(),
        };
        Ok(builder.worker_threads(2).enable_all().build()?)
    }
}
