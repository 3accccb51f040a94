//! Every case is one program; what the compiler says to it stands beside it.
//!
//! `TRYBUILD=overwrite cargo test -p ui-tests` writes the texts anew. Read the difference before it is kept.

use trybuild::TestCases;

/// The release that worded `fail/rustc`: these texts are rustc's own and change with it.
const CAPTURED_WITH: &str = "rustc 1.95.";

#[test]
fn good_programs_compile_and_mistakes_are_explained() {
    let cases = TestCases::new();
    cases.pass("tests/pass/*.rs");
    cases.compile_fail("tests/fail/macro/*.rs");
}

#[test]
fn mistakes_that_rustc_finds_are_explained() {
    let version = std::process::Command::new(std::env::var_os("RUSTC").unwrap_or("rustc".into()))
        .arg("--version")
        .output()
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    if !version.starts_with(CAPTURED_WITH) {
        println!(
            "skipped: the texts were captured with {CAPTURED_WITH}x, and this is {}",
            version.trim()
        );
        return;
    }
    TestCases::new().compile_fail("tests/fail/rustc/*.rs");
}
