//! The client of a measurement: keeps calls in flight, first to warm up, then to measure.

use crate::latencies::Latencies;
use crate::work::{Note, Numbers, Picture, Work};
use crate::{Result, child};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::future::ready;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// The load of a measurement.
#[derive(Clone, Debug)]
pub struct Load {
    /// The argument of each call.
    pub work: Work,
    /// The number of calls in flight.
    pub in_flight: usize,
    /// The duration of the measurement. The warm-up before it takes a third as long.
    pub window: Duration,
}

/// The results of a client.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadResults {
    /// Calls that were completed in the measurement.
    pub calls: u64,
    /// The time from the start of the measurement until the last response, in seconds.
    pub seconds: f64,
    /// The median latency, in microseconds.
    pub p50: f64,
    /// The 99th percentile of the latency, in microseconds.
    pub p99: f64,
}

/// A client that many tasks can use concurrently. Clones share its connections.
pub trait Echo: Clone + Send + Sync + 'static {
    /// Sends a note and returns the response.
    fn echo(&self, note: Note) -> impl Future<Output = Result<Note>> + Send;

    /// Sends bytes and returns those of the response.
    fn echo_bytes(&self, _: Bytes) -> impl Future<Output = Result<Bytes>> + Send {
        ready(Err("this side has no bytes".into()))
    }

    /// Sends bytes inside of a structure and returns those of the response.
    fn echo_picture(&self, _: Picture) -> impl Future<Output = Result<Picture>> + Send {
        ready(Err("this side has no bytes inside of a structure".into()))
    }

    /// Sends bytes as numbers and returns those of the response.
    fn echo_numbers(&self, _: Numbers) -> impl Future<Output = Result<Numbers>> + Send {
        ready(Err("this side has no bytes as numbers".into()))
    }
}

impl Work {
    /// Makes a call, and compares the size of its response.
    async fn call(&self, client: &impl Echo) -> Result {
        let (sent, returned) = match self {
            Work::Note(note) => return note.check(&client.echo(note.clone()).await?),
            Work::Bytes(bytes) => (bytes.len(), client.echo_bytes(bytes.clone()).await?.len()),
            Work::Picture(picture) => (
                picture.data.len(),
                client.echo_picture(picture.clone()).await?.data.len(),
            ),
            Work::Numbers(numbers) => (
                numbers.data.len(),
                client.echo_numbers(numbers.clone()).await?.data.len(),
            ),
        };
        if sent == returned {
            Ok(())
        } else {
            Err("the response differs from the request".into())
        }
    }
}

impl Load {
    /// Warms up, waits for the parent, and measures.
    ///
    /// # Errors
    ///
    /// Returns an error if a call fails, a response differs from its request, or the parent has exited.
    pub async fn drive(&self, client: impl Echo) -> Result<LoadResults> {
        self.calls(&client, self.window / 3).await?;
        wait_for_measurement().await?;
        self.calls(&client, self.window).await
    }

    async fn calls(&self, client: &impl Echo, window: Duration) -> Result<LoadResults> {
        let latencies = Arc::new(Latencies::default());
        let mut callers = JoinSet::<Result>::new();
        let began = Instant::now();
        for _ in 0..self.in_flight {
            let (client, work, latencies) = (client.clone(), self.work.clone(), latencies.clone());
            callers.spawn(async move {
                while began.elapsed() < window {
                    let asked = Instant::now();
                    work.call(&client).await?;
                    latencies.add(asked.elapsed());
                }
                Ok(())
            });
        }
        while let Some(ended) = callers.join_next().await {
            ended??;
        }
        Ok(LoadResults::new(&latencies, began.elapsed()))
    }
}

/// Reports the end of the warm-up to the parent, and waits for the start of the measurement.
///
/// # Errors
///
/// Returns an error if the parent has exited.
pub async fn wait_for_measurement() -> Result {
    child::send(&"warm")?;
    if child::wait_for_start().await {
        Ok(())
    } else {
        Err("the parent has exited".into())
    }
}

impl LoadResults {
    /// Summarizes latencies.
    pub fn new(latencies: &Latencies, took: Duration) -> LoadResults {
        LoadResults {
            calls: latencies.count(),
            seconds: took.as_secs_f64(),
            p50: latencies.quantile(0.5),
            p99: latencies.quantile(0.99),
        }
    }
}
