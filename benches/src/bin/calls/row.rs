//! The measurements of one side in one configuration.

use brubeck_benches::Result;
use brubeck_benches::child::Child;
use brubeck_benches::figures::{Spread, bytes, thousands, three_digits};
use brubeck_benches::load::LoadResults;
use brubeck_benches::sides::{Side, Transport};
use brubeck_benches::usage::Usage;
use brubeck_benches::work::Kind;

/// A configuration that is measured on every side.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct Cell {
    pub(crate) transport: Transport,
    pub(crate) kind: Kind,
    pub(crate) size: usize,
    pub(crate) in_flight: usize,
}

impl Cell {
    /// Returns whether a side has the transport, and can carry the work.
    pub(crate) fn is_possible_for(&self, side: &dyn Side) -> bool {
        let mut kinds = side.kinds().iter();
        side.transports().contains(&self.transport)
            && kinds.any(|(kind, max_bytes)| *kind == self.kind && self.size <= *max_bytes)
    }
}

/// The results of one measurement.
pub(crate) struct Measurement {
    pub(crate) results: LoadResults,
    pub(crate) server: Usage,
    pub(crate) client: Usage,
}

/// All rounds of a side in one configuration.
pub(crate) struct Row {
    pub(crate) side: &'static dyn Side,
    pub(crate) cell: Cell,
    pub(crate) rounds: Vec<Measurement>,
}

impl Row {
    pub(crate) fn title(&self) -> String {
        let Cell {
            transport,
            kind,
            size,
            in_flight,
        } = self.cell;
        format!(
            "{} {}, {} of {}, {in_flight} in flight",
            self.side.name(),
            transport.name(),
            kind.name(),
            bytes(size as f64)
        )
    }

    /// Runs one measurement, with a new server and a new client.
    pub(crate) async fn measure(&self, seconds: f64) -> Result<Measurement> {
        let folder = tempfile::tempdir()?;
        let address = match self.cell.transport {
            Transport::Tcp => "tcp://127.0.0.1:0".to_owned(),
            Transport::Ipc => format!("ipc://{}", folder.path().join("echo").display()),
        };
        let mut server = Child::start(["serve", self.side.name(), &address])?;
        let address = server.ready().await?;
        let (size, in_flight) = (self.cell.size.to_string(), self.cell.in_flight.to_string());
        let seconds = seconds.to_string();
        let kind = self.cell.kind.name();
        let arguments = [
            "drive",
            self.side.name(),
            &address,
            kind,
            &size,
            &in_flight,
            &seconds,
        ];
        let mut client = Child::start(arguments)?;
        client.receive::<String>().await?;
        let before = (server.usage()?, client.usage()?);
        client.start_measurement().await?;
        let results = client.receive::<LoadResults>().await?;
        let after = (server.usage()?, client.usage()?);
        client.stop().await;
        server.stop().await;
        Ok(Measurement {
            results,
            server: after.0.since(before.0),
            client: after.1.since(before.1),
        })
    }

    fn spread(&self, value: impl Fn(&Measurement) -> f64) -> Spread {
        Spread::of(self.rounds.iter().map(value))
    }

    pub(crate) fn rate(&self) -> Spread {
        self.spread(|round| round.results.calls as f64 / round.results.seconds)
    }

    pub(crate) fn cells(&self, lower_bound: Option<f64>) -> Vec<String> {
        let rate = self.rate();
        let micros = |usage: fn(&Measurement) -> f64| {
            three_digits(
                self.spread(|round| usage(round) * 1e6 / round.results.calls as f64)
                    .median,
            )
        };
        let mebibytes = |peak: fn(&Measurement) -> u64| {
            three_digits(self.spread(|round| peak(round) as f64 / 1048576.0).median)
        };
        vec![
            format!("{}, {}", self.side.name(), self.cell.in_flight),
            format!(
                "{} ({} to {})",
                thousands(rate.median),
                thousands(rate.min),
                thousands(rate.max)
            ),
            lower_bound
                .filter(|raw| *raw > 0.0)
                .map_or("".into(), |raw| format!("{:.0} %", 100.0 * rate.median / raw)),
            three_digits(self.spread(|round| round.results.p50).median),
            three_digits(self.spread(|round| round.results.p99).median),
            micros(|round| round.server.cpu),
            micros(|round| round.client.cpu),
            mebibytes(|round| round.server.peak_memory),
            mebibytes(|round| round.client.peak_memory),
        ]
    }
}
