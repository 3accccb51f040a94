//! Programs that some tests need: Mongrel2, nginx, Chromium, Python with a package, and the examples.
//!
//! If one is missing, the test is skipped with a message, or fails if `CI` is set.
//! `BRUBECK_PYTHON` selects the Python interpreter (default `python3`).

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// Returns `true` if Mongrel2 is installed.
pub fn mongrel2() -> bool {
    brubeck::Mongrel2Server::is_installed() || missing("mongrel2", "apt-get install mongrel2-core")
}

/// Returns `true` if nginx is installed.
pub fn nginx() -> bool {
    let is_installed = Command::new("nginx").arg("-v").output().is_ok();
    is_installed || missing("nginx", "apt-get install nginx")
}

/// Returns `true` if OpenSSL is installed.
pub fn openssl() -> bool {
    let is_installed = Command::new("openssl").arg("version").output().is_ok();
    is_installed || missing("openssl", "apt-get install openssl")
}

/// Returns `true` if Chromium is installed.
pub fn chromium() -> bool {
    let is_installed = Command::new("chromium").arg("--version").output().is_ok();
    is_installed || missing("chromium", "apt-get install chromium")
}

/// Returns the Python interpreter if it has pyzmq.
pub fn pyzmq() -> Option<PathBuf> {
    python_with("zmq", "pyzmq")
}

/// Returns the Python interpreter if it has the package `websockets`.
pub fn websockets() -> Option<PathBuf> {
    python_with("websockets.asyncio.client", "websockets")
}

/// Returns the Python interpreter.
pub fn python() -> Option<PathBuf> {
    python_with("ssl", "python3")
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

/// Returns the path of an example program. `cargo test` builds the examples next to the tests; `cargo test --test integration` does
/// not, so this builds them if one is missing.
///
/// # Panics
///
/// Panics if the examples cannot be built.
pub fn example(name: &str) -> PathBuf {
    static BUILDING: Mutex<()> = Mutex::new(());
    let test = std::env::current_exe().expect("the path of this test");
    let profile = test.ancestors().nth(2).expect("a target folder");
    let path = profile.join("examples").join(name);
    let _building = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
    if !path.is_file() {
        build_examples(profile);
    }
    assert!(
        path.is_file(),
        "{} is missing after `cargo build --examples`",
        path.display()
    );
    path
}

/// Builds all examples in the folder of a profile, such as `target/debug`.
fn build_examples(profile: &Path) {
    let name = profile
        .file_name()
        .and_then(OsStr::to_str)
        .expect("the name of a profile");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or(env!("CARGO").into()));
    cargo
        .args(["build", "--quiet", "--examples", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .args(["--profile", if name == "debug" { "dev" } else { name }])
        .arg("--target-dir")
        .arg(profile.parent().expect("a target folder"));
    let status = cargo.status().expect("cargo runs");
    assert!(status.success(), "{cargo:?}: {status}");
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
