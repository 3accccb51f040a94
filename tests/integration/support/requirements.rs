//! Programs that some tests need: Mongrel2, Python with a package, and the examples.
//!
//! If Mongrel2 or a Python package is missing, the test is skipped with a message, or fails if `CI` is set.
//! `BRUBECK_PYTHON` selects the Python interpreter (default `python3`).

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

/// Returns `true` if Mongrel2 is installed.
pub fn mongrel2() -> bool {
    brubeck::Mongrel2Server::is_installed() || missing("mongrel2", "apt-get install mongrel2-core")
}

/// Returns the Python interpreter if it has pyzmq.
pub fn pyzmq() -> Option<PathBuf> {
    python_with("zmq", "pyzmq")
}

/// Returns the Python interpreter if it has the package `websockets`.
pub fn websockets() -> Option<PathBuf> {
    python_with("websockets.asyncio.client", "websockets")
}

fn python_with(module: &str, package: &str) -> Option<PathBuf> {
    let python = PathBuf::from(std::env::var_os("BRUBECK_PYTHON").unwrap_or("python3".into()));
    let is_there = Command::new(&python)
        .args(["-c", &format!("import {module}")])
        .output()
        .is_ok_and(|output| output.status.success());
    let install_command = format!("{} -m pip install {package}", python.display());
    (is_there || missing(package, &install_command)).then_some(python)
}

/// Returns the path of an example program, which `cargo test` builds next to the tests.
///
/// # Panics
///
/// Panics if the program was not built.
pub fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the path of this test");
    let path = test
        .ancestors()
        .nth(2)
        .expect("a target folder")
        .join("examples")
        .join(name);
    assert!(
        path.is_file(),
        "{} is missing; build it with: cargo build --examples",
        path.display()
    );
    path
}

/// Reports a missing program and returns `false`, or panics if `CI` is set.
fn missing(program: &str, install_command: &str) -> bool {
    let text = format!("{program} is missing; install it with: {install_command}");
    assert!(std::env::var_os("CI").is_none(), "{text}");
    // Not `eprintln!`, which is only shown for tests that fail.
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    writeln!(std::io::stderr(), "skipped {test}: {text}").expect("standard error");
    false
}
