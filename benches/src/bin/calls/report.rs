//! The results as tables and a chart.

use crate::{Plan, row::Row};
use brubeck_benches::chart::{Chart, Panel};
use brubeck_benches::document;
use brubeck_benches::figures::bytes;
use brubeck_benches::sides::Transport;
use brubeck_benches::table::Table;
use brubeck_benches::work::Kind;
use brubeck_benches::{Result, machine};

impl Plan {
    pub(crate) fn publish(&self, rows: &[Row]) -> Result {
        let text = self.tables(rows);
        match &self.out {
            None => println!("{text}"),
            Some(page) => {
                let picture = document::write_chart(page, "calls.svg", &self.chart(rows).to_string())?;
                let text = format!("![Calls per second, by side]({picture})\n\n{text}");
                document::replace(page, "calls", &text)?;
            }
        }
        Ok(())
    }

    /// Groups the rows, with a title for each group.
    fn titled_groups<'a>(&self, rows: &'a [Row]) -> Vec<(String, Vec<&'a Row>)> {
        let group = |(transport, kind, size): (Transport, Kind, usize)| {
            let rows = rows
                .iter()
                .filter(|row| (row.cell.transport, row.cell.kind, row.cell.size) == (transport, kind, size));
            let what = match kind {
                Kind::Json => "bodies",
                Kind::Bytes => "bytes",
                Kind::Nested => "bytes inside of a structure",
                Kind::Array => "bytes as numbers",
            };
            let title = format!("{}, {what} of {}", transport.name(), bytes(size as f64));
            (title, rows.collect())
        };
        self.groups().map(group).collect()
    }

    fn tables(&self, rows: &[Row]) -> String {
        let mut sides = Table::new(["side", "description", "runtime"]);
        for side in &self.sides {
            let name = format!("`{}`", side.name());
            sides.row([name.as_str(), side.description(), side.flavor().name()]);
        }
        let mut text = format!("{sides}\n");
        for (title, rows) in self.titled_groups(rows) {
            let mut table = Table::new([
                "side, in flight",
                "calls/s (min to max)",
                "of raw",
                "p50 us",
                "p99 us",
                "CPU us/call: server",
                "CPU us/call: client",
                "peak MiB: server",
                "peak MiB: client",
            ]);
            for row in &rows {
                let lower_bound = rows
                    .iter()
                    .find(|other| other.side.name() == "raw" && other.cell == row.cell);
                table.row(row.cells(lower_bound.map(|raw| raw.rate().median)));
            }
            text += &format!("### {title}\n\n{table}\n");
        }
        text += &format!(
            "Medians of {} rounds of {} s, all sides in turn; {}.\n",
            self.rounds,
            self.seconds,
            machine::description()
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
            unit: "calls/s, logarithmic; more is better".into(),
            series: self
                .in_flight
                .iter()
                .map(|count| format!("{count} in flight"))
                .collect(),
            subject: "brubeck".into(),
            panels: self.titled_groups(rows).into_iter().map(panel).collect(),
        }
    }
}
