//! An application behind the embedded HTTP server, as browsers see it.

use crate::support::{Gate, Site, behaviour};

async fn site() -> (Site, Gate) {
    let gate = Gate::new();
    (Site::http(behaviour::app(&gate)).await, gate)
}

macro_rules! behaves {
    ($($name:ident($($gate:ident)?)),* $(,)?) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let (site, _gate) = site().await;
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
    a_body_in_chunks_comes_whole(),
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
    let gate = Gate::new();
    let site = Site::http(behaviour::hasty(&gate)).await;
    behaviour::a_handler_that_takes_too_long_is_504(&site, &gate).await;
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_finishes_what_was_accepted() {
    let (site, gate) = site().await;
    behaviour::stopping_finishes_what_was_accepted(site, &gate).await;
}
