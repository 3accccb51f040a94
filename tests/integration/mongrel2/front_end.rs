//! An application behind a real Mongrel2, tested over HTTP.

use crate::support::served_app::Protocol;
use crate::support::{Browser, Gate, ServedApp, behaviour, requirements, with_timeout};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

async fn site(protocol: Protocol) -> Option<(ServedApp, Gate)> {
    let gate = Gate::new();
    if !requirements::mongrel2() {
        return None;
    }
    Some((ServedApp::mongrel2(behaviour::app(&gate), protocol).await, gate))
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
    options_is_204_with_allow(),
    panic_is_500_and_does_not_affect_other_requests(gate),
    query_string_is_decoded(),
    missing_argument_is_400(),
    header_value_bytes_arrive_unchanged(),
    unit_reply_is_204_without_content_length(),
    client_disconnect_cancels_the_handler(gate),
    slow_requests_run_concurrently(gate),
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handler_timeout_is_504() {
    if !requirements::mongrel2() {
        return;
    }
    let gate = Gate::new();
    let site = ServedApp::mongrel2(behaviour::with_short_timeout(&gate), Protocol::Json).await;
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
    behaviour::header_value_bytes_arrive_unchanged(&site).await;
    behaviour::client_disconnect_cancels_the_handler(&site, &gate).await;
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn responses_equal_those_of_the_embedded_server() {
    let Some((site, _)) = site(Protocol::Json).await else {
        return;
    };
    let embedded = ServedApp::http(behaviour::app(&Gate::new())).await;
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
        let mut responses = Vec::new();
        for site in [&site, &embedded] {
            let mut browser = site.browser().await;
            browser.send(&request).await;
            let mut response = browser.read_response().await;
            response.headers.retain(|(name, _)| name != "date");
            response.headers.sort();
            responses.push(response);
        }
        assert_eq!(responses[0], responses[1], "{request}");
    }
    site.stop().await;
    embedded.stop().await;
}

/// A restarted Mongrel2 counts connection ids from the start again, so the first new client has the id of the first old
/// one. The new client must not get the response to the old request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stale_response_does_not_reach_a_connection_after_restart() {
    let Some((site, gate)) = site(Protocol::Json).await else {
        return;
    };
    let mut before = site.browser().await;
    before.send(behaviour::request("/slow/stale")).await;
    gate.wait_for_arrivals(1).await;

    with_timeout(site.mongrel2.as_ref().unwrap().restart())
        .await
        .unwrap();
    assert_eq!(before.read_to_close().await, b"");
    let mut after = site.browser().await;
    after.send(behaviour::request("/slow/fresh")).await;
    gate.wait_for_arrivals(1).await;
    gate.open(2);
    let response = after.read_response().await;
    assert_eq!((response.status, response.text()), (200, "fresh"));
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
                    let is_final = restarted.load(Ordering::SeqCst);
                    let outcome = with_timeout(request_once(address)).await;
                    // A request may fail while Mongrel2 stops or starts.
                    assert!(
                        !is_final || matches!(outcome, Ok(200)),
                        "failed after the last restart: {outcome:?}"
                    );
                    if is_final { after += 1 } else { before += 1 }
                }
                before
            })
        })
        .collect();
    for _ in 0..3 {
        with_timeout(site.mongrel2.as_ref().unwrap().restart())
            .await
            .unwrap();
    }
    restarted.store(true, Ordering::SeqCst);
    for browser in browsers {
        assert!(with_timeout(browser).await.unwrap() > 0);
    }
    site.stop().await;
}

async fn request_once(address: std::net::SocketAddr) -> std::io::Result<u16> {
    let mut browser = Browser::try_connect(address).await?;
    browser.try_send(behaviour::request("/hello")).await?;
    Ok(browser.try_read_response(false).await?.status)
}

/// An application may start after its Mongrel2 and stop before it. A request that Mongrel2 sends before it has detected
/// the disconnect is lost, as in any PUSH socket; a later one waits for the next start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn application_can_be_restarted_behind_mongrel2() {
    let Some((site, gate)) = site(Protocol::Json).await else {
        return;
    };
    assert_eq!(site.browser().await.get("/hello").await.text(), "hello");
    let ServedApp {
        address,
        running,
        mongrel2,
        endpoints,
        sockets: _sockets,
    } = site;
    with_timeout(running.stop()).await.unwrap();
    // This request may be lost, so its response is not awaited.
    let mut early = Browser::connect(address).await;
    early.send(behaviour::request("/hello")).await;
    let (send, recv) = endpoints.expect("the endpoints of Mongrel2");
    let again = with_timeout(behaviour::app(&gate).start(brubeck::Mongrel2::new(send, recv)))
        .await
        .unwrap();
    assert_eq!(
        Browser::connect(address).await.get("/hello").await.text(),
        "hello"
    );
    drop(early);
    with_timeout(again.stop()).await.unwrap();
    with_timeout(mongrel2.unwrap().stop()).await.unwrap();
}
