//! The headers of trusted proxies: the address of the client, and the scheme and the host that it asked for.

use crate::authority::codec::{ForwardedElement, parse_forwarded, parse_node, split_list};
use crate::authority::{Authority, Scheme};
use crate::error::Error;
use http::{HeaderMap, HeaderName};
use std::net::IpAddr;
use std::str::FromStr;

static FORWARDED: HeaderName = HeaderName::from_static("forwarded");
static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
static FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The proxies whose `forwarded` and `x-forwarded-*` headers are trusted.
#[derive(Clone, Debug, Default)]
pub(super) struct TrustedProxies {
    networks: Vec<Network>,
    /// Trust every peer of a Unix socket.
    unix: bool,
}

/// The client, the scheme and the host of a request, as the trusted proxies say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ForwardedRequest {
    /// `None` if they do not say it, or not in a readable way. It is never the address of the proxy itself.
    pub(super) client: Option<IpAddr>,
    pub(super) scheme: Option<Scheme>,
    pub(super) host: Option<Authority>,
    /// The port of a host without one.
    pub(super) port: Option<u16>,
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

    /// Returns `true` if the peer of a connection is a trusted proxy. Peers of Unix sockets have no address.
    pub(super) fn trusts(&self, peer: Option<IpAddr>) -> bool {
        peer.map_or(self.unix, |address| self.contains(address))
    }

    /// Reads the headers of a request from a trusted proxy.
    ///
    /// Each proxy appends the address of its own peer. So the client is the first address from the right that is not a trusted proxy;
    /// anything to the left of it was sent by the client and may be forged. The scheme and the host are those that the proxy next to the
    /// client says, in the same position from the right.
    ///
    /// A proxy sets either `forwarded` or the `x-forwarded-*` headers, and passes the others on as the client sent them. So what the two
    /// say must be equal if both are present: a client whose addresses differ is unknown.
    ///
    /// # Errors
    ///
    /// Returns the reason to reject the request: a host, port or scheme is invalid, or the headers contradict each other.
    pub(super) fn read(
        &self,
        peer: Option<IpAddr>,
        headers: &HeaderMap,
    ) -> Result<ForwardedRequest, &'static str> {
        let mut request = self.read_x_forwarded(peer, headers)?;
        if headers.contains_key(&FORWARDED) {
            let standard = self.read_forwarded(peer, headers)?;
            if headers.contains_key(&FORWARDED_FOR) && standard.client != request.client {
                request.client = None;
            } else {
                request.client = standard.client;
            }
            let is_other_scheme =
                standard.scheme.is_some() && request.scheme.is_some() && standard.scheme != request.scheme;
            let is_other_host =
                standard.host.is_some() && request.host.is_some() && standard.host != request.host;
            if is_other_scheme || is_other_host {
                return Err("the headers Forwarded and X-Forwarded-* contradict each other");
            }
            request.scheme = standard.scheme.or(request.scheme);
            request.host = standard.host.or(request.host);
        }
        Ok(request)
    }

    fn read_x_forwarded(
        &self,
        peer: Option<IpAddr>,
        headers: &HeaderMap,
    ) -> Result<ForwardedRequest, &'static str> {
        let chain = members_from_right(headers, &FORWARDED_FOR).map(parse_node);
        let (client, position) = self.find_client(peer, chain);
        let said = |name| at_or_last(members_from_right(headers, name), position);
        let port = match said(&FORWARDED_PORT) {
            Some(port) => Some(parse_port(port).ok_or("the forwarded port is invalid")?),
            None => None,
        };
        Ok(ForwardedRequest {
            client,
            scheme: said(&FORWARDED_PROTO).map(parse_scheme).transpose()?,
            host: said(&FORWARDED_HOST).map(parse_host).transpose()?,
            port,
        })
    }

    fn read_forwarded(
        &self,
        peer: Option<IpAddr>,
        headers: &HeaderMap,
    ) -> Result<ForwardedRequest, &'static str> {
        let elements: Vec<Option<ForwardedElement<'_>>> = headers
            .get_all(&FORWARDED)
            .iter()
            .flat_map(|line| parse_forwarded(line.as_bytes()))
            .collect();
        let address =
            |element: &Option<ForwardedElement<'_>>| parse_node(element.as_ref()?.client.as_deref()?);
        let (client, position) = self.find_client(peer, elements.iter().rev().map(address));
        let element = at_or_last(elements.iter().rev(), position).and_then(Option::as_ref);
        let scheme = element.and_then(|element| element.proto.as_deref());
        let host = element.and_then(|element| element.host.as_deref());
        Ok(ForwardedRequest {
            client,
            scheme: scheme.map(parse_scheme).transpose()?,
            host: host.map(parse_host).transpose()?,
            port: None,
        })
    }

    /// Returns the client of a chain of addresses, which goes from right to left, and its position. An address that cannot be read ends
    /// the search: its sender is unknown.
    fn find_client(
        &self,
        peer: Option<IpAddr>,
        chain: impl Iterator<Item = Option<IpAddr>>,
    ) -> (Option<IpAddr>, usize) {
        let peer = peer.map(|peer| peer.to_canonical());
        // A request of another machine does not come from a loopback address, whatever its headers say.
        let is_client =
            |address: &IpAddr| !address.is_loopback() && !address.is_unspecified() && Some(*address) != peer;
        let mut outermost = (None, 0);
        for (position, entry) in chain.enumerate() {
            let Some(address) = entry else {
                return (None, position);
            };
            outermost = (Some(address).filter(is_client), position);
            if !self.contains(address) {
                break;
            }
        }
        // If all are trusted, the request began within the trusted network.
        outermost
    }

    fn contains(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(address))
    }
}

/// Returns the members of all lines of a header, from right to left.
fn members_from_right<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h [u8]> {
    headers
        .get_all(name)
        .iter()
        .rev()
        .flat_map(|line| split_list(line.as_bytes()).rev())
}

/// Returns the item at a position, or the last one if there are fewer: not every proxy appends to every header.
fn at_or_last<T>(items: impl Iterator<Item = T>, position: usize) -> Option<T> {
    items.take(position.saturating_add(1)).last()
}

fn parse_scheme(text: &[u8]) -> Result<Scheme, &'static str> {
    Scheme::parse(text).ok_or("the forwarded scheme is neither http nor https")
}

fn parse_host(text: &[u8]) -> Result<Authority, &'static str> {
    Authority::parse(text).ok_or("the forwarded host is invalid")
}

fn parse_port(digits: &[u8]) -> Option<u16> {
    let is_number = digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits)
        .ok()?
        .parse()
        .ok()
        .filter(|_| is_number)
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
            // A number parses with a sign, too.
            Some(text) => text
                .parse()
                .ok()
                .filter(|len| *len <= max_prefix_len && !text.starts_with('+'))
                .ok_or_else(invalid)?,
        };
        // Peers are compared in their canonical form, so an IPv4-mapped network is one of IPv4.
        Ok(match address.to_canonical() {
            IpAddr::V4(mapped) if address.is_ipv6() && prefix_len >= 96 => Network {
                address: mapped.into(),
                prefix_len: prefix_len - 96,
            },
            _ => Network { address, prefix_len },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn proxies(networks: &[&str]) -> TrustedProxies {
        let mut proxies = TrustedProxies::default();
        networks.iter().for_each(|text| proxies.add(text).unwrap());
        proxies
    }

    fn headers(lines: &[(&'static str, &[u8])]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, line)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_bytes(line).unwrap(),
                )
            })
            .collect()
    }

    fn client(peer: Option<&str>, name: &'static str, lines: &[&str]) -> String {
        let proxies = proxies(&["10.0.0.0/8", "127.0.0.1", "fd00::/8", "unix"]);
        let peer = peer.map(|peer| peer.parse().unwrap());
        assert!(proxies.trusts(peer));
        let lines: Vec<_> = lines.iter().map(|line| (name, line.as_bytes())).collect();
        let client = proxies.read(peer, &headers(&lines)).unwrap().client;
        client.map_or("unknown".into(), |address| address.to_string())
    }

    #[test]
    fn client_is_the_last_address_that_is_not_trusted() {
        const LOCAL: Option<&str> = Some("127.0.0.1");
        const FAR: &str = "203.0.113.9";
        for (peer, lines, expected) in [
            (LOCAL, &[FAR] as &[&str], FAR),
            (LOCAL, &["203.0.113.9:4711"], FAR),
            (LOCAL, &["[2001:db8::7]"], "2001:db8::7"),
            (LOCAL, &["203.0.113.9, 127.0.0.1:99"], FAR),
            // The entry before the client is forged.
            (LOCAL, &["1.1.1.1, 203.0.113.9"], FAR),
            (LOCAL, &["nonsense, 203.0.113.9"], FAR),
            (LOCAL, &["\u{ff}", FAR], FAR),
            (LOCAL, &["203.0.113.9, ,"], FAR),
            // Two proxies, in one line and in two.
            (Some("10.9.9.9"), &["203.0.113.9, 10.1.1.1"], FAR),
            (Some("10.9.9.9"), &[FAR, "10.1.1.1"], FAR),
            (Some("::ffff:127.0.0.1"), &[FAR], FAR),
            (Some("fd00::1"), &["2001:db8::7"], "2001:db8::7"),
            (None, &[FAR], FAR),
            // A client within the trusted network.
            (Some("10.9.9.9"), &["10.1.1.1"], "10.1.1.1"),
            (LOCAL, &[], "unknown"),
            (LOCAL, &["unknown"], "unknown"),
            (LOCAL, &["_hidden"], "unknown"),
            (LOCAL, &["127.0.0.1"], "unknown"),
            (Some("10.9.9.9"), &["10.9.9.9"], "unknown"),
            (Some("10.9.9.9"), &["127.0.0.1"], "unknown"),
            (LOCAL, &["203.0.113.9, nonsense"], "unknown"),
            (LOCAL, &[FAR, "\u{ff}"], "unknown"),
        ] {
            assert_eq!(
                client(peer, "x-forwarded-for", lines),
                expected,
                "{peer:?} {lines:?}"
            );
        }
        for (lines, expected) in [
            (&["for=203.0.113.9"] as &[&str], FAR),
            (&["For=\"203.0.113.9:4711\";proto=https"], FAR),
            (&["for=\"[2001:db8::7]:80\""], "2001:db8::7"),
            (&["for=1.1.1.1, for=203.0.113.9, for=10.0.0.1"], FAR),
            (&["for=1.1.1.1", "for=203.0.113.9;host=a"], FAR),
            (&["for=203.0.113.9, for=_hidden"], "unknown"),
            (&["for=203.0.113.9, proto=https"], "unknown"),
            (&["for=203.0.113.9;for=203.0.113.9"], "unknown"),
            (&["for=\"203.0.113.9"], "unknown"),
        ] {
            assert_eq!(client(LOCAL, "forwarded", lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn client_is_unknown_if_the_headers_contradict_each_other() {
        let read = |lines: &[(&'static str, &[u8])]| {
            proxies(&["127.0.0.1"]).read(Some([127, 0, 0, 1].into()), &headers(lines))
        };
        let standard: (&str, &[u8]) = ("forwarded", b"for=9.9.9.9;host=a.example;proto=https");
        let equal = read(&[
            standard,
            ("x-forwarded-for", b"9.9.9.9"),
            ("x-forwarded-host", b"A.example"),
        ]);
        assert_eq!(equal.unwrap().client, Some([9, 9, 9, 9].into()));
        assert_eq!(
            read(&[standard, ("x-forwarded-for", b"8.8.8.8")]).unwrap().client,
            None
        );
        assert!(read(&[standard, ("x-forwarded-host", b"b.example")]).is_err());
        assert!(read(&[standard, ("x-forwarded-proto", b"http")]).is_err());
    }

    #[test]
    fn scheme_and_host_are_those_that_the_client_asked_for() {
        let read = |lines: &[(&'static str, &[u8])]| {
            let read = proxies(&["10.0.0.0/8"]).read(Some([10, 0, 0, 1].into()), &headers(lines))?;
            let host = read.host.map_or("-".to_owned(), |host| host.to_string());
            Ok::<_, &str>((read.scheme.map_or("-", Scheme::as_str), host, read.port))
        };
        assert_eq!(read(&[]), Ok(("-", "-".into(), None)));
        let single: &[(&str, &[u8])] = &[
            ("x-forwarded-proto", b"HTTPS"),
            ("x-forwarded-host", b"Shop.example:8443"),
            ("x-forwarded-port", b"443"),
        ];
        assert_eq!(read(single), Ok(("https", "shop.example:8443".into(), Some(443))));
        // The proxy next to the client is the second from the right.
        let chain: &[(&str, &[u8])] = &[
            ("x-forwarded-for", b"6.6.6.6, 203.0.113.9"),
            ("x-forwarded-for", b"10.0.0.2"),
            ("x-forwarded-proto", b"http, https, http"),
            ("x-forwarded-host", b"evil.example, shop.example, inner"),
        ];
        assert_eq!(read(chain), Ok(("https", "shop.example".into(), None)));
        let standard: &[(&str, &[u8])] = &[(
            "forwarded",
            b"host=evil.example, for=203.0.113.9;host=\"[::1]:8\";proto=https, for=10.0.0.2;host=inner;proto=http",
        )];
        assert_eq!(read(standard), Ok(("https", "[::1]:8".into(), None)));
        for (name, invalid) in [
            ("x-forwarded-host", "a b"),
            ("x-forwarded-host", "http://a"),
            ("x-forwarded-proto", "gopher"),
            ("x-forwarded-port", "-1"),
            ("x-forwarded-port", "65536"),
            ("forwarded", "host=\"a/b\""),
        ] {
            assert!(read(&[(name, invalid.as_bytes())]).is_err(), "{name}: {invalid}");
        }
    }

    proptest! {
        #[test]
        fn request_is_never_attributed_to_its_proxy(
            lines in proptest::collection::vec(
                (
                    prop_oneof![Just("x-forwarded-for"), Just("forwarded")],
                    prop_oneof![
                        proptest::collection::vec(any::<u8>(), 0..40),
                        "(for=|\"|127\\.0\\.0\\.1|10\\.0\\.0\\.1|::ffff:127\\.0\\.0\\.1|\\[::1\\]|9\\.9\\.9\\.9|:80|,| |;|unknown|_a){0,8}"
                            .prop_map(String::into_bytes),
                    ],
                ),
                0..4,
            ),
            peer in prop_oneof![Just("127.0.0.1"), Just("::ffff:127.0.0.1"), Just("10.0.0.1"), Just("::1")],
        ) {
            let peer: IpAddr = peer.parse().unwrap();
            let proxies = proxies(&["127.0.0.0/8", "10.0.0.0/8", "::1"]);
            let headers: HeaderMap = lines
                .iter()
                .filter_map(|(name, line)| Some((HeaderName::from_static(name), HeaderValue::from_bytes(line).ok()?)))
                .collect();
            if let Ok(ForwardedRequest { client: Some(client), .. }) = proxies.read(Some(peer), &headers) {
                prop_assert!(client != peer.to_canonical() && !client.is_loopback(), "{:?}", lines);
            }
        }
    }

    #[test]
    fn rejects_invalid_networks() {
        for invalid in [
            "",
            "localhost",
            "10.0.0.0/33",
            "10.0.0.0/x",
            "10.0.0.0/+8",
            "10.0.0/8",
            "::1/129",
        ] {
            assert!(TrustedProxies::default().add(invalid).is_err(), "{invalid}");
        }
    }

    #[test]
    fn prefix_length_zero_matches_every_address_of_its_family() {
        let all = proxies(&["0.0.0.0/0"]);
        assert!(all.contains("203.0.113.9".parse().unwrap()));
        assert!(!all.contains("::1".parse().unwrap()));
    }

    #[test]
    fn ipv4_mapped_network_matches_ipv4() {
        let mapped = proxies(&["::ffff:10.0.0.0/104", "::ffff:127.0.0.1"]);
        for address in ["10.1.2.3", "::ffff:10.1.2.3", "127.0.0.1", "::ffff:127.0.0.1"] {
            assert!(mapped.contains(address.parse().unwrap()), "{address}");
        }
        assert!(!mapped.contains("11.0.0.1".parse().unwrap()));
        assert!(!mapped.contains("127.0.0.2".parse().unwrap()));
    }
}
