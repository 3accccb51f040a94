//! The baseline: a file with a line for each path.

use crate::callgrind::Counts;
use std::collections::BTreeMap;
use std::fmt::Write;

/// The maximum difference from the baseline, in percent of it, in either direction.
pub const TOLERANCE_PERCENT: u64 = 5;

/// The counts of all paths with one compiler.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Baseline {
    /// The release of the compiler: `rustc 1.95.0`.
    pub compiler: String,
    /// The counts by path.
    pub counts: BTreeMap<String, Counts>,
}

impl Baseline {
    /// Parses the output of [`to_text`](Baseline::to_text). Invalid lines are ignored.
    pub fn read(text: &str) -> Baseline {
        let mut baseline = Baseline::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            match line.split_whitespace().collect::<Vec<_>>()[..] {
                ["rustc", release] => baseline.compiler = format!("rustc {release}"),
                [path, instructions, allocations] => {
                    if let (Ok(instructions), Ok(allocations)) = (instructions.parse(), allocations.parse()) {
                        let counted = Counts {
                            instructions,
                            allocations,
                        };
                        baseline.counts.insert(path.to_owned(), counted);
                    }
                }
                _ => {}
            }
        }
        baseline
    }

    /// Formats the baseline as in its file.
    pub fn to_text(&self) -> String {
        let mut text = String::from(
            "# Written by: COUNTS=overwrite cargo test --profile counts -p brubeck-counts\n# path, instructions, allocations\n",
        );
        let _ = writeln!(text, "{}", self.compiler);
        for (path, counted) in &self.counts {
            let Counts {
                instructions,
                allocations,
            } = counted;
            let _ = writeln!(text, "{path:<24} {instructions:>8} {allocations:>4}");
        }
        text
    }

    /// Compares `now` with this baseline. Returns a line for each path that is new, is missing, or differs by more than
    /// [`TOLERANCE_PERCENT`].
    pub fn changes(&self, now: &Baseline) -> Vec<String> {
        let removed = self.counts.keys().filter(|path| !now.counts.contains_key(*path));
        let removed = removed.map(|path| format!("{path}: in the baseline, but no longer counted"));
        let changed = now.counts.iter().filter_map(|(path, new)| {
            let Some(old) = self.counts.get(path) else {
                return Some(format!("{path}: not in the baseline"));
            };
            let numbers = [
                ("instructions", old.instructions, new.instructions),
                ("allocations", old.allocations, new.allocations),
            ];
            let changed = numbers.into_iter().find(|(_, old, new)| is_far(*old, *new));
            changed.map(|(unit, old, new)| {
                let verdict = if new > old { "regression" } else { "improvement" };
                format!("{path}: {new} {unit}, {old} in the baseline: {verdict}")
            })
        });
        removed.chain(changed).collect()
    }
}

fn is_far(old: u64, new: u64) -> bool {
    old.abs_diff(new) * 100 > old * TOLERANCE_PERCENT
}

#[cfg(test)]
mod tests {
    use super::*;

    fn baseline(counts: &[(&str, u64, u64)]) -> Baseline {
        let counts = counts.iter().map(|(path, instructions, allocations)| {
            let counted = Counts {
                instructions: *instructions,
                allocations: *allocations,
            };
            ((*path).to_owned(), counted)
        });
        Baseline {
            compiler: "rustc 1.95.0".into(),
            counts: counts.collect(),
        }
    }

    #[test]
    fn baseline_round_trips() {
        let one = baseline(&[("a", 100, 1), ("b-c", 12_345, 0)]);
        assert_eq!(Baseline::read(&one.to_text()), one);
    }

    #[test]
    fn changes_over_five_percent_are_reported() {
        let old = baseline(&[
            ("same", 100, 2),
            ("slower", 100, 2),
            ("faster", 100, 2),
            ("allocates", 100, 2),
        ]);
        let new = baseline(&[
            ("same", 105, 2),
            ("slower", 106, 2),
            ("faster", 94, 2),
            ("allocates", 100, 3),
        ]);
        let changes = old.changes(&new);
        let names: Vec<_> = changes.iter().filter_map(|line| line.split(':').next()).collect();
        assert_eq!(names, ["allocates", "faster", "slower"], "{changes:?}");
        assert_eq!(
            old.changes(&baseline(&[("same", 100, 2), ("new", 1, 1)])).len(),
            4
        );
    }
}
