//! One side in one place: measured again and again.

use brubeck_benches::Result;
use brubeck_benches::child::Child;
use brubeck_benches::figures::{Spread, bytes, thousands, three};
use brubeck_benches::load::Seen;
use brubeck_benches::sides::{Side, Transport};
use brubeck_benches::usage::Usage;

/// One thing that is measured on every side.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct Cell {
    pub(crate) transport: Transport,
    pub(crate) size: usize,
    pub(crate) in_flight: usize,
}

/// What one measurement gave.
pub(crate) struct Measured {
    pub(crate) seen: Seen,
    pub(crate) server: Usage,
    pub(crate) client: Usage,
}

/// All rounds of a cell on a side.
pub(crate) struct Row {
    pub(crate) side: &'static dyn Side,
    pub(crate) cell: Cell,
    pub(crate) rounds: Vec<Measured>,
}

impl Row {
    pub(crate) fn title(&self) -> String {
        let Cell {
            transport,
            size,
            in_flight,
        } = self.cell;
        format!(
            "{} {}, {}, {in_flight} in flight",
            self.side.name(),
            transport.name(),
            bytes(size as f64)
        )
    }

    /// A server and a client of their own for each measurement.
    pub(crate) async fn measure(&self, seconds: f64) -> Result<Measured> {
        let folder = tempfile::tempdir()?;
        let address = match self.cell.transport {
            Transport::Tcp => "tcp://127.0.0.1:0".to_owned(),
            Transport::Ipc => format!("ipc://{}", folder.path().join("echo").display()),
        };
        let mut server = Child::start(["serve", self.side.name(), &address])?;
        let address = server.ready().await?;
        let (size, in_flight) = (self.cell.size.to_string(), self.cell.in_flight.to_string());
        let seconds = seconds.to_string();
        let mut client = Child::start(["drive", self.side.name(), &address, &size, &in_flight, &seconds])?;
        client.hear::<String>().await?;
        let before = (server.usage()?, client.usage()?);
        client.go().await?;
        let seen = client.hear::<Seen>().await?;
        let after = (server.usage()?, client.usage()?);
        client.stop().await;
        server.stop().await;
        Ok(Measured {
            seen,
            server: after.0.since(before.0),
            client: after.1.since(before.1),
        })
    }

    fn spread(&self, value: impl Fn(&Measured) -> f64) -> Spread {
        Spread::of(self.rounds.iter().map(value))
    }

    pub(crate) fn rate(&self) -> Spread {
        self.spread(|round| round.seen.calls as f64 / round.seen.seconds)
    }

    pub(crate) fn cells(&self, floor: Option<f64>) -> Vec<String> {
        let rate = self.rate();
        let micros = |usage: fn(&Measured) -> f64| {
            three(
                self.spread(|round| usage(round) * 1e6 / round.seen.calls as f64)
                    .median,
            )
        };
        let mebibytes =
            |peak: fn(&Measured) -> u64| three(self.spread(|round| peak(round) as f64 / 1048576.0).median);
        vec![
            format!("{}, {}", self.side.name(), self.cell.in_flight),
            format!(
                "{} ({} to {})",
                thousands(rate.median),
                thousands(rate.low),
                thousands(rate.high)
            ),
            floor
                .filter(|floor| *floor > 0.0)
                .map_or("".into(), |floor| format!("{:.0} %", 100.0 * rate.median / floor)),
            three(self.spread(|round| round.seen.p50).median),
            three(self.spread(|round| round.seen.p99).median),
            micros(|round| round.server.cpu),
            micros(|round| round.client.cpu),
            mebibytes(|round| round.server.peak),
            mebibytes(|round| round.client.peak),
        ]
    }
}
