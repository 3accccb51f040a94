//! Child processes: this program, started again to run one of its tests.

use super::with_timeout;
use std::any::type_name;
use tokio::process::Command;

/// The environment variable with the name of the test that a child process runs.
const TEST: &str = "BRUBECK_TEST_CHILD";

/// Returns the command that runs `test` in a child process.
pub fn command<T: Fn() + Copy>(test: T) -> Command {
    run_only(test, Command::new(this_program()))
}

/// Returns the command that runs `test` in a child process, from a copy of this program.
pub fn command_with<T: Fn() + Copy>(test: T, program: &std::path::Path) -> Command {
    run_only(test, Command::new(program))
}

/// Returns the command that runs `test` in a child process after a shell script, which must end with `exec "$@"`.
pub fn command_after<T: Fn() + Copy>(script: &str, test: T) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", script, "sh"]).arg(this_program());
    run_only(test, shell)
}

/// Returns `true` if this process was started to run `test`.
pub fn is_child<T: Fn() + Copy>(test: T) -> bool {
    std::env::var(TEST).is_ok_and(|name| name == path(test))
}

/// Runs `test` in a child process, unless this process is that child. Returns `true` in the child.
///
/// A test that changes process-wide state calls this first, and returns if the result is `false`: the child has passed.
///
/// # Panics
///
/// Panics if the child fails, or takes longer than 30 seconds.
pub async fn isolated<T: Fn() + Copy>(test: T) -> bool {
    if is_child(test) {
        return true;
    }
    let output = with_timeout(command(test).output())
        .await
        .expect("a child process");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    // Indented, so that the child's result is not mistaken for one of this process.
    for line in text.lines().chain(errors.lines()) {
        println!("    {line}");
    }
    // A child that does not find the test exits with success, too.
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

/// Returns the test harness's name of a test: its path within this crate.
fn path<T: Fn() + Copy>(_: T) -> &'static str {
    let (_crate_name, path) = type_name::<T>().split_once("::").expect("a path");
    path
}

fn this_program() -> std::path::PathBuf {
    std::env::current_exe().expect("the path of this program")
}
