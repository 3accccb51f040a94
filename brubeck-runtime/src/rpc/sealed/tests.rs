//! Attackers that connect, and attackers that are connected to, with a dictionary that contains the secret.

use super::key::SecretKey;
use super::*;
use brubeck_zmtp::PeerStream;
use std::sync::Mutex;
use tokio::net::TcpListener;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::pki_types::{ServerName, UnixTime};
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::{DigitallySignedStruct, DistinguishedName, SignatureScheme};

const SECRET: &str = "my_shared_secret";
const DICTIONARY: [&str; 4] = [
    "correct horse battery",
    "0123456789abcdef",
    SECRET,
    "Brubeck, 1959, Take Five",
];

/// Accepts every peer, and keeps the certificate that it presents.
#[derive(Debug, Default)]
struct Curious(Mutex<Option<CertificateDer<'static>>>);

impl Curious {
    fn keep(&self, certificate: &CertificateDer<'_>) {
        *self.0.lock().unwrap() = Some(certificate.clone().into_owned());
    }

    /// Returns the word of the dictionary that gives the key of the peer.
    async fn guess(&self) -> Option<&'static str> {
        let pin = pin_of(self.0.lock().unwrap().as_ref()?).unwrap();
        for word in DICTIONARY {
            if SecretKey::of(&Secret::new(word)).get().await.unwrap().pin == pin {
                return Some(word);
            }
        }
        None
    }
}

macro_rules! signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            vec![SignatureScheme::ED25519]
        }
    };
}

impl ServerCertVerifier for Curious {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.keep(certificate);
        Ok(ServerCertVerified::assertion())
    }

    signatures!();
}

impl ClientCertVerifier for Curious {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.keep(certificate);
        Ok(ClientCertVerified::assertion())
    }

    signatures!();
}

async fn stranger() -> Arc<SingleCertAndKey> {
    let key = SecretKey::of(&Secret::new("a key of the attacker"))
        .get()
        .await
        .unwrap();
    Arc::new(SingleCertAndKey::from(key.certified))
}

fn sealing(address: &str, secrets: &[&str]) -> Sealing {
    let credentials: Vec<Credentials> = secrets.iter().map(|secret| (*secret).into()).collect();
    Sealing::new(address, &credentials.iter().collect::<Vec<_>>(), "test").unwrap()
}

async fn handshake_of_client(
    connector: &TlsConnector,
    stream: TcpStream,
) -> io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let name = ServerName::try_from(SERVER_NAME).unwrap();
    connector.connect(name, stream).await
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Serves connections with [`SECRET`]. Returns the address and the results.
async fn service() -> (String, tokio::sync::mpsc::Receiver<io::Result<WrappedStream>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (results, receiver) = tokio::sync::mpsc::channel(8);
    let sealing = sealing("tcp://test", &[SECRET]);
    tokio::spawn(async move {
        loop {
            let (stream, peer) = listener.accept().await.unwrap();
            let accepted = sealing
                .accept(PeerStream::Tcp(WatchedStream::new(stream)), Some(peer.ip()))
                .await;
            let _ = results.send(accepted).await;
        }
    });
    (address, receiver)
}

#[tokio::test]
async fn who_connects_can_test_guesses_at_the_price_of_argon2_and_gets_no_further() {
    let (address, mut results) = service().await;
    let curious = Arc::new(Curious::default());
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(curious.clone())
        .with_client_cert_resolver(stranger().await);
    config.alpn_protocols = vec![ALPN.to_vec()];
    let stream = TcpStream::connect(&address).await.unwrap();
    let mut stream = handshake_of_client(&TlsConnector::from(Arc::new(config)), stream)
        .await
        .unwrap();
    // The documented residual risk: a secret that is in a dictionary is found.
    assert_eq!(curious.guess().await, Some(SECRET));
    let error = stream.read(&mut [0]).await.unwrap_err();
    assert!(error.to_string().contains("UnknownCA"), "{error}");
    let refused = results.recv().await.unwrap().unwrap_err();
    assert!(refused.to_string().contains("a different secret"), "{refused}");
}

#[tokio::test]
async fn false_service_learns_nothing() {
    let curious = Arc::new(Curious::default());
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_client_cert_verifier(curious.clone())
        .with_cert_resolver(stranger().await);
    config.alpn_protocols = vec![ALPN.to_vec()];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let handshake = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        TlsAcceptor::from(Arc::new(config)).accept(stream).await.map(drop)
    });
    let caller = sealing("tcp://test", &[SECRET]);
    let stream = PeerStream::Tcp(WatchedStream::new(TcpStream::connect(&address).await.unwrap()));
    let endpoint: Endpoint = format!("tcp://{address}").parse().unwrap();
    let error = caller.connect(stream, &endpoint).await.unwrap_err();
    assert!(error.to_string().contains("a different secret"), "{error}");
    assert!(handshake.await.unwrap().is_err());
    assert_eq!(
        curious.guess().await,
        None,
        "the caller has shown its certificate"
    );
}

#[tokio::test]
async fn callers_without_a_certificate_or_with_another_protocol_are_refused() {
    let (address, mut results) = service().await;
    let own = SecretKey::of(&Secret::new(SECRET)).get().await.unwrap();
    for (key, alpn) in [(None, ALPN), (Some(own), &b"h2"[..])] {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Curious::default()));
        let mut config = match key {
            None => builder.with_no_client_auth(),
            Some(key) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key.certified))),
        };
        config.alpn_protocols = vec![alpn.to_vec()];
        let stream = TcpStream::connect(&address).await.unwrap();
        if let Ok(mut stream) = handshake_of_client(&TlsConnector::from(Arc::new(config)), stream).await {
            assert!(stream.read(&mut [0]).await.is_err());
        }
        assert!(results.recv().await.unwrap().is_err());
    }
}

#[tokio::test]
async fn streams_after_the_handshake_carry_bytes_in_both_directions() {
    let (address, mut results) = service().await;
    let caller = sealing("tcp://test", &[SECRET]);
    let stream = PeerStream::Tcp(WatchedStream::new(TcpStream::connect(&address).await.unwrap()));
    let endpoint: Endpoint = format!("tcp://{address}").parse().unwrap();
    let PeerStream::Wrapped(mut caller) = caller.connect(stream, &endpoint).await.unwrap() else {
        panic!("a TLS stream");
    };
    let accepted = results.recv().await.unwrap().unwrap();
    assert_eq!(accepted.credentials.map(|pin| pin.len()), Some(32));
    let PeerStream::Wrapped(mut worker) = accepted.stream else {
        panic!("a TLS stream");
    };
    caller.write_all(b"request").await.unwrap();
    caller.flush().await.unwrap();
    let mut read = [0; 7];
    worker.read_exact(&mut read).await.unwrap();
    worker.write_all(&read).await.unwrap();
    worker.flush().await.unwrap();
    caller.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"request");
}

/// After the handshake over `ipc` both ends have the socket itself, and no byte is lost, whichever side begins.
#[tokio::test]
async fn ipc_continues_in_clear_without_losing_a_byte() {
    let endpoint: Endpoint = "ipc://run/test".parse().unwrap();
    for _ in 0..8 {
        let (caller, worker) = UnixStream::pair().unwrap();
        let (of_caller, of_worker) = (
            sealing("ipc://run/test", &[SECRET]),
            sealing("ipc://run/test", &[SECRET]),
        );
        let connect = async {
            let PeerStream::Ipc(mut caller) = of_caller
                .connect(PeerStream::Ipc(WatchedStream::new(caller)), &endpoint)
                .await
                .unwrap()
            else {
                panic!("the socket");
            };
            caller.write_all(b"from the caller").await.unwrap();
            let mut read = [0; 15];
            caller.read_exact(&mut read).await.unwrap();
            assert_eq!(&read, b"from the worker");
        };
        let accept = async {
            let accepted = of_worker
                .accept(PeerStream::Ipc(WatchedStream::new(worker)), None)
                .await
                .unwrap();
            assert!(accepted.credentials.is_some());
            let PeerStream::Ipc(mut worker) = accepted.stream else {
                panic!("the socket");
            };
            worker.write_all(b"from the worker").await.unwrap();
            let mut read = [0; 15];
            worker.read_exact(&mut read).await.unwrap();
            assert_eq!(&read, b"from the caller");
        };
        tokio::join!(connect, accept);
    }
}

#[tokio::test]
async fn ipc_tells_a_caller_with_another_secret_why() {
    let endpoint: Endpoint = "ipc://run/test".parse().unwrap();
    let (caller, worker) = UnixStream::pair().unwrap();
    let of_caller = sealing("ipc://run/test", &["another secret of a caller", SECRET]);
    let of_worker = sealing("ipc://run/test", &[SECRET]);
    let (connected, accepted) = tokio::join!(
        of_caller.connect(PeerStream::Ipc(WatchedStream::new(caller)), &endpoint),
        of_worker.accept(PeerStream::Ipc(WatchedStream::new(worker)), None)
    );
    let error = connected.unwrap_err().to_string();
    assert!(error.contains("does not accept this secret"), "{error}");
    let error = accepted.unwrap_err().to_string();
    assert!(error.contains("has a different secret"), "{error}");
}
