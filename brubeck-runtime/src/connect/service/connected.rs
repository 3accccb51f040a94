//! A service that goes to its caller: it takes requests off one address of the caller and answers to the other.

use super::super::Stop;
use super::super::transport::Worker;
use super::answering::{Answering, Arrived};
use brubeck_zmtp::{LINGER, ServerSender};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

pub(super) struct Connected {
    answering: Arc<Answering>,
    outbound: ServerSender,
    places: Arc<Semaphore>,
    handlers: JoinSet<()>,
}

impl Connected {
    pub(super) fn new(answering: Arc<Answering>, slots: usize, outbound: ServerSender) -> Connected {
        Connected {
            answering,
            outbound,
            places: Arc::new(Semaphore::new(slots)),
            handlers: JoinSet::new(),
        }
    }

    pub(super) async fn serve(mut self, mut worker: Worker, mut stop: Stop) {
        while let Some((place, arrived)) = self.next(&mut worker, &mut stop).await {
            let (answering, outbound) = (self.answering.clone(), self.outbound.clone());
            self.handlers
                .spawn(async move { answering.take(arrived, outbound, Some(place)).await });
        }
        while self.handlers.join_next().await.is_some() {}
        worker.shutdown(LINGER).await;
    }

    /// What comes next, once there is a place for it; `None` when it is time to stop.
    async fn next(
        &mut self,
        worker: &mut Worker,
        stop: &mut Stop,
    ) -> Option<(OwnedSemaphorePermit, Arrived)> {
        let arrived = async {
            let place = self.places.clone().acquire_owned().await.ok()?;
            Some((place, Arrived::from_pull(worker.inbound.recv().await?)))
        };
        let arrived = tokio::select! {
            biased;
            () = stop.requested() => None,
            arrived = arrived => arrived,
        };
        while self.handlers.try_join_next().is_some() {}
        arrived
    }
}
