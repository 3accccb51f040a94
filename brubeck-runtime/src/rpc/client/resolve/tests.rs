//! Tests of host name resolution over real sockets.

use super::*;
use crate::response::Response;
use crate::rpc::api::{Client, Link, ServiceAddress};
use crate::rpc::client::Pool;
use crate::rpc::core::WorkerConfig;
use crate::rpc::server::{CallerSessions, InstrumentedApplication};
use crate::status::Status;
use crate::tests::CallApplication;
use brubeck_zmtp::{ServerEvent, ServerLimits, Transport, Zmtp};
use std::future::ready;
use std::sync::Mutex;

/// Starts a worker at `host` and returns its port. Port 0 selects a free one.
async fn start_worker(host: &'static str, port: u16) -> u16 {
    let endpoint = Endpoint::Tcp {
        host: host.into(),
        port,
    };
    let mut server = Zmtp.server(endpoint, ServerLimits::default()).await.unwrap();
    let Endpoint::Tcp { port, .. } = server.local else {
        unreachable!("the endpoint is TCP")
    };
    let config = WorkerConfig::default();
    let application = Arc::new(InstrumentedApplication::new(Arc::new(CallApplication(
        move || ready(Response::json(Status::OK, &host)),
    ))));
    let sessions = CallerSessions::new(config, application, server.outbound.clone()).unwrap();
    tokio::spawn(async move {
        while let Some(event) = server.inbound.recv().await {
            match event {
                ServerEvent::Message { peer, frames } => sessions.handle_message(&peer, frames),
                ServerEvent::Disconnected { peer } => sessions.handle_disconnect(&peer),
                ServerEvent::Verified { .. } => {}
            }
        }
    });
    port
}

/// Makes one call and returns the host that responded.
async fn call_where(client: &Client) -> String {
    let call = client.request("/where").into_future();
    let result = tokio::time::timeout(Duration::from_secs(10), call).await;
    result
        .expect("the call ends")
        .expect("a response")
        .body
        .to_string()
}

/// Repeats the call until `host` responds. A new worker gets no calls before its handshake has finished.
async fn call_until(client: &Client, host: &str) {
    let repeat = async { while call_where(client).await != format!("\"{host}\"") {} };
    tokio::time::timeout(Duration::from_secs(20), repeat)
        .await
        .unwrap_or_else(|_| panic!("{host} gets no calls"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn follows_changes_of_resolved_hosts() {
    let port = start_worker("127.0.0.1", 0).await;
    start_worker("127.0.0.2", port).await;
    let hosts: Arc<Mutex<io::Result<Vec<IpAddr>>>> = Arc::new(Mutex::new(Ok(vec![[127, 0, 0, 1].into()])));
    let resolved = hosts.clone();
    let resolver = Resolver {
        lookup: Arc::new(move |host| {
            assert_eq!(host, "slow.example");
            let found = match &*resolved.lock().unwrap() {
                Ok(found) => Ok(found.clone()),
                Err(error) => Err(io::Error::from(error.kind())),
            };
            Box::pin(std::future::ready(found))
        }),
        interval: Duration::from_millis(5),
    };
    let address = format!("tcp://slow.example:{port}");
    let pool = Pool::open(
        Arc::new(Zmtp),
        &ServiceAddress::new(&address, "s"),
        Some(resolver),
        None,
    )
    .unwrap();
    let pool: Arc<dyn Link> = Arc::new(pool);
    let client = Client::over(pool);

    // The first call waits until the name is resolved.
    assert_eq!(call_where(&client).await, "\"127.0.0.1\"");
    *hosts.lock().unwrap() = Ok(vec![[127, 0, 0, 1].into(), [127, 0, 0, 2].into()]);
    call_until(&client, "127.0.0.2").await;
    call_until(&client, "127.0.0.1").await;
    *hosts.lock().unwrap() = Ok(vec![[127, 0, 0, 2].into()]);
    call_until(&client, "127.0.0.2").await;
    *hosts.lock().unwrap() = Err(io::ErrorKind::NotFound.into());
    assert!(
        !call_where(&client).await.is_empty(),
        "a failed resolution keeps the workers"
    );
    assert_eq!(client.workers(), std::slice::from_ref(&address));
    assert!(client.remove_worker(&address).unwrap());
    assert!(!client.remove_worker(&address).unwrap());
    assert!(client.request("/where").await.is_err());
}

#[test]
fn uses_only_the_address_family_listed_first() {
    let found = ["::1".parse().unwrap(), [127, 0, 0, 1].into()];
    let texts: Vec<String> = endpoints(&found, 9).iter().map(Endpoint::to_string).collect();
    assert_eq!(texts, ["tcp://[::1]:9"]);
}

#[test]
fn ip_addresses_and_localhost_are_not_resolved() {
    let is_host_name = |text: &str| host_name(&text.parse().unwrap()).is_some();
    assert!(is_host_name("tcp://slow.example:1"));
    for text in [
        "tcp://127.0.0.1:1",
        "tcp://[::1]:1",
        "tcp://localhost:1",
        "ipc://x",
    ] {
        assert!(!is_host_name(text), "{text}");
    }
}
