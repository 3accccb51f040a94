//! Lets a test decide when a handler continues.

use std::sync::Arc;
use tokio::sync::Semaphore;

/// A gate where handlers wait until the test admits them. It counts arrivals and exits.
#[derive(Clone)]
pub struct Gate {
    arrived: Arc<Semaphore>,
    open: Arc<Semaphore>,
    left: Arc<Semaphore>,
}

impl Gate {
    pub fn new() -> Gate {
        let none = || Arc::new(Semaphore::new(0));
        Gate {
            arrived: none(),
            open: none(),
            left: none(),
        }
    }

    /// Records an arrival and waits to be admitted. An exit is recorded when this ends or is dropped.
    pub async fn pass(&self) {
        let _left = Left(self.left.clone());
        self.arrived.add_permits(1);
        self.open.acquire().await.expect("an open semaphore").forget();
    }

    /// Records an arrival without waiting.
    pub fn signal_arrival(&self) {
        self.arrived.add_permits(1);
    }

    /// Waits for `many` arrivals that no earlier call has counted.
    #[track_caller]
    pub fn wait_for_arrivals(&self, many: u32) -> impl Future<Output = ()> {
        taken(self.arrived.clone(), many)
    }

    /// Returns the number of arrivals that [`wait_for_arrivals`](Gate::wait_for_arrivals) has not counted.
    pub fn unobserved_arrivals(&self) -> usize {
        self.arrived.available_permits()
    }

    /// Admits `many` waiting or future handlers.
    pub fn open(&self, many: usize) {
        self.open.add_permits(many);
    }

    /// Waits for `many` exits of handlers that were admitted or cancelled.
    #[track_caller]
    pub fn wait_for_exits(&self, many: u32) -> impl Future<Output = ()> {
        taken(self.left.clone(), many)
    }
}

#[track_caller]
fn taken(semaphore: Arc<Semaphore>, many: u32) -> impl Future<Output = ()> {
    super::with_timeout(async move {
        semaphore
            .acquire_many(many)
            .await
            .expect("an open semaphore")
            .forget()
    })
}

struct Left(Arc<Semaphore>);

impl Drop for Left {
    fn drop(&mut self) {
        self.0.add_permits(1);
    }
}
