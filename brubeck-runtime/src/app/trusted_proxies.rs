//! The address of a client behind trusted proxies.

use crate::error::Error;
use crate::message::RemoteAddr;
use http::{HeaderMap, Request};
use std::net::IpAddr;
use std::str::FromStr;

/// The proxies whose `x-forwarded-for` header is trusted.
#[derive(Clone, Debug, Default)]
pub(super) struct TrustedProxies {
    networks: Vec<Network>,
    /// Trust every peer of a Unix socket.
    unix: bool,
}

impl TrustedProxies {
    /// Adds a network, an address, or `unix`.
    ///
    /// # Errors
    ///
    /// Returns an error for any other text.
    pub(super) fn add(&mut self, text: &str) -> crate::Result {
        match text {
            "unix" => self.unix = true,
            network => self.networks.push(network.parse()?),
        }
        Ok(())
    }

    /// Returns `true` if there is a trusted proxy.
    pub(super) fn is_enabled(&self) -> bool {
        self.unix || !self.networks.is_empty()
    }

    /// Replaces the peer address of a request from a trusted proxy by the address of the client.
    pub(super) fn resolve<B>(&self, request: &mut Request<B>) {
        if !self.is_enabled() {
            return;
        }
        let peer = request.extensions().get::<RemoteAddr>().copied();
        if let Some(client) = self.client_address(peer, request.headers()) {
            request.extensions_mut().insert(client);
        }
    }

    /// Returns the client address in `x-forwarded-for`, or `None` if the peer is not trusted, or the last entry is missing or
    /// not an address.
    ///
    /// Each proxy appends the address of its own peer. So the client is the first address from the right that is not a
    /// trusted proxy; anything to the left of it was sent by the client and may be forged. If all addresses are trusted, or
    /// an entry is not an address, the client is the last address that was read, from right to left.
    fn client_address(&self, peer: Option<RemoteAddr>, headers: &HeaderMap) -> Option<RemoteAddr> {
        let is_trusted = match peer {
            Some(RemoteAddr(address)) => self.contains(address),
            // Peers of Unix sockets have no address.
            None => self.unix,
        };
        if !is_trusted {
            return None;
        }
        // A line that is not ASCII ends the search like an invalid address: the entries before it may be forged.
        let lines: Vec<&str> = headers
            .get_all("x-forwarded-for")
            .iter()
            .map(|line| line.to_str().unwrap_or("invalid"))
            .collect();
        let mut client = None;
        for entry in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
            let Ok(address) = entry.trim().parse() else { break };
            client = Some(RemoteAddr(address));
            if !self.contains(address) {
                break;
            }
        }
        client
    }

    fn contains(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(address))
    }
}

/// A range of addresses in CIDR notation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    prefix_len: u32,
}

impl Network {
    fn contains(&self, address: IpAddr) -> bool {
        // Shifting by the full width overflows: a prefix length of 0 matches every address.
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let difference = u32::from(network) ^ u32::from(address);
                let host_bits = 32 - self.prefix_len.min(32);
                difference.checked_shr(host_bits).unwrap_or(0) == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let difference = u128::from(network) ^ u128::from(address);
                let host_bits = 128 - self.prefix_len.min(128);
                difference.checked_shr(host_bits).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = Error;

    fn from_str(text: &str) -> Result<Network, Error> {
        let invalid = || {
            Error::new(format!(
                "`{text}` is not a valid trusted proxy: expected an address or a network such as `10.0.0.1`, \
                 `10.0.0.0/8` or `fd00::/8`, or `unix`"
            ))
        };
        let (address, prefix_len) = match text.split_once('/') {
            Some((address, prefix_len)) => (address, Some(prefix_len)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| invalid())?;
        let max_prefix_len = if address.is_ipv4() { 32 } else { 128 };
        let prefix_len = match prefix_len {
            None => max_prefix_len,
            Some(text) => text
                .parse()
                .ok()
                .filter(|len| *len <= max_prefix_len)
                .ok_or_else(invalid)?,
        };
        Ok(Network { address, prefix_len })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn resolved_client(peer: Option<&str>, lines: &[&'static str]) -> String {
        let mut proxies = TrustedProxies::default();
        ["10.0.0.0/8", "127.0.0.1", "fd00::/8", "unix"]
            .iter()
            .for_each(|text| proxies.add(text).unwrap());
        let peer = peer.map(|peer| RemoteAddr(peer.parse().unwrap()));
        let headers = lines.iter().map(|line| {
            (
                "x-forwarded-for".parse().unwrap(),
                HeaderValue::from_bytes(line.as_bytes()).unwrap(),
            )
        });
        let client = proxies
            .client_address(peer, &HeaderMap::from_iter(headers))
            .or(peer);
        client.map_or("unknown".into(), |address| address.to_string())
    }

    #[test]
    fn client_address_comes_from_trusted_proxies_only() {
        assert_eq!(resolved_client(Some("192.0.2.1"), &["203.0.113.9"]), "192.0.2.1");
        assert_eq!(
            resolved_client(Some("127.0.0.1"), &["203.0.113.9"]),
            "203.0.113.9"
        );
        assert_eq!(
            resolved_client(Some("127.0.0.1"), &["1.1.1.1, 203.0.113.9"]),
            "203.0.113.9",
            "the entry before the client is forged"
        );
        assert_eq!(
            resolved_client(Some("10.9.9.9"), &["203.0.113.9, 10.1.1.1"]),
            "203.0.113.9",
            "two proxies"
        );
        assert_eq!(
            resolved_client(Some("10.9.9.9"), &["203.0.113.9", "10.1.1.1"]),
            "203.0.113.9",
            "two proxies, two header lines"
        );
        assert_eq!(
            resolved_client(Some("::ffff:127.0.0.1"), &["203.0.113.9"]),
            "203.0.113.9",
            "an IPv4-mapped peer address"
        );
        assert_eq!(resolved_client(Some("fd00::1"), &["2001:db8::7"]), "2001:db8::7");
        assert_eq!(resolved_client(None, &["203.0.113.9"]), "203.0.113.9");
        assert_eq!(resolved_client(Some("127.0.0.1"), &[]), "127.0.0.1");
        assert_eq!(
            resolved_client(Some("127.0.0.1"), &["203.0.113.9, nonsense"]),
            "127.0.0.1"
        );
        assert_eq!(
            resolved_client(Some("127.0.0.1"), &["9.9.9.9", "\u{ff}"]),
            "127.0.0.1",
            "a line that is not ASCII"
        );
        assert_eq!(
            resolved_client(Some("127.0.0.1"), &["nonsense, 203.0.113.9"]),
            "203.0.113.9"
        );
    }

    #[test]
    fn rejects_invalid_networks() {
        for invalid in [
            "",
            "localhost",
            "10.0.0.0/33",
            "10.0.0.0/x",
            "10.0.0/8",
            "::1/129",
        ] {
            assert!(TrustedProxies::default().add(invalid).is_err(), "{invalid}");
        }
    }

    #[test]
    fn prefix_length_zero_matches_every_address_of_its_family() {
        let mut all = TrustedProxies::default();
        all.add("0.0.0.0/0").unwrap();
        assert!(all.contains("203.0.113.9".parse().unwrap()));
        assert!(!all.contains("::1".parse().unwrap()));
    }
}
