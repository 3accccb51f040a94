//! An application behind a real Mongrel2, as browsers see it.

use crate::support::site::Protocol;
use crate::support::{Browser, Gate, Site, behaviour, parts, within};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

async fn site(protocol: Protocol) -> Option<(Site, Gate)> {
    let gate = Gate::new();
    match parts::mongrel2() {
        true => Some((Site::mongrel2(behaviour::app(&gate), protocol).await, gate)),
        false => None,
    }
}

macro_rules! behaves {
    ($($name:ident($($gate:ident)?)),* $(,)?) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let Some((site, _gate)) = site(Protocol::Json).await else { return };
            $( let $gate = &_gate; )?
            behaviour::$name(&site $(, $gate)?).await;
            site.stop().await;
        }
    )* };
}

behaves! {
    keep_alive_serves_many_requests_on_one_connection(),
    connection_close_and_http_1_0_close_the_connection(),
    head_is_answered_like_get_without_body(),
    pipelined_requests_are_answered_in_order(gate),
    request_body_arrives_unchanged(),
    body_over_the_limit_is_413(),
    unknown_path_is_404_and_wrong_method_is_405_with_allow(),
    panic_is_500_and_does_not_affect_other_requests(gate),
    query_string_is_decoded(),
    header_value_may_contain_non_utf8_bytes(),
    unit_reply_is_204_without_content_length(),
    client_disconnect_cancels_the_handler(gate),
    slow_requests_run_concurrently(gate),
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handler_timeout_is_504() {
    if !parts::mongrel2() {
        return;
    }
    let gate = Gate::new();
    let site = Site::mongrel2(behaviour::hasty(&gate), Protocol::Json).await;
    behaviour::handler_timeout_is_504(&site, &gate).await;
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn graceful_shutdown_drains_accepted_requests() {
    let Some((mut site, gate)) = site(Protocol::Json).await else {
        return;
    };
    let mongrel2 = site.mongrel2.take();
    behaviour::graceful_shutdown_drains_accepted_requests(site, &gate).await;
    drop(mongrel2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tnetstring_headers_behave_like_json_headers() {
    let Some((site, gate)) = site(Protocol::Tnetstring).await else {
        return;
    };
    behaviour::keep_alive_serves_many_requests_on_one_connection(&site).await;
    behaviour::connection_close_and_http_1_0_close_the_connection(&site).await;
    behaviour::query_string_is_decoded(&site).await;
    behaviour::request_body_arrives_unchanged(&site).await;
    behaviour::header_value_may_contain_non_utf8_bytes(&site).await;
    behaviour::client_disconnect_cancels_the_handler(&site, &gate).await;
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn responses_equal_those_of_the_embedded_server() {
    let Some((site, _)) = site(Protocol::Json).await else {
        return;
    };
    let embedded = Site::http(behaviour::app(&Gate::new())).await;
    let requests = [
        behaviour::request("/hello"),
        behaviour::request("/none"),
        behaviour::request("/panic"),
        behaviour::request("/query?name=a"),
        "POST /hello HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n".to_owned(),
        "POST /echo HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3\r\n\r\nabc".to_owned(),
        "OPTIONS /hello HTTP/1.1\r\nhost: localhost\r\n\r\n".to_owned(),
        "DELETE /nothing HTTP/1.1\r\nhost: localhost\r\n\r\n".to_owned(),
    ];
    for request in requests {
        let mut answers = Vec::new();
        for site in [&site, &embedded] {
            let mut browser = site.browser().await;
            browser.send(&request).await;
            let mut answer = browser.answer().await;
            answer.headers.retain(|(name, _)| name != "date");
            answer.headers.sort();
            answers.push(answer);
        }
        assert_eq!(answers[0], answers[1], "{request}");
    }
    site.stop().await;
    embedded.stop().await;
}

/// After a restart Mongrel2 numbers its connections from the start: the first browser then has the number
/// that the first one before had, and must not get what that one asked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stale_response_does_not_reach_a_connection_after_restart() {
    let Some((site, gate)) = site(Protocol::Json).await else {
        return;
    };
    let mut before = site.browser().await;
    before.send(behaviour::request("/slow/stale")).await;
    gate.arrived(1).await;

    within(site.mongrel2.as_ref().unwrap().restart()).await.unwrap();
    assert_eq!(before.rest().await, b"");
    let mut after = site.browser().await;
    after.send(behaviour::request("/slow/fresh")).await;
    gate.arrived(1).await;
    gate.open(2);
    let answer = after.answer().await;
    assert_eq!((answer.status, answer.text()), (200, "fresh"));
    assert_eq!(after.get("/hello").await.text(), "hello");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn application_reconnects_after_mongrel2_restarts() {
    let Some((site, _)) = site(Protocol::Json).await else {
        return;
    };
    let (address, restarted) = (site.address, Arc::new(AtomicBool::new(false)));
    let browsers: Vec<_> = (0..8)
        .map(|_| {
            let restarted = restarted.clone();
            tokio::spawn(async move {
                let (mut before, mut after) = (0, 0);
                while after < 25 {
                    let counts = restarted.load(Ordering::SeqCst);
                    let outcome = within(once(address)).await;
                    // One that is just stopping or starting answers 502 by itself, or not at all.
                    assert!(
                        !counts || matches!(outcome, Ok(200)),
                        "lost after the last start: {outcome:?}"
                    );
                    if counts { after += 1 } else { before += 1 }
                }
                before
            })
        })
        .collect();
    for _ in 0..3 {
        within(site.mongrel2.as_ref().unwrap().restart()).await.unwrap();
    }
    restarted.store(true, Ordering::SeqCst);
    for browser in browsers {
        assert!(within(browser).await.unwrap() > 0);
    }
    site.stop().await;
}

async fn once(address: std::net::SocketAddr) -> std::io::Result<u16> {
    let mut browser = Browser::try_connect(address).await?;
    browser.try_send(behaviour::request("/hello")).await?;
    Ok(browser.try_answer(false).await?.status)
}

/// An application may come after its Mongrel2 and go before it. What Mongrel2 hands over in the moment before it notices
/// that the application is gone is lost, as ZeroMQ has it; what comes later waits for the next one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn application_can_be_restarted_behind_mongrel2() {
    let Some((site, gate)) = site(Protocol::Json).await else {
        return;
    };
    assert_eq!(site.browser().await.get("/hello").await.text(), "hello");
    let Site {
        address,
        running,
        mongrel2,
        endpoints,
        sockets: _sockets,
    } = site;
    within(running.stop()).await.unwrap();
    let mut early = Browser::connect(address).await;
    early.send(behaviour::request("/hello")).await;
    let (send, recv) = endpoints.expect("the endpoints of Mongrel2");
    let again = within(behaviour::app(&gate).start(brubeck::Mongrel2::new(send, recv)))
        .await
        .unwrap();
    assert_eq!(
        Browser::connect(address).await.get("/hello").await.text(),
        "hello"
    );
    drop(early);
    within(again.stop()).await.unwrap();
    within(mongrel2.unwrap().stop()).await.unwrap();
}
