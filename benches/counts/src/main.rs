//! Walks one path, for whoever counts.

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
        .ok_or_else(|| format!("say which path: {}", names()))?;
    let (_, path) = paths::PATHS
        .iter()
        .find(|(known, _)| *known == name)
        .ok_or_else(|| format!("there is no path `{name}`: there are {}", names()))?;
    path()
}
