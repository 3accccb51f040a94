//! Host names and their addresses, and binding all of them.

use crate::unix::BACKLOG;
use crate::{BindError, Holder};
use socket2::{Domain, SockRef, Socket, Type};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Maximum number of ports that are tried if the operating system chooses the port for several addresses.
const MAX_PORT_ATTEMPTS: usize = 16;

/// How TCP sockets are bound.
#[derive(Clone, Copy, Debug, Default)]
pub struct TcpOptions {
    /// Sets options of a socket before it is bound. Accepted sockets inherit most of them.
    pub configure: Option<fn(&SockRef<'_>) -> io::Result<()>>,
    /// Binds only the first address that can be bound, for addresses that stand for each other, such as `[::]` and `0.0.0.0`.
    pub first_only: bool,
}

/// Returns `true` if the host is `localhost`.
pub fn is_localhost(host: &str) -> bool {
    host.strip_suffix('.')
        .unwrap_or(host)
        .eq_ignore_ascii_case("localhost")
}

/// Resolves a host name to all of its addresses, without duplicates.
///
/// The addresses of `localhost` begin with IPv4, as libzmq resolves it. They are `127.0.0.1` and `::1` if the system does not know
/// them (RFC 6761, section 6.3).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let addresses = brubeck_sockets::lookup("localhost", 80).await?;
/// assert!(addresses.contains(&([127, 0, 0, 1], 80).into()));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Returns an error if the name cannot be resolved or has no address.
pub async fn lookup(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Some(address) = literal(host, port) {
        return Ok(vec![address]);
    }
    let found = tokio::net::lookup_host((host, port)).await;
    arrange(host, port, found.map(Vec::from_iter))
}

/// Resolves a host name as [`lookup`] does, and blocks the thread.
///
/// # Errors
/// Returns the errors of [`lookup`].
pub fn lookup_blocking(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Some(address) = literal(host, port) {
        return Ok(vec![address]);
    }
    let found = (host, port).to_socket_addrs();
    arrange(host, port, found.map(Vec::from_iter))
}

fn literal(host: &str, port: u16) -> Option<SocketAddr> {
    let address: IpAddr = host.parse().ok()?;
    Some(SocketAddr::new(address, port))
}

fn arrange(host: &str, port: u16, found: io::Result<Vec<SocketAddr>>) -> io::Result<Vec<SocketAddr>> {
    let loopback = || {
        [
            IpAddr::from(Ipv4Addr::LOCALHOST),
            IpAddr::from(Ipv6Addr::LOCALHOST),
        ]
        .map(|address| SocketAddr::new(address, port))
        .to_vec()
    };
    let found = match found {
        Err(_) if is_localhost(host) => loopback(),
        found => found?,
    };
    let mut addresses: Vec<SocketAddr> = Vec::with_capacity(found.len());
    for address in found {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        return Err(io::Error::new(ErrorKind::NotFound, "the host has no address"));
    }
    if is_localhost(host) {
        addresses.sort_by_key(SocketAddr::is_ipv6);
    }
    Ok(addresses)
}

/// The TCP addresses that this process listens at.
static OWN_ADDRESSES: Mutex<Vec<SocketAddr>> = Mutex::new(Vec::new());

fn own_addresses() -> MutexGuard<'static, Vec<SocketAddr>> {
    OWN_ADDRESSES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The addresses of one listener in the list of this process. They are removed when it is dropped.
#[derive(Debug, Default)]
pub(crate) struct OwnAddresses(Vec<SocketAddr>);

impl OwnAddresses {
    pub(crate) fn new(addresses: Vec<SocketAddr>) -> OwnAddresses {
        own_addresses().extend(&addresses);
        OwnAddresses(addresses)
    }
}

impl Drop for OwnAddresses {
    fn drop(&mut self) {
        let mut own = own_addresses();
        for address in &self.0 {
            if let Some(at) = own.iter().position(|known| known == address) {
                own.swap_remove(at);
            }
        }
    }
}

fn holder_of(address: SocketAddr) -> Holder {
    let overlaps = |own: &SocketAddr| {
        own.port() == address.port()
            && (own.ip() == address.ip() || own.ip().is_unspecified() || address.ip().is_unspecified())
    };
    if own_addresses().iter().any(overlaps) {
        Holder::ThisProcess
    } else {
        Holder::Unknown
    }
}

/// Binds every address, with the same port. An address that this machine does not have is skipped, as long as another one can be
/// bound.
pub(crate) fn bind(addresses: &[SocketAddr], options: TcpOptions) -> Result<Vec<TcpListener>, BindError> {
    let chooses_port = addresses.first().is_some_and(|address| address.port() == 0);
    let mut attempts = 0;
    loop {
        attempts += 1;
        match bind_once(addresses, options) {
            // The port that was chosen for the first address is in use at another one.
            Err(BindError::InUse(_)) if chooses_port && attempts < MAX_PORT_ATTEMPTS => {}
            bound => return bound,
        }
    }
}

fn bind_once(addresses: &[SocketAddr], options: TcpOptions) -> Result<Vec<TcpListener>, BindError> {
    let mut bound: Vec<TcpListener> = Vec::new();
    let mut last_error = io::Error::new(ErrorKind::NotFound, "the host has no address");
    for address in addresses {
        let mut address = *address;
        if let Some(first) = bound.first() {
            if options.first_only {
                break;
            }
            address.set_port(first.local_addr()?.port());
        }
        match bind_one(address, options) {
            Ok(listener) => bound.push(listener),
            // Another address might succeed and hide that the port is taken.
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                return Err(BindError::InUse(holder_of(address)));
            }
            Err(error) if is_absent(&error) => last_error = error,
            Err(error) => return Err(BindError::Io(error)),
        }
    }
    if bound.is_empty() {
        return Err(BindError::Io(last_error));
    }
    Ok(bound)
}

/// Returns `true` if this machine does not have the address, or its version of IP.
fn is_absent(error: &io::Error) -> bool {
    error.kind() == ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(libc::EAFNOSUPPORT)
}

fn bind_one(address: SocketAddr, options: TcpOptions) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        // `[::]` also accepts IPv4; any other address does not. The default differs between systems.
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.set_reuse_address(true)?;
    if let Some(configure) = options.configure {
        configure(&SockRef::from(&socket))?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(port: u16) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, port).into()
    }

    fn v6(port: u16) -> SocketAddr {
        (Ipv6Addr::LOCALHOST, port).into()
    }

    #[test]
    fn localhost_begins_with_ipv4_and_needs_no_resolver() {
        assert_eq!(
            arrange("LocalHost.", 1, Ok(vec![v6(1), v4(1), v6(1)])).unwrap(),
            [v4(1), v6(1)]
        );
        assert_eq!(
            arrange("localhost", 1, Err(ErrorKind::NotFound.into())).unwrap(),
            [v4(1), v6(1)]
        );
        assert_eq!(
            arrange("host", 1, Ok(vec![v6(1), v4(1)])).unwrap(),
            [v6(1), v4(1)]
        );
        assert!(arrange("host", 1, Err(ErrorKind::NotFound.into())).is_err());
        assert!(arrange("host", 1, Ok(Vec::new())).is_err());
    }

    #[test]
    fn every_address_is_bound_with_the_same_port() {
        let second: SocketAddr = ([127, 0, 0, 2], 0).into();
        let bound = bind(&[v4(0), second], TcpOptions::default()).unwrap();
        let addresses: Vec<SocketAddr> = bound.iter().map(|socket| socket.local_addr().unwrap()).collect();
        assert_eq!(addresses[0].port(), addresses[1].port());
        assert_eq!(addresses[1].ip(), second.ip());
        for address in addresses {
            std::net::TcpStream::connect(address).unwrap();
        }
    }

    #[test]
    fn addresses_of_other_machines_are_skipped_but_not_those_in_use() {
        let elsewhere: SocketAddr = ([192, 0, 2, 1], 0).into();
        let bound = bind(&[elsewhere, v4(0)], TcpOptions::default()).unwrap();
        assert_eq!(bound.len(), 1);
        assert!(matches!(
            bind(&[elsewhere], TcpOptions::default()),
            Err(BindError::Io(error)) if error.kind() == ErrorKind::AddrNotAvailable
        ));
        let taken = bound[0].local_addr().unwrap();
        let other: SocketAddr = ([127, 0, 0, 2], taken.port()).into();
        let refused = bind(&[other, taken], TcpOptions::default());
        assert!(
            matches!(refused, Err(BindError::InUse(Holder::Unknown))),
            "{refused:?}"
        );
        let own = OwnAddresses::new(vec![taken]);
        let refused = bind(&[other, taken], TcpOptions::default());
        assert!(
            matches!(refused, Err(BindError::InUse(Holder::ThisProcess))),
            "{refused:?}"
        );
        drop(own);
        bind(&[other], TcpOptions::default()).expect("a failed attempt leaves nothing bound");
    }
}
