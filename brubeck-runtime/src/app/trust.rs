//! Who sends a request: the client behind trusted proxies, and requests that another site forged.

use crate::error::Error;
use crate::message::RemoteAddr;
use http::header::{COOKIE, HOST, ORIGIN};
use http::{HeaderMap, Method, Request};
use std::net::IpAddr;
use std::str::FromStr;

/// Which sites may make a browser change something here with the cookies it has.
#[derive(Clone, Debug)]
pub(super) enum CrossSite {
    /// This site and these origins.
    Refused(Vec<String>),
    /// Any: the application protects itself.
    Allowed,
}

impl CrossSite {
    /// Whether the request may be one that another site forged. Only browsers are asked to, so what says neither
    /// where it comes from nor who it is passes: no browser sends that.
    pub(super) fn forged(&self, method: &Method, headers: &HeaderMap) -> bool {
        let CrossSite::Refused(trusted) = self else {
            return false;
        };
        if method.is_safe() || !headers.contains_key(COOKIE) {
            return false;
        }
        let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("null"));
        let origin = text(ORIGIN.as_str());
        if origin.is_some_and(|origin| trusted.iter().any(|known| known.eq_ignore_ascii_case(origin))) {
            return false;
        }
        match (text("sec-fetch-site"), origin) {
            (Some("same-origin" | "none"), _) | (None, None) => false,
            (Some(_), _) => true,
            // Plain HTTP to another host than loopback has no `sec-fetch-site`.
            (None, Some(origin)) => {
                let host = origin.split_once("://").map(|(_, host)| host);
                host.is_none()
                    || !text(HOST.as_str())
                        .is_some_and(|own| host.is_some_and(|h| h.eq_ignore_ascii_case(own)))
            }
        }
    }
}

/// The proxies that are believed: addresses, networks, and whoever reaches a Unix socket.
#[derive(Clone, Debug, Default)]
pub(super) struct Proxies {
    networks: Vec<Network>,
    unix: bool,
}

impl Proxies {
    pub(super) fn add(&mut self, text: &str) -> crate::Result {
        match text {
            "unix" => self.unix = true,
            network => self.networks.push(network.parse()?),
        }
        Ok(())
    }

    /// Whether anybody's word is taken.
    pub(super) fn are_trusted(&self) -> bool {
        self.unix || !self.networks.is_empty()
    }

    /// Replaces the address of a trusted proxy by that of the client it speaks for.
    pub(super) fn resolve<B>(&self, request: &mut Request<B>) {
        if !self.are_trusted() {
            return;
        }
        let peer = request.extensions().get::<RemoteAddr>().copied();
        if let Some(client) = self.client(peer, request.headers()) {
            request.extensions_mut().insert(client);
        }
    }

    /// Each proxy appends the address it saw, so from the right the first one that is no proxy of ours is the
    /// client; what stands before it is the client's own claim.
    fn client(&self, peer: Option<RemoteAddr>, headers: &HeaderMap) -> Option<RemoteAddr> {
        let trusted = match peer {
            Some(RemoteAddr(address)) => self.trusts(address),
            None => self.unix,
        };
        if !trusted {
            return None;
        }
        let lines: Vec<&str> = headers
            .get_all("x-forwarded-for")
            .iter()
            .filter_map(|line| line.to_str().ok())
            .collect();
        let mut nearest = None;
        for claim in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
            let Ok(address) = claim.trim().parse() else { break };
            nearest = Some(RemoteAddr(address));
            if !self.trusts(address) {
                break;
            }
        }
        nearest
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.holds(address))
    }
}

/// An address, or all that share its first bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    bits: u32,
}

impl Network {
    fn holds(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                same(u32::from(own), u32::from(other), 32 - self.bits.min(32))
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let difference = u128::from(own) ^ u128::from(other);
                difference.checked_shr(128 - self.bits.min(128)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

fn same(own: u32, other: u32, host_bits: u32) -> bool {
    (own ^ other).checked_shr(host_bits).unwrap_or(0) == 0
}

impl FromStr for Network {
    type Err = Error;

    fn from_str(text: &str) -> Result<Network, Error> {
        let wrong = || {
            Error::new(format!(
                "`{text}` is no trusted proxy: write `10.0.0.1`, `10.0.0.0/8`, `fd00::/8` or `unix`"
            ))
        };
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let all = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(all), |bits| {
            bits.parse().ok().filter(|bits| *bits <= all).ok_or_else(wrong)
        })?;
        Ok(Network { address, bits })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    /// A method, the headers of a request, and whether it is forged.
    type Case = (&'static str, &'static [(&'static str, &'static str)], bool);

    #[test]
    fn who_may_change_something() {
        const COOKIE: (&str, &str) = ("cookie", "session=x");
        const HOST: (&str, &str) = ("host", "example.org:8080");
        let cases: &[Case] = &[
            ("GET", &[COOKIE, HOST, ("sec-fetch-site", "cross-site")], false),
            ("HEAD", &[COOKIE, HOST, ("origin", "https://evil.example")], false),
            ("POST", &[HOST, ("sec-fetch-site", "cross-site")], false),
            ("POST", &[COOKIE, HOST], false),
            ("POST", &[COOKIE, HOST, ("sec-fetch-site", "same-origin")], false),
            ("POST", &[COOKIE, HOST, ("sec-fetch-site", "none")], false),
            ("POST", &[COOKIE, HOST, ("sec-fetch-site", "same-site")], true),
            ("POST", &[COOKIE, HOST, ("sec-fetch-site", "cross-site")], true),
            ("DELETE", &[COOKIE, HOST, ("sec-fetch-site", "cross-site")], true),
            ("PATCH", &[COOKIE, HOST, ("sec-fetch-site", "nonsense")], true),
            (
                "POST",
                &[
                    COOKIE,
                    HOST,
                    ("sec-fetch-site", "cross-site"),
                    ("origin", "https://pay.example"),
                ],
                false,
            ),
            (
                "POST",
                &[
                    COOKIE,
                    HOST,
                    ("sec-fetch-site", "cross-site"),
                    ("origin", "https://pay.example.evil"),
                ],
                true,
            ),
            (
                "POST",
                &[COOKIE, HOST, ("origin", "http://example.org:8080")],
                false,
            ),
            (
                "POST",
                &[COOKIE, HOST, ("origin", "http://Example.ORG:8080")],
                false,
            ),
            ("POST", &[COOKIE, HOST, ("origin", "http://example.org")], true),
            ("POST", &[COOKIE, HOST, ("origin", "https://evil.example")], true),
            ("POST", &[COOKIE, HOST, ("origin", "null")], true),
            ("POST", &[COOKIE, HOST, ("origin", "")], true),
            ("POST", &[COOKIE, ("origin", "http://example.org")], true),
        ];
        let refused = CrossSite::Refused(vec!["https://pay.example".into()]);
        for (method, headers, forged) in cases {
            let named = |(name, value): &(&str, &'static str)| {
                (
                    HeaderName::try_from(*name).unwrap(),
                    HeaderValue::from_static(value),
                )
            };
            let map: HeaderMap = headers.iter().map(named).collect();
            let method: Method = method.parse().unwrap();
            assert_eq!(refused.forged(&method, &map), *forged, "{method} {headers:?}");
            assert!(!CrossSite::Allowed.forged(&method, &map));
        }
    }

    fn seen(peer: Option<&str>, lines: &[&'static str]) -> String {
        let mut proxies = Proxies::default();
        ["10.0.0.0/8", "127.0.0.1", "fd00::/8", "unix"]
            .iter()
            .for_each(|text| proxies.add(text).unwrap());
        let peer = peer.map(|peer| RemoteAddr(peer.parse().unwrap()));
        let headers = lines
            .iter()
            .map(|line| ("x-forwarded-for".parse().unwrap(), HeaderValue::from_static(line)));
        let client = proxies.client(peer, &HeaderMap::from_iter(headers)).or(peer);
        client.map_or("unknown".into(), |address| address.to_string())
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        assert_eq!(seen(Some("192.0.2.1"), &["203.0.113.9"]), "192.0.2.1");
        assert_eq!(seen(Some("127.0.0.1"), &["203.0.113.9"]), "203.0.113.9");
        assert_eq!(
            seen(Some("127.0.0.1"), &["1.1.1.1, 203.0.113.9"]),
            "203.0.113.9",
            "a forged claim before it"
        );
        assert_eq!(
            seen(Some("10.9.9.9"), &["203.0.113.9, 10.1.1.1"]),
            "203.0.113.9",
            "two proxies"
        );
        assert_eq!(
            seen(Some("10.9.9.9"), &["203.0.113.9", "10.1.1.1"]),
            "203.0.113.9",
            "in two lines"
        );
        assert_eq!(
            seen(Some("::ffff:127.0.0.1"), &["203.0.113.9"]),
            "203.0.113.9",
            "an IPv4 peer of an IPv6 socket"
        );
        assert_eq!(seen(Some("fd00::1"), &["2001:db8::7"]), "2001:db8::7");
        assert_eq!(seen(None, &["203.0.113.9"]), "203.0.113.9");
        assert_eq!(seen(Some("127.0.0.1"), &[]), "127.0.0.1");
        assert_eq!(seen(Some("127.0.0.1"), &["203.0.113.9, nonsense"]), "127.0.0.1");
        assert_eq!(seen(Some("127.0.0.1"), &["nonsense, 203.0.113.9"]), "203.0.113.9");
    }

    #[test]
    fn what_is_no_network_is_an_error() {
        for bad in [
            "",
            "localhost",
            "10.0.0.0/33",
            "10.0.0.0/x",
            "10.0.0/8",
            "::1/129",
        ] {
            assert!(Proxies::default().add(bad).is_err(), "{bad}");
        }
        let mut all = Proxies::default();
        all.add("0.0.0.0/0").unwrap();
        assert!(all.trusts("203.0.113.9".parse().unwrap()) && !all.trusts("::1".parse().unwrap()));
    }
}
