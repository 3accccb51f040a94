//! The results as tables and a chart.

use crate::Plan;
use crate::row::{Measurement, Row};
use crate::side::FrontEnd;
use brubeck_benches::Result;
use brubeck_benches::chart::{Chart, Panel};
use brubeck_benches::document;
use brubeck_benches::figures::{Spread, thousands, three_digits};
use brubeck_benches::table::Table;
use brubeck_benches::usage::Usage;

impl Plan {
    pub(crate) fn publish(&self, rows: &[Row]) -> Result {
        let text = self.tables(rows);
        match &self.out {
            None => println!("{text}"),
            Some(page) => {
                let picture = document::write_chart(page, "web.svg", &self.chart(rows).to_string())?;
                let text = format!("![Requests per second, by side]({picture})\n\n{text}");
                document::replace(page, "web", &text)?;
            }
        }
        Ok(())
    }

    fn tables(&self, rows: &[Row]) -> String {
        let mut text = String::new();
        for front in FrontEnd::ALL {
            let mut table = Table::new([
                "side, clients".to_owned(),
                "requests/s (min to max)".into(),
                format!("ratio to {} (min to max)", front.lower_bound()),
                "p50 us".into(),
                "p99 us".into(),
                "CPU us/request: handler".into(),
                "CPU us/request: Mongrel2".into(),
                "peak MiB: handler".into(),
            ]);
            for row in rows.iter().filter(|row| row.side.front == front) {
                let base = rows
                    .iter()
                    .find(|other| other.side.name == front.lower_bound() && other.clients == row.clients);
                table.row(row.cells(base));
            }
            text += &format!("### {}\n\n{table}\n", front.title());
        }
        text += &format!(
            "Medians of {} rounds of {} s, all sides in turn; ratios are computed within each round.\n",
            self.rounds, self.seconds
        );
        text
    }

    fn chart(&self, rows: &[Row]) -> Chart {
        let panel = |front: FrontEnd| {
            let sides = self.sides.iter().filter(|side| side.front == front);
            let bars = sides.map(|side| {
                let with = |clients: &usize| {
                    let mine = rows
                        .iter()
                        .find(|row| row.side.name == side.name && row.clients == *clients);
                    mine.map(|row| row.rate().median)
                };
                (side.name.to_owned(), self.clients.iter().map(with).collect())
            });
            Panel {
                title: front.title().into(),
                rows: bars.collect(),
            }
        };
        Chart {
            title: "A page that returns hello".into(),
            unit: "requests/s, logarithmic; more is better".into(),
            series: self
                .clients
                .iter()
                .map(|clients| match clients {
                    1 => "1 client".to_owned(),
                    clients => format!("{clients} clients"),
                })
                .collect(),
            panels: FrontEnd::ALL.map(panel).into(),
            subject: "brubeck".into(),
        }
    }
}

impl Row {
    fn cells(&self, base: Option<&Row>) -> [String; 8] {
        let micros = |usage: fn(&Measurement) -> Option<Usage>| {
            let each = self
                .rounds
                .iter()
                .filter_map(|round| Some(usage(round)?.cpu * 1e6 / round.results.requests));
            Some(Spread::of(each).median)
                .filter(|micros| *micros > 0.0)
                .map_or(String::new(), three_digits)
        };
        let rate = self.rate();
        [
            self.title(),
            format!(
                "{} ({} to {})",
                thousands(rate.median),
                thousands(rate.min),
                thousands(rate.max)
            ),
            base.map_or(String::new(), |base| {
                let ratio = self.ratio_to(base);
                format!("{:.2} ({:.2} to {:.2})", ratio.median, ratio.min, ratio.max)
            }),
            three_digits(self.spread(|round| round.results.p50).median),
            three_digits(self.spread(|round| round.results.p99).median),
            micros(|round| Some(round.handler)),
            micros(|round| round.mongrel2),
            three_digits(
                self.spread(|round| round.handler.peak_memory as f64 / 1048576.0)
                    .median,
            ),
        ]
    }
}
