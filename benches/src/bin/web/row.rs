//! One side with so many clients: measured again and again.

use crate::mongrel2::Behind;
use crate::side::{Front, Program, Side, Tools};
use crate::wrk::{self, Seen};
use brubeck_benches::Result;
use brubeck_benches::child::Child;
use brubeck_benches::figures::Spread;
use brubeck_benches::usage::Usage;

/// What one measurement gave.
pub(crate) struct Measured {
    pub(crate) seen: Seen,
    /// Of the process whose code is compared.
    pub(crate) handler: Usage,
    /// Of the Mongrel2 before it.
    pub(crate) mongrel2: Option<Usage>,
}

/// All rounds of a side with so many clients.
pub(crate) struct Row {
    pub(crate) side: &'static Side,
    pub(crate) clients: usize,
    pub(crate) rounds: Vec<Measured>,
}

impl Row {
    pub(crate) fn title(&self) -> String {
        format!("{}, {}", self.side.name, self.clients)
    }

    /// Processes of their own for each measurement.
    pub(crate) async fn measure(&self, tools: &Tools, seconds: u32) -> Result<Measured> {
        match (self.side.front, self.side.program) {
            (Front::Embedded, Program::Own(name)) => {
                let mut server = Child::start(["serve", name])?;
                let url = server.ready().await?;
                let (seen, handler) = self.ask(&url, seconds, || server.usage()).await?;
                Ok(Measured {
                    seen,
                    handler,
                    mongrel2: None,
                })
            }
            (_, program) => {
                let (behind, child) = Behind::start(program, tools).await?;
                let url = format!("http://{}/", behind.server.address());
                let pid = behind.server.pid().ok_or("Mongrel2 has ended")?;
                let both = || Ok(Both(child.usage()?, Usage::of(&[pid])?));
                let (seen, Both(handler, mongrel2)) = self.ask(&url, seconds, both).await?;
                behind.server.stop().await?;
                Ok(Measured {
                    seen,
                    handler,
                    mongrel2: Some(mongrel2),
                })
            }
        }
    }

    /// Warms up, and measures.
    async fn ask<U: Since>(
        &self,
        url: &str,
        seconds: u32,
        usage: impl Fn() -> Result<U>,
    ) -> Result<(Seen, U)> {
        wrk::ask(url, self.clients, 1).await?;
        let before = usage()?;
        let seen = wrk::ask(url, self.clients, seconds).await?;
        Ok((seen, usage()?.since(before)))
    }

    pub(crate) fn spread(&self, value: impl Fn(&Measured) -> f64) -> Spread {
        Spread::of(self.rounds.iter().map(value))
    }

    pub(crate) fn rate(&self) -> Spread {
        self.spread(|round| round.seen.per_second)
    }

    /// The rate as a part of another's, round by round: both met the same machine.
    pub(crate) fn of(&self, floor: &Row) -> Spread {
        let rounds = self.rounds.iter().zip(&floor.rounds);
        Spread::of(rounds.map(|(own, other)| own.seen.per_second / other.seen.per_second))
    }
}

/// What can be measured before and after.
trait Since {
    fn since(self, before: Self) -> Self;
}

impl Since for Usage {
    fn since(self, before: Usage) -> Usage {
        Usage::since(self, before)
    }
}

/// A handler and its Mongrel2.
struct Both(Usage, Usage);

impl Since for Both {
    fn since(self, before: Both) -> Both {
        Both(self.0.since(before.0), self.1.since(before.1))
    }
}
