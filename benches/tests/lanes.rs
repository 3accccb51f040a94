//! The benchmarks run and write their tables.

use std::fs;
use std::process::Command;

/// Runs a benchmark briefly, and returns the page that it writes.
fn page_of(program: &str, name: &str, arguments: &[&str]) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.md");
    fs::write(&page, format!("<!-- {name}:begin -->\n<!-- {name}:end -->\n")).unwrap();
    let ran = Command::new(program)
        .args(["--rounds", "1", "--seconds", "0.03", "--out"])
        .arg(&page)
        .args(arguments)
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let text = fs::read_to_string(&page).unwrap();
    (folder, text)
}

#[test]
fn calls_benchmark_measures_every_side_without_a_broker() {
    let sides = "raw,brubeck,brubeck-one,branch,tarpc-json,tarpc-bincode,tonic,axum";
    let arguments = ["--sides", sides, "--in-flight", "2"];
    let (folder, text) = page_of(env!("CARGO_BIN_EXE_calls"), "calls", &arguments);
    for side in sides.split(',') {
        // At least two sizes over tcp, and no row without measurements.
        assert!(
            text.matches(&format!("\n| {side}, 2 | ")).count() >= 2,
            "{side} in {text}"
        );
        assert!(!text.contains(&format!("\n| {side}, 2 | 0 ")), "{side} in {text}");
    }
    let picture = fs::read_to_string(folder.path().join("page/calls.svg")).unwrap();
    assert!(picture.contains("brubeck-one"));
}

#[test]
fn scaling_benchmark_measures_workers() {
    let arguments = ["--lanes", "workers"];
    let (_folder, text) = page_of(env!("CARGO_BIN_EXE_scaling"), "scaling", &arguments);
    assert!(text.contains("\n| 8 | "), "{text}");
}
