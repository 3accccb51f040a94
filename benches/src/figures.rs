//! Summaries of measurements, and the format of numbers.

/// The minimum, median and maximum of several rounds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spread {
    /// The minimum.
    pub min: f64,
    /// The median.
    pub median: f64,
    /// The maximum.
    pub max: f64,
}

impl Spread {
    /// Summarizes values. Returns zeros for an empty iterator.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Spread {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (Some(low), Some(high)) = (values.first(), values.last()) else {
            return Spread::default();
        };
        let half = values.len() / 2;
        let upper = values.get(half).copied().unwrap_or_default();
        let lower = values.get(half.saturating_sub(1)).copied().unwrap_or_default();
        Spread {
            min: *low,
            median: if values.len() % 2 == 1 {
                upper
            } else {
                (lower + upper) / 2.0
            },
            max: *high,
        }
    }
}

/// Formats a number with thousands separators: `12,345`.
pub fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats a number with about three significant digits: `0.12`, `1.23`, `12.3`, `123`, `12,345`.
pub fn three_digits(number: f64) -> String {
    match number {
        0.0 => "0".into(),
        n if n < 10.0 => format!("{n:.2}"),
        n if n < 100.0 => format!("{n:.1}"),
        n => thousands(n),
    }
}

/// Formats a number of bytes: `100 B`, `64 KiB`, `1.5 MiB`.
pub fn bytes(count: f64) -> String {
    let (mut count, mut units) = (count, ["B", "KiB", "MiB", "GiB"].into_iter());
    let mut unit = units.next().unwrap_or_default();
    while count >= 1024.0 {
        let Some(next) = units.next() else { break };
        (count, unit) = (count / 1024.0, next);
    }
    let digits = usize::from(count < 10.0 && count.fract() >= 0.05);
    format!("{count:.digits$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn min_median_and_max_are_computed() {
        let spread = Spread::of([3.0, 1.0, 9.0, 4.0]);
        assert_eq!((spread.min, spread.median, spread.max), (1.0, 3.5, 9.0));
        assert_eq!(Spread::of([2.0]).median, 2.0);
        assert_eq!(Spread::of([]), Spread::default());
    }

    #[test]
    fn numbers_are_formatted() {
        assert_eq!(thousands(1_234_567.0), "1,234,567");
        assert_eq!(thousands(999.0), "999");
        assert_eq!([0.5, 12.34, 1234.0].map(three_digits), ["0.50", "12.3", "1,234"]);
        assert_eq!(
            [100.0, 65_536.0, 1_572_864.0].map(bytes),
            ["100 B", "64 KiB", "1.5 MiB"]
        );
    }
}
