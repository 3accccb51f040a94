//! The `accept-encoding` header (RFC 9110, section 12.5.3).

use http::header::{ACCEPT_ENCODING, HeaderMap};

/// A content coding of precompressed files, in the order in which the server prefers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentCoding {
    /// Brotli, in files with the extension `.br`.
    Brotli,
    /// gzip, in files with the extension `.gz`.
    Gzip,
}

impl ContentCoding {
    const ALL: [ContentCoding; 2] = [ContentCoding::Brotli, ContentCoding::Gzip];

    /// Returns the name of the coding in `content-encoding`.
    pub fn name(self) -> &'static str {
        match self {
            ContentCoding::Brotli => "br",
            ContentCoding::Gzip => "gzip",
        }
    }

    /// Returns the extension of precompressed files, with its dot.
    pub fn extension(self) -> &'static str {
        match self {
            ContentCoding::Brotli => ".br",
            ContentCoding::Gzip => ".gz",
        }
    }
}

/// The weights of the header, in thousandths. `None` if the coding is not named.
#[derive(Clone, Copy, Debug, Default)]
struct Weights {
    brotli: Option<u16>,
    gzip: Option<u16>,
    identity: Option<u16>,
    any: Option<u16>,
}

/// Returns the codings that the client prefers to the plain content, the best first.
///
/// Without the header, no coding is accepted. A member that is malformed is ignored.
pub fn accepted_codings(headers: &HeaderMap) -> impl Iterator<Item = ContentCoding> + use<> {
    let mut weights = Weights::default();
    for value in headers.get_all(ACCEPT_ENCODING) {
        let Ok(value) = value.to_str() else { continue };
        for (name, weight) in value.split(',').filter_map(parse_member) {
            let named = match name {
                _ if name.eq_ignore_ascii_case("br") => &mut weights.brotli,
                _ if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") => {
                    &mut weights.gzip
                }
                _ if name.eq_ignore_ascii_case("identity") => &mut weights.identity,
                "*" => &mut weights.any,
                _ => continue,
            };
            *named = Some(weight);
        }
    }
    let weight = |coding: &ContentCoding| {
        let named = match coding {
            ContentCoding::Brotli => weights.brotli,
            ContentCoding::Gzip => weights.gzip,
        };
        named.or(weights.any).unwrap_or(0)
    };
    // Unless the client gives it a weight, the plain content is acceptable, but not preferred.
    let plain = weights.identity.unwrap_or(0).max(1);
    let mut codings = ContentCoding::ALL;
    codings.sort_by_key(|coding| std::cmp::Reverse(weight(coding)));
    let accepted = codings.map(|coding| (weight(&coding) >= plain).then_some(coding));
    accepted.into_iter().flatten()
}

/// Parses a name and its weight. Returns `None` if it is malformed.
fn parse_member(member: &str) -> Option<(&str, u16)> {
    let mut parts = member.split(';');
    let name = parts.next()?.trim_ascii();
    let weight = match parts.next() {
        None => 1000,
        Some(parameter) => parse_weight(parameter.trim_ascii())?,
    };
    (!name.is_empty() && parts.next().is_none()).then_some((name, weight))
}

/// Parses `q=` and a weight from 0 to 1 with up to three decimals.
fn parse_weight(parameter: &str) -> Option<u16> {
    let (name, value) = parameter.split_once('=')?;
    if !name.eq_ignore_ascii_case("q") {
        return None;
    }
    let (whole, decimals) = value.split_once('.').unwrap_or((value, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths: u16 = format!("{decimals:0<3}").parse().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::ContentCoding::{Brotli, Gzip};
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn accepted(value: &'static str) -> Vec<ContentCoding> {
        let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(value))]);
        accepted_codings(&headers).collect()
    }

    #[test]
    fn client_decides_and_server_breaks_ties() {
        for (value, expected) in [
            ("gzip, br", &[Brotli, Gzip][..]),
            ("gzip, deflate, br, zstd", &[Brotli, Gzip]),
            ("br;q=0.5, gzip", &[Gzip, Brotli]),
            ("BR ; Q=0.001", &[Brotli]),
            ("x-gzip", &[Gzip]),
            ("*", &[Brotli, Gzip]),
            ("*, br;q=0", &[Gzip]),
            ("gzip;q=0", &[]),
            ("identity", &[]),
            ("gzip;q=0.5, identity", &[]),
            ("gzip, identity;q=0.5", &[Gzip]),
            ("gzip;q=2", &[]),
            ("gzip;q=1.001", &[]),
            ("gzip;q=0.0001", &[]),
            ("gzip;level=9", &[]),
            ("gzip;q=1;x=2", &[]),
            ("", &[]),
            (";q=1", &[]),
        ] {
            assert_eq!(accepted(value), expected, "{value}");
        }
        assert_eq!(accepted_codings(&HeaderMap::new()).count(), 0);
    }

    proptest! {
        #[test]
        fn arbitrary_header_does_not_panic(value in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, value)]);
                prop_assert!(accepted_codings(&headers).count() <= 2);
            }
        }
    }
}
