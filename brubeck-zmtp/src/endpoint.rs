//! Endpoints: the addresses of sockets.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Maximum length of the path of a Unix socket, in bytes (`sun_path` of Linux without the terminating zero).
pub const MAX_IPC_PATH: usize = 107;

/// An address of a ZeroMQ socket: `tcp://host:port` or `ipc://path`.
///
/// ```
/// use brubeck_zmtp::Endpoint;
///
/// let service: Endpoint = "tcp://127.0.0.1:9000".parse()?;
/// assert!(service.is_loopback());
/// assert_eq!(service.to_string(), "tcp://127.0.0.1:9000");
///
/// let refused = "ipc://@hidden".parse::<Endpoint>().unwrap_err();
/// assert!(refused.to_string().contains("ipc:///run/app/service.sock"));
/// # Ok::<(), brubeck_zmtp::EndpointError>(())
/// ```
///
/// `tcp://*:port` binds all addresses of the machine, IPv6 and IPv4. Binding to port 0 lets the operating system choose a
/// port. IPv6 addresses are written in brackets: `tcp://[::1]:9000`. A host name is bound at every address that it has on this machine,
/// and a client connects to the first of its addresses that accepts. An ipc path may be relative to the working directory at the
/// time at which a socket is opened, and is at most [`MAX_IPC_PATH`] bytes long.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// A TCP address.
    Tcp {
        /// A host name, an IPv4 address, an IPv6 address without brackets, or `*` for all addresses (binding only).
        host: String,
        /// The port. 0 lets the operating system choose (binding only).
        port: u16,
    },
    /// A Unix socket in the file system.
    Ipc(PathBuf),
}

impl Endpoint {
    /// Returns `true` if only this machine can connect to the endpoint: `127.0.0.0/8`, `::1`, `localhost`, or an `ipc` path.
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Ipc(_) => true,
            Self::Tcp { host, .. } => match host.parse::<IpAddr>() {
                Ok(address) => address.to_canonical().is_loopback(),
                Err(_) => host.eq_ignore_ascii_case("localhost"),
            },
        }
    }

    /// Makes a relative ipc path absolute, so that later changes of the working directory have no effect on it.
    ///
    /// ```
    /// use brubeck_zmtp::Endpoint;
    ///
    /// let endpoint: Endpoint = "ipc://run/service".parse()?;
    /// let path = std::env::current_dir()?.join("run/service");
    /// assert_eq!(endpoint.with_absolute_path(), Endpoint::Ipc(path));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// The path stays relative if the working directory is not known.
    #[must_use]
    pub fn with_absolute_path(self) -> Endpoint {
        match self {
            Self::Ipc(path) => Self::Ipc(std::path::absolute(&path).unwrap_or(path)),
            tcp => tcp,
        }
    }

    /// Checks that a socket can connect to the endpoint.
    ///
    /// # Errors
    /// Returns an error if the endpoint has the host `*` or port 0, which are only valid for binding. Also returns the errors of
    /// [`check`](Self::check).
    pub fn check_connect(&self) -> Result<(), EndpointError> {
        match self {
            Self::Tcp { host, .. } if host == "*" => Err(EndpointError::new(
                self,
                "`*` means every address when binding; to connect, write one host, as in tcp://127.0.0.1:9000",
            )),
            Self::Tcp { port: 0, .. } => Err(EndpointError::new(
                self,
                "port 0 means any free port when binding; to connect, write the port the other side is bound to",
            )),
            _ => self.check(),
        }
    }

    /// Checks an endpoint that was constructed without parsing.
    ///
    /// # Errors
    /// Returns an error if the host or the path is malformed, as parsing does, or if the path is not UTF-8. On Linux the path may be
    /// longer than [`MAX_IPC_PATH`].
    pub fn check(&self) -> Result<(), EndpointError> {
        match self {
            Self::Tcp { host, .. } => check_host(host).map_err(|problem| EndpointError::new(self, problem)),
            Self::Ipc(path) => check_path(path).map_err(|problem| EndpointError::new(self, problem)),
        }
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let fail = |problem: &str| EndpointError::new(&text, problem);
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(fail(
                "it must begin with tcp:// or ipc://, as in tcp://127.0.0.1:9000",
            ));
        };
        let endpoint = match scheme {
            "ipc" => Self::Ipc(PathBuf::from(rest)),
            "tcp" => {
                let no_port = "it needs a host and a port, as in tcp://127.0.0.1:9000 or tcp://[::1]:9000";
                let (host, port) = rest.rsplit_once(':').ok_or_else(|| fail(no_port))?;
                let port = match port {
                    "*" => {
                        return Err(fail(
                            "write port 0 to let the system choose a port, as in tcp://127.0.0.1:0",
                        ));
                    }
                    digits if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => digits
                        .parse()
                        .map_err(|_| fail("the port must be a number from 0 to 65535"))?,
                    _ => return Err(fail(no_port)),
                };
                let host = match host.strip_prefix('[').map(|inner| inner.strip_suffix(']')) {
                    None if host.contains(':') => {
                        return Err(fail("an IPv6 address needs brackets, as in tcp://[::1]:9000"));
                    }
                    None => host.to_owned(),
                    Some(Some(address)) if address.parse::<Ipv6Addr>().is_ok() => address.to_owned(),
                    Some(_) => {
                        return Err(fail(
                            "there must be an IPv6 address between the brackets, as in tcp://[::1]:9000",
                        ));
                    }
                };
                Self::Tcp { host, port }
            }
            "inproc" => return Err(fail("inproc:// is not supported; use ipc:// within one machine")),
            _ => return Err(fail("only tcp:// and ipc:// are supported")),
        };
        let length = match &endpoint {
            Self::Ipc(path) => check_path_length(path),
            Self::Tcp { .. } => Ok(()),
        };
        length.map_err(fail)?;
        endpoint.check().map_err(|error| EndpointError {
            endpoint: text.to_owned(),
            ..error
        })?;
        Ok(endpoint)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "tcp://[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "tcp://{host}:{port}"),
            Self::Ipc(path) => write!(f, "ipc://{}", path.display()),
        }
    }
}

fn check_host(host: &str) -> Result<(), &'static str> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    if host.is_empty() {
        Err("the host is missing; write tcp://127.0.0.1:9000, or tcp://*:9000 to bind every address")
    } else if host == "*" || host.parse::<IpAddr>().is_ok() || host.bytes().all(plain) {
        Ok(())
    } else {
        Err("the host must be a name, an IP address or `*`, as in tcp://backend.example:9000")
    }
}

fn check_path(path: &Path) -> Result<(), &'static str> {
    match path.to_str() {
        None => Err("the path must be UTF-8"),
        Some("" | "*") => Err("a socket file needs a name, as in ipc:///run/app/service.sock"),
        Some(name) if name.starts_with('@') => {
            Err("abstract sockets are not supported; write a path, as in ipc:///run/app/service.sock")
        }
        Some(name) if name.bytes().any(|b| b.is_ascii_control()) => {
            Err("the path must not contain control characters")
        }
        // Sockets use longer paths by way of their folder.
        Some(_) if cfg!(target_os = "linux") => Ok(()),
        Some(_) => check_path_length(path),
    }
}

fn check_path_length(path: &Path) -> Result<(), &'static str> {
    if path.as_os_str().len() <= MAX_IPC_PATH {
        return Ok(());
    }
    Err("the path is longer than the 107 bytes a Unix socket can have; choose a shorter directory")
}

/// An error: an endpoint is malformed or not valid for the operation. The message names the reason and the remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointError {
    endpoint: String,
    problem: String,
}

impl EndpointError {
    fn new(endpoint: &dyn fmt::Display, problem: &str) -> Self {
        Self {
            endpoint: endpoint.to_string(),
            problem: problem.to_owned(),
        }
    }
}

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the endpoint {:?} cannot be used: {}",
            self.endpoint, self.problem
        )
    }
}

impl std::error::Error for EndpointError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tcp(host: &str, port: u16) -> Endpoint {
        Endpoint::Tcp {
            host: host.into(),
            port,
        }
    }

    #[test]
    fn parse_and_display_round_trip() {
        for (text, endpoint) in [
            ("tcp://127.0.0.1:9000", tcp("127.0.0.1", 9000)),
            ("tcp://*:9000", tcp("*", 9000)),
            ("tcp://127.0.0.1:0", tcp("127.0.0.1", 0)),
            ("tcp://[::1]:65535", tcp("::1", 65535)),
            ("tcp://back-end_1.example:80", tcp("back-end_1.example", 80)),
            ("ipc:///run/app.sock", Endpoint::Ipc("/run/app.sock".into())),
            ("ipc://run/app.sock", Endpoint::Ipc("run/app.sock".into())),
        ] {
            assert_eq!(text.parse(), Ok(endpoint.clone()), "{text}");
            assert_eq!(endpoint.to_string(), text);
        }
    }

    #[test]
    fn errors_name_the_remedy() {
        let long = format!("ipc:///{}", "x".repeat(MAX_IPC_PATH));
        for (text, remedy) in [
            ("127.0.0.1:9000", "begin with tcp:// or ipc://"),
            ("inproc://x", "use ipc://"),
            ("udp://127.0.0.1:1", "only tcp:// and ipc://"),
            ("tcp://127.0.0.1", "a host and a port"),
            ("tcp://127.0.0.1:", "a host and a port"),
            ("tcp://127.0.0.1:+1", "a host and a port"),
            ("tcp://127.0.0.1:65536", "0 to 65535"),
            ("tcp://127.0.0.1:*", "write port 0"),
            ("tcp://:9000", "the host is missing"),
            ("tcp://::1:9000", "needs brackets"),
            ("tcp://[::1:9000", "between the brackets"),
            ("tcp://[]:9000", "between the brackets"),
            ("tcp://a b:1", "a name, an IP address or `*`"),
            ("tcp://eth0;x:1", "a name, an IP address or `*`"),
            ("ipc://", "needs a name"),
            ("ipc://*", "needs a name"),
            ("ipc://@x", "write a path"),
            ("ipc://a\nb", "control characters"),
            (&long, "107 bytes"),
        ] {
            let error = text.parse::<Endpoint>().expect_err(text).to_string();
            assert!(error.contains(remedy), "{error}");
            assert!(error.contains(&format!("{text:?}")), "{error}");
        }
        assert!(long[..long.len() - 1].parse::<Endpoint>().is_ok());
    }

    #[test]
    fn only_loopback_and_ipc_endpoints_are_loopback() {
        for (text, local) in [
            ("tcp://127.9.9.9:1", true),
            ("tcp://[::1]:1", true),
            ("tcp://[::ffff:127.0.0.1]:1", true),
            ("tcp://LocalHost:1", true),
            ("ipc://x", true),
            ("tcp://*:1", false),
            ("tcp://0.0.0.0:1", false),
            ("tcp://[::]:1", false),
            ("tcp://10.0.0.1:1", false),
            ("tcp://localhost.example:1", false),
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().is_loopback(), local, "{text}");
        }
    }

    #[test]
    fn connecting_requires_one_host_and_a_port() {
        assert!(
            tcp("*", 1)
                .check_connect()
                .unwrap_err()
                .to_string()
                .contains("write one host")
        );
        assert!(
            tcp("127.0.0.1", 0)
                .check_connect()
                .unwrap_err()
                .to_string()
                .contains("write the port")
        );
        assert!(Endpoint::Ipc("*".into()).check_connect().is_err());
        assert!(tcp("127.0.0.1", 1).check_connect().is_ok());
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_round_trips(text in "(tcp|ipc|x)?(://)?[a-z0-9:.*@\\[\\]/ ]{0,30}") {
            if let Ok(endpoint) = text.parse::<Endpoint>() {
                prop_assert_eq!(endpoint.to_string().parse(), Ok(endpoint));
            }
        }
    }
}
