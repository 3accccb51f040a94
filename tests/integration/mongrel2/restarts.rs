//! Mongrel2 starts again and again while many ask, and nobody gets what another asked for.

use crate::support::laboratory::{Laboratory, plain, until};
use crate::support::{Browser, setting, within};
use brubeck::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

/// Answers after a while that differs from one to the next, so that many are on their way at each restart.
#[get(r"^/late/(?<token>[a-z0-9-]+)$")]
async fn late(token: String, number: State<Arc<AtomicU64>>) -> String {
    let pause = number.fetch_add(1, SeqCst) % 7;
    tokio::time::sleep(std::time::Duration::from_millis(pause * 5)).await;
    token
}

const ROUTES: Routes<Arc<AtomicU64>> = routes![late];

#[derive(Default)]
struct Seen {
    right: AtomicU64,
    wrong: AtomicU64,
    broken: AtomicU64,
}

/// `BRUBECK_RESTARTS` sets how often; 5 times where it does not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn responses_reach_only_their_own_client_across_restarts() {
    let app = App::new(ROUTES, Arc::new(AtomicU64::new(0)));
    let Some(laboratory) = Laboratory::new(app, plain).await else {
        return;
    };
    let restarts = setting("BRUBECK_RESTARTS", 5);
    let (seen, done) = (Arc::new(Seen::default()), Arc::new(AtomicBool::new(false)));
    let browsers: Vec<_> = (0..24)
        .map(|browser| tokio::spawn(ask(laboratory.address, browser, seen.clone(), done.clone())))
        .collect();
    let server = laboratory.server.as_ref().expect("a Mongrel2");
    for _ in 0..restarts {
        let before = seen.right.load(SeqCst);
        until(|| seen.right.load(SeqCst) > before + 24).await;
        within(server.restart()).await.expect("it starts again");
    }
    done.store(true, SeqCst);
    for browser in browsers {
        within(browser).await.expect("no panic");
    }
    let [right, wrong, broken] = [&seen.right, &seen.wrong, &seen.broken].map(|count| count.load(SeqCst));
    println!(
        "{restarts} restarts: {right} right answers, {wrong} wrong ones, {broken} connections broken, {} stale replies dropped",
        laboratory.counts.stale()
    );
    assert_eq!(wrong, 0);
    assert!(right > 24 * restarts);
    laboratory.stop().await;
}

async fn ask(address: std::net::SocketAddr, browser: u32, seen: Arc<Seen>, done: Arc<AtomicBool>) {
    let mut number = 0;
    while !done.load(SeqCst) {
        let Ok(mut connection) = Browser::try_connect(address).await else {
            tokio::task::yield_now().await;
            continue;
        };
        // Two at a time, and sometimes more than one pair on a connection.
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
                match within(connection.try_answer(false)).await {
                    Ok(answer) if answer.status == 200 && answer.text() == token => {
                        seen.right.fetch_add(1, SeqCst)
                    }
                    Ok(_) => seen.wrong.fetch_add(1, SeqCst),
                    Err(_) => {
                        broken = true;
                        seen.broken.fetch_add(1, SeqCst);
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
