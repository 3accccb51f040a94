//! Connecting to a host that has several addresses.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use brubeck_sockets::lookup;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpStream;

use crate::watchdog::sleep;

/// The time after which the next address is tried while an attempt is pending (RFC 8305, section 5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Connects to the first address of a host that accepts the connection, as RFC 8305 describes it. Has no timeout.
///
/// The next address is tried when an attempt fails or has been pending for 250 ms. IPv6 and IPv4 alternate, beginning with the address
/// that the resolver lists first.
pub(super) async fn connect_tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    connect_first(alternate(lookup(host, port).await?)).await
}

async fn connect_first(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    if let [address] = addresses.as_slice() {
        return TcpStream::connect(address).await;
    }
    let mut addresses = addresses.into_iter();
    let mut attempts = FuturesUnordered::new();
    let mut failure: Option<io::Error> = None;
    loop {
        let next = addresses.next();
        attempts.extend(next.map(TcpStream::connect));
        let finished = tokio::select! {
            finished = attempts.next() => finished,
            () = sleep(ATTEMPT_DELAY), if addresses.len() > 0 => continue,
        };
        match finished {
            Some(Ok(stream)) => return Ok(stream),
            Some(Err(error)) => {
                // A refusal says the most: the host is there, and nothing listens.
                let is_better = error.kind() == ErrorKind::ConnectionRefused;
                if is_better || failure.is_none() {
                    failure = Some(error);
                }
            }
            // Every address was tried.
            None => {
                let none = || io::Error::new(ErrorKind::NotFound, "the host has no address");
                return Err(failure.unwrap_or_else(none));
            }
        }
    }
}

/// Reorders addresses so that the versions of IP alternate. The order within a version stays.
fn alternate(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv6() == first_is_v6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut alternating = Vec::with_capacity(first.len() + second.len());
    while first.len() + second.len() > 0 {
        alternating.extend(first.next());
        alternating.extend(second.next());
    }
    alternating
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[test]
    fn versions_of_ip_alternate() {
        let [a, b, c] = [1, 2, 3].map(|last| SocketAddr::from(([127, 0, 0, last], 1)));
        let six: SocketAddr = "[::1]:1".parse().unwrap();
        assert_eq!(alternate(vec![a, b, c, six]), [a, six, b, c]);
        assert_eq!(alternate(vec![six, a, b]), [six, a, b]);
        assert!(alternate(Vec::new()).is_empty());
    }

    /// Returns an address at which nothing listens.
    async fn closed() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    }

    #[tokio::test]
    async fn address_after_a_refusal_is_tried_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap();
        let stream = connect_first(vec![closed().await, closed().await, open])
            .await
            .unwrap();
        assert_eq!(stream.peer_addr().unwrap(), open);
    }

    #[tokio::test]
    async fn refusal_is_the_error_if_every_address_fails() {
        // This machine does not have the first address, or has no route to it.
        let unreachable = "[::ffff:0:0]:1".parse().unwrap();
        let error = connect_first(vec![unreachable, closed().await])
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        assert!(connect_first(Vec::new()).await.is_err());
    }

    /// The full backlog of a listener drops packets, as a host behind a firewall does.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn address_that_drops_packets_does_not_delay_the_next_for_long() {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let full = socket.listen(1).unwrap();
        let silent = full.local_addr().unwrap();
        let mut waiting = Vec::new();
        while let Ok(Ok(stream)) =
            tokio::time::timeout(Duration::from_millis(100), TcpStream::connect(silent)).await
        {
            waiting.push(stream);
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap();
        let began = std::time::Instant::now();
        let stream = connect_first(vec![silent, open]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), open);
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    }
}
