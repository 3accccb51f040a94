//! The reconnect loop: one for every socket that connects.

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::{Generation, LinkState, ShutdownReason};
use crate::LinkConfig;

/// A connection that lived this long counts as good: after its loss the backoff begins with the shortest wait again.
const STABLE_AFTER: Duration = Duration::from_secs(1);

/// Any error of an attempt to connect.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Makes the connections of a link.
pub trait Connector: Send + Sync {
    /// A connection, which may consist of several sockets.
    type Connection: Send;

    /// Makes one attempt. It is dropped at [`RunLink::connect_timeout`], and when the link is shut down.
    fn connect(&self) -> impl Future<Output = Result<Self::Connection, BoxError>> + Send;
}

/// Uses the connections of a link.
pub trait LinkHandler<C>: Send {
    /// Runs one connection until it is lost or the link ends.
    fn run_connection(
        &mut self,
        connection: C,
        generation: Generation,
    ) -> impl Future<Output = Outcome> + Send;

    /// Reacts to the loss of a connection. The state of the link is [`LinkState::Connecting`] already.
    ///
    /// # Errors
    /// Returns the reason if the link has ended.
    fn connection_lost(
        &mut self,
        generation: Generation,
        reason: String,
    ) -> impl Future<Output = Result<(), ShutdownReason>> + Send;

    /// Waits, without a connection, for the end of the link. Returns it with `true` if everything accepted has been sent
    /// or counted as dropped. Must be cancel safe.
    fn wait_for_shutdown(&mut self) -> impl Future<Output = (ShutdownReason, bool)> + Send;
}

/// The end of one connection.
#[derive(Debug)]
pub enum Outcome {
    /// The connection was lost. The link connects again.
    Lost {
        /// The reason, for the log.
        reason: String,
        /// `true` if the connection was of use, so that the next attempt need not wait long.
        responsive: bool,
    },
    /// The link has ended.
    Shutdown {
        /// The reason.
        reason: ShutdownReason,
        /// `true` if everything accepted has been sent.
        flushed: bool,
    },
}

/// The settings of [`run_link`].
#[derive(Debug)]
pub struct RunLink {
    /// A name for the log: the peer and its endpoints.
    pub peer: String,
    /// Time limit of one attempt to connect, handshake included.
    pub connect_timeout: Duration,
    /// The wait after the first failure; it doubles with each that follows.
    pub backoff_min: Duration,
    /// The longest wait between two attempts.
    pub backoff_max: Duration,
    /// The state of the link, as its user sees it.
    pub state: watch::Sender<LinkState>,
}

impl RunLink {
    /// Creates the settings of a link to `peer` with the times of `config`.
    pub fn new(peer: String, config: &LinkConfig, state: watch::Sender<LinkState>) -> Self {
        Self {
            peer,
            connect_timeout: config.connect_timeout,
            backoff_min: config.backoff_min,
            backoff_max: config.backoff_max,
            state,
        }
    }
}

/// Keeps a link connected until it is shut down.
///
/// After a failure or a loss it connects again, with exponential backoff and jitter. It numbers the connections, sets the
/// state, and logs one warning per outage.
pub async fn run_link<C: Connector>(
    settings: RunLink,
    connector: C,
    mut handler: impl LinkHandler<C::Connection>,
) {
    let (reason, flushed) = keep_connected(&settings, &connector, &mut handler).await;
    settings.state.send_replace(LinkState::Closed);
    reason.complete(flushed);
}

async fn keep_connected<C: Connector>(
    settings: &RunLink,
    connector: &C,
    handler: &mut impl LinkHandler<C::Connection>,
) -> (ShutdownReason, bool) {
    let RunLink { peer, state, .. } = settings;
    let mut backoff = Backoff::new(settings.backoff_min, settings.backoff_max);
    let mut generation = 0;
    let mut outage_logged = false;
    loop {
        let attempt = tokio::select! {
            attempt = timeout(settings.connect_timeout, connector.connect()) => attempt,
            end = handler.wait_for_shutdown() => return end,
        };
        let attempt = attempt.unwrap_or_else(|_| {
            let limit = settings.connect_timeout;
            Err(format!("the peer did not complete the handshake within {limit:?}").into())
        });
        let wait = match attempt {
            Ok(connection) => {
                generation += 1;
                let connected_at = Instant::now();
                state.send_replace(LinkState::Up(generation));
                if outage_logged || generation > 1 {
                    tracing::info!(peer, generation, "connected again");
                } else {
                    tracing::debug!(peer, generation, "connected");
                }
                outage_logged = false;
                match handler.run_connection(connection, generation).await {
                    Outcome::Shutdown { reason, flushed } => return (reason, flushed),
                    Outcome::Lost { reason, responsive } => {
                        state.send_replace(LinkState::Connecting);
                        tracing::warn!(peer, generation, reason, "connection lost, reconnecting");
                        if let Err(reason) = handler.connection_lost(generation, reason).await {
                            return (reason, true);
                        }
                        if responsive || connected_at.elapsed() >= STABLE_AFTER {
                            backoff.reset();
                        }
                    }
                }
                backoff.next()
            }
            Err(error) => {
                let wait = backoff.next();
                if outage_logged {
                    tracing::debug!(peer, %error, "connection failed again, retrying in {wait:?}");
                } else {
                    outage_logged = true;
                    tracing::warn!(peer, %error, "connection failed, retrying in {wait:?} and until it succeeds");
                }
                wait
            }
        };
        tokio::select! {
            () = sleep(wait) => {}
            end = handler.wait_for_shutdown() => return end,
        }
    }
}

/// Exponential backoff from `min` to `max`.
///
/// Each wait is drawn from the upper half of its range, so that the clients of a server that restarts do not all return at
/// the same instant.
#[derive(Debug)]
struct Backoff {
    min: Duration,
    max: Duration,
    next: Duration,
}

impl Backoff {
    fn new(min: Duration, max: Duration) -> Self {
        let min = min.max(Duration::from_millis(1));
        Self {
            min,
            max: max.max(min),
            next: min,
        }
    }

    fn next(&mut self) -> Duration {
        let full = self.next;
        self.next = (full * 2).min(self.max);
        let mut random = [0; 4];
        // Without random bytes the wait is only longer.
        let share = match getrandom::fill(&mut random) {
            Ok(()) => f64::from(u32::from_be_bytes(random)) / f64::from(u32::MAX),
            Err(_) => 1.0,
        };
        full.mul_f64(0.5 + share / 2.0)
    }

    fn reset(&mut self) {
        self.next = self.min;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::{LinkDriver, link};
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    #[test]
    fn doubles_to_the_limit_with_jitter_and_resets() {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(5));
        for full in [50, 100, 200, 400, 800, 1600, 3200, 5000, 5000] {
            let full = Duration::from_millis(full);
            let wait = backoff.next();
            assert!(wait >= full / 2 && wait <= full, "{wait:?} of {full:?}");
        }
        backoff.reset();
        assert!(backoff.next() <= Duration::from_millis(50));
    }

    /// Fails every second attempt; the others give connections that are lost at once.
    struct Flaky(AtomicU32);

    impl Connector for Flaky {
        type Connection = ();

        async fn connect(&self) -> Result<(), BoxError> {
            match self.0.fetch_add(1, Relaxed) % 3 {
                0 => Err("refused".into()),
                1 => std::future::pending().await,
                _ => Ok(()),
            }
        }
    }

    struct Recorder(LinkDriver<Generation, ()>);

    impl LinkHandler<()> for Recorder {
        async fn run_connection(&mut self, (): (), _: Generation) -> Outcome {
            Outcome::Lost {
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
        let (mut handles, driver, state) = link(&config);
        let settings = RunLink::new("the peer".to_owned(), &config, state);
        let running = tokio::spawn(run_link(settings, Flaky(AtomicU32::new(0)), Recorder(driver)));
        for generation in 1..=5 {
            assert_eq!(handles.inbound.recv().await, Some(generation));
        }
        assert!(handles.shutdown.shutdown(Duration::ZERO).await);
        assert_eq!(*handles.state.borrow(), LinkState::Closed);
        running.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn ends_when_its_receiver_is_dropped() {
        let config = LinkConfig::default();
        let (handles, driver, state) = link(&config);
        let settings = RunLink::new("the peer".to_owned(), &config, state);
        let running = tokio::spawn(run_link(settings, Flaky(AtomicU32::new(0)), Recorder(driver)));
        drop(handles.inbound);
        running.await.unwrap();
    }
}
