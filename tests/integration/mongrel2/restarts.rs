//! No client gets the response to another client if Mongrel2 restarts under load.

use crate::support::test_bed::{TestBed, default_settings, wait_until};
use crate::support::{Browser, env_number, with_timeout};
use brubeck::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

/// Responds after varying delays, so that many requests are in flight at each restart.
#[get(r"^/late/(?<token>[a-z0-9-]+)$")]
async fn late(token: String, number: State<Arc<AtomicU64>>) -> String {
    let pause = number.fetch_add(1, SeqCst) % 7;
    tokio::time::sleep(std::time::Duration::from_millis(pause * 5)).await;
    token
}

const ROUTES: Routes<Arc<AtomicU64>> = routes![late];

#[derive(Default)]
struct Counts {
    /// Responses with status 200 and the token of their request.
    right: AtomicU64,
    /// Responses with another status or token.
    wrong: AtomicU64,
    /// Connections that ended before a response.
    broken: AtomicU64,
}

/// `BRUBECK_RESTARTS` sets the number of restarts (default 5).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn responses_reach_only_their_own_client_across_restarts() {
    let app = App::new(ROUTES, Arc::new(AtomicU64::new(0)));
    let Some(test_bed) = TestBed::mongrel2(app, default_settings).await else {
        return;
    };
    let restarts = env_number("BRUBECK_RESTARTS", 5);
    let (counts, done) = (Arc::new(Counts::default()), Arc::new(AtomicBool::new(false)));
    let browsers: Vec<_> = (0..24)
        .map(|browser| {
            tokio::spawn(send_requests(
                test_bed.address,
                browser,
                counts.clone(),
                done.clone(),
            ))
        })
        .collect();
    let server = test_bed.server.as_ref().expect("a Mongrel2");
    for _ in 0..restarts {
        let before = counts.right.load(SeqCst);
        wait_until(|| counts.right.load(SeqCst) > before + 24).await;
        with_timeout(server.restart())
            .await
            .expect("a restarted Mongrel2");
    }
    done.store(true, SeqCst);
    for browser in browsers {
        with_timeout(browser).await.expect("no panic");
    }
    let [right, wrong, broken] =
        [&counts.right, &counts.wrong, &counts.broken].map(|count| count.load(SeqCst));
    println!(
        "{restarts} restarts: {right} correct responses, {wrong} wrong ones, {broken} broken connections, {} stale replies dropped",
        test_bed.counts.stale()
    );
    assert_eq!(wrong, 0);
    assert!(right > 24 * restarts);
    test_bed.stop().await;
}

async fn send_requests(
    address: std::net::SocketAddr,
    browser: u32,
    counts: Arc<Counts>,
    done: Arc<AtomicBool>,
) {
    let mut number = 0;
    while !done.load(SeqCst) {
        let Ok(mut connection) = Browser::try_connect(address).await else {
            tokio::task::yield_now().await;
            continue;
        };
        // Pipelines two requests at a time, and reuses the connection until it fails.
        while !done.load(SeqCst) {
            let tokens = [number, number + 1].map(|number| format!("{browser}-{number}"));
            number += 2;
            let requests = tokens
                .clone()
                .map(|token| format!("GET /late/{token} HTTP/1.1\r\nhost: a\r\n\r\n"))
                .concat();
            if connection.try_send(requests).await.is_err() {
                break;
            }
            let mut broken = false;
            for token in &tokens {
                match with_timeout(connection.try_read_response(false)).await {
                    Ok(response) if response.status == 200 && response.text() == token => {
                        counts.right.fetch_add(1, SeqCst)
                    }
                    Ok(_) => counts.wrong.fetch_add(1, SeqCst),
                    Err(_) => {
                        broken = true;
                        counts.broken.fetch_add(1, SeqCst);
                        break;
                    }
                };
            }
            if broken {
                break;
            }
        }
    }
}
