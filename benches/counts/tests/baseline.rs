//! Compares the counts of the hot paths with the baseline.

use brubeck_counts::baseline::Baseline;
use brubeck_counts::{callgrind, paths};
use std::path::Path;
use std::process::Command;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/baseline.txt");

/// Returns the release of the current compiler: `rustc 1.95.0`.
fn compiler() -> String {
    let version = Command::new(std::env::var_os("RUSTC").unwrap_or("rustc".into()))
        .arg("--version")
        .output()
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    version.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

#[test]
#[cfg_attr(
    debug_assertions,
    ignore = "needs a release build: cargo test --profile counts -p brubeck-counts"
)]
fn instruction_counts_match_the_baseline() {
    if !callgrind::is_installed() {
        assert!(
            std::env::var_os("CI").is_none(),
            "valgrind is missing: apt-get install valgrind"
        );
        return println!("skipped: valgrind is missing: apt-get install valgrind");
    }
    let overwrite = std::env::var_os("COUNTS").is_some_and(|value| value == "overwrite");
    let old = Baseline::read(&std::fs::read_to_string(FILE).unwrap_or_default());
    let compiler = compiler();
    if !overwrite && old.compiler != compiler {
        return println!(
            "skipped: the baseline was written with {}, and this is {compiler}",
            old.compiler
        );
    }
    let folder = tempfile::tempdir().expect("a folder");
    let program = Path::new(env!("CARGO_BIN_EXE_brubeck-counts"));
    let counts = paths::PATHS.iter().map(|(name, _)| {
        let mut counted =
            callgrind::count(program, name, paths::COUNTED_FUNCTION, folder.path()).expect("a count");
        counted.instructions /= paths::REPETITIONS;
        counted.allocations /= paths::REPETITIONS;
        ((*name).to_owned(), counted)
    });
    let now = Baseline {
        compiler,
        counts: counts.collect(),
    };
    print!("{}", now.to_text());
    if overwrite {
        return std::fs::write(FILE, now.to_text()).expect("the baseline");
    }
    let changes = old.changes(&now);
    assert!(
        changes.is_empty(),
        "{}\nIf this is intended, run: COUNTS=overwrite cargo test --profile counts -p brubeck-counts, and review the diff",
        changes.join("\n")
    );
}
