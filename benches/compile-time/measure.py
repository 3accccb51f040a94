#!/usr/bin/env python3
"""Measures the time of `cargo check` for a program with an empty route table, and with N generated routes.

    python3 benches/compile-time/measure.py [N ...]        # default: 100 400

The program is generated in the target folder. Each figure is the median of three checks without incremental compilation.
"""

import os
import pathlib
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "compile-time"
RUNS = 3

MANIFEST = f"""[package]
name = "compile-time"
edition = "2024"

[workspace]

[dependencies]
brubeck = {{ package = "brubeck-rs", path = "{ROOT}" }}
serde = {{ version = "1", features = ["derive"] }}

[profile.dev]
debug = "line-tables-only"

[profile.dev.package."*"]
debug = false
"""

HEAD = """use brubeck::prelude::*;

#[derive(Clone)]
pub struct Db;

#[derive(Clone, AppState)]
pub struct App {
    db: Db,
}

#[derive(serde::Serialize, serde::Deserialize)]
pub struct Text {
    text: String,
}
"""

# Typical routes of an application: most have captures or a body, and return JSON.
KINDS = [
    """#[get(r"^/area{n}/item/(?<id>\\d+)(?:/(?<tab>[a-z]+))?$")]
pub async fn item{n}(id: u64, tab: Option<String>, db: State<Db>) -> Json<Text> {{
    let _ = (id, db);
    Json(Text {{ text: tab.unwrap_or_default() }})
}}
""",
    """#[post("^/area{n}/items/?$")]
pub async fn item{n}(body: Json<Text>, db: State<Db>) -> Result<Json<Text>, Fault> {{
    let _ = db;
    Ok(body)
}}
""",
    """#[service_handler(path = r"^/service{n}/(?<name>\\w+)$", method = "request")]
pub async fn item{n}(name: String, count: Arg<u32>) -> Json<Text> {{
    Json(Text {{ text: name.repeat(count.0 as usize) }})
}}
""",
    """#[get("^/page{n}$")]
pub async fn item{n}(headers: Headers) -> &'static str {{
    let _ = headers;
    "page"
}}
""",
]


def program(routes):
    handlers = [KINDS[n % len(KINDS)].format(n=n) for n in range(routes)]
    names = ", ".join(f"item{n}" for n in range(routes))
    return HEAD + "".join(handlers) + f"pub const ROUTES: Routes<App> = routes![{names}];\n"


def check(routes):
    """Returns the seconds of one `cargo check` of the program alone."""
    source = FOLDER / "src" / "lib.rs"
    source.write_text(program(routes))
    environment = dict(os.environ, CARGO_INCREMENTAL="0", CARGO_TARGET_DIR=str(FOLDER.parent))
    began = time.monotonic()
    subprocess.run(["cargo", "check", "--quiet"], cwd=FOLDER, env=environment, check=True)
    return time.monotonic() - began


def main():
    counts = [int(word) for word in sys.argv[1:]] or [100, 400]
    (FOLDER / "src").mkdir(parents=True, exist_ok=True)
    (FOLDER / "Cargo.toml").write_text(MANIFEST)
    (FOLDER / "Cargo.lock").write_bytes((ROOT / "Cargo.lock").read_bytes())
    check(0)
    empty = statistics.median(check(0) for _ in range(RUNS))
    print(f"empty table: {empty:.2f} s")
    for count in counts:
        seconds = statistics.median(check(count) for _ in range(RUNS))
        print(f"{count} routes: {seconds:.2f} s, {seconds - empty:.2f} s minus an empty table")


if __name__ == "__main__":
    main()
