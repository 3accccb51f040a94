//! The reconnect loop of all sockets that connect.

use std::error::Error;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::{Generation, LinkState, ShutdownReason};
use crate::LinkConfig;
use crate::connection::ConnectionError;
use crate::watchdog::{sleep, timeout};

/// A connection that lasted this long counts as stable. After its loss, the backoff restarts at its minimum.
pub(crate) const STABLE_AFTER: Duration = Duration::from_secs(1);

/// The longest wait for a peer on this machine that does not listen. An attempt costs it nothing, and it is connected soon after it
/// has started.
const LOCAL_RETRY: Duration = Duration::from_millis(100);

/// An error of an attempt to connect.
pub type ConnectError = Box<dyn Error + Send + Sync>;

/// Opens the connections of a link.
pub trait Connector: Send + Sync {
    /// The type of a connection, which may consist of several sockets.
    type Connection: Send;

    /// Makes one attempt to connect.
    ///
    /// The future is dropped after [`LinkSettings::connect_timeout`], and when the link is shut down.
    fn connect(&self) -> impl Future<Output = Result<Self::Connection, ConnectError>> + Send;
}

/// Uses the connections of a link.
pub trait LinkHandler<C>: Send {
    /// Runs one connection until it is lost or the link is shut down.
    fn run_connection(
        &mut self,
        connection: C,
        generation: Generation,
    ) -> impl Future<Output = ConnectionOutcome> + Send;

    /// Handles the loss of a connection. The state of the link is [`LinkState::Connecting`] at this point.
    ///
    /// # Errors
    /// Returns the reason if the link was shut down.
    fn connection_lost(
        &mut self,
        generation: Generation,
        reason: String,
    ) -> impl Future<Output = Result<(), ShutdownReason>> + Send;

    /// Handles an attempt to connect that failed. Called once for each attempt. Does nothing by default.
    fn connect_failed(&mut self, _error: &ConnectError) {}

    /// Waits until the link is shut down while there is no connection.
    ///
    /// Returns the reason, and `true` if every accepted message has been sent or counted as dropped. The future must be
    /// cancel safe.
    fn wait_for_shutdown(&mut self) -> impl Future<Output = (ShutdownReason, bool)> + Send;
}

/// The result of running one connection.
#[derive(Debug)]
pub enum ConnectionOutcome {
    /// The connection was lost. The link reconnects.
    Lost {
        /// The reason, for the log.
        reason: String,
        /// `true` if the peer responded on the connection. The backoff then restarts at its minimum.
        responsive: bool,
    },
    /// The user closed the connection. The link reconnects. The backoff continues, because the user has a reason to do so again, such as
    /// a wrong passphrase, unless the connection was stable.
    Disconnected,
    /// The link was shut down.
    Shutdown {
        /// The reason.
        reason: ShutdownReason,
        /// `true` if every accepted message has been sent.
        flushed: bool,
    },
}

/// The settings of [`run_link`].
#[derive(Debug)]
pub struct LinkSettings {
    /// A description of the peer for the log, such as its endpoints.
    pub peer: String,
    /// Timeout of one attempt to connect, including the handshake.
    pub connect_timeout: Duration,
    /// First backoff, after a failed attempt or a lost connection. The backoff doubles each time. Minimum: 1 ms.
    pub backoff_min: Duration,
    /// Maximum backoff.
    pub backoff_max: Duration,
    /// The peer is on this machine. While nothing listens at its endpoint, attempts are at most 100 ms apart.
    pub is_local: bool,
    /// Publishes the state of the link.
    pub state: watch::Sender<LinkState>,
}

impl LinkSettings {
    /// Creates the settings of a link to `peer`, with the timeouts of `config`.
    pub fn new(peer: String, config: &LinkConfig, state: watch::Sender<LinkState>) -> Self {
        Self {
            peer,
            connect_timeout: config.connect_timeout,
            backoff_min: config.backoff_min,
            backoff_max: config.backoff_max,
            is_local: false,
            state,
        }
    }
}

/// Keeps a link connected until it is shut down.
///
/// Reconnects after each failure or loss, with exponential backoff and jitter. Numbers the connections and publishes the state.
/// Logs at most two warnings per outage: one for the loss, and one for the first attempt that fails.
pub async fn run_link<C: Connector>(
    settings: LinkSettings,
    connector: C,
    mut handler: impl LinkHandler<C::Connection>,
) {
    let (reason, flushed) = keep_connected(&settings, &connector, &mut handler).await;
    settings.state.send_replace(LinkState::Closed);
    reason.complete(flushed);
}

async fn keep_connected<C: Connector>(
    settings: &LinkSettings,
    connector: &C,
    handler: &mut impl LinkHandler<C::Connection>,
) -> (ShutdownReason, bool) {
    let LinkSettings { peer, state, .. } = settings;
    let mut backoff = Backoff::new(settings.backoff_min, settings.backoff_max);
    let mut generation = 0;
    let mut outage_logged = false;
    let mut disconnected = false;
    loop {
        let attempt = tokio::select! {
            attempt = timeout(settings.connect_timeout, connector.connect()) => attempt,
            ended = handler.wait_for_shutdown() => return ended,
        };
        let attempt = attempt.unwrap_or_else(|_| {
            let timeout = settings.connect_timeout;
            Err(format!("the connection and its handshake did not complete within {timeout:?}").into())
        });
        let wait = match attempt {
            Ok(connection) => {
                generation += 1;
                let connected_at = Instant::now();
                state.send_replace(LinkState::Up(generation));
                match (generation, outage_logged) {
                    (1, false) => tracing::debug!(peer, generation, "connected"),
                    (1, true) => tracing::info!(peer, generation, "connected"),
                    _ if disconnected => tracing::debug!(peer, generation, "reconnected"),
                    _ => tracing::info!(peer, generation, "reconnected"),
                }
                outage_logged = false;
                disconnected = false;
                let (reason, responsive) = match handler.run_connection(connection, generation).await {
                    ConnectionOutcome::Shutdown { reason, flushed } => return (reason, flushed),
                    ConnectionOutcome::Lost { reason, responsive } => {
                        tracing::warn!(peer, generation, reason, "connection lost, reconnecting");
                        (reason, responsive)
                    }
                    ConnectionOutcome::Disconnected => {
                        disconnected = true;
                        tracing::debug!(peer, generation, "connection closed by this side, reconnecting");
                        (ConnectionError::Abandoned.to_string(), false)
                    }
                };
                // Publish the state before `connection_lost` empties the send queue, because senders check the state. A message
                // of a sender that has just checked it may still be queued later; its generation ensures that it is dropped.
                state.send_replace(LinkState::Connecting);
                if let Err(reason) = handler.connection_lost(generation, reason).await {
                    return (reason, true);
                }
                if responsive || connected_at.elapsed() >= STABLE_AFTER {
                    backoff.reset();
                }
                backoff.next()
            }
            Err(error) => {
                handler.connect_failed(&error);
                let mut wait = backoff.next();
                if settings.is_local && is_absent(&*error) {
                    wait = wait.min(LOCAL_RETRY);
                }
                if outage_logged {
                    tracing::debug!(peer, %error, retry_in = ?wait, "connection failed, retrying");
                } else {
                    outage_logged = true;
                    tracing::warn!(peer, %error, retry_in = ?wait, "connection failed, retrying until it succeeds");
                }
                wait
            }
        };
        tokio::select! {
            () = sleep(wait) => {}
            ended = handler.wait_for_shutdown() => return ended,
        }
    }
}

/// Returns whether nothing listens at the endpoint.
fn is_absent(error: &(dyn Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| (*error).source()).any(|error| {
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        matches!(kind, Some(ErrorKind::ConnectionRefused | ErrorKind::NotFound))
    })
}

/// Exponential backoff from `min` to `max`.
///
/// Each wait is random, between half of the current backoff and all of it. This spreads the reconnects of many clients
/// after their server restarts.
#[derive(Debug)]
pub(crate) struct Backoff {
    min: Duration,
    max: Duration,
    next: Duration,
}

impl Backoff {
    pub(crate) fn new(min: Duration, max: Duration) -> Self {
        let min = min.max(Duration::from_millis(1));
        Self {
            min,
            max: max.max(min),
            next: min,
        }
    }

    pub(crate) fn next(&mut self) -> Duration {
        let full = self.next;
        self.next = (full * 2).min(self.max);
        let mut random = [0; 4];
        // Without random bytes, wait for the whole backoff.
        let jitter = match getrandom::fill(&mut random) {
            Ok(()) => f64::from(u32::from_be_bytes(random)) / f64::from(u32::MAX),
            Err(_) => 1.0,
        };
        full.mul_f64(0.5 + jitter / 2.0)
    }

    pub(crate) fn reset(&mut self) {
        self.next = self.min;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::{LinkDriver, link_channel};
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    #[test]
    fn backoff_doubles_with_jitter_up_to_its_maximum() {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(5));
        for full in [50, 100, 200, 400, 800, 1600, 3200, 5000, 5000] {
            let full = Duration::from_millis(full);
            let wait = backoff.next();
            assert!(
                wait >= full / 2 && wait <= full,
                "{wait:?} is not between half of {full:?} and all of it"
            );
        }
        backoff.reset();
        assert!(backoff.next() <= Duration::from_millis(50));
    }

    /// Repeats this sequence: an attempt that fails, one that times out, and one that succeeds.
    struct Flaky(AtomicU32);

    impl Connector for Flaky {
        type Connection = ();

        async fn connect(&self) -> Result<(), ConnectError> {
            match self.0.fetch_add(1, Relaxed) % 3 {
                0 => Err("refused".into()),
                1 => std::future::pending().await,
                _ => Ok(()),
            }
        }
    }

    struct Recorder(LinkDriver<Generation, ()>);

    impl LinkHandler<()> for Recorder {
        async fn run_connection(&mut self, (): (), _: Generation) -> ConnectionOutcome {
            ConnectionOutcome::Lost {
                reason: "lost".to_owned(),
                responsive: true,
            }
        }

        async fn connection_lost(&mut self, generation: Generation, _: String) -> Result<(), ShutdownReason> {
            self.0.drop_outbound();
            self.0.emit(generation).await
        }

        async fn wait_for_shutdown(&mut self) -> (ShutdownReason, bool) {
            (self.0.wait_for_shutdown().await, true)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn retries_after_failure_timeout_and_loss_until_shutdown() {
        let config = LinkConfig::default();
        let (mut handles, driver, state) = link_channel(&config);
        let settings = LinkSettings::new("the peer".to_owned(), &config, state);
        let running = tokio::spawn(run_link(settings, Flaky(AtomicU32::new(0)), Recorder(driver)));
        for generation in 1..=5 {
            assert_eq!(handles.inbound.recv().await, Some(generation));
        }
        assert!(handles.shutdown.shutdown(Duration::ZERO).await);
        assert_eq!(*handles.state.borrow(), LinkState::Closed);
        running.await.unwrap();
    }

    /// Connects at once, and closes each connection.
    struct Unusable(LinkDriver<Generation, ()>);

    impl Connector for () {
        type Connection = ();

        async fn connect(&self) -> Result<(), ConnectError> {
            Ok(())
        }
    }

    impl LinkHandler<()> for Unusable {
        async fn run_connection(&mut self, (): (), _: Generation) -> ConnectionOutcome {
            ConnectionOutcome::Disconnected
        }

        async fn connection_lost(&mut self, generation: Generation, _: String) -> Result<(), ShutdownReason> {
            self.0.emit(generation).await
        }

        async fn wait_for_shutdown(&mut self) -> (ShutdownReason, bool) {
            (self.0.wait_for_shutdown().await, true)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn connections_that_the_user_closes_are_reopened_with_backoff() {
        let config = LinkConfig::default();
        let (mut handles, driver, state) = link_channel(&config);
        let settings = LinkSettings::new("the peer".to_owned(), &config, state);
        let running = tokio::spawn(run_link(settings, (), Unusable(driver)));
        let until = Instant::now() + Duration::from_secs(60);
        let mut connections = 0;
        while let Ok(Some(generation)) = tokio::time::timeout_at(until, handles.inbound.recv()).await {
            connections = generation;
        }
        assert!((10..40).contains(&connections), "{connections} in one minute");
        drop(handles);
        running.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn stops_when_the_event_receiver_is_dropped() {
        let config = LinkConfig::default();
        let (handles, driver, state) = link_channel(&config);
        let settings = LinkSettings::new("the peer".to_owned(), &config, state);
        let running = tokio::spawn(run_link(settings, Flaky(AtomicU32::new(0)), Recorder(driver)));
        drop(handles.inbound);
        running.await.unwrap();
    }
}
