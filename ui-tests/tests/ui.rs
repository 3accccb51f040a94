//! Compiles each test case as a program, and compares the output of the compiler with the file next to it.
//!
//! `TRYBUILD=overwrite cargo test -p ui-tests` rewrites these files. Review the difference before you commit it.

use std::path::Path;
use trybuild::TestCases;

/// The release of rustc whose errors are in `fail/rustc`. Their text changes between releases.
const CAPTURED_WITH: &str = "rustc 1.95.";

/// Returns the runner. It builds the test cases as a package in the target folder, which needs its own copy of the templates.
fn with_templates() -> TestCases {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .expect("the temporary folder should be in the target folder");
    let folder = target
        .join("tests/trybuild")
        .join(env!("CARGO_PKG_NAME"))
        .join("templates");
    std::fs::create_dir_all(&folder).expect("the folder of templates should be writable");
    for file in std::fs::read_dir("templates")
        .expect("the templates should be readable")
        .flatten()
    {
        std::fs::copy(file.path(), folder.join(file.file_name())).expect("the template should be copied");
    }
    TestCases::new()
}

#[test]
fn valid_programs_compile_and_macros_report_errors() {
    let cases = with_templates();
    cases.pass("tests/pass/*.rs");
    cases.compile_fail("tests/fail/macro/*.rs");
    // A table over three other crates.
    cases.pass("../tests/three_crates/shop.rs");
    cases.compile_fail("../tests/three_crates/shadowed_shop.rs");
}

#[test]
fn rustc_reports_errors() {
    let version = std::process::Command::new(std::env::var_os("RUSTC").unwrap_or("rustc".into()))
        .arg("--version")
        .output()
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    if !version.starts_with(CAPTURED_WITH) {
        println!(
            "skipped: the expected errors are those of {CAPTURED_WITH}x, and this is {}",
            version.trim()
        );
        return;
    }
    with_templates().compile_fail("tests/fail/rustc/*.rs");
}
