//! The calling side of a measurement: so many calls under way, first to warm up, then for the record.

use crate::latencies::Latencies;
use crate::work::Note;
use crate::{Result, child};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How much is asked for.
#[derive(Clone, Debug)]
pub struct Load {
    /// The note that is sent.
    pub note: Note,
    /// Calls under way at a time.
    pub in_flight: usize,
    /// How long is measured; a third of it warms up.
    pub window: Duration,
}

/// What a client has seen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// Calls that were answered.
    pub calls: u64,
    /// In so many seconds.
    pub seconds: f64,
    /// Half of them within so many microseconds.
    pub p50: f64,
    /// All but a hundredth within so many microseconds.
    pub p99: f64,
}

/// What can be asked for an echo by many tasks at once; a clone is one more user of the same connections.
pub trait Echo: Clone + Send + Sync + 'static {
    /// Sends a note and waits for it to come back.
    fn echo(&self, note: Note) -> impl Future<Output = Result<Note>> + Send;
}

impl Load {
    /// Warms up, tells the parent, waits for its word, and measures.
    ///
    /// # Errors
    ///
    /// A call failed, or the parent has gone.
    pub async fn drive(&self, client: impl Echo) -> Result<Seen> {
        self.calls(&client, self.window / 3).await?;
        ready().await?;
        self.calls(&client, self.window).await
    }

    async fn calls(&self, client: &impl Echo, window: Duration) -> Result<Seen> {
        let latencies = Arc::new(Latencies::default());
        let mut callers = JoinSet::<Result>::new();
        let began = Instant::now();
        for _ in 0..self.in_flight {
            let (client, note, latencies) = (client.clone(), self.note.clone(), latencies.clone());
            callers.spawn(async move {
                while began.elapsed() < window {
                    let asked = Instant::now();
                    note.check(&client.echo(note.clone()).await?)?;
                    latencies.add(asked.elapsed());
                }
                Ok(())
            });
        }
        while let Some(ended) = callers.join_next().await {
            ended??;
        }
        Ok(Seen::new(&latencies, began.elapsed()))
    }
}

/// Tells the parent that this side is warm, and waits for its word to go on.
///
/// # Errors
///
/// The parent has gone.
pub async fn ready() -> Result {
    child::say(&"warm")?;
    match child::told_to_go().await {
        true => Ok(()),
        false => Err("the parent has gone".into()),
    }
}

impl Seen {
    /// What these latencies say.
    pub fn new(latencies: &Latencies, took: Duration) -> Seen {
        Seen {
            calls: latencies.count(),
            seconds: took.as_secs_f64(),
            p50: latencies.quantile(0.5),
            p99: latencies.quantile(0.99),
        }
    }
}
