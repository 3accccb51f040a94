//! The protection of connections between Rust peers: TLS 1.3 with pinned keys over `tcp`, and over `ipc` the user of the peer and the
//! same handshake, after which the connection continues in clear.
//!
//! `docs/protocol.md` specifies both. Connections in memory are not protected.

mod budget;
mod key;
mod record_stream;
mod refusal;
#[cfg(test)]
mod tests;
mod verifier;

use crate::error::Error;
use crate::secret::Secret;
use brubeck_zmtp::watchdog::WatchedStream;
use brubeck_zmtp::{Endpoint, PeerStream, StreamWrapper, WrappedStream};
use budget::HandshakeBudget;
use bytes::Bytes;
use futures_util::future::BoxFuture;
pub use key::PeerKey;
use key::SecretKey;
use record_stream::RecordStream;
use refusal::{PeerRefusal, RefusalLog, explain, is_closed};
use std::fmt::{self, Display};
use std::io::{self, Cursor};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::OnceCell;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::sign::SingleCertAndKey;
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{self, ClientConfig, ServerConfig, client::Resumption};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};
use verifier::{PinVerifier, pin_of};

/// The minimum length of a secret, in bytes.
const MIN_SECRET: usize = 16;

/// The application protocol of the TLS handshake.
const ALPN: &[u8] = b"brubeck/3";

/// The server name of the TLS handshake. It is the same for all services, and not checked: the key is.
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
    /// The key of this side. Both sides derive it from the secret.
    own: SecretKey,
    /// The key of a second secret that is accepted from the other side.
    other: Option<SecretKey>,
    /// Callers in clear are accepted: they speak a dialect.
    accepts_clear: bool,
    /// The users that may connect over `ipc`, in addition to root and the user of this process.
    uids: Vec<u32>,
    configs: OnceCell<TlsConfigs>,
    budget: HandshakeBudget,
    refusals: RefusalLog,
}

struct TlsConfigs {
    connector: TlsConnector,
    acceptor: TlsAcceptor,
}

impl Sealing {
    /// Creates the protection of the connections at `address`, and begins to derive the keys.
    pub(crate) fn new(address: impl Into<String>, secret: &Secret, other: Option<&Secret>) -> Sealing {
        Sealing {
            address: address.into(),
            own: SecretKey::of(secret),
            other: other.map(SecretKey::of),
            accepts_clear: false,
            uids: Vec::new(),
            configs: OnceCell::new(),
            budget: HandshakeBudget::default(),
            refusals: RefusalLog::default(),
        }
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
        self.own.is_derived() && self.other.as_ref().is_none_or(SecretKey::is_derived)
    }

    /// Waits until the keys are derived.
    pub(crate) async fn prepare(&self) -> crate::Result<()> {
        let prepared = self.configs().await;
        prepared
            .map(drop)
            .map_err(|error| Error::because(format!("cannot derive the key of {}", self.address), error))
    }

    async fn configs(&self) -> io::Result<&TlsConfigs> {
        self.configs
            .get_or_try_init(|| async {
                let own = self.own.get().await?;
                let mut pins = vec![own.pin];
                if let Some(other) = &self.other {
                    pins.push(other.get().await?.pin);
                }
                let key = Arc::new(SingleCertAndKey::from(own.certified));
                TlsConfigs::new(key, pins).map_err(io::Error::other)
            })
            .await
    }

    async fn connect_stream(&self, stream: PeerStream) -> io::Result<PeerStream> {
        let connector = &self.configs().await?.connector;
        match stream {
            PeerStream::Tcp(stream) => {
                let mut stream = handshake_of_client(connector, stream).await?;
                stream.get_mut().1.set_buffer_limit(Some(TLS_BUFFER));
                Ok(PeerStream::Wrapped(Box::new(stream)))
            }
            PeerStream::Ipc(socket) => {
                let mut stream = handshake_of_client(connector, RecordStream::new(socket, None)).await?;
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
    fn new(key: Arc<SingleCertAndKey>, pins: Vec<key::Pin>) -> Result<TlsConfigs, rustls::Error> {
        let provider = Arc::new(CryptoProvider {
            // AES-128 first: it was measured to be the fastest.
            cipher_suites: vec![
                ring::cipher_suite::TLS13_AES_128_GCM_SHA256,
                ring::cipher_suite::TLS13_AES_256_GCM_SHA384,
                ring::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
            ],
            ..ring::default_provider()
        });
        let verifier = Arc::new(PinVerifier::new(pins, provider.clone()));
        let mut client = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(verifier.clone())
            .with_client_cert_resolver(key.clone());
        client.resumption = Resumption::disabled();
        client.alpn_protocols = vec![ALPN.to_vec()];
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(key);
        server.send_tls13_tickets = 0;
        server.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        server.alpn_protocols = vec![ALPN.to_vec()];
        Ok(TlsConfigs {
            connector: TlsConnector::from(Arc::new(client)),
            acceptor: TlsAcceptor::from(Arc::new(server)),
        })
    }
}

async fn handshake_of_client<S: AsyncRead + AsyncWrite + Unpin>(
    connector: &TlsConnector,
    stream: S,
) -> io::Result<client::TlsStream<S>> {
    let name = ServerName::try_from(SERVER_NAME).map_err(io::Error::other)?;
    connector.connect(name, stream).await
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
    Ok(Bytes::copy_from_slice(&pin))
}

/// Returns the effective user of this process. The system reports it for each end of a pair of sockets.
fn own_uid() -> io::Result<u32> {
    Ok(UnixStream::pair()?.0.peer_cred()?.uid())
}

impl StreamWrapper for Sealing {
    fn connect<'a>(&'a self, stream: PeerStream, _: &'a Endpoint) -> BoxFuture<'a, io::Result<PeerStream>> {
        Box::pin(async move { self.connect_stream(stream).await.map_err(explain) })
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
                let error = explain(error);
                self.refusals.record(&self.address, address, &error);
                error
            })
        })
    }

    fn explain(&self, error: io::Error) -> io::Error {
        explain(error)
    }
}

impl fmt::Debug for Sealing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealing")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}
