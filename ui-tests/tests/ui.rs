//! Every case is one program; what the compiler says to it stands beside it.
//!
//! `TRYBUILD=overwrite cargo test -p ui-tests` writes the texts anew. Read the difference before it is kept.

use std::path::Path;
use trybuild::TestCases;

/// The release that worded `fail/rustc`: these texts are rustc's own and change with it.
const CAPTURED_WITH: &str = "rustc 1.95.";

/// The cases are built as a package of their own, which has its templates beside its manifest.
fn with_templates() -> TestCases {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .expect("the target folder");
    let folder = target
        .join("tests/trybuild")
        .join(env!("CARGO_PKG_NAME"))
        .join("templates");
    std::fs::create_dir_all(&folder).expect("a folder for templates");
    for file in std::fs::read_dir("templates").expect("the templates").flatten() {
        std::fs::copy(file.path(), folder.join(file.file_name())).expect("a copy of the template");
    }
    TestCases::new()
}

#[test]
fn good_programs_compile_and_mistakes_are_explained() {
    let cases = with_templates();
    cases.pass("tests/pass/*.rs");
    cases.compile_fail("tests/fail/macro/*.rs");
    // A table over three crates, of which this package is none.
    cases.pass("../tests/three_crates/shop.rs");
    cases.compile_fail("../tests/three_crates/shadowed_shop.rs");
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
    with_templates().compile_fail("tests/fail/rustc/*.rs");
}
