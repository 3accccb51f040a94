//! Drivers of brubeck's own protocol: they tell its core what happens on the links, and carry out what it
//! asks for. The core is locked for each event, so no task stands between a call and its socket.

use super::core::Moment;
use std::sync::Weak;
use tokio::sync::Notify;
use tokio::time::Instant;

/// The clock of one core.
#[derive(Clone, Copy)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Clock {
        Clock(Instant::now())
    }

    pub(crate) fn now(self) -> Moment {
        self.0.elapsed()
    }

    pub(crate) fn moment(self, instant: Instant) -> Moment {
        instant.saturating_duration_since(self.0)
    }

    pub(crate) fn instant(self, moment: Moment) -> Instant {
        // A moment that the clock cannot tell will not be seen by anybody.
        self.0
            .checked_add(moment)
            .unwrap_or(self.0 + Moment::from_secs(1 << 30))
    }
}

/// What a timer wakes.
pub(crate) trait Wakes: Send + Sync + 'static {
    /// When it wants to be woken next.
    fn next_wake(&self) -> Option<Instant>;
    /// It is time.
    fn wake(self: &std::sync::Arc<Self>);
}

/// Wakes a core at the time it wants, until the core is gone; `rearm` says that the time has changed.
pub(crate) async fn keep_time(core: Weak<impl Wakes>, rearm: std::sync::Arc<Notify>) {
    loop {
        let Some(next) = core.upgrade().map(|core| core.next_wake()) else {
            return;
        };
        let due = async {
            match next {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = due => match core.upgrade() {
                Some(core) => core.wake(),
                None => return,
            },
            () = rearm.notified() => {}
        }
    }
}

/// What makes the sessions of a process unlike those of any other.
pub(crate) fn seed() -> crate::Result<[u8; 32]> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)
        .map_err(|error| crate::Error::because("the system gives no random numbers", error))?;
    Ok(seed)
}
