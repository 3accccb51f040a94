//! The syntax of `set-cookie`, as browsers read it.

use std::time::{Duration, SystemTime};

/// What a line `set-cookie` says (RFC 6265, section 5.2; the limits of RFC 6265bis). Of equal attributes, the last one counts.
#[derive(Debug, Default)]
pub(super) struct SetCookie<'a> {
    pub(super) name: &'a str,
    pub(super) value: &'a str,
    /// Lowercase, without a leading dot. `None` for the host of the response.
    pub(super) domain: Option<String>,
    /// Starts with `/`. `None` for the folder of the request.
    pub(super) path: Option<&'a str>,
    pub(super) is_secure: bool,
    /// `SameSite=None`: sent with cross-site requests.
    pub(super) is_cross_site: bool,
    /// How long the cookie is kept. `None` for the session of the browser.
    pub(super) age: Option<Duration>,
}

impl<'a> SetCookie<'a> {
    /// Returns `None` if browsers ignore the line: it has control characters, no name and no value, or more than 4096 bytes for both.
    pub(super) fn parse(line: &'a str, now: SystemTime) -> Option<SetCookie<'a>> {
        if line.chars().any(|c| c.is_ascii_control() && c != '\t') {
            return None;
        }
        let mut pieces = line.split(';');
        let pair = pieces.next().unwrap_or_default();
        let (name, value) = pair.split_once('=').unwrap_or(("", pair));
        let mut cookie = SetCookie {
            name: trim(name),
            value: trim(value),
            ..SetCookie::default()
        };
        let length = cookie.name.len() + cookie.value.len();
        if length == 0 || length > 4096 {
            return None;
        }
        let (mut max_age, mut expires) = (None, None);
        for piece in pieces {
            let (key, value) = piece.split_once('=').unwrap_or((piece, ""));
            let value = trim(value);
            if value.len() > 1024 {
                continue;
            }
            match trim(key).to_ascii_lowercase().as_str() {
                "domain" => {
                    let domain = value.strip_prefix('.').unwrap_or(value);
                    cookie.domain = Some(domain.to_ascii_lowercase()).filter(|domain| !domain.is_empty());
                }
                "path" => cookie.path = Some(value).filter(|path| path.starts_with('/')),
                "secure" => cookie.is_secure = true,
                "samesite" => cookie.is_cross_site = value.eq_ignore_ascii_case("none"),
                "max-age" => max_age = parse_max_age(value).or(max_age),
                "expires" => {
                    let until = parse_date(value).map(|end| end.duration_since(now).unwrap_or_default());
                    expires = until.or(expires);
                }
                _ => {}
            }
        }
        cookie.age = max_age.or(expires);
        Some(cookie)
    }
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// Parses seconds. A negative number is 0, and one beyond all limits the greatest duration.
fn parse_max_age(text: &str) -> Option<Duration> {
    let (digits, is_negative) = match text.strip_prefix('-') {
        Some(digits) => (digits, true),
        None => (text, false),
    };
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| match digits.parse() {
        _ if is_negative => Duration::ZERO,
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => Duration::MAX,
    })
}

/// Parses a date in the many forms that servers send: a time, a day, a month and a year in any order, with anything between them
/// (RFC 6265, section 5.1.1).
fn parse_date(text: &str) -> Option<SystemTime> {
    const MONTHS: [&str; 12] = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ];
    let (mut time, mut day, mut month, mut year) = (None, None, None, None);
    for token in text.split(|c: char| c.is_ascii() && !c.is_ascii_alphanumeric() && c != ':') {
        let start = token.get(..3).map(str::to_ascii_lowercase);
        let named = start.and_then(|start| MONTHS.iter().position(|name| *name == start));
        if let (None, Some(fields)) = (time, parse_time(token)) {
            time = Some(fields);
        } else if let (None, Some(number)) = (day, leading_number(token, 1..=2)) {
            day = Some(number);
        } else if let (None, Some(position)) = (month, named) {
            month = Some(position as u64 + 1);
        } else if let (None, Some(number)) = (year, leading_number(token, 2..=4)) {
            year = Some(match number {
                0..=69 => number + 2000,
                70..=99 => number + 1900,
                _ => number,
            });
        }
    }
    let ((hour, minute, second), day, month, year) = (time?, day?, month?, year?);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_of_month = match month {
        2 => 28 + u64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let is_time = hour < 24 && minute < 60 && second < 60;
    if !is_time || year < 1601 || !(1..=days_of_month).contains(&day) {
        return None;
    }
    if year < 1970 {
        return Some(SystemTime::UNIX_EPOCH);
    }
    // Counted from 1 March of year 0, so that a leap day is the last day of its year.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    const DAYS_TO_1970: u64 = 719_468;
    let seconds = (((days - DAYS_TO_1970) * 24 + hour) * 60 + minute) * 60 + second;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// Parses `h:m:s`, each of one or two digits.
fn parse_time(token: &str) -> Option<(u64, u64, u64)> {
    let mut fields = token.splitn(3, ':');
    let mut next = || leading_number(fields.next()?, 1..=2);
    Some((next()?, next()?, next()?))
}

/// Returns the number that a token starts with, if it has an allowed number of digits.
fn leading_number(token: &str, digits: std::ops::RangeInclusive<usize>) -> Option<u64> {
    let end = token.find(|c: char| !c.is_ascii_digit()).unwrap_or(token.len());
    if !digits.contains(&end) {
        return None;
    }
    token.get(..end)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(text: &str) -> Option<u64> {
        let since = parse_date(text)?.duration_since(SystemTime::UNIX_EPOCH);
        since.ok().map(|since| since.as_secs())
    }

    #[test]
    fn dates_have_many_forms() {
        for (text, expected) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(784_111_777)),
            ("Sun Nov  6 08:49:37 1994", Some(784_111_777)),
            ("6 november 1994 8:49:37", Some(784_111_777)),
            ("08:49:37 1994 Nov 6", Some(784_111_777)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Thu, 01 Jan 1601 00:00:00 GMT", Some(0)),
            ("Thu, 01 Jan 1600 00:00:00 GMT", None),
            ("Thu, 29 Feb 2024 12:00:00 GMT", Some(1_709_208_000)),
            ("Thu, 29 Feb 2023 12:00:00 GMT", None),
            ("Fri, 01 Mar 2024 00:00:00 GMT", Some(1_709_251_200)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(253_402_300_799)),
            ("Fri, 31 Dec 9999 24:00:00 GMT", None),
            ("Fri, 31 Dec 2069 00:00:00 GMT", Some(3_155_673_600)),
            ("31 Dec 69 00:00:00", Some(3_155_673_600)),
            ("1 Jan 70 00:00:00", Some(0)),
            ("25:00:00 8:49:37 6 Nov 1994", None),
            ("8:49 8:49:37 Nov 1994", Some(784_284_577)), // the first is the day 8
            ("tomorrow", None),
            ("", None),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }

    #[test]
    fn each_day_is_one_after_the_day_before() {
        let mut expected = 0;
        for year in 1970..2500 {
            for (month, days) in [
                ("Jan", 31),
                ("Feb", 28),
                ("Mar", 31),
                ("Apr", 30),
                ("May", 31),
                ("Jun", 30),
                ("Jul", 31),
                ("Aug", 31),
                ("Sep", 30),
                ("Oct", 31),
                ("Nov", 30),
                ("Dec", 31),
            ] {
                let leap = month == "Feb" && seconds(&format!("29 Feb {year} 00:00:00")).is_some();
                for day in 1..=days + i32::from(leap) {
                    assert_eq!(seconds(&format!("{day} {month} {year} 00:00:00")), Some(expected));
                    expected += 86_400;
                }
            }
        }
        // 1 January 2500, by `date -u -d 2500-01-01 +%s`.
        assert_eq!(expected, 16_725_225_600);
    }

    #[test]
    fn last_attribute_counts_and_what_is_invalid_is_ignored() {
        let cookie = |line| SetCookie::parse(line, SystemTime::UNIX_EPOCH);
        for (line, name, value) in [
            ("a=1", "a", "1"),
            (" a = \"1 2\" ; Secure", "a", "\"1 2\""),
            ("a=1=2", "a", "1=2"),
            ("a=", "a", ""),
            ("=1", "", "1"),
            ("1", "", "1"),
        ] {
            let cookie = cookie(line).unwrap();
            assert_eq!((cookie.name, cookie.value), (name, value), "{line}");
        }
        for line in ["", ";", "=", "; Path=/", "a=\u{7f}", "a=1\r", "a\0=1"] {
            assert!(cookie(line).is_none(), "{line:?}");
        }
        let long = format!("a={}", "1".repeat(4096));
        assert!(cookie(&long[..4097]).is_some());
        assert!(cookie(&long).is_none());

        let age = |line| cookie(line).unwrap().age.map(|age| age.as_secs());
        assert_eq!(age("a=1; Max-Age=1; max-age=2"), Some(2));
        assert_eq!(age("a=1; Max-Age=1; Max-Age=x; Max-Age=; Max-Age=+3"), Some(1));
        assert_eq!(age("a=1; Max-Age=99999999999999999999999"), Some(u64::MAX));
        assert_eq!(age("a=1; Max-Age=-1"), Some(0));
        assert_eq!(age("a=1; Max-Age=5; Expires=1 Jan 1970 00:00:09"), Some(5));
        assert_eq!(age("a=1; Expires=1 Jan 1970 00:00:09; Expires=never"), Some(9));
        assert_eq!(age("a=1; Expires=never"), None);

        let path = |line| cookie(line).unwrap().path;
        assert_eq!(path("a=1; Path=/x; PATH=/y"), Some("/y"));
        assert_eq!(path("a=1; Path=/x; Path=y"), None);
        let domain = |line| cookie(line).unwrap().domain;
        assert_eq!(domain("a=1; Domain=.Example.ORG"), Some("example.org".to_owned()));
        assert_eq!(domain("a=1; Domain=."), None);
    }
}
