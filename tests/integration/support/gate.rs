//! Lets a test decide when a handler goes on.

use std::sync::Arc;
use tokio::sync::Semaphore;

/// A gate that handlers arrive at and wait before, and that counts what they do.
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

    /// In a handler: tells that it is there, and waits to be let through.
    pub async fn pass(&self) {
        let _left = Left(self.left.clone());
        self.arrived.add_permits(1);
        self.open.acquire().await.expect("an open semaphore").forget();
    }

    /// In a handler that does not wait: tells that it ran.
    pub fn knock(&self) {
        self.arrived.add_permits(1);
    }

    /// Waits until this many more have arrived.
    #[track_caller]
    pub fn arrived(&self, many: u32) -> impl Future<Output = ()> {
        taken(self.arrived.clone(), many)
    }

    /// How many have arrived that no test has waited for.
    pub fn waiting(&self) -> usize {
        self.arrived.available_permits()
    }

    /// Lets this many through.
    pub fn open(&self, many: usize) {
        self.open.add_permits(many);
    }

    /// Waits until this many more have gone, let through or given up.
    #[track_caller]
    pub fn left(&self, many: u32) -> impl Future<Output = ()> {
        taken(self.left.clone(), many)
    }
}

#[track_caller]
fn taken(semaphore: Arc<Semaphore>, many: u32) -> impl Future<Output = ()> {
    super::within(async move {
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
