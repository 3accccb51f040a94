#!/usr/bin/env python3
"""Compares the build cost of programs with brubeck to the same programs with axum.

    python3 benches/compile-time/builds.py [--runs N] [NAME ...]     # default: 3 runs of every program

Each program is built from an empty target folder, then again after an edit of its source. The programs take turns, so that a
change in the load of the machine affects all of them. Prints medians; a ratio is the median of the ratios of the rounds.
"""

import argparse
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "builds"

TOKIO = 'tokio = { version = "1", features = ["rt-multi-thread", "macros", "net"] }'
SERDE = 'serde = { version = "1", features = ["derive"] }'

BRUBECK_HELLO = """use brubeck::prelude::*;

#[get("^/$")]
async fn index() -> &'static str {
    "hello EDIT"
}

const ROUTES: Routes<()> = routes![index];

#[tokio::main]
async fn main() {
    if let Err(error) = App::new(ROUTES, ()).serve(Http::bind("127.0.0.1:6767")).await {
        eprintln!("{error}");
    }
}
"""

AXUM_HELLO = """use axum::{Router, routing::get};

async fn index() -> &'static str {
    "hello EDIT"
}

#[tokio::main]
async fn main() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:6767").await.unwrap();
    axum::serve(listener, Router::new().route("/", get(index))).await.unwrap();
}
"""

BRUBECK_USUAL = """use brubeck::prelude::*;

#[derive(Template)]
#[template("hello.html")]
struct Hello {
    name: String,
}

#[get("^/$")]
async fn index(name: Arg<String>) -> Page<Hello> {
    Page(Hello { name: name.0 })
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Text {
    text: String,
}

#[post("^/echo$")]
async fn echo(body: Json<Text>) -> Json<Text> {
    Json(Text { text: format!("{} EDIT", body.0.text) })
}

const ROUTES: Routes<()> = routes![index, echo];

#[tokio::main]
async fn main() {
    tracing_subscriber::fmt().init();
    let http = Http::bind("127.0.0.1:6767");
    if let Err(error) = App::new(ROUTES, ()).serve(http).await {
        eprintln!("{error}");
    }
}
"""

AXUM_USUAL = """use axum::extract::Query;
use axum::response::Html;
use axum::routing::{get, post};
use axum::{Json, Router};
use std::sync::LazyLock;

static TEMPLATES: LazyLock<minijinja::Environment<'static>> = LazyLock::new(|| {
    let mut environment = minijinja::Environment::new();
    environment.add_template("hello.html", include_str!("../templates/hello.html")).unwrap();
    environment
});

#[derive(serde::Serialize, serde::Deserialize)]
struct Hello {
    name: String,
}

async fn index(Query(hello): Query<Hello>) -> Html<String> {
    Html(TEMPLATES.get_template("hello.html").unwrap().render(minijinja::context! { name => hello.name }).unwrap())
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Text {
    text: String,
}

async fn echo(Json(body): Json<Text>) -> Json<Text> {
    Json(Text { text: format!("{} EDIT", body.text) })
}

#[tokio::main]
async fn main() {
    tracing_subscriber::fmt().init();
    let router = Router::new().route("/", get(index)).route("/echo", post(echo));
    let tls = axum_server::tls_rustls::RustlsConfig::from_pem_file("cert.pem", "key.pem").await;
    if let Ok(tls) = tls {
        let address: std::net::SocketAddr = "127.0.0.1:6767".parse().unwrap();
        axum_server::bind_rustls(address, tls).serve(router.into_make_service()).await.unwrap();
    }
}
"""

TEMPLATE = "<p>hello {{ name }}</p>\n"
SUBSCRIBER = 'tracing-subscriber = { version = "0.3", default-features = false, features = ["fmt", "ansi"] }'


def brubeck(options):
    return f'brubeck = {{ package = "brubeck-rs", path = "{ROOT}"{options} }}'


# name: (dependencies, program)
PROGRAMS = {
    "axum": (['axum = "0.8"', TOKIO], AXUM_HELLO),
    "brubeck-http": ([brubeck(', default-features = false, features = ["http"]'), TOKIO], BRUBECK_HELLO),
    "axum-usual": (
        [
            'axum = "0.8"',
            'axum-server = { version = "0.8", default-features = false, features = ["tls-rustls-no-provider"] }',
            'minijinja = "3"',
            'rustls = { version = "0.23", default-features = false, features = ["ring", "std", "tls12"] }',
            SERDE,
            SUBSCRIBER,
            TOKIO,
        ],
        AXUM_USUAL,
    ),
    "brubeck-default": ([brubeck(""), SERDE, SUBSCRIBER, TOKIO], BRUBECK_USUAL),
    "brubeck-tls": ([brubeck(', features = ["tls"]'), SERDE, SUBSCRIBER, TOKIO], BRUBECK_USUAL),
}

# The program that each one is compared with, and the maximum ratio of their cold builds.
BASELINES = {"brubeck-http": ("axum", 2.0), "brubeck-default": ("axum-usual", 2.5), "brubeck-tls": ("axum-usual", 2.5)}
# The maximum number of packages with the default features, and the maximum ratio of builds after an edit.
MAX_PACKAGES = 145
MAX_EDIT = 1.5


def write(name):
    dependencies, program = PROGRAMS[name]
    folder = FOLDER / name
    (folder / "src").mkdir(parents=True, exist_ok=True)
    (folder / "templates").mkdir(exist_ok=True)
    (folder / "templates" / "hello.html").write_text(TEMPLATE)
    manifest = f'[package]\nname = "{name}-hello"\nversion = "0.1.0"\nedition = "2024"\n\n[workspace]\n\n[dependencies]\n'
    (folder / "Cargo.toml").write_text(manifest + "\n".join(dependencies) + "\n")
    (folder / "src" / "main.rs").write_text(program)
    return folder


def build(folder):
    """Builds the program; returns the seconds it took, and those of the processor."""
    environment = dict(os.environ, CARGO_TARGET_DIR=str(folder / "target"))
    environment.pop("RUSTFLAGS", None)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    subprocess.run(["cargo", "build", "--quiet", "--offline"], cwd=folder, env=environment, check=True)
    seconds = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def packages(folder):
    """Returns the number of packages that the program is built from, including build scripts and macros."""
    command = ["cargo", "tree", "--offline", "--edges", "normal,build", "--prefix", "none", "--format", "{p}"]
    lines = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.splitlines()
    return len({line.removesuffix(" (*)") for line in lines if line}) - 1


def megabytes(path):
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files) / 1e6


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("names", nargs="*", default=list(PROGRAMS))
    arguments.add_argument("--runs", type=int, default=3)
    arguments = arguments.parse_args()

    folders = {name: write(name) for name in arguments.names}
    for folder in folders.values():
        subprocess.run(["cargo", "fetch", "--quiet"], cwd=folder, check=True)
    cold = {name: [] for name in folders}
    edit = {name: [] for name in folders}
    sizes = {}
    for run in range(arguments.runs):
        for name, folder in folders.items():
            shutil.rmtree(folder / "target", ignore_errors=True)
            cold[name].append(build(folder))
            source = folder / "src" / "main.rs"
            for edited in range(3):
                source.write_text(PROGRAMS[name][1].replace("EDIT", f"{run} {edited}"))
                edit[name].append(build(folder))
            sizes[name] = (megabytes(folder / "target/debug" / f"{name}-hello"), megabytes(folder / "target"))

    print("| program | packages | cold build, s | of processor, s | after an edit, s | binary, MB | target, MB |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name in folders:
        wall, processor = (statistics.median(values) for values in zip(*cold[name]))
        again = statistics.median(seconds for seconds, _ in edit[name])
        binary, target = sizes[name]
        row = f"{packages(folders[name])} | {wall:.1f} | {processor:.1f} | {again:.2f} | {binary:.1f} | {target:.0f}"
        print(f"| {name} | {row} |")
    print()
    for name, (baseline, limit) in BASELINES.items():
        if name in folders and baseline in folders:
            wall = statistics.median(a[0] / b[0] for a, b in zip(cold[name], cold[baseline]))
            processor = statistics.median(a[1] / b[1] for a, b in zip(cold[name], cold[baseline]))
            again = statistics.median(a[0] / b[0] for a, b in zip(edit[name], edit[baseline]))
            print(f"{name} / {baseline}: cold build {wall:.2f} (at most {limit}), of processor {processor:.2f}, ", end="")
            print(f"after an edit {again:.2f} (at most {MAX_EDIT})")
    if "brubeck-default" in folders:
        print(f"packages of brubeck-default: {packages(folders['brubeck-default'])} (at most {MAX_PACKAGES})")


if __name__ == "__main__":
    main()
