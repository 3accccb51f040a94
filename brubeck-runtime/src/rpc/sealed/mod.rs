//! The protection of connections between Rust peers: TLS 1.3 with pinned keys over `tcp`, and over `ipc` the user of the peer and the
//! same handshake, after which the connection continues in clear.
//!
//! `docs/protocol.md` specifies both. Connections in memory are not protected.

mod budget;
mod identity;
mod key;
mod key_file;
mod peer_key;
mod record_stream;
mod refusal;
#[cfg(test)]
mod tests;
mod verifier;

use crate::error::Error;
use crate::rpc::api::{Credentials, KeyPin};
use crate::secret::Secret;
use brubeck_zmtp::watchdog::WatchedStream;
use brubeck_zmtp::{Endpoint, PeerStream, StreamWrapper, WrappedStream};
use budget::HandshakeBudget;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use identity::{Identity, ResolvedKeys};
use key::OwnKey;
pub use peer_key::PeerKey;
use record_stream::RecordStream;
use refusal::{PeerRefusal, RefusalLog, explain, is_closed};
use std::fmt::{self, Display};
use std::io::{self, Cursor};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::OnceCell;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{self, ClientConfig, ServerConfig, client::Resumption};
use tokio_rustls::{TlsAcceptor, TlsConnector, server};
use verifier::{PeerVerifier, hint_of, pin_of};

/// The minimum length of a secret, in bytes.
const MIN_SECRET: usize = 16;

/// The application protocol of the TLS handshake.
const ALPN: &[u8] = b"brubeck/3";

/// The server name of the TLS handshake. It is the same for all services, and not checked, because the key is. Only callers that
/// accept an authority use another one.
const SERVER_NAME: &str = "brubeck";

/// The first byte of a TLS connection, and that of a ZMTP connection in clear.
const TLS_FIRST_BYTE: u8 = 0x16;
const ZMTP_FIRST_BYTE: u8 = 0xff;

/// The encrypted bytes that may wait in one connection until the socket accepts them.
const TLS_BUFFER: usize = 256 << 10;

/// The number of bytes, and the time, for which a refused peer is read, so that it gets the alert.
const MAX_DRAINED: u64 = 64 << 10;
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// A fatal alert of TLS: access denied.
const ACCESS_DENIED: [u8; 7] = [0x15, 3, 3, 0, 2, 2, 49];

/// Returns an error if a secret of the sealed protocol is too short. `what` completes "cannot".
pub(crate) fn check_secret(secret: &Secret, what: impl Display) -> crate::Result<()> {
    let problem = match secret.expose().len() {
        0 => "the secret is empty".to_owned(),
        1 => format!("the secret has 1 character, and needs at least {MIN_SECRET}"),
        length if length < MIN_SECRET => {
            format!("the secret has {length} characters, and needs at least {MIN_SECRET}")
        }
        _ => return Ok(()),
    };
    Err(Error::new(format!(
        "cannot {what}: {problem}; create one with `brubeck keygen` (or `openssl rand -base64 32`), and use it on both sides"
    )))
}

/// Protects the connections of one service, or of one client.
pub(crate) struct Sealing {
    /// The address of the service, for the log.
    address: String,
    identity: Identity,
    /// The index of the key of this side that a caller presents. It presents another one after it was refused.
    presented: AtomicUsize,
    /// Callers in clear are accepted: they speak a dialect.
    accepts_clear: bool,
    /// The users that may connect over `ipc`, in addition to root and the user of this process.
    uids: Vec<u32>,
    configs: OnceCell<TlsConfigs>,
    budget: HandshakeBudget,
    refusals: RefusalLog,
}

struct TlsConfigs {
    /// One for each key of this side.
    connectors: Vec<TlsConnector>,
    acceptor: TlsAcceptor,
}

impl Sealing {
    /// Creates the protection of the connections at `address`, and begins to derive the keys of secrets. `what` completes "cannot".
    ///
    /// # Errors
    /// Returns an error if a secret is too short, or if a key pair or what it accepts cannot be used.
    pub(crate) fn new(
        address: impl Into<String>,
        credentials: &[&Credentials],
        what: impl Display,
    ) -> crate::Result<Sealing> {
        let address = address.into();
        Ok(Sealing {
            identity: Identity::load(&address, credentials, &what)?,
            address,
            presented: AtomicUsize::new(0),
            accepts_clear: false,
            uids: Vec::new(),
            configs: OnceCell::new(),
            budget: HandshakeBudget::default(),
            refusals: RefusalLog::default(),
        })
    }

    /// Accepts callers in clear, which prove nothing, if `accepts_clear` is `true`.
    pub(crate) fn accept_clear(mut self, accepts_clear: bool) -> Sealing {
        self.accepts_clear = accepts_clear;
        self
    }

    /// Admits these users over `ipc`.
    pub(crate) fn admit_uids(mut self, uids: Vec<u32>) -> Sealing {
        self.uids = uids;
        self
    }

    /// Returns whether the keys are derived, so that a connection need not wait for them.
    pub(crate) fn is_ready(&self) -> bool {
        self.identity.is_ready()
    }

    /// Waits until the keys are derived.
    pub(crate) async fn prepare(&self) -> crate::Result<()> {
        let prepared = self.configs().await;
        prepared
            .map(drop)
            .map_err(|error| Error::because(format!("cannot use the credentials of {}", self.address), error))
    }

    async fn configs(&self) -> io::Result<&TlsConfigs> {
        self.configs
            .get_or_try_init(|| async {
                let keys = self.identity.resolve().await?;
                TlsConfigs::new(keys, &self.identity.authorities).map_err(io::Error::other)
            })
            .await
    }

    async fn connect_stream(&self, stream: PeerStream) -> io::Result<PeerStream> {
        let connectors = &self.configs().await?.connectors;
        let presented = self.presented.load(Ordering::Relaxed) % connectors.len().max(1);
        let connector = connectors.get(presented).ok_or(io::ErrorKind::NotFound)?;
        let name = self.identity.server_name.clone();
        match stream {
            PeerStream::Tcp(stream) => {
                let mut stream = connector.connect(name, stream).await?;
                stream.get_mut().1.set_buffer_limit(Some(TLS_BUFFER));
                Ok(PeerStream::Wrapped(Box::new(stream)))
            }
            PeerStream::Ipc(socket) => {
                let mut stream = connector.connect(name, RecordStream::new(socket, None)).await?;
                continue_in_clear(&mut stream).await?;
                Ok(PeerStream::Ipc(stream.into_inner().0.into_socket()))
            }
            wrapped @ PeerStream::Wrapped(_) => Ok(wrapped),
        }
    }

    async fn accept_tcp(
        &self,
        stream: WatchedStream<TcpStream>,
        address: Option<IpAddr>,
    ) -> io::Result<WrappedStream> {
        let mut first_byte = [0];
        let peeked = stream.peek(&mut first_byte).await?;
        if self.is_clear(first_byte.get(..peeked).unwrap_or_default())? {
            return Ok(WrappedStream {
                stream: PeerStream::Tcp(stream),
                credentials: None,
            });
        }
        self.budget.acquire(address).await;
        let mut stream = handshake_of_server(&self.configs().await?.acceptor, stream).await?;
        stream.get_mut().1.set_buffer_limit(Some(TLS_BUFFER));
        Ok(WrappedStream {
            credentials: Some(credentials(stream.get_ref().1.peer_certificates())?),
            stream: PeerStream::Wrapped(Box::new(stream)),
        })
    }

    async fn accept_ipc(&self, mut socket: WatchedStream<UnixStream>) -> io::Result<WrappedStream> {
        let uid = socket.peer_cred()?.uid();
        if uid != 0 && uid != own_uid()? && !self.uids.contains(&uid) {
            // So that the peer learns why. Its hello is read first, because the system resets a connection that is closed with
            // unread bytes. The peer may have closed the connection already.
            let mut hello = [0; 1 << 10];
            let _ = socket.read(&mut hello).await?;
            let _ = socket.write_all(&ACCESS_DENIED).await;
            return Err(PeerRefusal::PeerUserNotAdmitted { uid }.into_error());
        }
        let mut first_byte = [0];
        let read = socket.read(&mut first_byte).await?;
        let first_byte = first_byte.get(..read).unwrap_or_default();
        if self.is_clear(first_byte)? {
            let (reader, writer) = socket.into_split();
            let reader = Cursor::new(first_byte.to_vec()).chain(reader);
            return Ok(WrappedStream {
                stream: PeerStream::Wrapped(Box::new(tokio::io::join(reader, writer))),
                credentials: None,
            });
        }
        self.budget.acquire(None).await;
        let socket = RecordStream::new(socket, first_byte.first().copied());
        let mut stream = handshake_of_server(&self.configs().await?.acceptor, socket).await?;
        let credentials = credentials(stream.get_ref().1.peer_certificates())?;
        continue_in_clear(&mut stream).await?;
        Ok(WrappedStream {
            stream: PeerStream::Ipc(stream.into_inner().0.into_socket()),
            credentials: Some(credentials),
        })
    }

    /// Distinguishes TLS from a dialect by the first byte of a connection. Returns an error if the connection is neither, or if
    /// no dialect is served.
    fn is_clear(&self, first_byte: &[u8]) -> io::Result<bool> {
        match first_byte {
            [] => Err(io::ErrorKind::UnexpectedEof.into()),
            [TLS_FIRST_BYTE] => Ok(false),
            [ZMTP_FIRST_BYTE] if self.accepts_clear => Ok(true),
            _ => Err(PeerRefusal::NotSealed.into_error()),
        }
    }
}

impl TlsConfigs {
    fn new(keys: ResolvedKeys, authorities: &[CertificateDer<'static>]) -> Result<TlsConfigs, rustls::Error> {
        let provider = Arc::new(CryptoProvider {
            // AES-128 first: it was measured to be the fastest.
            cipher_suites: vec![
                ring::cipher_suite::TLS13_AES_128_GCM_SHA256,
                ring::cipher_suite::TLS13_AES_256_GCM_SHA384,
                ring::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
            ],
            ..ring::default_provider()
        });
        let verifier = PeerVerifier::new(keys.pins, &keys.public_pins, authorities, provider.clone())?;
        let verifier = Arc::new(verifier);
        let mut connectors = Vec::new();
        for key in &keys.own {
            let mut client = ClientConfig::builder_with_provider(provider.clone())
                .with_protocol_versions(&[&TLS13])?
                .dangerous()
                .with_custom_certificate_verifier(verifier.clone())
                .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key.certified.clone())));
            client.resumption = Resumption::disabled();
            client.alpn_protocols = vec![ALPN.to_vec()];
            connectors.push(TlsConnector::from(Arc::new(client)));
        }
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(ServiceKeys(keys.own)));
        server.send_tls13_tickets = 0;
        server.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        server.alpn_protocols = vec![ALPN.to_vec()];
        Ok(TlsConfigs {
            connectors,
            acceptor: TlsAcceptor::from(Arc::new(server)),
        })
    }
}

/// The keys of a service, of which it presents one that the caller accepts, if the caller says so, or else the first one.
#[derive(Debug)]
struct ServiceKeys(Vec<OwnKey>);

impl ResolvesServerCert for ServiceKeys {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let accepted = hello.certificate_authorities().unwrap_or_default();
        let is_accepted = |key: &&OwnKey| {
            let hint = hint_of(&key.pin);
            accepted.iter().any(|name| name.as_ref() == hint.as_ref())
        };
        let key = self.0.iter().find(is_accepted).or_else(|| self.0.first());
        key.map(|key| key.certified.clone())
    }
}

async fn handshake_of_server<S: AsyncRead + AsyncWrite + Unpin>(
    acceptor: &TlsAcceptor,
    stream: S,
) -> io::Result<server::TlsStream<S>> {
    let (error, mut stream) = match acceptor.accept(stream).into_fallible().await {
        Ok(stream) => return Ok(stream),
        Err(failed) => failed,
    };
    // The peer was sent an alert. The system resets a connection that is closed with unread bytes, and the alert would be lost, so
    // this waits until the peer has closed the connection.
    let drained = async {
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(MAX_DRAINED), &mut tokio::io::sink()).await
    };
    let _ = tokio::time::timeout(DRAIN_TIMEOUT, drained).await;
    Err(error)
}

/// Ends TLS on both sides, without closing the connection. Returns an error if the peer refused this side.
async fn continue_in_clear(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    stream.shutdown().await?;
    // The peer closes TLS once it has accepted this side. It sends nothing before.
    match stream.read(&mut [0]).await? {
        0 => Ok(()),
        _ => Err(PeerRefusal::NotSealed.into_error()),
    }
}

/// Returns the pin of the key that a peer has proven.
fn credentials(certificates: Option<&[CertificateDer<'_>]>) -> io::Result<Bytes> {
    let certificate = certificates
        .and_then(<[_]>::first)
        .ok_or(io::ErrorKind::InvalidData)?;
    let pin = pin_of(certificate).map_err(io::Error::other)?;
    Ok(Bytes::copy_from_slice(pin.as_bytes()))
}

/// Returns the pin in the [credentials](WrappedStream::credentials) of a peer.
pub(crate) fn pin_in(credentials: &[u8]) -> Option<KeyPin> {
    credentials.try_into().ok().map(KeyPin::new)
}

/// Returns the effective user of this process. The system reports it for each end of a pair of sockets.
fn own_uid() -> io::Result<u32> {
    Ok(UnixStream::pair()?.0.peer_cred()?.uid())
}

impl StreamWrapper for Sealing {
    fn connect<'a>(&'a self, stream: PeerStream, _: &'a Endpoint) -> BoxFuture<'a, io::Result<PeerStream>> {
        Box::pin(async move {
            let connected = self.connect_stream(stream).await;
            connected.map_err(|error| StreamWrapper::explain(self, error))
        })
    }

    fn accept(
        &self,
        stream: PeerStream,
        address: Option<IpAddr>,
    ) -> BoxFuture<'_, io::Result<WrappedStream>> {
        Box::pin(async move {
            let accepted = match stream {
                PeerStream::Tcp(stream) => self.accept_tcp(stream, address).await,
                PeerStream::Ipc(socket) => self.accept_ipc(socket).await,
                wrapped @ PeerStream::Wrapped(_) => Ok(WrappedStream {
                    stream: wrapped,
                    credentials: None,
                }),
            };
            accepted.map_err(|error| {
                if is_closed(&error) {
                    // A peer that goes away without a word was not refused.
                    return error;
                }
                let error = explain(error, self.identity.has_key_pair);
                self.refusals.record(&self.address, address, &error);
                error
            })
        })
    }

    fn explain(&self, error: io::Error) -> io::Error {
        if matches!(PeerRefusal::of(&error), Some(PeerRefusal::Unknown { .. })) {
            self.presented.fetch_add(1, Ordering::Relaxed);
        }
        explain(error, self.identity.has_key_pair)
    }
}

impl fmt::Debug for Sealing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealing")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}
