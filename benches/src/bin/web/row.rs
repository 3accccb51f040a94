//! The measurements of one side with one number of clients.

use crate::mongrel2::Mongrel2Process;
use crate::side::{FrontEnd, Program, Side, Tools};
use crate::wrk::{self, WrkResults};
use brubeck_benches::Result;
use brubeck_benches::child::Child;
use brubeck_benches::figures::Spread;
use brubeck_benches::usage::Usage;

/// The results of one measurement.
pub(crate) struct Measurement {
    pub(crate) results: WrkResults,
    /// The usage of the embedded server, or of the handler behind Mongrel2.
    pub(crate) handler: Usage,
    /// The usage of the Mongrel2 in front of the handler. `None` for an embedded server.
    pub(crate) mongrel2: Option<Usage>,
}

/// All rounds of a side with one number of clients.
pub(crate) struct Row {
    pub(crate) side: &'static Side,
    pub(crate) clients: usize,
    pub(crate) rounds: Vec<Measurement>,
}

impl Row {
    pub(crate) fn title(&self) -> String {
        format!("{}, {}", self.side.name, self.clients)
    }

    /// Runs one measurement, with new processes.
    pub(crate) async fn measure(&self, tools: &Tools, seconds: u32) -> Result<Measurement> {
        match (self.side.front, self.side.program) {
            (FrontEnd::Embedded, Program::Own(name)) => {
                let mut server = Child::start(["serve", name])?;
                let url = server.ready().await?;
                let (results, handler) = self.run_wrk(&url, seconds, || server.usage()).await?;
                Ok(Measurement {
                    results,
                    handler,
                    mongrel2: None,
                })
            }
            (_, program) => {
                let (behind, child) = Mongrel2Process::start(program, tools).await?;
                let url = format!("http://{}/", behind.server.address());
                let pid = behind.server.pid().ok_or("Mongrel2 has ended")?;
                let both = || Ok(HandlerAndMongrel2(child.usage()?, Usage::of(&[pid])?));
                let (results, HandlerAndMongrel2(handler, mongrel2)) =
                    self.run_wrk(&url, seconds, both).await?;
                behind.server.stop().await?;
                Ok(Measurement {
                    results,
                    handler,
                    mongrel2: Some(mongrel2),
                })
            }
        }
    }

    /// Warms up for one second, then measures.
    async fn run_wrk<U: UsageSince>(
        &self,
        url: &str,
        seconds: u32,
        usage: impl Fn() -> Result<U>,
    ) -> Result<(WrkResults, U)> {
        wrk::run(url, self.clients, 1).await?;
        let before = usage()?;
        let results = wrk::run(url, self.clients, seconds).await?;
        Ok((results, usage()?.since(before)))
    }

    pub(crate) fn spread(&self, value: impl Fn(&Measurement) -> f64) -> Spread {
        Spread::of(self.rounds.iter().map(value))
    }

    pub(crate) fn rate(&self) -> Spread {
        self.spread(|round| round.results.per_second)
    }

    /// Returns the ratio of this rate to that of another row, computed within each round.
    pub(crate) fn ratio_to(&self, base: &Row) -> Spread {
        let rounds = self.rounds.iter().zip(&base.rounds);
        Spread::of(rounds.map(|(own, other)| own.results.per_second / other.results.per_second))
    }
}

/// A usage that can be measured before and after.
trait UsageSince {
    fn since(self, before: Self) -> Self;
}

impl UsageSince for Usage {
    fn since(self, before: Usage) -> Usage {
        Usage::since(self, before)
    }
}

/// The usage of a handler and its Mongrel2.
struct HandlerAndMongrel2(Usage, Usage);

impl UsageSince for HandlerAndMongrel2 {
    fn since(self, before: HandlerAndMongrel2) -> HandlerAndMongrel2 {
        HandlerAndMongrel2(self.0.since(before.0), self.1.since(before.1))
    }
}
