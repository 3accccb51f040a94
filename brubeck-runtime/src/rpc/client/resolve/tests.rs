//! Pools whose names change, over real sockets.

use super::*;
use crate::handler::{Application, DispatchMode, HttpResponseFuture};
use crate::message::{Message, RemoteAddr};
use crate::response::{Body, Response};
use crate::rpc::api::{Client, Link, ServiceAddress};
use crate::rpc::client::Pool;
use crate::rpc::core::WorkerConfig;
use crate::rpc::server::{CallerSessions, InstrumentedApplication};
use crate::secret::Secret;
use crate::status::Status;
use brubeck_zmtp::{ServerEvent, ServerLimits, Transport, Zmtp};
use std::sync::Mutex;

/// Answers everything with where it is.
struct Here(&'static str);

impl Application for Here {
    fn answer(self: Arc<Self>, _: Message) -> BoxFuture<'static, Response> {
        let here = self.0;
        Box::pin(async move { Response::json(Status::OK, &here) })
    }

    fn serve(self: Arc<Self>, _: http::Request<Body>) -> BoxFuture<'static, http::Response<Body>> {
        Box::pin(std::future::ready(http::Response::default()))
    }

    fn serve_peer(
        &self,
        _: http::Request<Body>,
        _: Option<RemoteAddr>,
        _: DispatchMode,
    ) -> HttpResponseFuture {
        unreachable!("nobody is asked over HTTP")
    }

    fn body_limit(&self) -> usize {
        1024
    }
}

/// A process of a service at this host; 0 chooses a port.
async fn serve(host: &'static str, port: u16) -> u16 {
    let endpoint = Endpoint::Tcp {
        host: host.into(),
        port,
    };
    let mut server = Zmtp.server(endpoint, ServerLimits::default()).await.unwrap();
    let Endpoint::Tcp { port, .. } = server.local else {
        unreachable!("it was bound to tcp")
    };
    let config = WorkerConfig {
        passphrase: Secret::new("s"),
        ..WorkerConfig::default()
    };
    let application = Arc::new(InstrumentedApplication::new(Arc::new(Here(host))));
    let sessions = CallerSessions::new(config, application, server.outbound.clone()).unwrap();
    tokio::spawn(async move {
        while let Some(event) = server.inbound.recv().await {
            match event {
                ServerEvent::Message { peer, frames } => sessions.handle_message(&peer, frames),
                ServerEvent::Disconnected { peer } => sessions.handle_disconnect(&peer),
            }
        }
    });
    port
}

async fn asked(client: &Client) -> String {
    let answer = client.request("/where").into_future();
    let answer = tokio::time::timeout(Duration::from_secs(10), answer).await;
    answer.expect("an end").expect("an answer").body.to_string()
}

/// Asks until another process answers; one that is connected later is not known at once.
async fn until(client: &Client, host: &str) {
    let others = async { while asked(client).await != format!("\"{host}\"") {} };
    tokio::time::timeout(Duration::from_secs(20), others)
        .await
        .unwrap_or_else(|_| panic!("{host} gets no calls"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_hosts_that_a_name_stands_for_are_followed() {
    let port = serve("127.0.0.1", 0).await;
    serve("127.0.0.2", port).await;
    let hosts: Arc<Mutex<io::Result<Vec<IpAddr>>>> = Arc::new(Mutex::new(Ok(vec![[127, 0, 0, 1].into()])));
    let known = hosts.clone();
    let resolve = Resolver {
        find: Arc::new(move |host| {
            assert_eq!(host, "slow.example");
            let found = match &*known.lock().unwrap() {
                Ok(found) => Ok(found.clone()),
                Err(error) => Err(io::Error::from(error.kind())),
            };
            Box::pin(std::future::ready(found))
        }),
        every: Duration::from_millis(5),
    };
    let address = format!("tcp://slow.example:{port}");
    let pool = Pool::open(Arc::new(Zmtp), &ServiceAddress::new(&address, "s"), Some(resolve)).unwrap();
    let pool: Arc<dyn Link> = Arc::new(pool);
    let client = Client::over(pool);

    // The very first call waits until the name is looked up.
    assert_eq!(asked(&client).await, "\"127.0.0.1\"");
    *hosts.lock().unwrap() = Ok(vec![[127, 0, 0, 1].into(), [127, 0, 0, 2].into()]);
    until(&client, "127.0.0.2").await;
    until(&client, "127.0.0.1").await;
    *hosts.lock().unwrap() = Ok(vec![[127, 0, 0, 2].into()]);
    until(&client, "127.0.0.2").await;
    *hosts.lock().unwrap() = Err(io::ErrorKind::NotFound.into());
    assert!(!asked(&client).await.is_empty(), "what is known stays known");
    assert_eq!(client.workers(), std::slice::from_ref(&address));
    assert!(client.remove_worker(&address).unwrap());
    assert!(!client.remove_worker(&address).unwrap());
    assert!(client.request("/where").await.is_err());
}

#[test]
fn a_host_with_two_kinds_of_addresses_is_one() {
    let found = ["::1".parse().unwrap(), [127, 0, 0, 1].into()];
    let texts: Vec<String> = endpoints(&found, 9).iter().map(Endpoint::to_string).collect();
    assert_eq!(texts, ["tcp://[::1]:9"]);
}

#[test]
fn addresses_and_this_machine_are_no_names() {
    let named = |text: &str| name(&text.parse().unwrap()).is_some();
    assert!(named("tcp://slow.example:1"));
    for text in [
        "tcp://127.0.0.1:1",
        "tcp://[::1]:1",
        "tcp://localhost:1",
        "ipc://x",
    ] {
        assert!(!named(text), "{text}");
    }
}
