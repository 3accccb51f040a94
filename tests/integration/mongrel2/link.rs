//! One application and its Mongrel2 servers.

use crate::support::laboratory::{Laboratory, Setting, plain, until};
use crate::support::site::{socket, sockets};
use crate::support::{Browser, Gate, behaviour, parts, within};
use brubeck::{Mongrel2, Mongrel2Config, Mongrel2Handler, Mongrel2Server};
use tempfile::TempDir;

async fn server(folder: &TempDir, name: &str, recv_ident: &str) -> (Mongrel2Server, Mongrel2) {
    let [send, recv] = ["send", "recv"].map(|end| socket(folder, &format!("{name}-{end}")));
    let handler = Mongrel2Handler::new(&send, &recv).idents(name, recv_ident);
    let config = Mongrel2Config::bind("127.0.0.1:0").handler("/", handler);
    let server = within(config.start()).await.expect("a Mongrel2 that starts");
    (server, Mongrel2::new(send, recv))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn application_serves_several_mongrel2_servers() {
    if !parts::mongrel2() {
        return;
    }
    let (folder, gate) = (sockets(), Gate::new());
    let ((one, to_one), (two, to_two)) =
        tokio::join!(server(&folder, "one", "one"), server(&folder, "two", "two"));
    let running = within(behaviour::app(&gate).also(to_two).start(to_one))
        .await
        .expect("two links");
    // Both number their connections alike.
    let mut first = Browser::connect(one.address()).await;
    let mut second = Browser::connect(two.address()).await;
    first.send(behaviour::request("/slow/one")).await;
    second.send(behaviour::request("/slow/two")).await;
    gate.arrived(2).await;
    // One of them starts again; the other is not disturbed.
    within(one.restart()).await.expect("it starts again");
    assert_eq!(first.rest().await, b"");
    gate.left(1).await;
    gate.open(1);
    assert_eq!(second.answer().await.text(), "two");
    let mut first = Browser::connect(one.address()).await;
    assert_eq!(first.get("/hello").await.text(), "hello");
    assert_eq!(second.get("/hello").await.text(), "hello");
    within(running.stop()).await.expect("an end");
    within(one.stop()).await.expect("an end");
    within(two.stop()).await.expect("an end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn empty_recv_ident_is_rejected_with_several_servers() {
    if !parts::mongrel2() {
        return;
    }
    let (folder, gate) = (sockets(), Gate::new());
    let ((one, to_one), (two, to_two)) =
        tokio::join!(server(&folder, "one", "one"), server(&folder, "two", ""));
    let both = within(behaviour::app(&gate).also(to_two.clone()).start(to_one)).await;
    let error = both.err().expect("a refusal").to_string();
    assert!(
        error.contains("recv_ident") && error.contains("2 servers"),
        "{error}"
    );
    let alone = within(behaviour::app(&gate).start(to_two))
        .await
        .expect("one link");
    assert_eq!(
        Browser::connect(two.address()).await.get("/hello").await.text(),
        "hello"
    );
    within(alone.stop()).await.expect("an end");
    drop((one, two));
}

/// What was asked of a Mongrel2 that is no more is not worked on, and its answer is nobody's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handlers_are_cancelled_if_their_mongrel2_stops() {
    let gate = Gate::new();
    let Some(mut laboratory) = Laboratory::new(behaviour::app(&gate), plain).await else {
        return;
    };
    let mut browser = laboratory.browser().await;
    browser
        .send([behaviour::request("/slow/a"), behaviour::request("/slow/b")].concat())
        .await;
    gate.arrived(2).await;
    within(laboratory.server.take().expect("a Mongrel2").stop())
        .await
        .expect("an end");
    gate.left(2).await;
    assert_eq!(laboratory.counts.messages(), 0);
    laboratory.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_over_the_connection_limit_are_503() {
    let gate = Gate::new();
    // Answers to one client that asks without waiting would otherwise be paced by a guess, which a busy machine proves wrong.
    let told: Setting = |config, link, _| (config.flow_control(), link);
    let Some(laboratory) = Laboratory::new(behaviour::app(&gate), told).await else {
        return;
    };
    let mut browser = laboratory.browser().await;
    browser.send(behaviour::request("/slow/a").repeat(80)).await;
    gate.arrived(64).await;
    until(|| laboratory.counts.shed() > 0).await;
    // Mongrel2 may hand over what it had read of this client after the connection was closed.
    gate.open(80);
    for _ in 0..64 {
        assert_eq!(browser.answer().await.status, 200);
    }
    let refused = browser.answer().await;
    assert_eq!(
        (refused.status, refused.header("connection")),
        (503, Some("close"))
    );
    laboratory.stop().await;
}
