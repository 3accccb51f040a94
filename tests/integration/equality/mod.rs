//! Every front end gives the same response to the same request: in memory, the embedded server, a fake Mongrel2 that
//! speaks the protocol of the real one, and a real Mongrel2.
//!
//! `BRUBECK_EQUALITY_CASES` sets the number of generated requests (default 20,000), of which a tenth is sent to a real
//! Mongrel2. `BRUBECK_EQUALITY_SEED` sets their seed (default 2026).

mod front_ends;
mod requests;
mod site;

use crate::support::{env_number, requirements, with_timeout};
use front_ends::{ComparableResponse, FakeMongrel2, FrontEnd, HttpServer, InMemory};
use requests::{RequestGenerator, TestRequest};

/// The number of requests that are sent to each front end before the responses are compared.
const BATCH_SIZE: usize = 200;

fn seed() -> usize {
    env_number("BRUBECK_EQUALITY_SEED", 2026)
}

/// Counts responses by status code, to check that the generated requests cover the expected ones.
#[derive(Default)]
struct StatusCounts(std::collections::BTreeMap<u16, usize>);

impl StatusCounts {
    fn count(&mut self, responses: &[ComparableResponse]) {
        for response in responses {
            *self.0.entry(response.status).or_default() += 1;
        }
    }

    fn assert_covers(&self, codes: &[u16]) {
        let missing: Vec<_> = codes.iter().filter(|code| !self.0.contains_key(code)).collect();
        assert!(
            missing.is_empty(),
            "no response had status {missing:?}: {:?}",
            self.0
        );
    }
}

#[track_caller]
fn assert_equal_responses(
    front_end: &str,
    requests: &[TestRequest],
    expected: &[ComparableResponse],
    got: &[ComparableResponse],
) {
    assert_eq!(
        requests.len(),
        got.len(),
        "{front_end} gave a different number of responses"
    );
    for ((request, expected), got) in requests.iter().zip(expected).zip(got) {
        assert_eq!(expected, got, "different response from {front_end} to {request}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_front_end_gives_the_same_response() {
    let (cases, seed) = (env_number("BRUBECK_EQUALITY_CASES", 20_000), seed());
    let mut generator = RequestGenerator::new(seed, true);
    let mut statuses = StatusCounts::default();
    let mut in_memory = InMemory::new(site::app());
    let mut embedded = HttpServer::start(site::app()).await;
    let mut fake_mongrel2 = FakeMongrel2::start(site::app()).await;
    let mut done = 0;
    while done < cases {
        let requests: Vec<TestRequest> = generator.by_ref().take(BATCH_SIZE.min(cases - done)).collect();
        let (expected, over_http, over_codec) = tokio::join!(
            in_memory.responses(&requests),
            embedded.responses(&requests),
            fake_mongrel2.responses(&requests)
        );
        assert_equal_responses("the embedded server", &requests, &expected, &over_http);
        assert_equal_responses("the fake Mongrel2", &requests, &expected, &over_codec);
        statuses.count(&expected);
        done += requests.len();
    }
    println!(
        "{done} requests (seed {seed}) through 3 front ends, equal responses: {:?}",
        statuses.0
    );
    statuses.assert_covers(&[
        200, 204, 206, 303, 304, 400, 403, 404, 405, 413, 415, 416, 422, 501,
    ]);
    embedded.stop().await;
    fake_mongrel2.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_mongrel2_gives_the_same_response() {
    if !requirements::mongrel2() {
        return;
    }
    let (cases, seed) = (env_number("BRUBECK_EQUALITY_CASES", 20_000) / 10, seed());
    let mut generator = RequestGenerator::new(seed, false);
    let mut statuses = StatusCounts::default();
    let mut in_memory = InMemory::new(site::app());
    let mut mongrel2 = HttpServer::behind_mongrel2(site::app()).await;
    let mut done = 0;
    while done < cases {
        let requests: Vec<TestRequest> = generator.by_ref().take(BATCH_SIZE.min(cases - done)).collect();
        let (expected, got) = tokio::join!(in_memory.responses(&requests), mongrel2.responses(&requests));
        assert_equal_responses("Mongrel2", &requests, &expected, &got);
        statuses.count(&expected);
        done += requests.len();
    }
    println!(
        "{done} requests (seed {seed}) through Mongrel2, equal responses: {:?}",
        statuses.0
    );
    statuses.assert_covers(&[200, 204, 303, 400, 403, 404, 405, 413, 415, 422]);
    with_timeout(mongrel2.stop()).await;
}
