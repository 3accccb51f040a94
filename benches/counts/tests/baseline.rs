//! The hot paths take as many instructions as they did.

use brubeck_counts::baseline::Baseline;
use brubeck_counts::{callgrind, paths};
use std::path::Path;
use std::process::Command;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/baseline.txt");

/// The release that compiles this: `rustc 1.95.0`.
fn compiler() -> String {
    let said = Command::new(std::env::var_os("RUSTC").unwrap_or("rustc".into()))
        .arg("--version")
        .output()
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    said.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

#[test]
#[cfg_attr(
    debug_assertions,
    ignore = "counts are those of a release build: cargo test --profile counts -p brubeck-counts"
)]
fn the_hot_paths_take_as_many_instructions_as_they_did() {
    if !callgrind::is_installed() {
        assert!(
            std::env::var_os("CI").is_none(),
            "valgrind is missing: apt-get install valgrind"
        );
        return println!("skipped: valgrind is missing: apt-get install valgrind");
    }
    let overwrite = std::env::var_os("COUNTS").is_some_and(|what| what == "overwrite");
    let old = Baseline::read(&std::fs::read_to_string(FILE).unwrap_or_default());
    let compiler = compiler();
    if !overwrite && old.compiler != compiler {
        return println!(
            "skipped: the baseline is that of {}, and this is {compiler}",
            old.compiler
        );
    }
    let folder = tempfile::tempdir().expect("a folder");
    let program = Path::new(env!("CARGO_BIN_EXE_brubeck-counts"));
    let counts = paths::PATHS.iter().map(|(name, _)| {
        let mut counted = callgrind::count(program, name, paths::WITHIN, folder.path()).expect("a count");
        counted.instructions /= paths::TIMES;
        counted.allocations /= paths::TIMES;
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
        "{}\nIf that is meant: COUNTS=overwrite cargo test --profile counts -p brubeck-counts, and read the difference.",
        changes.join("\n")
    );
}
