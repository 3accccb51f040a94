//! An application and its Mongrel2 servers.

use crate::support::served_app::{socket_address, socket_folder};
use crate::support::test_bed::{Configure, TestBed, default_settings, wait_until};
use crate::support::{Browser, Gate, behaviour, requirements, with_timeout};
use brubeck::{Mongrel2, Mongrel2Config, Mongrel2Handler, Mongrel2Server};
use tempfile::TempDir;

async fn server(folder: &TempDir, name: &str, recv_ident: &str) -> (Mongrel2Server, Mongrel2) {
    let [send, recv] = ["send", "recv"].map(|end| socket_address(folder, &format!("{name}-{end}")));
    let handler = Mongrel2Handler::new(&send, &recv).idents(name, recv_ident);
    let config = Mongrel2Config::bind("127.0.0.1:0").handler("/", handler);
    let server = with_timeout(config.start()).await.expect("a running Mongrel2");
    (server, Mongrel2::new(send, recv))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn application_serves_several_mongrel2_servers() {
    if !requirements::mongrel2() {
        return;
    }
    let (folder, gate) = (socket_folder(), Gate::new());
    let ((one, to_one), (two, to_two)) =
        tokio::join!(server(&folder, "one", "one"), server(&folder, "two", "two"));
    let running = with_timeout(behaviour::app(&gate).also(to_two).start(to_one))
        .await
        .expect("two links");
    // Both servers use the same connection ids.
    let mut first = Browser::connect(one.address()).await;
    let mut second = Browser::connect(two.address()).await;
    first.send(behaviour::request("/slow/one")).await;
    second.send(behaviour::request("/slow/two")).await;
    gate.wait_for_arrivals(2).await;
    // A restart of one server does not affect the other.
    with_timeout(one.restart()).await.expect("a restarted Mongrel2");
    assert_eq!(first.read_to_close().await, b"");
    gate.wait_for_exits(1).await;
    gate.open(1);
    assert_eq!(second.read_response().await.text(), "two");
    let mut first = Browser::connect(one.address()).await;
    assert_eq!(first.get("/hello").await.text(), "hello");
    assert_eq!(second.get("/hello").await.text(), "hello");
    with_timeout(running.stop()).await.expect("a clean shutdown");
    with_timeout(one.stop()).await.expect("a clean shutdown");
    with_timeout(two.stop()).await.expect("a clean shutdown");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn empty_recv_ident_is_rejected_with_several_servers() {
    if !requirements::mongrel2() {
        return;
    }
    let (folder, gate) = (socket_folder(), Gate::new());
    let ((one, to_one), (two, to_two)) =
        tokio::join!(server(&folder, "one", "one"), server(&folder, "two", ""));
    let both = with_timeout(behaviour::app(&gate).also(to_two.clone()).start(to_one)).await;
    let error = both.err().expect("an empty recv_ident").to_string();
    assert!(
        error.contains("recv_ident") && error.contains("2 servers"),
        "{error}"
    );
    let alone = with_timeout(behaviour::app(&gate).start(to_two))
        .await
        .expect("one link");
    assert_eq!(
        Browser::connect(two.address()).await.get("/hello").await.text(),
        "hello"
    );
    with_timeout(alone.stop()).await.expect("a clean shutdown");
    drop((one, two));
}

/// If Mongrel2 stops, the handlers of its requests are cancelled and no reply is sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handlers_are_cancelled_if_their_mongrel2_stops() {
    let gate = Gate::new();
    let Some(mut test_bed) = TestBed::mongrel2(behaviour::app(&gate), default_settings).await else {
        return;
    };
    let mut browser = test_bed.browser().await;
    browser
        .send([behaviour::request("/slow/a"), behaviour::request("/slow/b")].concat())
        .await;
    gate.wait_for_arrivals(2).await;
    with_timeout(test_bed.server.take().expect("a Mongrel2").stop())
        .await
        .expect("a clean shutdown");
    gate.wait_for_exits(2).await;
    assert_eq!(test_bed.counts.messages(), 0);
    test_bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_over_the_limit_of_a_connection_are_503() {
    let gate = Gate::new();
    // Without flow control the send rate to a pipelining client is estimated, which is unreliable on a busy machine.
    let configure: Configure = |config, link, _| (config.flow_control(), link);
    let Some(test_bed) = TestBed::mongrel2(behaviour::app(&gate), configure).await else {
        return;
    };
    let mut browser = test_bed.browser().await;
    browser.send(behaviour::request("/slow/a").repeat(80)).await;
    // One connection may have 64 pending requests.
    gate.wait_for_arrivals(64).await;
    wait_until(|| test_bed.counts.shed() > 0).await;
    // Enough for handlers that start later: Mongrel2 may still deliver requests of this client after the 503.
    gate.open(80);
    for _ in 0..64 {
        assert_eq!(browser.read_response().await.status, 200);
    }
    let refused = browser.read_response().await;
    assert_eq!(
        (refused.status, refused.header("connection")),
        (503, Some("close"))
    );
    test_bed.stop().await;
}
