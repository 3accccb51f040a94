#!/usr/bin/env python3
"""Measures what the proofs of a contract cost to compile.

    python3 benches/compile-time/proofs.py [N ...]        # default: 10 100 1000

For each number of operations, a program with a service handler and a response handler for each operation is checked twice: without tables,
and with two tables, `serves!` and `answered!`. All paths begin with the same 40 letters. The difference is the time of the proofs, in seconds of CPU
time. Both programs are checked alone, without incremental compilation.
"""

import os
import pathlib
import resource
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "compile-time" / "proofs"
PREFIX = "/service/accounting/of/a/department/one/"

MANIFEST = f"""[package]
name = "compile-time-proofs"
edition = "2024"

[workspace]

[dependencies]
brubeck = {{ package = "brubeck-rs", path = "{ROOT}", default-features = false, features = ["http", "services"] }}
"""


def program(count, proofs):
    lines = ["use brubeck::prelude::*;", "#[service_client]", "pub trait Big {"]
    for n in range(count):
        lines.append(f'#[call("{PREFIX}operation{n}/{{id}}")] async fn operation{n}(&self, id: u64) -> Result<u8, Problem>;')
    lines.append("}")
    for n in range(count):
        lines.append(
            f"#[service_handler(big::operation{n})] pub async fn operation{n}(args: Args<big::operation{n}>) -> Result<u8, Problem> "
            "{ Ok(args.id as u8) }"
        )
        lines.append(
            f"#[response_handler(big::operation{n})] pub async fn answer{n}(response: ServiceResponse<u8>) {{ let _ = response; }}"
        )
    if proofs:
        served = ", ".join(f"operation{n}" for n in range(count))
        answered = ", ".join(f"answer{n}" for n in range(count))
        lines.append(f"pub const SERVED: Routes<()> = routes![{served}];")
        lines.append(f"pub const ANSWERED: Routes<()> = routes![{answered}];")
        lines.append("serves!(SERVED => big);\nbrubeck::answered!(ANSWERED => big);")
    lines.append("fn main() {}")
    return "\n".join(lines)


def check(count, proofs):
    (FOLDER / "src").mkdir(parents=True, exist_ok=True)
    (FOLDER / "Cargo.toml").write_text(MANIFEST)
    source = FOLDER / "src" / "main.rs"
    # The dependencies are checked first, so that they do not count.
    source.write_text("fn main() {}")
    environment = {**os.environ, "CARGO_INCREMENTAL": "0", "CARGO_TARGET_DIR": str(FOLDER.parent / "target")}
    command = ["cargo", "check", "--quiet", "--manifest-path", str(FOLDER / "Cargo.toml")]
    subprocess.run(command, env=environment, check=True)
    source.write_text(program(count, proofs))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env=environment, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    print("| operations | `cargo check` without tables | with the proofs | proofs |")
    print("|---|---|---|---|")
    for count in [int(text) for text in sys.argv[1:]] or [10, 100, 1000]:
        without, with_proofs = check(count, False), check(count, True)
        print(f"| {count:,} | {without:.1f} s | {with_proofs:.1f} s | {with_proofs - without:.1f} s |", flush=True)


if __name__ == "__main__":
    main()
