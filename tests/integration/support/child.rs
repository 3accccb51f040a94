//! Child processes: this program, started again to run one of its tests and no other.

use super::within;
use std::any::type_name;
use tokio::process::Command;

/// The variable that tells a child process which test it runs.
const TEST: &str = "BRUBECK_TEST_CHILD";

/// Returns the command that runs `test` in a child process.
pub fn command<T: Fn() + Copy>(test: T) -> Command {
    run_only(test, Command::new(this_program()))
}

/// Returns the command that runs `test` in a child process that a shell script prepares; the script ends with `exec "$@"`.
pub fn command_after<T: Fn() + Copy>(script: &str, test: T) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", script, "sh"]).arg(this_program());
    run_only(test, shell)
}

/// Returns whether this process was started to run `test`.
pub fn is_child<T: Fn() + Copy>(test: T) -> bool {
    std::env::var(TEST).is_ok_and(|name| name == path(test))
}

/// Runs `test` in a child process, unless this process is that child. Returns whether it is.
///
/// A test that changes the process calls this first, and returns if the result is `false`: then the child has passed.
///
/// # Panics
/// The child failed.
pub async fn isolated<T: Fn() + Copy>(test: T) -> bool {
    if is_child(test) {
        return true;
    }
    let output = within(command(test).output()).await.expect("a child process");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    // Indented, so that the child's result is not taken for one of this process.
    for line in text.lines().chain(errors.lines()) {
        println!("    {line}");
    }
    // A child that does not find the test succeeds as well.
    let has_passed = output.status.success() && text.contains("test result: ok. 1 passed");
    assert!(has_passed, "the child process: {}", output.status);
    false
}

fn run_only<T: Fn() + Copy>(test: T, mut command: Command) -> Command {
    let name = path(test);
    command
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(TEST, name)
        .kill_on_drop(true);
    command
}

/// Returns the name by which the test harness knows a test: its path within this crate.
fn path<T: Fn() + Copy>(_: T) -> &'static str {
    let (_crate_name, path) = type_name::<T>().split_once("::").expect("a path");
    path
}

fn this_program() -> std::path::PathBuf {
    std::env::current_exe().expect("the path of this program")
}
