//! What came out, as tables and a picture.

use crate::Plan;
use crate::row::{Measured, Row};
use crate::side::Front;
use brubeck_benches::Result;
use brubeck_benches::chart::{Chart, Panel};
use brubeck_benches::document;
use brubeck_benches::figures::{Spread, thousands, three};
use brubeck_benches::table::Table;
use brubeck_benches::usage::Usage;

impl Plan {
    pub(crate) fn publish(&self, rows: &[Row]) -> Result {
        let text = self.tables(rows);
        match &self.out {
            None => println!("{text}"),
            Some(page) => {
                let picture = document::picture(page, "web.svg", &self.chart(rows).to_string())?;
                let text = format!("![Requests per second, by side]({picture})\n\n{text}");
                document::replace(page, "web", &text)?;
            }
        }
        Ok(())
    }

    fn tables(&self, rows: &[Row]) -> String {
        let mut text = String::new();
        for front in Front::ALL {
            let mut table = Table::new([
                "side, clients".to_owned(),
                "requests/s (least to most)".into(),
                format!("of {} (least to most)", front.floor()),
                "p50 us".into(),
                "p99 us".into(),
                "CPU us/request".into(),
                "its Mongrel2's".into(),
                "peak MiB".into(),
            ]);
            for row in rows.iter().filter(|row| row.side.front == front) {
                let floor = rows
                    .iter()
                    .find(|other| other.side.name == front.floor() && other.clients == row.clients);
                table.row(row.cells(floor));
            }
            text += &format!("### {}\n\n{table}\n", front.title());
        }
        text += &format!(
            "Medians of {} rounds of {} s, all sides in turns; parts are those of each round.\n",
            self.rounds, self.seconds
        );
        text
    }

    fn chart(&self, rows: &[Row]) -> Chart {
        let panel = |front: Front| {
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
            title: "A page that says hello".into(),
            unit: "requests/s, logarithmic: more is better".into(),
            series: self
                .clients
                .iter()
                .map(|clients| format!("{clients} clients"))
                .collect(),
            panels: Front::ALL.map(panel).into(),
            subject: "brubeck".into(),
        }
    }
}

impl Row {
    fn cells(&self, floor: Option<&Row>) -> [String; 8] {
        let micros = |usage: fn(&Measured) -> Option<Usage>| {
            let each = self
                .rounds
                .iter()
                .filter_map(|round| Some(usage(round)?.cpu * 1e6 / round.seen.requests));
            Some(Spread::of(each).median)
                .filter(|micros| *micros > 0.0)
                .map_or(String::new(), three)
        };
        let rate = self.rate();
        [
            self.title(),
            format!(
                "{} ({} to {})",
                thousands(rate.median),
                thousands(rate.low),
                thousands(rate.high)
            ),
            floor.map_or(String::new(), |floor| {
                let part = self.of(floor);
                format!("{:.2} ({:.2} to {:.2})", part.median, part.low, part.high)
            }),
            three(self.spread(|round| round.seen.p50).median),
            three(self.spread(|round| round.seen.p99).median),
            micros(|round| Some(round.handler)),
            micros(|round| round.mongrel2),
            three(self.spread(|round| round.handler.peak as f64 / 1048576.0).median),
        ]
    }
}
