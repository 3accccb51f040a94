//! What the paths took when somebody last looked: a file of lines, one a path.

use crate::callgrind::Counted;
use std::collections::BTreeMap;
use std::fmt::Write;

/// How far a count may be off, in parts of a hundred, to either side.
pub const TOLERANCE: u64 = 5;

/// The counts of one compiler.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Baseline {
    /// The release that compiled what was counted: `rustc 1.95.0`.
    pub compiler: String,
    /// By path.
    pub counts: BTreeMap<String, Counted>,
}

impl Baseline {
    /// Reads what [`to_text`](Baseline::to_text) wrote; lines that are none are left out.
    pub fn read(text: &str) -> Baseline {
        let mut baseline = Baseline::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            match line.split_whitespace().collect::<Vec<_>>()[..] {
                ["rustc", release] => baseline.compiler = format!("rustc {release}"),
                [path, instructions, allocations] => {
                    if let (Ok(instructions), Ok(allocations)) = (instructions.parse(), allocations.parse()) {
                        let counted = Counted {
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

    /// As it is kept.
    pub fn to_text(&self) -> String {
        let mut text = String::from(
            "# Written by: COUNTS=overwrite cargo test --profile counts -p brubeck-counts\n# path, instructions, allocations\n",
        );
        let _ = writeln!(text, "{}", self.compiler);
        for (path, counted) in &self.counts {
            let Counted {
                instructions,
                allocations,
            } = counted;
            let _ = writeln!(text, "{path:<24} {instructions:>8} {allocations:>4}");
        }
        text
    }

    /// What is worth saying of `now`, a line for each path that has changed.
    pub fn changes(&self, now: &Baseline) -> Vec<String> {
        let gone = self.counts.keys().filter(|path| !now.counts.contains_key(*path));
        let gone = gone.map(|path| format!("{path}: is in the baseline, and is no path"));
        let changed = now.counts.iter().filter_map(|(path, new)| {
            let Some(old) = self.counts.get(path) else {
                return Some(format!("{path}: is not in the baseline"));
            };
            let numbers = [
                ("instructions", old.instructions, new.instructions),
                ("allocations", old.allocations, new.allocations),
            ];
            let worth = numbers.into_iter().find(|(_, old, new)| is_far(*old, *new));
            worth.map(|(what, old, new)| {
                let verdict = if new > old {
                    "more than before"
                } else {
                    "better: keep it"
                };
                format!("{path}: {new} {what} where there were {old}: {verdict}")
            })
        });
        gone.chain(changed).collect()
    }
}

fn is_far(old: u64, new: u64) -> bool {
    old.abs_diff(new) * 100 > old * TOLERANCE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn baseline(counts: &[(&str, u64, u64)]) -> Baseline {
        let counts = counts.iter().map(|(path, instructions, allocations)| {
            let counted = Counted {
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
    fn what_is_written_is_read() {
        let one = baseline(&[("a", 100, 1), ("b-c", 12_345, 0)]);
        assert_eq!(Baseline::read(&one.to_text()), one);
    }

    #[test]
    fn five_in_a_hundred_are_nothing_and_six_are_something() {
        let old = baseline(&[
            ("same", 100, 2),
            ("slower", 100, 2),
            ("faster", 100, 2),
            ("hungry", 100, 2),
        ]);
        let new = baseline(&[
            ("same", 105, 2),
            ("slower", 106, 2),
            ("faster", 94, 2),
            ("hungry", 100, 3),
        ]);
        let changes = old.changes(&new);
        let names: Vec<_> = changes.iter().filter_map(|line| line.split(':').next()).collect();
        assert_eq!(names, ["faster", "hungry", "slower"], "{changes:?}");
        assert_eq!(
            old.changes(&baseline(&[("same", 100, 2), ("new", 1, 1)])).len(),
            4
        );
    }
}
