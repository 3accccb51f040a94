//! RFC 6455, case by case as the Autobahn test suite has them, on both front ends.

use super::cases::{Case, Sees, cases};
use crate::support::laboratory::{Laboratory, plain};
use crate::support::websocket::{Frame, Wire};
use brubeck::prelude::*;

#[websocket("^/echo$")]
async fn echo(mut socket: WebSocket) -> Result<(), Closed> {
    while let Some(message) = socket.recv().await {
        socket.send(message).await?;
    }
    Ok(())
}

const ROUTES: Routes<()> = routes![echo];

/// What is wrong with a case; nothing where it passes.
async fn run(laboratory: &Laboratory, case: Case) -> Option<String> {
    let mut wire = Wire::open(laboratory.address, "/echo").await;
    wire.send_raw(&case.sends).await;
    let (frames, code) = match case.sees {
        Sees::Frames(frames) => (frames, None),
        Sees::Closes(frames, code) => (frames, Some((code, false))),
        Sees::Fails(code) => (vec![], Some((code, true))),
    };
    for frame in frames {
        let seen = wire.next().await;
        if seen.as_ref() != Some(&frame) {
            let seen = seen.map(|seen| (seen.first, seen.payload.len()));
            return Some(format!("{}: {seen:?} came", case.name));
        }
    }
    let Some((code, or_drop)) = code else {
        wire.say("still there").await;
        let seen = wire.next().await;
        return (seen != Some(Frame::text("still there")))
            .then(|| format!("{}: did not stay open", case.name));
    };
    match wire.end().await {
        Some(seen) if seen == code => {}
        None if or_drop && laboratory.server.is_some() => {}
        seen => return Some(format!("{}: closed with {seen:?}, not {code}", case.name)),
    }
    wire.next()
        .await
        .map(|frame| format!("{}: {frame:?} after the close", case.name))
}

async fn conforms(laboratory: Laboratory) {
    let mut failed = Vec::new();
    let mut all = 0;
    for case in cases() {
        all += 1;
        failed.extend(run(&laboratory, case).await);
    }
    assert!(
        failed.is_empty(),
        "{} of {all} cases failed:\n{}",
        failed.len(),
        failed.join("\n")
    );
    println!("{all} cases");
    assert!(all > 100);
    // And none of them harmed the next.
    let mut wire = Wire::open(laboratory.address, "/echo").await;
    wire.say("well").await;
    assert_eq!(wire.heard().await, "well");
    drop(wire);
    laboratory.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rfc_6455_conformance_behind_mongrel2() {
    let Some(laboratory) = Laboratory::new(App::new(ROUTES, ()), plain).await else {
        return;
    };
    conforms(laboratory).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rfc_6455_conformance_on_the_embedded_server() {
    conforms(Laboratory::embedded(App::new(ROUTES, ())).await).await;
}
