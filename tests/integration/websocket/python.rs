//! Interoperability with the `websockets` client of Python.

use crate::support::test_bed::{TestBed, default_settings};
use crate::support::{requirements, with_timeout};
use brubeck::prelude::*;

#[websocket("^/echo$", protocols = ["chat.v1"])]
async fn echo(mut socket: WebSocket) -> Result<(), Closed> {
    while let Some(message) = socket.recv().await {
        socket.send(message).await?;
    }
    Ok(())
}

const ROUTES: Routes<()> = routes![echo];

async fn check_interoperability(test_bed: TestBed) {
    let Some(python) = requirements::websockets() else {
        return;
    };
    let output = tokio::process::Command::new(python)
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/peers/websocket_client.py"
        ))
        .arg(format!("ws://{}/echo", test_bed.address))
        .kill_on_drop(true)
        .output();
    let output = with_timeout(output).await.expect("a python process");
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    let passed: Vec<&str> = stdout.lines().collect();
    let expected = [
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
    assert_eq!(passed, expected, "{stderr}");
    test_bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_client_interoperates_behind_mongrel2() {
    let Some(test_bed) = TestBed::mongrel2(App::new(ROUTES, ()), default_settings).await else {
        return;
    };
    check_interoperability(test_bed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_client_interoperates_on_the_embedded_server() {
    check_interoperability(TestBed::embedded(App::new(ROUTES, ())).await).await;
}
