//! What a call costs, beside the crates one would otherwise take: every side in turns, in processes of their own.

use brubeck_benches::Result;
use brubeck_benches::chart::{Chart, Panel};
use brubeck_benches::child::{self, Child, Ready, progress};
use brubeck_benches::document;
use brubeck_benches::figures::{Spread, bytes, thousands, three};
use brubeck_benches::load::{Load, Seen};
use brubeck_benches::sides::{SIDES, Side, Transport, named};
use brubeck_benches::table::Table;
use brubeck_benches::usage::Usage;
use brubeck_benches::work::Note;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

/// Measures calls, and writes what came out as Markdown.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    role: Option<Role>,
    #[command(flatten)]
    plan: Plan,
}

#[derive(Args)]
struct Plan {
    /// The sides to compare; all where nothing is said
    #[arg(long, value_delimiter = ',', value_parser = named)]
    sides: Vec<&'static dyn Side>,
    /// Bytes of JSON in a body
    #[arg(long, value_delimiter = ',', default_value = "100,65536")]
    sizes: Vec<usize>,
    /// Calls under way at a time
    #[arg(long, value_delimiter = ',', default_value = "1,32,256")]
    in_flight: Vec<usize>,
    /// tcp, ipc
    #[arg(long, value_delimiter = ',', value_parser = transport, default_value = "tcp,ipc")]
    transports: Vec<Transport>,
    /// How often each is measured
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long each measurement takes
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// A page with marks to write the tables between, and to lay the picture beside
    #[arg(long)]
    out: Option<PathBuf>,
}

/// What a child process of a measurement does.
#[derive(Subcommand)]
enum Role {
    /// Serves until standard input ends
    #[command(hide = true)]
    Serve { side: String, address: String },
    /// Calls, and says what it has seen
    #[command(hide = true)]
    Drive {
        side: String,
        address: String,
        size: usize,
        in_flight: usize,
        seconds: f64,
    },
}

fn transport(name: &str) -> Result<Transport> {
    let known = [Transport::Tcp, Transport::Ipc];
    let found = known.into_iter().find(|transport| transport.name() == name);
    found.ok_or_else(|| "take tcp or ipc".into())
}

fn main() -> Result {
    let arguments = Arguments::parse();
    match arguments.role {
        None => {
            let parent = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            parent.block_on(arguments.plan.run())
        }
        Some(Role::Serve { side, address }) => {
            let side = named(&side)?;
            side.flavor().build()?.block_on(serve(side, address))
        }
        Some(Role::Drive {
            side,
            address,
            size,
            in_flight,
            seconds,
        }) => {
            let side = named(&side)?;
            let load = Load {
                note: Note::of_size(size),
                in_flight,
                window: Duration::from_secs_f64(seconds),
            };
            side.flavor().build()?.block_on(drive(side, address, load))
        }
    }
}

async fn serve(side: &dyn Side, address: String) -> Result {
    let serving = side.serve(address).await?;
    child::say(&Ready {
        address: serving.address,
        pids: serving.pids,
    })?;
    child::until_left_alone().await;
    drop(serving.alive);
    Ok(())
}

async fn drive(side: &dyn Side, address: String, load: Load) -> Result {
    child::say(&side.drive(address, load).await?)?;
    // What it used can be read as long as it runs.
    child::until_left_alone().await;
    Ok(())
}

/// One thing that is measured on every side.
#[derive(Clone, Copy, PartialEq)]
struct Cell {
    transport: Transport,
    size: usize,
    in_flight: usize,
}

/// What one measurement gave.
struct Measured {
    seen: Seen,
    server: Usage,
    client: Usage,
}

/// All rounds of a cell on a side.
struct Row {
    side: &'static dyn Side,
    cell: Cell,
    rounds: Vec<Measured>,
}

impl Plan {
    async fn run(mut self) -> Result {
        if self.sides.is_empty() {
            self.sides = SIDES.to_vec();
        }
        let mut rows = self.rows();
        let mut failed = None;
        for round in 0..self.rounds {
            // In turns, so that a slow moment of the machine meets every side.
            for row in &mut rows {
                progress(&format!(
                    "round {} of {}: {}",
                    round + 1,
                    self.rounds,
                    row.title()
                ));
                match row.measure(self.seconds).await {
                    Ok(measured) => row.rounds.push(measured),
                    Err(error) => {
                        eprintln!("{}: {error}", row.title());
                        failed = Some(error);
                    }
                }
            }
        }
        progress("");
        self.publish(&rows)?;
        failed.map_or(Ok(()), Err)
    }

    /// Side by side within each cell.
    fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for transport in &self.transports {
            for size in &self.sizes {
                for in_flight in &self.in_flight {
                    let cell = Cell {
                        transport: *transport,
                        size: *size,
                        in_flight: *in_flight,
                    };
                    let sides = self
                        .sides
                        .iter()
                        .filter(|side| side.transports().contains(transport));
                    rows.extend(sides.map(|side| Row {
                        side: *side,
                        cell,
                        rounds: Vec::new(),
                    }));
                }
            }
        }
        rows
    }

    fn publish(&self, rows: &[Row]) -> Result {
        let text = self.tables(rows);
        match &self.out {
            None => println!("{text}"),
            Some(page) => {
                let picture = document::picture(page, "calls.svg", &self.chart(rows).to_string())?;
                let text = format!("![Calls per second, by side]({picture})\n\n{text}");
                document::replace(page, "calls", &text)?;
            }
        }
        Ok(())
    }

    /// The rows of each transport and size, with the words that stand above them.
    fn groups<'a>(&self, rows: &'a [Row]) -> Vec<(String, Vec<&'a Row>)> {
        let mut groups = Vec::new();
        for transport in &self.transports {
            for size in &self.sizes {
                let rows: Vec<_> = rows
                    .iter()
                    .filter(|row| row.cell.transport == *transport && row.cell.size == *size)
                    .collect();
                let title = format!("{}, bodies of {}", transport.name(), bytes(*size as f64));
                groups.push((title, rows));
            }
        }
        groups
    }

    fn tables(&self, rows: &[Row]) -> String {
        let mut text = String::new();
        for (title, rows) in self.groups(rows) {
            let mut table = Table::new([
                "side, in flight",
                "calls/s (least to most)",
                "of raw",
                "p50 us",
                "p99 us",
                "CPU us/call: server",
                "client",
                "peak MiB: server",
                "client",
            ]);
            for row in &rows {
                let floor = rows
                    .iter()
                    .find(|other| other.side.name() == "raw" && other.cell == row.cell);
                table.row(row.cells(floor.map(|floor| floor.rate().median)));
            }
            text += &format!("### {title}\n\n{table}\n");
        }
        text += &format!(
            "Medians of {} rounds of {} s, all sides in turns.\n",
            self.rounds, self.seconds
        );
        text
    }

    fn chart(&self, rows: &[Row]) -> Chart {
        let panel = |(title, rows): (String, Vec<&Row>)| Panel {
            title,
            rows: self
                .sides
                .iter()
                .filter(|side| rows.iter().any(|row| row.side.name() == side.name()))
                .map(|side| {
                    let of = |in_flight: &usize| {
                        let mine = rows
                            .iter()
                            .find(|row| row.side.name() == side.name() && row.cell.in_flight == *in_flight);
                        mine.map(|row| row.rate().median).filter(|rate| *rate > 0.0)
                    };
                    (side.name().to_owned(), self.in_flight.iter().map(of).collect())
                })
                .collect(),
        };
        Chart {
            title: "Calls per second".into(),
            unit: "calls/s, logarithmic: more is better".into(),
            series: self
                .in_flight
                .iter()
                .map(|count| format!("{count} in flight"))
                .collect(),
            panels: self.groups(rows).into_iter().map(panel).collect(),
        }
    }
}

impl Row {
    fn title(&self) -> String {
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
    async fn measure(&self, seconds: f64) -> Result<Measured> {
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

    fn rate(&self) -> Spread {
        self.spread(|round| round.seen.calls as f64 / round.seen.seconds)
    }

    fn cells(&self, floor: Option<f64>) -> Vec<String> {
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
