//! Lets a test decide when a handler continues.

use std::sync::Arc;
use tokio::sync::Semaphore;

/// A gate where handlers wait until the test admits them. It counts arrivals and exits.
#[derive(Clone)]
pub struct Gate {
    arrivals: Arc<Semaphore>,
    admissions: Arc<Semaphore>,
    exits: Arc<Semaphore>,
}

impl Gate {
    pub fn new() -> Gate {
        let empty = || Arc::new(Semaphore::new(0));
        Gate {
            arrivals: empty(),
            admissions: empty(),
            exits: empty(),
        }
    }

    /// Records an arrival and waits to be admitted. An exit is recorded when the returned future ends or is dropped.
    pub async fn pass(&self) {
        let _exit = ExitGuard(self.exits.clone());
        self.arrivals.add_permits(1);
        self.admissions
            .acquire()
            .await
            .expect("an open semaphore")
            .forget();
    }

    /// Records an arrival without waiting.
    pub fn signal_arrival(&self) {
        self.arrivals.add_permits(1);
    }

    /// Waits for `count` arrivals that no earlier call has counted.
    #[track_caller]
    pub fn wait_for_arrivals(&self, count: u32) -> impl Future<Output = ()> {
        take_permits(self.arrivals.clone(), count)
    }

    /// Returns the number of arrivals that [`wait_for_arrivals`](Gate::wait_for_arrivals) has not counted.
    pub fn unobserved_arrivals(&self) -> usize {
        self.arrivals.available_permits()
    }

    /// Admits `count` waiting or future handlers.
    pub fn open(&self, count: usize) {
        self.admissions.add_permits(count);
    }

    /// Waits for `count` exits that no earlier call has counted, of handlers that were admitted or cancelled.
    #[track_caller]
    pub fn wait_for_exits(&self, count: u32) -> impl Future<Output = ()> {
        take_permits(self.exits.clone(), count)
    }
}

/// Waits for `count` permits and takes them.
#[track_caller]
fn take_permits(semaphore: Arc<Semaphore>, count: u32) -> impl Future<Output = ()> {
    super::with_timeout(async move {
        semaphore
            .acquire_many(count)
            .await
            .expect("an open semaphore")
            .forget()
    })
}

/// When this guard is dropped, records that a handler has left the gate.
struct ExitGuard(Arc<Semaphore>);

impl Drop for ExitGuard {
    fn drop(&mut self) {
        self.0.add_permits(1);
    }
}
