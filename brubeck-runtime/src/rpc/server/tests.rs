//! Tests of the sessions of a service over real sockets.

use super::*;
use crate::method::Method;
use crate::rpc::api::{Client, ServiceAddress, ServiceRequest};
use crate::rpc::client::Pool;
use crate::status::Status;
use crate::tests::{CallApplication, endpoint, soon};
use brubeck_zmtp::{ServerEvent, ServerLimits, Transport, Zmtp};
use futures_util::future::join_all;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_queued_invalid_requests_do_not_overflow_the_stack() {
    const QUEUED: usize = 2000;
    let (started, gate) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let application = InstrumentedApplication::new(Arc::new(CallApplication({
        let (started, gate) = (started.clone(), gate.clone());
        move || {
            let (started, gate) = (started.clone(), gate.clone());
            async move {
                started.notify_one();
                gate.notified().await;
                Response::json(Status::OK, &())
            }
        }
    })));
    let limits = ServerLimits {
        peer_queue_messages: 2 * QUEUED,
        ..ServerLimits::default()
    };
    let mut server = Zmtp.server(endpoint("tcp://127.0.0.1:0"), limits).await.unwrap();
    let config = WorkerConfig {
        concurrency: 1,
        queue: Some(2 * QUEUED),
        max_unacknowledged: 2 * QUEUED,
        ..WorkerConfig::default()
    };
    let sessions = CallerSessions::new(config, Arc::new(application), server.outbound.clone()).unwrap();
    let worker = sessions.clone();
    server.inbound.set_handler(move |event| match event {
        ServerEvent::Message { peer, frames } => worker.handle_message(&peer, frames),
        ServerEvent::Disconnected { peer } => worker.handle_disconnect(&peer),
        ServerEvent::Verified { .. } => {}
    });

    let address = ServiceAddress::new(server.local.to_string(), "s").concurrency(2 * QUEUED);
    let pool = Pool::open(Arc::new(Zmtp), &address, None, None).unwrap();
    let client = Client::over(Arc::new(pool));
    let timeout = Duration::from_secs(60);
    let running = client.request("/gated").timeout(timeout).into_future();
    soon("the first handler starts", started.notified()).await;
    // A service handler cannot have the method `response`, so these requests are not valid. They wait for the first handler.
    let invalid = (0..QUEUED).map(|_| {
        let request = ServiceRequest::new("/invalid").with_method(Method::Response);
        client.send(request).timeout(timeout).into_future()
    });
    let invalid: Vec<_> = invalid.collect();
    soon("all requests are queued", async {
        while sessions.0.lock().driver.machine.view().queued < QUEUED {
            tokio::task::yield_now().await;
        }
    })
    .await;
    gate.notify_one();
    for result in soon("all calls end", join_all(invalid)).await {
        assert_eq!(result.unwrap().status.code(), 400);
    }
    assert!(running.await.unwrap().status.is_success());
}
