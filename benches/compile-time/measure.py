#!/usr/bin/env python3
"""Measures what a handler costs to compile, next to the same handlers of axum.

    python3 benches/compile-time/measure.py [N ...]        # default: 1 50 200

Two programs are generated in the target folder for each number of handlers. `cargo check` and `cargo build` compile the program alone, three
times without incremental compilation; the median counts, in seconds of CPU time, which other work on the machine hardly changes. LLVM lines are the lines of all function bodies without optimization, before
LLVM. "Per handler" is the difference to a program with an empty table.
"""

import os
import pathlib
import resource
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "compile-time"
RUNS = 3

MANIFEST = """[package]
name = "compile-time-{name}"
edition = "2024"

[workspace]

[dependencies]
{dependency}
serde = {{ version = "1", features = ["derive"] }}
tokio = {{ version = "1", features = ["rt-multi-thread", "macros", "net"] }}

[profile.dev]
debug = "line-tables-only"

[profile.dev.package."*"]
debug = false
"""

TYPES = """
#[derive(Clone)]
pub struct Db;

#[derive(serde::Serialize, serde::Deserialize)]
pub struct Text {
    text: String,
}
"""


class Brubeck:
    name = "brubeck"
    dependency = f'brubeck = {{ package = "brubeck-rs", path = "{ROOT}", default-features = false, features = ["http", "services"] }}'
    head = (
        "use brubeck::prelude::*;\n"
        + TYPES
        + """
#[derive(Clone, AppState)]
pub struct Site {
    db: Db,
}
"""
    )
    # Typical routes of an application: most have captures or a body, and return JSON.
    kinds = [
        """#[get(r"^/area{n}/item/(?<id>\\d+)(?:/(?<tab>[a-z]+))?$")]
pub async fn item{n}(id: u64, tab: Option<String>, db: State<Db>) -> Json<Text> {{
    let _ = (id, db);
    Json(Text {{ text: tab.unwrap_or_default() }})
}}
""",
        """#[post("^/area{n}/items/?$")]
pub async fn item{n}(body: Json<Text>, db: State<Db>) -> Result<Json<Text>, Problem> {{
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

    def main(self, count):
        names = ", ".join(f"item{n}" for n in range(count))
        return f"""pub const ROUTES: Routes<Site> = routes![{names}];

#[tokio::main]
async fn main() -> brubeck::Result {{
    App::new(ROUTES, Site {{ db: Db }}).serve(Http::bind("127.0.0.1:6767")).await
}}
"""


class Axum:
    name = "axum"
    dependency = 'axum = "0.8"'
    head = (
        """use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
"""
        + TYPES
        + """
#[derive(serde::Deserialize)]
pub struct Count {
    count: u32,
}
"""
    )
    kinds = [
        """pub async fn item{n}(Path((id, tab)): Path<(u64, String)>, State(db): State<Db>) -> Json<Text> {{
    let _ = (id, db);
    Json(Text {{ text: tab }})
}}
""",
        """pub async fn item{n}(State(db): State<Db>, body: Json<Text>) -> Result<Json<Text>, StatusCode> {{
    let _ = db;
    Ok(body)
}}
""",
        """pub async fn item{n}(Path(name): Path<String>, Json(count): Json<Count>) -> Json<Text> {{
    Json(Text {{ text: name.repeat(count.count as usize) }})
}}
""",
        """pub async fn item{n}(headers: HeaderMap) -> &'static str {{
    let _ = headers;
    "page"
}}
""",
    ]
    routes = [
        '.route("/area{n}/item/{{id}}/{{tab}}", get(item{n}))',
        '.route("/area{n}/items", post(item{n}))',
        '.route("/service{n}/{{name}}", post(item{n}))',
        '.route("/page{n}", get(item{n}))',
    ]

    def main(self, count):
        routes = "\n        ".join(self.routes[n % 4].format(n=n) for n in range(count))
        return f"""
#[tokio::main]
async fn main() -> std::io::Result<()> {{
    let router: Router = Router::new()
        {routes}
        .with_state(Db);
    axum::serve(tokio::net::TcpListener::bind("127.0.0.1:6767").await?, router).await
}}
"""


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


class Program:
    def __init__(self, side):
        self.side = side
        self.folder = FOLDER / side.name
        (self.folder / "src").mkdir(parents=True, exist_ok=True)
        (self.folder / "Cargo.toml").write_text(MANIFEST.format(name=side.name, dependency=side.dependency))
        (self.folder / "Cargo.lock").write_bytes((ROOT / "Cargo.lock").read_bytes())

    def write(self, count):
        handlers = [self.side.kinds[n % 4].format(n=n) for n in range(count)]
        source = self.side.head + "".join(handlers) + self.side.main(count)
        (self.folder / "src" / "main.rs").write_text("#![allow(unused_imports, dead_code)]\n" + source)

    def cargo(self, *arguments):
        environment = dict(os.environ, CARGO_INCREMENTAL="0", CARGO_TARGET_DIR=str(FOLDER / "target"))
        began = cpu_seconds()
        subprocess.run(["cargo", *arguments], cwd=self.folder, env=environment, check=True)
        return cpu_seconds() - began

    def seconds(self, command, count):
        def run():
            self.write(count)
            return self.cargo(command, "--quiet")

        return statistics.median(run() for _ in range(RUNS))

    def llvm_lines(self, count):
        self.write(count)
        self.cargo("rustc", "--quiet", "--", "--emit=llvm-ir", "-Ccodegen-units=1", "-Cno-prepopulate-passes")
        files = (FOLDER / "target" / "debug" / "deps").glob(f"compile_time_{self.side.name}-*.ll")
        newest = max(files, key=lambda file: file.stat().st_mtime)
        lines, inside = 0, False
        for line in newest.read_text().splitlines():
            inside = line.startswith("define ") or inside and line != "}"
            lines += inside and line.startswith("  ")
        newest.unlink()
        return lines


def main():
    counts = [int(word) for word in sys.argv[1:]] or [1, 50, 200]
    programs = [Program(Brubeck()), Program(Axum())]
    empty = {}
    print("| handlers | | `cargo check` | per handler | `cargo build` | per handler | LLVM lines | per handler |")
    print("|---|---|---|---|---|---|---|---|")
    for count in [0, *counts]:
        for program in programs:
            if count == 0:
                program.write(0)
                program.cargo("check", "--quiet")
                program.cargo("build", "--quiet")
            row = [
                program.seconds("check", count),
                program.seconds("build", count),
                program.llvm_lines(count),
            ]
            if count == 0:
                empty[program.side.name] = row
                per = ["", "", ""]
            else:
                before = empty[program.side.name]
                check, build, lines = [(now - then) / count for now, then in zip(row, before)]
                per = [f"{1000 * check:.1f} ms", f"{1000 * build:.1f} ms", f"{lines:,.0f}"]
            print(
                f"| {count} | {program.side.name} | {row[0]:.2f} s | {per[0]} | {row[1]:.2f} s | {per[1]} | {row[2]:,} | {per[2]} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
