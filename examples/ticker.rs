//! Server-sent events: a changing price, on all open pages.
//!
//! Run it with `cargo run --example ticker`, or behind Mongrel2 with `cargo run --example ticker -- --mongrel2`

mod front;

use brubeck::prelude::*;
use futures_util::stream;
use serde::Serialize;
use std::time::Duration;
use tokio::sync::watch;

#[derive(Template)]
#[template("ticker/page.html")]
struct Board {}

#[get("^/$")]
async fn index() -> Page<Board> {
    Page(Board {})
}

/// A price in cents, with its sequence number.
#[derive(Clone, Copy, Serialize)]
struct Tick {
    number: u64,
    cents: i64,
}

type Prices = watch::Receiver<Tick>;

/// Streams the prices to one page. A slow page skips intermediate prices and receives the newest one.
#[get("^/prices$")]
async fn prices(prices: State<Prices>) -> Events {
    Events::new(stream::unfold(prices.0.clone(), async |mut prices| {
        prices.changed().await.ok()?;
        let tick = *prices.borrow_and_update();
        let event = Event::json(&tick).ok()?.id(tick.number.to_string());
        Some((event, prices))
    }))
}

const ROUTES: Routes<Prices> = routes![index, prices];

/// Changes the price in pseudo-random steps. The sequence is the same in every run.
async fn random_walk(prices: watch::Sender<Tick>) {
    let mut interval = tokio::time::interval(Duration::from_millis(400));
    let (mut tick, mut random) = (*prices.borrow(), 88_172_645_463_325_252_u64);
    loop {
        interval.tick().await;
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let step = i64::try_from(random % 301).unwrap_or_default() - 150;
        tick = Tick {
            number: tick.number + 1,
            cents: (tick.cents + step).clamp(5_000, 15_000),
        };
        prices.send_replace(tick);
    }
}

#[tokio::main]
async fn main() -> brubeck::Result {
    let (sender, receiver) = watch::channel(Tick {
        number: 0,
        cents: 10_000,
    });
    tokio::spawn(random_walk(sender));
    front::serve(App::new(ROUTES, receiver), ROUTES, |config| config).await
}
