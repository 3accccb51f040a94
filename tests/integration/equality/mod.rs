//! The same requests get the same answers through every front end: without a socket, from the embedded server, through
//! the codec of Mongrel2, and behind a real Mongrel2.
//!
//! `BRUBECK_EQUALITY_CASES` sets how many requests are generated (default 20,000), `BRUBECK_EQUALITY_SEED` from what.

mod front;
mod requests;
mod site;

use crate::support::{parts, setting, within};
use front::{Embedded, Front, Seen, StandIn, Without};
use requests::{Asked, Requests};

/// How many requests are on their way through one front end before their answers are compared.
const AT_ONCE: usize = 200;

fn seed() -> usize {
    setting("BRUBECK_EQUALITY_SEED", 2026)
}

/// How many answers had each status code: that the requests reach every corner must be seen.
#[derive(Default)]
struct Statuses(std::collections::BTreeMap<u16, usize>);

impl Statuses {
    fn count(&mut self, seen: &[Seen]) {
        for answer in seen {
            *self.0.entry(answer.status).or_default() += 1;
        }
    }

    fn reach(&self, codes: &[u16]) {
        let missing: Vec<_> = codes.iter().filter(|code| !self.0.contains_key(code)).collect();
        assert!(missing.is_empty(), "no answer had {missing:?}: {:?}", self.0);
    }
}

#[track_caller]
fn compare(front: &str, asked: &[Asked], expected: &[Seen], got: &[Seen]) {
    assert_eq!(asked.len(), got.len(), "{front} gave another number of answers");
    for ((asked, expected), got) in asked.iter().zip(expected).zip(got) {
        assert_eq!(expected, got, "{front} answers differently to {asked}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_front_end_gives_the_same_response() {
    let (cases, seed) = (setting("BRUBECK_EQUALITY_CASES", 20_000), seed());
    let mut requests = Requests::new(seed, true);
    let mut statuses = Statuses::default();
    let mut without = Without::new(site::app());
    let mut embedded = Embedded::start(site::app()).await;
    let mut stand_in = StandIn::start(site::app()).await;
    let mut done = 0;
    while done < cases {
        let asked: Vec<Asked> = requests.by_ref().take(AT_ONCE.min(cases - done)).collect();
        let (expected, over_http, over_codec) = tokio::join!(
            without.answers(&asked),
            embedded.answers(&asked),
            stand_in.answers(&asked)
        );
        compare("the embedded server", &asked, &expected, &over_http);
        compare("the codec of Mongrel2", &asked, &expected, &over_codec);
        statuses.count(&expected);
        done += asked.len();
    }
    println!(
        "{done} requests (seed {seed}) through 3 front ends, answers equal: {:?}",
        statuses.0
    );
    statuses.reach(&[
        200, 204, 206, 303, 304, 400, 403, 404, 405, 413, 415, 416, 422, 501,
    ]);
    embedded.stop().await;
    stand_in.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_mongrel2_gives_the_same_response() {
    if !parts::mongrel2() {
        return;
    }
    let (cases, seed) = (setting("BRUBECK_EQUALITY_CASES", 20_000) / 10, seed());
    let mut requests = Requests::new(seed, false);
    let mut statuses = Statuses::default();
    let mut without = Without::new(site::app());
    let mut mongrel2 = Embedded::behind_mongrel2(site::app()).await;
    let mut done = 0;
    while done < cases {
        let asked: Vec<Asked> = requests.by_ref().take(AT_ONCE.min(cases - done)).collect();
        let (expected, got) = tokio::join!(without.answers(&asked), mongrel2.answers(&asked));
        compare("Mongrel2", &asked, &expected, &got);
        statuses.count(&expected);
        done += asked.len();
    }
    println!(
        "{done} requests (seed {seed}) through Mongrel2, answers equal: {:?}",
        statuses.0
    );
    statuses.reach(&[200, 204, 303, 400, 403, 404, 405, 413, 415, 422]);
    within(mongrel2.stop()).await;
}
