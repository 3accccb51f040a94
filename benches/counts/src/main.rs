//! Executes one path, to be counted by callgrind.

use brubeck_counts::{Result, paths};

fn main() -> Result {
    let names = || {
        paths::PATHS
            .iter()
            .map(|(name, _)| *name)
            .collect::<Vec<_>>()
            .join(", ")
    };
    let name = std::env::args()
        .nth(1)
        .ok_or_else(|| format!("name a path: {}", names()))?;
    let (_, path) = paths::PATHS
        .iter()
        .find(|(known, _)| *known == name)
        .ok_or_else(|| format!("unknown path `{name}`; use one of {}", names()))?;
    path()
}
