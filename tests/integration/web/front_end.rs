//! An application on the embedded HTTP server, tested over HTTP.

use crate::support::{Gate, ServedApp, behaviour};

async fn site() -> (ServedApp, Gate) {
    let gate = Gate::new();
    (ServedApp::http(behaviour::app(&gate)).await, gate)
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
    keep_alive_serves_many_requests_on_one_connection(),
    connection_close_and_http_1_0_close_the_connection(),
    head_is_answered_like_get_without_body(),
    pipelined_requests_are_answered_in_order(gate),
    request_body_arrives_unchanged(),
    chunked_request_body_arrives_unchanged(),
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
    let gate = Gate::new();
    let site = ServedApp::http(behaviour::with_short_timeout(&gate)).await;
    behaviour::handler_timeout_is_504(&site, &gate).await;
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn graceful_shutdown_drains_accepted_requests() {
    let (site, gate) = site().await;
    behaviour::graceful_shutdown_drains_accepted_requests(site, &gate).await;
}
