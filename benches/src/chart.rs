//! Bar charts on a logarithmic scale, as SVG.

use crate::figures::thousands;
use std::fmt::{self, Display, Write};

/// A bar chart: panels from top to bottom, rows in each panel, and a bar for each series in each row.
#[derive(Clone, Debug, Default)]
pub struct Chart {
    /// The title of the chart.
    pub title: String,
    /// The unit of the bars.
    pub unit: String,
    /// The names of the bars in each row, at most 4.
    pub series: Vec<String>,
    /// The panels, from top to bottom.
    pub panels: Vec<Panel>,
    /// The rows with this name have it printed in bold.
    pub subject: String,
}

/// A panel of a chart.
#[derive(Clone, Debug, Default)]
pub struct Panel {
    /// The title of the panel.
    pub title: String,
    /// The rows: a name, and an optional value for each series.
    pub rows: Vec<(String, Vec<Option<f64>>)>,
}

const WIDTH: f64 = 860.0;
const LEFT: f64 = 130.0;
const RIGHT: f64 = 80.0;
const TOP: f64 = 76.0;
const BAR: f64 = 11.0;
const ROW_GAP: f64 = 9.0;
const HEADING: f64 = 30.0;
const FOOT: f64 = 34.0;
const COLOURS: [&str; 4] = ["#9ecae1", "#4292c6", "#08519c", "#de8f3b"];

/// A logarithmic scale between two powers of ten.
struct Scale {
    low: i32,
    high: i32,
}

impl Scale {
    fn x(&self, value: f64) -> f64 {
        let part = (value.log10() - f64::from(self.low)) / f64::from(self.high - self.low);
        LEFT + part.clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT)
    }
}

impl Chart {
    fn scale(&self) -> Scale {
        let values = || {
            let rows = self.panels.iter().flat_map(|panel| &panel.rows);
            rows.flat_map(|(_, values)| values.iter().flatten().copied())
                .filter(|value| *value > 0.0)
        };
        let low = values().fold(f64::INFINITY, f64::min).min(1e6).log10().floor() as i32;
        let high = values().fold(0.0, f64::max).max(1.0).log10().ceil() as i32;
        Scale {
            low,
            high: high.max(low + 1),
        }
    }

    fn row_height(&self) -> f64 {
        self.series.len() as f64 * BAR + ROW_GAP
    }

    fn height(&self) -> f64 {
        let rows: usize = self.panels.iter().map(|panel| panel.rows.len()).sum();
        let panels = self.panels.len() as f64;
        TOP + panels * (HEADING + FOOT) + rows as f64 * self.row_height()
    }

    fn legend(&self, svg: &mut String) -> fmt::Result {
        let mut x = LEFT;
        for (name, colour) in self.series.iter().zip(COLOURS) {
            writeln!(
                svg,
                r#"<rect x="{x}" y="46" width="12" height="12" rx="2" fill="{colour}"/>"#
            )?;
            writeln!(svg, r#"<text x="{}" y="56">{}</text>"#, x + 17.0, Escaped(name))?;
            x += 36.0 + 7.0 * name.len() as f64;
        }
        let unit = Escaped(&self.unit);
        writeln!(
            svg,
            r##"<text x="{}" y="56" text-anchor="end" fill="#666">{unit}</text>"##,
            WIDTH - 20.0
        )
    }

    fn grid(&self, svg: &mut String, scale: &Scale, top: f64, bottom: f64) -> fmt::Result {
        for power in scale.low..=scale.high {
            let value = 10_f64.powi(power);
            let x = scale.x(value);
            writeln!(
                svg,
                r##"<path d="M{x:.1} {top:.1}V{bottom:.1}" stroke="#e3e6ea"/>"##
            )?;
            let (y, label) = (bottom + 14.0, thousands(value));
            writeln!(
                svg,
                r##"<text x="{x:.1}" y="{y:.1}" text-anchor="middle" fill="#888" font-size="10">{label}</text>"##
            )?;
        }
        Ok(())
    }

    fn bars(
        &self,
        svg: &mut String,
        scale: &Scale,
        top: f64,
        row: &(String, Vec<Option<f64>>),
    ) -> fmt::Result {
        let (name, values) = row;
        let middle = top + self.series.len() as f64 * BAR / 2.0 + 4.0;
        let weight = if *name == self.subject { 700 } else { 400 };
        let (x, name) = (LEFT - 10.0, Escaped(name));
        writeln!(
            svg,
            r#"<text x="{x}" y="{middle:.1}" text-anchor="end" font-weight="{weight}">{name}</text>"#
        )?;
        for (index, (value, colour)) in values.iter().zip(COLOURS).enumerate() {
            let Some(value) = value else { continue };
            let (y, width) = (top + index as f64 * BAR, scale.x(*value) - LEFT);
            let height = BAR - 1.5;
            writeln!(
                svg,
                r#"<rect x="{LEFT}" y="{y:.1}" width="{width:.1}" height="{height}" rx="1.5" fill="{colour}"/>"#
            )?;
            let (x, y, value) = (LEFT + width + 5.0, y + 8.5, thousands(*value));
            writeln!(
                svg,
                r##"<text x="{x:.1}" y="{y:.1}" font-size="9.5" fill="#444">{value}</text>"##
            )?;
        }
        Ok(())
    }

    fn draw(&self) -> Result<String, fmt::Error> {
        let (mut svg, scale, height) = (String::new(), self.scale(), self.height());
        writeln!(
            svg,
            r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" font-family="system-ui, 'Segoe UI', 'Helvetica Neue', Arial, sans-serif" font-size="12" fill="#222">
<rect width="100%" height="100%" rx="6" fill="#fcfcfd"/>
<text x="20" y="30" font-size="16" font-weight="600">{}</text>"##,
            Escaped(&self.title)
        )?;
        self.legend(&mut svg)?;
        let mut y = TOP;
        for panel in &self.panels {
            let bottom = y + HEADING + panel.rows.len() as f64 * self.row_height();
            let title = Escaped(&panel.title);
            writeln!(
                svg,
                r#"<text x="20" y="{}" font-size="13" font-weight="600">{title}</text>"#,
                y + 18.0
            )?;
            self.grid(&mut svg, &scale, y + HEADING - 4.0, bottom - 4.0)?;
            for (index, row) in panel.rows.iter().enumerate() {
                self.bars(
                    &mut svg,
                    &scale,
                    y + HEADING + index as f64 * self.row_height(),
                    row,
                )?;
            }
            y = bottom + FOOT;
        }
        svg.push_str("</svg>\n");
        Ok(svg)
    }
}

impl Display for Chart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.draw()?)
    }
}

/// Escapes text for XML.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|char| match char {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            char => f.write_char(char),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_has_a_bar_and_text_is_escaped() {
        let chart = Chart {
            title: "a < b".into(),
            series: vec!["one".into(), "two".into()],
            panels: vec![Panel {
                title: "tcp".into(),
                rows: vec![
                    ("raw".into(), vec![Some(1000.0), None]),
                    ("x".into(), vec![Some(5.0), Some(70.0)]),
                ],
            }],
            ..Chart::default()
        };
        let svg = chart.to_string();
        assert!(svg.contains("a &lt; b"));
        // The background, two in the legend, three bars.
        assert_eq!(svg.matches("<rect").count(), 6);
    }
}
