//! Runs a program under callgrind and parses the counts.

use crate::Result;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Parts of the names of hash functions. They are not counted, because their instructions depend on the CPU.
const HASH_FUNCTIONS: [&str; 2] = ["sha2::", "cpufeatures"];
/// The functions that allocate.
const ALLOCATION_FUNCTIONS: [&str; 5] = ["malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc"];

/// The counts of a path: of all its executions from [`count`], of one execution in the baseline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Instructions, without those of libraries and hash functions.
    pub instructions: u64,
    /// Calls of the functions that allocate, `realloc` included.
    pub allocations: u64,
}

/// Returns `true` if valgrind is installed.
pub fn is_installed() -> bool {
    let output = Command::new("valgrind").arg("--version").output();
    output.is_ok_and(|output| output.status.success())
}

/// Runs `program` with `argument` under callgrind, and counts inside the functions whose name contains `function`. Callgrind writes its
/// output to `folder`.
///
/// # Errors
///
/// Returns an error if the program fails, or callgrind writes no counts.
pub fn count(program: &Path, argument: &str, function: &str, folder: &Path) -> Result<Counts> {
    let written = folder.join(format!("{argument}.callgrind"));
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--compress-strings=no", "--compress-pos=no"])
        .arg(format!("--toggle-collect=*{function}*"))
        .arg(format!("--callgrind-out-file={}", written.display()))
        .arg(program)
        .arg(argument)
        .output()?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        return Err(format!("valgrind failed with `{argument}`: {stderr}").into());
    }
    let counted = parse(&fs::read_to_string(&written)?, &program.display().to_string());
    match counted.instructions {
        0 => {
            Err(format!("callgrind counted no instructions of `{argument}`; is the function inlined?").into())
        }
        _ => Ok(counted),
    }
}

/// Sums the counts in the output of callgrind: <https://valgrind.org/docs/manual/cl-format.html>.
fn parse(text: &str, program: &str) -> Counts {
    let mut counted = Counts::default();
    let (mut own, mut hash, mut called, mut inclusive) = (false, false, "", false);
    for line in text.lines() {
        match line.split_once('=') {
            Some(("ob", object)) => own = object == program,
            Some(("fn", function)) => hash = HASH_FUNCTIONS.iter().any(|name| function.contains(name)),
            Some(("cfn", function)) => called = function,
            Some(("calls", calls)) => {
                // The next line is the inclusive cost of the callee, which is listed with the callee, too.
                inclusive = true;
                if own && ALLOCATION_FUNCTIONS.contains(&called) {
                    counted.allocations += first_number(calls);
                }
            }
            _ if line.starts_with(|first: char| first.is_ascii_digit()) => {
                let cost = line.split_whitespace().nth(1).map_or(0, first_number);
                if own && !hash && !std::mem::take(&mut inclusive) {
                    counted.instructions += cost;
                }
                inclusive = false;
            }
            _ => {}
        }
    }
    counted
}

fn first_number(text: &str) -> u64 {
    let number = text.split_whitespace().next().unwrap_or_default();
    number.parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_and_hash_functions_are_not_counted() {
        let text = "events: Ir\n\nob=/bin/own\nfl=a.rs\nfn=own::walk\n10 7\ncob=/lib/libc.so\ncfn=malloc\ncalls=3 0\n11 900\n\
                    12 5\nob=/lib/libc.so\nfn=malloc\n0 900\n\nob=/bin/own\nfn=sha2::compress\n1 100\n";
        let counted = Counts {
            instructions: 12,
            allocations: 3,
        };
        assert_eq!(parse(text, "/bin/own"), counted);
    }
}
