//! Server-sent events: a price that changes, in every page that looks.
//!
//! `cargo run --example ticker`, and with a real Mongrel2 in front `cargo run --example ticker -- --mongrel2`

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

/// A price in cents, and the how-manieth it is.
#[derive(Clone, Copy, Serialize)]
struct Tick {
    number: u64,
    cents: i64,
}

type Prices = watch::Receiver<Tick>;

/// A page that falls behind gets the newest price and none of those between.
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

/// Walks up and down, the same way every time.
async fn walk(prices: watch::Sender<Tick>) {
    let mut every = tokio::time::interval(Duration::from_millis(400));
    let (mut tick, mut chance) = (*prices.borrow(), 88_172_645_463_325_252_u64);
    loop {
        every.tick().await;
        chance ^= chance << 13;
        chance ^= chance >> 7;
        chance ^= chance << 17;
        let step = i64::try_from(chance % 301).unwrap_or_default() - 150;
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
    tokio::spawn(walk(sender));
    front::serve(App::new(ROUTES, receiver), ROUTES, |config| config).await
}
