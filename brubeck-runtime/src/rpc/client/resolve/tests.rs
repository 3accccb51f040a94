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
fn address_family_listed_first_is_tried_first_unless_the_other_one_worked() {
    let found = ["::1".parse().unwrap(), [127, 0, 0, 1].into()];
    let texts = |hosts: &[Endpoint]| hosts.iter().map(Endpoint::to_string).collect::<Vec<_>>();
    for (prefers_v4, first, second) in [
        (None, "tcp://[::1]:9", "tcp://127.0.0.1:9"),
        (Some(false), "tcp://[::1]:9", "tcp://127.0.0.1:9"),
        (Some(true), "tcp://127.0.0.1:9", "tcp://[::1]:9"),
    ] {
        let hosts = Hosts::new(&found, 9, prefers_v4);
        assert_eq!(
            (texts(&hosts.first), texts(&hosts.second)),
            (vec![first.to_owned()], vec![second.to_owned()])
        );
    }
    let hosts = Hosts::new(&found[1..], 9, Some(false));
    assert_eq!((texts(&hosts.first).len(), hosts.second.len()), (1, 0));
}

/// Returns a resolver that always finds these addresses.
fn fixed_resolver(found: &[IpAddr]) -> Resolver {
    let found = found.to_vec();
    Resolver {
        lookup: Arc::new(move |_| {
            let found = match found.is_empty() {
                true => Err(io::ErrorKind::NotFound.into()),
                false => Ok(found.clone()),
            };
            Box::pin(ready(found))
        }),
        interval: RESOLVE_INTERVAL,
    }
}

fn client_of(found: &[IpAddr], port: u16) -> Client {
    let service = ServiceAddress::new(format!("tcp://slow.example:{port}"), "s");
    let pool = Pool::open(Arc::new(Zmtp), &service, Some(fixed_resolver(found)), None).unwrap();
    let pool: Arc<dyn Link> = Arc::new(pool);
    Client::over(pool)
}

/// The service listens at one or both versions of IP, and the name has them in either order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_address_of_a_name_is_tried() {
    let (v4, v6): (IpAddr, IpAddr) = ([127, 0, 0, 1].into(), "::1".parse().unwrap());
    if std::net::TcpListener::bind((v6, 0)).is_err() {
        println!("skipped: this machine has no IPv6");
        return;
    }
    let elsewhere: IpAddr = [127, 0, 0, 3].into();
    let at_v4 = start_worker("127.0.0.1", 0).await;
    let at_v6 = start_worker("::1", 0).await;
    for (port, host) in [(at_v4, "127.0.0.1"), (at_v6, "::1")] {
        for found in [
            &[v4, v6][..],
            &[v6, v4],
            &[elsewhere, v4, v6],
            &[v6, elsewhere, v4],
        ] {
            let began = std::time::Instant::now();
            let client = client_of(found, port);
            assert_eq!(call_where(&client).await, format!("\"{host}\""), "{found:?}");
            assert!(
                began.elapsed() < Duration::from_secs(2),
                "{found:?}: {:?}",
                began.elapsed()
            );
        }
    }
    let both = start_worker("127.0.0.1", 0).await;
    start_worker("::1", both).await;
    for (found, host) in [([v4, v6], "127.0.0.1"), ([v6, v4], "::1")] {
        let client = client_of(&found, both);
        for _ in 0..20 {
            assert_eq!(
                call_where(&client).await,
                format!("\"{host}\""),
                "one host is one worker"
            );
        }
    }
}

#[tokio::test]
async fn name_of_no_worker_fails_as_soon_as_a_number() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let (v4, v6): (IpAddr, IpAddr) = ([127, 0, 0, 1].into(), "::1".parse().unwrap());
    for (found, reason) in [
        (&[v4][..], "Connection refused"),
        (&[v4, v6], "Connection refused"),
        (&[], "cannot resolve the host slow.example"),
    ] {
        let began = std::time::Instant::now();
        let call = client_of(found, port)
            .request("/where")
            .timeout(Duration::from_secs(8))
            .into_future();
        let error = call.await.unwrap_err();
        assert!(
            began.elapsed() < Duration::from_secs(4),
            "{found:?}: {:?}",
            began.elapsed()
        );
        let text = error.to_string();
        assert!(
            matches!(error, crate::rpc::api::CallError::NoWorkers(_)),
            "{found:?}: {text}"
        );
        assert!(text.contains(reason), "{found:?}: {text}");
    }
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
