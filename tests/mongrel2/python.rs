//! WebSockets as another implementation speaks them: the `websockets` client of Python.

use crate::laboratory::{Laboratory, plain};
use crate::support::within;
use brubeck::prelude::*;
use std::io::Write;
use std::path::PathBuf;

#[websocket("^/echo$", protocols = ["chat.v1"])]
async fn echo(mut socket: WebSocket) -> Result<(), Closed> {
    while let Some(message) = socket.recv().await {
        socket.send(message).await?;
    }
    Ok(())
}

const ROUTES: Routes<()> = routes![echo];

/// An interpreter that has it.
fn python() -> Option<PathBuf> {
    let python = PathBuf::from(std::env::var_os("BRUBECK_PYTHON").unwrap_or("python3".into()));
    let tried = std::process::Command::new(&python)
        .args(["-c", "import websockets.asyncio.client"])
        .output();
    if tried.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    let text = "websockets is missing; install it with: python3 -m pip install websockets";
    assert!(std::env::var_os("CI").is_none(), "{text}");
    // Not `eprintln!`, which is only shown for tests that fail.
    writeln!(std::io::stderr(), "skipped a test: {text}").expect("standard error");
    None
}

async fn speaks(laboratory: Laboratory) {
    let Some(python) = python() else { return };
    let output = tokio::process::Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mongrel2/client.py"))
        .arg(format!("ws://{}/echo", laboratory.address))
        .kill_on_drop(true)
        .output();
    let output = within(output).await.expect("an interpreter");
    let (said, wrong) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    let said: Vec<&str> = said.lines().collect();
    let all = [
        "echo",
        "fragments",
        "ping",
        "many",
        "close",
        "deflated",
        "subprotocol",
        "too large",
        "origin",
    ];
    assert_eq!(said, all, "{wrong}");
    laboratory.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_speaks_with_websockets_behind_mongrel2() {
    let Some(laboratory) = Laboratory::new(App::new(ROUTES, ()), plain).await else {
        return;
    };
    speaks(laboratory).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_speaks_with_websockets_of_the_embedded_server() {
    speaks(Laboratory::embedded(App::new(ROUTES, ())).await).await;
}
