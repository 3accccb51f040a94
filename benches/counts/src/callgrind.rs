//! Runs a program under callgrind, and reads what it counted.

use crate::Result;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Hashes: processors differ in how they do them.
const HASHES: [&str; 2] = ["sha2::", "cpufeatures"];
/// What gives memory.
const ALLOCATORS: [&str; 5] = ["malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc"];

/// What one walk along a path takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Instructions of the program itself.
    pub instructions: u64,
    /// How often it asked for memory.
    pub allocations: u64,
}

/// Whether callgrind is here.
pub fn is_installed() -> bool {
    let asked = Command::new("valgrind").arg("--version").output();
    asked.is_ok_and(|output| output.status.success())
}

/// Counts what this program does with this argument within the function whose name holds `within`.
///
/// # Errors
///
/// The program failed, or callgrind wrote nothing that can be read.
pub fn count(program: &Path, argument: &str, within: &str, folder: &Path) -> Result<Counted> {
    let written = folder.join(format!("{argument}.callgrind"));
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--compress-strings=no", "--compress-pos=no"])
        .arg(format!("--toggle-collect=*{within}*"))
        .arg(format!("--callgrind-out-file={}", written.display()))
        .arg(program)
        .arg(argument)
        .output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("valgrind cannot count `{argument}`: {said}").into());
    }
    let counted = read(&fs::read_to_string(&written)?, &program.display().to_string());
    match counted.instructions {
        0 => Err(format!("callgrind saw nothing of `{argument}`").into()),
        _ => Ok(counted),
    }
}

/// Adds up what callgrind wrote: <https://valgrind.org/docs/manual/cl-format.html>.
fn read(text: &str, program: &str) -> Counted {
    let mut counted = Counted::default();
    let (mut own, mut hash, mut called, mut inclusive) = (false, false, "", false);
    for line in text.lines() {
        match line.split_once('=') {
            Some(("ob", object)) => own = object == program,
            Some(("fn", function)) => hash = HASHES.iter().any(|name| function.contains(name)),
            Some(("cfn", function)) => called = function,
            Some(("calls", calls)) => {
                // The next line is the cost of what was called, which stands elsewhere, too.
                inclusive = true;
                if own && ALLOCATORS.contains(&called) {
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
    fn only_the_program_itself_counts() {
        let text = "events: Ir\n\nob=/bin/own\nfl=a.rs\nfn=own::walk\n10 7\ncob=/lib/libc.so\ncfn=malloc\ncalls=3 0\n11 900\n\
                    12 5\nob=/lib/libc.so\nfn=malloc\n0 900\n\nob=/bin/own\nfn=sha2::compress\n1 100\n";
        let counted = Counted {
            instructions: 12,
            allocations: 3,
        };
        assert_eq!(read(text, "/bin/own"), counted);
    }
}
