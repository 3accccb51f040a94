//! The reasons why the two sides refuse each other, and their log.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tokio_rustls::rustls::{AlertDescription, CertificateError, Error as TlsError};

/// A refusal for the same reason within this time after the last one is not logged as a warning.
const SERIES: Duration = Duration::from_secs(60);

/// The reason why a connection was not opened, with what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PeerRefusal {
    /// The peer has a key that this side does not accept.
    PeerUnknown { has_key_pair: bool },
    /// The peer does not accept the key of this side.
    Unknown { has_key_pair: bool },
    /// The service does not admit the user of this process (`ipc`).
    UserNotAdmitted,
    /// This service does not admit the user of the peer (`ipc`).
    PeerUserNotAdmitted { uid: u32 },
    /// The peer does not speak TLS.
    NotSealed,
    /// The peer closed the connection during the handshake.
    Closed,
}

impl fmt::Display for PeerRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PeerUnknown { has_key_pair: false } => {
                "the other side has a different secret; configure the same one on both sides, as `brubeck keygen` writes it"
            }
            Self::PeerUnknown { has_key_pair: true } => {
                "the key of the other side is not accepted here; list its pin with `KeyPair::accept`, as `brubeck keygen --pin FILE` \
                 shows it"
            }
            Self::Unknown { has_key_pair: false } => {
                "the other side does not accept this secret; configure the same one on both sides, as `brubeck keygen` writes it"
            }
            Self::Unknown { has_key_pair: true } => {
                "the other side does not accept the key of this side; list its pin there with `KeyPair::accept`, as `brubeck keygen \
                 --pin FILE` shows it"
            }
            Self::UserNotAdmitted => {
                "the service does not admit the user of this process; list its uid with `Service::admit_uid`, or run both as one user"
            }
            Self::PeerUserNotAdmitted { uid } => {
                return write!(
                    f,
                    "the user with uid {uid} is not admitted; list it with `Service::admit_uid`, or run both sides as one user"
                );
            }
            Self::NotSealed => {
                "the other side does not speak TLS, as brubeck's protocol requires; if it is a caller or a service in a dialect, set \
                 `Service::dialects` or `ServiceAddress::dialect`"
            }
            Self::Closed => {
                "the other side closed the connection during the handshake; if it is a service in a dialect, set \
                 `ServiceAddress::dialect`; otherwise it may have reached its limit of connections"
            }
        })
    }
}

impl Error for PeerRefusal {}

impl PeerRefusal {
    pub(super) fn into_error(self) -> io::Error {
        io::Error::new(io::ErrorKind::PermissionDenied, self)
    }

    /// Returns the refusal that an error of a handshake means.
    pub(super) fn of(error: &io::Error) -> Option<PeerRefusal> {
        if let Some(refusal) = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<PeerRefusal>())
        {
            return Some(*refusal);
        }
        match error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>()) {
            Some(TlsError::InvalidCertificate(CertificateError::UnknownIssuer)) => {
                Some(Self::PeerUnknown { has_key_pair: false })
            }
            // A service refuses a user before it has read anything.
            Some(TlsError::AlertReceived(AlertDescription::AccessDenied)) => Some(Self::UserNotAdmitted),
            Some(TlsError::AlertReceived(
                AlertDescription::UnknownCA
                | AlertDescription::BadCertificate
                | AlertDescription::CertificateUnknown
                | AlertDescription::CertificateRequired
                | AlertDescription::DecryptError,
            )) => Some(Self::Unknown { has_key_pair: false }),
            Some(TlsError::InvalidMessage(_)) => Some(Self::NotSealed),
            Some(_) => None,
            None => is_closed(error).then_some(Self::Closed),
        }
    }
}

/// Returns whether the peer has closed the connection without a reason.
pub(super) fn is_closed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
    )
}

/// Replaces an error of a handshake by one that says why the connection was refused, if that is known. `has_key_pair` says that this
/// side has a key pair, and not only secrets.
pub(super) fn explain(error: io::Error, has_key_pair: bool) -> io::Error {
    let refusal = PeerRefusal::of(&error).map(|refusal| match refusal {
        PeerRefusal::PeerUnknown { .. } => PeerRefusal::PeerUnknown { has_key_pair },
        PeerRefusal::Unknown { .. } => PeerRefusal::Unknown { has_key_pair },
        other => other,
    });
    match refusal {
        Some(refusal) => refusal.into_error(),
        None => error,
    }
}

/// Logs the refused callers of a service: the first of a series as a warning. Strangers can cause any number of refusals.
#[derive(Debug, Default)]
pub(super) struct RefusalLog(Mutex<Option<(Instant, u64)>>);

impl RefusalLog {
    pub(super) fn record(&self, service: &str, address: Option<IpAddr>, error: &io::Error) {
        let now = Instant::now();
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (series_began, in_series) = last.get_or_insert((now, 0));
        let is_first = *in_series == 0 || now.saturating_duration_since(*series_began) >= SERIES;
        if is_first {
            let not_logged = in_series.saturating_sub(1);
            (*series_began, *in_series) = (now, 1);
            drop(last);
            tracing::warn!(service, ?address, %error, not_logged, "refused a caller");
        } else {
            *in_series += 1;
            drop(last);
            tracing::debug!(service, ?address, %error, "refused a caller again");
        }
    }
}
