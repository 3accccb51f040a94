//! One address floods a service with connections that open no session, while callers of another address connect.

use crate::support::{child, with_timeout};
use brubeck::prelude::*;
use brubeck::{PeerKey, Running, Service, ServiceAddress};
use std::future::IntoFuture;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

const SECRET: &str = "my_shared_secret";

/// A few more than the places for connections without a session, so that the flood also competes with itself.
const ATTACKERS: usize = 520;
const PLACES: usize = 512;
const HONEST: usize = 20;

/// The address of the attackers. Honest callers connect from 127.0.0.1.
const ATTACKER: [u8; 4] = [127, 0, 0, 2];

#[service_handler(path = "^/here$", method = "request")]
async fn here() -> &'static str {
    "here"
}

const ROUTES: Routes<()> = routes![here];

/// The point at which an attacker falls silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Tcp,
    HalfHello,
    Tls,
    Greeting,
    Ready,
}

const PHASES: [Phase; 5] = [
    Phase::Tcp,
    Phase::HalfHello,
    Phase::Tls,
    Phase::Greeting,
    Phase::Ready,
];

/// Returns a client that has the key of [`SECRET`].
fn connector() -> TlsConnector {
    let key = PeerKey::from_secret(SECRET).unwrap();
    let certificate = CertificateDer::from_pem_slice(key.certificate_pem().as_bytes()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(
            vec![certificate],
            PrivateKeyDer::from_pem_slice(key.private_key_pem().as_bytes()).unwrap(),
        )
        .unwrap();
    config.alpn_protocols = vec![b"brubeck/3".to_vec()];
    TlsConnector::from(Arc::new(config))
}

async fn connect(service: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((ATTACKER, 0).into())?;
    socket.connect(service).await
}

async fn tls(connector: &TlsConnector, service: SocketAddr) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from("brubeck").unwrap();
    connector.connect(name, connect(service).await?).await
}

/// The READY command of a DEALER, and the length of the greeting and the READY of the service.
const READY: &[u8] = b"\x04\x1c\x05READY\x0bSocket-Type\0\0\0\x06DEALER";
const GREETING_AND_READY: usize = 64 + 43;

fn greeting() -> [u8; 64] {
    let mut greeting = [0; 64];
    (greeting[0], greeting[9], greeting[10]) = (0xff, 0x7f, 3);
    greeting[12..16].copy_from_slice(b"NULL");
    greeting
}

/// Connects, and sends no more than belongs to the phase. Returns when the service has closed the connection.
async fn attack(
    connector: &TlsConnector,
    service: SocketAddr,
    phase: Phase,
    holding: &AtomicUsize,
) -> std::io::Result<()> {
    if phase <= Phase::HalfHello {
        let mut stream = connect(service).await?;
        if phase == Phase::HalfHello {
            stream.write_all(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc]).await?;
        }
        return hold(stream, holding).await;
    }
    let mut stream = tls(connector, service).await?;
    if phase >= Phase::Greeting {
        stream.write_all(&greeting()).await?;
        stream.flush().await?;
    }
    if phase == Phase::Ready {
        stream.write_all(READY).await?;
        stream.flush().await?;
        stream.read_exact(&mut [0; GREETING_AND_READY]).await?;
    }
    hold(stream, holding).await
}

async fn hold(
    mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    holding: &AtomicUsize,
) -> std::io::Result<()> {
    holding.fetch_add(1, Ordering::Relaxed);
    let mut bytes = [0; 256];
    while let Ok(1..) = stream.read(&mut bytes).await {}
    holding.fetch_sub(1, Ordering::Relaxed);
    Ok(())
}

fn address_of(running: &Running) -> SocketAddr {
    running.address().trim_start_matches("tcp://").parse().unwrap()
}

async fn honest_call(address: &str) -> Duration {
    let client = Client::connect(&ServiceAddress::new(address, SECRET)).unwrap();
    let start = Instant::now();
    client.request("/here").into_future().await.unwrap();
    start.elapsed()
}

/// Connects as an attacker in the phase [`Phase::Ready`].
async fn ready_stream(service: SocketAddr) -> TlsStream<TcpStream> {
    let mut stream = tls(&connector(), service).await.unwrap();
    stream.write_all(&greeting()).await.unwrap();
    stream.write_all(READY).await.unwrap();
    stream.flush().await.unwrap();
    with_timeout(stream.read_exact(&mut [0; GREETING_AND_READY]))
        .await
        .unwrap();
    stream
}

async fn start() -> Running {
    let service = Service::bind("tcp://127.0.0.1:0", SECRET);
    App::new(ROUTES, ()).start(service).await.unwrap()
}

/// The time from the accepted connection on counts, and not that since the last byte.
#[tokio::test]
async fn peer_that_opens_no_session_is_disconnected_after_the_handshake_timeout() {
    let running = start().await;
    let begin = Instant::now();
    let (mut reader, mut writer) = tokio::io::split(ready_stream(address_of(&running)).await);
    let pings = async {
        // A ZMTP heartbeat, and a message that does not belong to brubeck's protocol.
        while writer.write_all(b"\x04\x07\x04PING\0\0\0\x01x").await.is_ok() && writer.flush().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let closed = async {
        let mut bytes = [0; 256];
        while let Ok(1..) = reader.read(&mut bytes).await {}
    };
    with_timeout(async { tokio::join!(pings, closed) }).await;
    let elapsed = begin.elapsed();
    assert!(
        (Duration::from_secs(4)..Duration::from_secs(8)).contains(&elapsed),
        "{elapsed:?}"
    );
    running.stop().await.unwrap();
}

#[tokio::test]
async fn message_before_the_session_has_at_most_two_kilobytes() {
    let running = start().await;
    let begin = Instant::now();
    let mut stream = ready_stream(address_of(&running)).await;
    let length: u64 = (2 << 10) + 1;
    let header = [&[2][..], &length.to_be_bytes()].concat();
    stream.write_all(&header).await.unwrap();
    stream.flush().await.unwrap();
    let read = with_timeout(stream.read(&mut [0])).await;
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    assert!(begin.elapsed() < Duration::from_secs(4), "by its timeout only");
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flood_of_one_address_in_any_phase_keeps_no_caller_of_another_one_out() {
    if !child::isolated(flood_of_one_address_in_any_phase_keeps_no_caller_of_another_one_out).await {
        return;
    }
    let connector = connector();
    for phase in PHASES {
        let running = start().await;
        let service = address_of(&running);
        let holding = Arc::<AtomicUsize>::default();
        let mut attackers = tokio::task::JoinSet::new();
        for _ in 0..ATTACKERS {
            let (connector, holding) = (connector.clone(), holding.clone());
            attackers.spawn(async move {
                loop {
                    // Those that lose their place take that of another one at once.
                    let _ = attack(&connector, service, phase, &holding).await;
                }
            });
        }
        with_timeout(async {
            while holding.load(Ordering::Relaxed) < PLACES - 32 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let mut times = Vec::new();
        for _ in 0..HONEST {
            times.push(with_timeout(honest_call(running.address())).await);
        }
        let slowest = times.iter().max().unwrap();
        println!(
            "{phase:?}: slowest of {HONEST} calls after {slowest:?}, with {} connections of the flood",
            holding.load(Ordering::Relaxed)
        );
        assert!(*slowest < Duration::from_secs(1), "{phase:?}: {times:?}");
        attackers.shutdown().await;
        running.stop().await.unwrap();
    }
}
