//! WebSockets as another implementation speaks them: the `websockets` client of Python.

use crate::support::laboratory::{Laboratory, plain};
use crate::support::{parts, within};
use brubeck::prelude::*;

#[websocket("^/echo$", protocols = ["chat.v1"])]
async fn echo(mut socket: WebSocket) -> Result<(), Closed> {
    while let Some(message) = socket.recv().await {
        socket.send(message).await?;
    }
    Ok(())
}

const ROUTES: Routes<()> = routes![echo];

async fn speaks(laboratory: Laboratory) {
    let Some(python) = parts::websockets() else {
        return;
    };
    let output = tokio::process::Command::new(python)
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/peers/websocket_client.py"
        ))
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
async fn python_client_interoperates_behind_mongrel2() {
    let Some(laboratory) = Laboratory::new(App::new(ROUTES, ()), plain).await else {
        return;
    };
    speaks(laboratory).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_client_interoperates_on_the_embedded_server() {
    speaks(Laboratory::embedded(App::new(ROUTES, ())).await).await;
}
