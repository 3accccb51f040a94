//! The handlers in the configuration of a Mongrel2.

use crate::error::{Error, Result};

/// The longest identity of a ZeroMQ socket.
const MAX_IDENT_BYTES: usize = 255;

/// A `Handler` of Mongrel2's configuration: the two addresses at which an application receives requests and sends
/// responses.
///
/// ```
/// use brubeck::{Mongrel2Config, Mongrel2Handler};
///
/// let handler = Mongrel2Handler::new("ipc:///run/m2/send", "ipc:///run/m2/recv").idents("web", "web");
/// let config = Mongrel2Config::bind("127.0.0.1:6767").handler("/", handler);
/// ```
#[derive(Clone, Debug)]
pub struct Mongrel2Handler {
    pub(super) send_spec: String,
    pub(super) recv_spec: String,
    /// The `send_ident` and the `recv_ident`.
    pub(super) idents: Option<(String, String)>,
    /// The encoding of the headers of requests: `json` or `tnetstring`.
    pub(super) protocol: &'static str,
}

impl Mongrel2Handler {
    /// Creates a handler. Mongrel2 binds both endpoints: it sends requests on `send_spec` and receives responses on
    /// `recv_spec`.
    ///
    /// ```
    /// use brubeck::{Mongrel2Config, Mongrel2Handler};
    ///
    /// let handler = Mongrel2Handler::new("ipc:///run/m2/send", "ipc:///run/m2/recv");
    /// let config = Mongrel2Config::bind("0.0.0.0:80").handler("/", handler);
    /// ```
    ///
    /// [`Mongrel2::new`](crate::Mongrel2::new) takes the same endpoints in the same
    /// order.
    ///
    /// The endpoints have no authentication: every process that can connect to them can receive requests and send
    /// responses to clients. So use `ipc://` or the loopback interface.
    pub fn new(send_spec: impl Into<String>, recv_spec: impl Into<String>) -> Mongrel2Handler {
        Mongrel2Handler {
            send_spec: send_spec.into(),
            recv_spec: recv_spec.into(),
            idents: None,
            protocol: "json",
        }
    }

    /// Sets the `send_ident` and the `recv_ident`. The default for both consists of the identity of the server and the number of the handler.
    ///
    /// ```
    /// use brubeck::Mongrel2Handler;
    ///
    /// let handler = Mongrel2Handler::new("ipc:///run/m2/send", "ipc:///run/m2/recv").idents("web-1", "web-1");
    /// ```
    ///
    /// Each request contains the `send_ident`, and the `recv_ident` is the prefix of the responses that Mongrel2 receives.
    /// `send_ident` must have 1 to 255 ASCII letters, digits or `-`, and must begin with `recv_ident`; usually both
    /// are equal. [`Mongrel2Config::start`](crate::Mongrel2Config::start) and [`conf`](crate::Mongrel2Config::conf)
    /// return an error otherwise.
    pub fn idents(mut self, send_ident: impl Into<String>, recv_ident: impl Into<String>) -> Mongrel2Handler {
        self.idents = Some((send_ident.into(), recv_ident.into()));
        self
    }

    /// Returns `true` if both have the same endpoints.
    pub(super) fn has_same_endpoints(&self, other: &Mongrel2Handler) -> bool {
        (&self.send_spec, &self.recv_spec) == (&other.send_spec, &other.recv_spec)
    }

    /// Checks that two handlers with the same endpoints are equal. Mongrel2 would ignore the settings of the second
    /// one.
    ///
    /// # Errors
    ///
    /// Returns an error if their identities or their header encodings differ.
    pub(super) fn check_equal(&self, other: &Mongrel2Handler) -> Result {
        if (&self.idents, self.protocol) == (&other.idents, other.protocol) {
            return Ok(());
        }
        Err(Error::new(format!(
            "two handlers of Mongrel2 have the same endpoint {} but different identities or header encodings; make them equal, \
             or use different endpoints",
            self.send_spec
        )))
    }

    /// Makes Mongrel2 send the headers of requests as a tnetstring. The default is JSON.
    ///
    /// ```
    /// use brubeck::Mongrel2Handler;
    ///
    /// let handler = Mongrel2Handler::new("ipc:///run/m2/send", "ipc:///run/m2/recv").tnetstring();
    /// ```
    ///
    /// The application accepts both encodings.
    pub fn tnetstring(mut self) -> Mongrel2Handler {
        self.protocol = "tnetstring";
        self
    }
}

/// Checks a `send_ident` and a `recv_ident`.
///
/// # Errors
///
/// Returns an error if Mongrel2 would refuse responses that begin with `send`, or would not receive them.
pub(super) fn check_idents(send: &str, recv: &str) -> Result<()> {
    let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if send.is_empty() || send.len() > MAX_IDENT_BYTES || !send.bytes().all(is_valid) {
        return Err(Error::new(format!(
            "`{}` is not a valid identity for Mongrel2: it must have 1 to 255 ASCII letters, digits or `-`",
            send.escape_debug()
        )));
    }
    if !send.starts_with(recv) {
        return Err(Error::new(format!(
            "Mongrel2 would not receive responses with the identity `{send}`: its recv_ident `{}` is not a prefix of it; use the \
             same text for both",
            recv.escape_debug()
        )));
    }
    Ok(())
}
