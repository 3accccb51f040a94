//! A running application, and how it ends.

use crate::error::{Error, Result};
use crate::handler::{Application, Connection, Stop};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A running application.
///
/// ```no_run
/// # use brubeck::prelude::*;
/// # async fn example(routes: Routes<()>) -> brubeck::Result {
/// let running = App::new(routes, ()).start(Http::bind("127.0.0.1:0")).await?;
/// println!("at {}", running.address());
/// running.stop().await
/// # }
/// ```
///
/// Dropping it stops the application at once; [`stop`](Running::stop) finishes what was accepted.
#[must_use = "dropping it stops the application"]
pub struct Running {
    addresses: Vec<String>,
    connections: JoinSet<()>,
    stop: watch::Sender<bool>,
    drain: Duration,
}

impl Running {
    pub(super) async fn open(
        application: Arc<dyn Application>,
        connections: Vec<Box<dyn Connection>>,
        drain: Duration,
    ) -> Result<Running> {
        let mut opened = Vec::with_capacity(connections.len());
        for connection in connections {
            opened.push(connection.open(application.clone()).await?);
        }
        let (stop, told) = Stop::new();
        let mut running = Running {
            addresses: Vec::new(),
            connections: JoinSet::new(),
            stop,
            drain,
        };
        for connection in opened {
            tracing::info!("serving at {}", connection.address);
            running.addresses.push(connection.address);
            running.connections.spawn((connection.serve)(told.clone()));
        }
        Ok(running)
    }

    /// Where the first connection listens: `http://127.0.0.1:6767`.
    pub fn address(&self) -> &str {
        self.addresses.first().map_or("", String::as_str)
    }

    /// Where all connections listen, in the order they were given.
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// What tells this application to stop, from wherever it is needed.
    ///
    /// ```no_run
    /// # use brubeck::prelude::*;
    /// # async fn example(routes: Routes<()>) -> brubeck::Result {
    /// let running = App::new(routes, ()).start(Http::bind("127.0.0.1:0")).await?;
    /// let handle = running.handle();
    /// std::thread::spawn(move || handle.drain());
    /// running.until_signal().await
    /// # }
    /// ```
    pub fn handle(&self) -> Handle {
        Handle(self.stop.clone())
    }

    /// Takes no more messages, finishes what was accepted, and ends.
    ///
    /// # Errors
    ///
    /// What was accepted took longer than the drain limit and was given up.
    pub async fn stop(mut self) -> Result {
        self.stop.send_replace(true);
        let finished = tokio::time::timeout(self.drain, async {
            while self.connections.join_next().await.is_some() {}
        });
        match finished.await {
            Ok(()) => Ok(()),
            Err(_) => Err(Error::new(format!(
                "what was accepted took longer than {:?} and was given up",
                self.drain
            ))),
        }
    }

    /// Serves until SIGINT or SIGTERM, until [`Handle::drain`], or until every connection has ended by itself, then stops.
    ///
    /// # Errors
    ///
    /// As [`stop`](Running::stop).
    pub async fn until_signal(mut self) -> Result {
        let mut told = self.stop.subscribe();
        let ended = async { while self.connections.join_next().await.is_some() {} };
        tokio::select! {
            signal = signal() => tracing::info!("{signal}: finishing what was accepted"),
            _ = told.wait_for(|stop| *stop) => tracing::info!("told to stop: finishing what was accepted"),
            () = ended => tracing::info!("every connection has ended"),
        }
        self.stop().await
    }
}

/// Tells a running application to stop; cloning is cheap.
#[derive(Clone, Debug)]
pub struct Handle(watch::Sender<bool>);

impl Handle {
    /// Takes no more messages: browsers are told to come again, callers of a service to ask another process. What was
    /// accepted is finished, and [`until_signal`](Running::until_signal) and [`App::serve`](crate::App::serve) return.
    pub fn drain(&self) {
        self.0.send_replace(true);
    }
}

#[cfg(unix)]
async fn signal() -> &'static str {
    use tokio::signal::unix::{SignalKind, signal};
    // Without a SIGTERM handler the default action of that signal ends the process, which is all it asks.
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return interrupt().await;
    };
    tokio::select! {
        name = interrupt() => name,
        _ = terminate.recv() => "SIGTERM",
    }
}

#[cfg(not(unix))]
async fn signal() -> &'static str {
    interrupt().await
}

async fn interrupt() -> &'static str {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
    "SIGINT"
}
