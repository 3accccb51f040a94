//! Parts of the system that tests need and that a fresh machine may lack.

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

/// Whether Mongrel2 is there; where it must be, its absence fails the test.
pub fn mongrel2() -> bool {
    brubeck::Mongrel2Server::is_installed() || missing("mongrel2", "apt-get install mongrel2-core")
}

/// The Python interpreter, if it has pyzmq.
pub fn pyzmq() -> Option<PathBuf> {
    python_with("zmq", "pyzmq")
}

/// The Python interpreter, if it has the package `websockets`.
pub fn websockets() -> Option<PathBuf> {
    python_with("websockets.asyncio.client", "websockets")
}

fn python_with(module: &str, package: &str) -> Option<PathBuf> {
    let python = PathBuf::from(std::env::var_os("BRUBECK_PYTHON").unwrap_or("python3".into()));
    let is_there = Command::new(&python)
        .args(["-c", &format!("import {module}")])
        .output()
        .is_ok_and(|output| output.status.success());
    (is_there || missing(package, &format!("python3 -m pip install {package}"))).then_some(python)
}

/// The program of an example, which `cargo test` builds beside the tests.
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

fn missing(what: &str, how: &str) -> bool {
    let text = format!("{what} is missing; install it with: {how}");
    assert!(std::env::var_os("CI").is_none(), "{text}");
    // Not `eprintln!`, which is only shown for tests that fail.
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    writeln!(std::io::stderr(), "skipped {test}: {text}").expect("standard error");
    false
}
