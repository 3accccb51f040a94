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
    a_connection_is_kept(),
    a_connection_is_closed_when_asked(),
    a_head_is_a_get_without_its_body(),
    answers_come_in_the_order_of_the_requests(gate),
    a_body_comes_whole(),
    a_body_beyond_the_limit_is_413(),
    what_is_not_there_is_404_or_405(),
    a_panic_is_500_and_stays_alone(gate),
    a_query_is_read(),
    a_header_may_hold_odd_bytes(),
    nothing_is_204(),
    a_browser_that_leaves_stops_its_handler(gate),
    slow_requests_run_side_by_side(gate),
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_takes_too_long_is_504() {
    if !parts::mongrel2() {
        return;
    }
    let gate = Gate::new();
    let site = Site::mongrel2(behaviour::hasty(&gate), Protocol::Json).await;
    behaviour::a_handler_that_takes_too_long_is_504(&site, &gate).await;
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_finishes_what_was_accepted() {
    let Some((mut site, gate)) = site(Protocol::Json).await else {
        return;
    };
    let mongrel2 = site.mongrel2.take();
    behaviour::stopping_finishes_what_was_accepted(site, &gate).await;
    drop(mongrel2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_may_come_as_a_tnetstring() {
    let Some((site, gate)) = site(Protocol::Tnetstring).await else {
        return;
    };
    behaviour::a_connection_is_kept(&site).await;
    behaviour::a_connection_is_closed_when_asked(&site).await;
    behaviour::a_query_is_read(&site).await;
    behaviour::a_body_comes_whole(&site).await;
    behaviour::a_header_may_hold_odd_bytes(&site).await;
    behaviour::a_browser_that_leaves_stops_its_handler(&site, &gate).await;
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_those_of_the_embedded_server() {
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
async fn an_answer_never_reaches_a_connection_of_a_later_start() {
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
async fn no_request_after_a_restart_is_lost() {
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
async fn an_application_may_be_started_again() {
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
