//! Where a Mongrel2 and its handlers meet.

use crate::error::{Error, Result};

/// Where Mongrel2 meets the processes that answer a path.
#[derive(Clone, Debug)]
pub struct Mongrel2Handler {
    pub(super) send_spec: String,
    pub(super) recv_spec: String,
    pub(super) idents: Option<(String, String)>,
    pub(super) protocol: &'static str,
}

impl Mongrel2Handler {
    /// Requests are sent to `send_spec` and replies are received from `recv_spec`, both of which
    /// Mongrel2 binds: the same two endpoints, in this order, that [`Mongrel2::new`](crate::Mongrel2::new)
    /// takes. Whoever can connect to them can read requests and write to browsers, so use
    /// `ipc://` or the loopback.
    pub fn new(send_spec: impl Into<String>, recv_spec: impl Into<String>) -> Mongrel2Handler {
        Mongrel2Handler {
            send_spec: send_spec.into(),
            recv_spec: recv_spec.into(),
            idents: None,
            protocol: "json",
        }
    }

    /// The identity that requests carry, and the prefix of the identities that replies may carry;
    /// unless set, one that no other Mongrel2 has.
    pub fn idents(mut self, send_ident: impl Into<String>, recv_ident: impl Into<String>) -> Mongrel2Handler {
        self.idents = Some((send_ident.into(), recv_ident.into()));
        self
    }

    /// Whether both are at the same endpoints.
    pub(super) fn is_at(&self, other: &Mongrel2Handler) -> bool {
        (&self.send_spec, &self.recv_spec) == (&other.send_spec, &other.recv_spec)
    }

    /// Whether both, which are at the same endpoints, are one and the same.
    pub(super) fn check_same(&self, other: &Mongrel2Handler) -> Result {
        match (&self.idents, self.protocol) == (&other.idents, other.protocol) {
            true => Ok(()),
            false => Err(Error::new(format!(
                "two handlers meet Mongrel2 at {}, and it would take them for one; give both the same identities and \
                 headers, or each its own endpoints",
                self.send_spec
            ))),
        }
    }

    /// Sends the headers of requests as a tnetstring instead of JSON.
    pub fn tnetstring(mut self) -> Mongrel2Handler {
        self.protocol = "tnetstring";
        self
    }
}

/// # Errors
///
/// Replies with this `send` would not arrive, or be refused.
pub(super) fn check_idents(send: &str, recv: &str) -> Result<()> {
    if send.is_empty() || send.len() > 255 || !send.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Err(Error::new(format!(
            "`{}` is no identity for Mongrel2: it must be 1 to 255 letters, digits or `-`",
            send.escape_debug()
        )));
    }
    match send.starts_with(recv) {
        true => Ok(()),
        false => Err(Error::new(format!(
            "replies to `{send}` would never arrive: recv_ident `{}` is not its beginning; use the same text for both",
            recv.escape_debug()
        ))),
    }
}
