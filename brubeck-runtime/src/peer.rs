//! The other side of a message: the client of a web request, and the caller of a service.

use crate::authority::Scheme;
use crate::codec::ByteStr;
use crate::key_pin::KeyPin;
use http::Extensions;
use std::fmt;

/// Extractor for the IP address of the client that sent a web request.
///
/// ```
/// use brubeck::prelude::*;
///
/// #[get("/ip")]
/// async fn ip(client: RemoteAddr) -> String {
///     format!("your address is {client}")
/// }
/// ```
///
/// It is the peer of the connection, or the client that a [trusted proxy](crate::App::trusted_proxies) forwards. It is never the address
/// of a trusted proxy: if such a proxy does not say who the client is, the address is not known. It is not known either for a peer
/// of a Unix socket. An IPv4-mapped address is converted to IPv4.
///
/// Rejects with 403 if the address is not known; take an `Option<RemoteAddr>` to do without it. In a handler that is not for the web,
/// it rejects with 500.
///
/// Layers and mounted services find it in the extensions of the request, and so does [`Message::extensions`](crate::Message::extensions). A test sets it with
/// [`Message::with_extension`](crate::Message::with_extension):
///
/// ```
/// use brubeck::RemoteAddr;
///
/// assert_eq!(RemoteAddr("127.0.0.1".parse().unwrap()).to_string(), "127.0.0.1");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RemoteAddr(pub std::net::IpAddr);

impl fmt::Display for RemoteAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Extractor for the key with which the caller of a service has proven who it is.
///
/// ```
/// use brubeck::CallerKey;
/// use brubeck::prelude::*;
///
/// #[service_handler(path = "/whoami")]
/// async fn who_am_i(caller: CallerKey) -> String {
///     format!("your key has the pin {caller}")
/// }
/// ```
///
/// It is the pin of the caller's [`KeyPair`](crate::KeyPair). All callers with a shared secret have the same one.
///
/// Rejects with 403 if the caller has none, as in a dialect, in a `TestSite`, and in a handler that is not for calls; take an `Option<CallerKey>` to do without it. To serve some keys only, see `Service::serve_key`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallerKey(pub KeyPin);

impl fmt::Display for CallerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The client of a web request, and how it asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WebClient {
    /// `None` if it is not known.
    pub address: Option<RemoteAddr>,
    /// [`Scheme::Https`] if the connection uses TLS.
    pub scheme: Scheme,
}

impl WebClient {
    /// Adds the address and the scheme to the extensions of a request. The scheme `http` is the default and is left out.
    pub(crate) fn add_to(self, extensions: &mut Extensions) {
        if let Some(address) = self.address {
            extensions.insert(address);
        }
        if self.scheme != Scheme::Http {
            extensions.insert(self.scheme);
        }
    }
}

/// The trace and hop count of a call in brubeck's protocol. The text shares the memory of the received frame.
#[derive(Clone)]
pub(crate) struct CallMeta {
    /// Empty if the caller sent no trace.
    pub(crate) traceparent: ByteStr,
    pub(crate) tracestate: ByteStr,
    /// The number of calls in a row that led to this one.
    pub(crate) hops: u8,
    /// The key that the caller has proven.
    pub(crate) caller_key: Option<KeyPin>,
}

/// The operation of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CalledOperation {
    /// The name, such as `slow_echo::echo`.
    pub(crate) name: ByteStr,
    /// A digest of the caller's declaration, or 0 if it is not known.
    pub(crate) contract: u64,
}
