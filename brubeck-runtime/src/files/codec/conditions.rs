//! Conditional requests (RFC 9110, section 13) and entity tags (section 8.8.3).

use http::header::{
    HeaderMap, HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE,
};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The first second that an HTTP date cannot express: the year 10000.
const END_OF_HTTP_DATES: u64 = 253_402_300_800;

/// An entity tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntityTag<'a> {
    is_weak: bool,
    /// The text between the quotes.
    opaque: &'a [u8],
}

impl<'a> EntityTag<'a> {
    /// Parses a header that contains one entity tag. Returns `None` if it is malformed.
    pub fn parse(text: &'a [u8]) -> Option<EntityTag<'a>> {
        let (tag, rest) = EntityTag::split_first(text)?;
        rest.is_empty().then_some(tag)
    }

    fn split_first(text: &'a [u8]) -> Option<(EntityTag<'a>, &'a [u8])> {
        let (is_weak, quoted) = match text.strip_prefix(b"W/") {
            Some(quoted) => (true, quoted),
            None => (false, text),
        };
        let quoted = quoted.strip_prefix(b"\"")?;
        let end = quoted
            .iter()
            .position(|byte| !matches!(byte, 0x21 | 0x23..=0x7e | 0x80..))?;
        let (opaque, rest) = quoted.split_at_checked(end)?;
        Some((EntityTag { is_weak, opaque }, rest.strip_prefix(b"\"")?))
    }

    fn matches_strongly(self, other: EntityTag<'_>) -> bool {
        !self.is_weak && !other.is_weak && self.opaque == other.opaque
    }

    fn matches_weakly(self, other: EntityTag<'_>) -> bool {
        self.opaque == other.opaque
    }
}

/// The entity tag and the modification time of a content.
#[derive(Clone, Copy, Debug)]
pub struct Validators<'a> {
    /// The entity tag, if the content has one.
    pub tag: Option<EntityTag<'a>>,
    /// The modification time in whole seconds, as `last-modified` has it. `None` without this header.
    pub modified: Option<SystemTime>,
}

/// The result of the preconditions of a GET or HEAD request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// All are true: send the content.
    True,
    /// The client has the content already: 304.
    NotModified,
    /// The content is not the one that the client asks for: 412.
    Failed,
}

impl Validators<'_> {
    /// Evaluates the preconditions of a GET or HEAD request, in the order of RFC 9110, section 13.2.2.
    ///
    /// A condition on the modification time is ignored if it is malformed, or if the content has no modification time.
    pub fn evaluate(&self, headers: &HeaderMap) -> Precondition {
        if headers.contains_key(IF_MATCH) {
            if !self.is_listed(headers, &IF_MATCH, |tag, sent| tag.matches_strongly(sent)) {
                return Precondition::Failed;
            }
        } else if let (Some(date), Some(modified)) = (date(headers, &IF_UNMODIFIED_SINCE), self.modified)
            && modified > date
        {
            return Precondition::Failed;
        }
        if headers.contains_key(IF_NONE_MATCH) {
            if self.is_listed(headers, &IF_NONE_MATCH, |tag, sent| tag.matches_weakly(sent)) {
                return Precondition::NotModified;
            }
        } else if let (Some(date), Some(modified)) = (date(headers, &IF_MODIFIED_SINCE), self.modified)
            && modified <= date
        {
            return Precondition::NotModified;
        }
        Precondition::True
    }

    /// Returns `false` if `if-range` (RFC 9110, section 13.1.5) requires that the `range` header is ignored.
    pub fn allow_range(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(IF_RANGE).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return !headers.contains_key(IF_RANGE);
        };
        match EntityTag::parse(value.as_bytes()) {
            Some(sent) => self.tag.is_some_and(|tag| tag.matches_strongly(sent)),
            // An earlier date does not match either: the content must be the very one that the client has a part of.
            None => self.modified.is_some() && date(headers, &IF_RANGE) == self.modified,
        }
    }

    /// Returns `true` if the list of entity tags in a header contains that of the content, or if the header is `*`.
    fn is_listed(
        &self,
        headers: &HeaderMap,
        name: &HeaderName,
        matches: impl Fn(EntityTag<'_>, EntityTag<'_>) -> bool,
    ) -> bool {
        headers.get_all(name).iter().any(|value| {
            let value = value.as_bytes();
            value.trim_ascii() == b"*"
                || tags(value).any(|sent| self.tag.is_some_and(|tag| matches(tag, sent)))
        })
    }
}

/// Returns the entity tags of a list, up to the first that is malformed.
fn tags(list: &[u8]) -> impl Iterator<Item = EntityTag<'_>> {
    let mut rest = list;
    std::iter::from_fn(move || {
        while let [b' ' | b'\t' | b',', after @ ..] = rest {
            rest = after;
        }
        let (tag, after) = EntityTag::split_first(rest)?;
        let is_delimited = matches!(after, [] | [b' ' | b'\t' | b',', ..]);
        rest = after;
        is_delimited.then_some(tag)
    })
}

/// Parses the date of a header. Returns `None` if it is malformed, or if there are several.
fn date(headers: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    let mut values = headers.get_all(name).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    httpdate::parse_http_date(value.to_str().ok()?).ok()
}

/// Returns the time of `last-modified` for a file that was modified at `modified`: in whole seconds, and not later than `now`
/// (RFC 9110, section 8.8.2.1). Returns `None` for a time that an HTTP date cannot express.
pub(in crate::files) fn http_time(modified: SystemTime, now: SystemTime) -> Option<SystemTime> {
    let seconds = modified.min(now).duration_since(UNIX_EPOCH).ok()?.as_secs();
    (seconds < END_OF_HTTP_DATES).then(|| UNIX_EPOCH + Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    /// 1994-11-06 08:49:37 GMT, the example of RFC 9110.
    const MODIFIED: u64 = 784_111_777;

    fn current() -> Validators<'static> {
        Validators {
            tag: EntityTag::parse(b"\"now\""),
            modified: Some(UNIX_EPOCH + Duration::from_secs(MODIFIED)),
        }
    }

    fn headers(fields: &[(HeaderName, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, HeaderValue::from_static(value));
        }
        headers
    }

    fn outcome(fields: &[(HeaderName, &'static str)]) -> Precondition {
        current().evaluate(&headers(fields))
    }

    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const SAME: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const SAME_RFC850: &str = "Sunday, 06-Nov-94 08:49:37 GMT";
    const SAME_ASCTIME: &str = "Sun Nov  6 08:49:37 1994";
    const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    #[test]
    fn evaluates_each_precondition() {
        use Precondition::{Failed, NotModified, True};
        for (name, value, expected) in [
            (IF_MATCH, "*", True),
            (IF_MATCH, "\"now\"", True),
            (IF_MATCH, "\"old\", \"now\"", True),
            (IF_MATCH, "\"a,b\" ,\t\"now\"", True),
            (IF_MATCH, ", ,\"now\",", True),
            (IF_MATCH, "\"old\"", Failed),
            (IF_MATCH, "W/\"now\"", Failed),
            (IF_MATCH, "now", Failed),
            (IF_MATCH, "\"now", Failed),
            (IF_MATCH, "\"old\"\"now\"", Failed),
            (IF_MATCH, "", Failed),
            (IF_NONE_MATCH, "*", NotModified),
            (IF_NONE_MATCH, "\"now\"", NotModified),
            (IF_NONE_MATCH, "W/\"now\"", NotModified),
            (IF_NONE_MATCH, "w/\"now\"", True),
            (IF_NONE_MATCH, "\"old\", W/\"now\"", NotModified),
            (IF_NONE_MATCH, "\"old\"", True),
            (IF_NONE_MATCH, "\"*\"", True),
            (IF_NONE_MATCH, "now", True),
            (IF_MODIFIED_SINCE, SAME, NotModified),
            (IF_MODIFIED_SINCE, SAME_RFC850, NotModified),
            (IF_MODIFIED_SINCE, SAME_ASCTIME, NotModified),
            (IF_MODIFIED_SINCE, AFTER, NotModified),
            (IF_MODIFIED_SINCE, BEFORE, True),
            (IF_MODIFIED_SINCE, "never", True),
            (IF_MODIFIED_SINCE, "Sun, 06 Nov 1994 08:49:37 CET", True),
            (IF_UNMODIFIED_SINCE, SAME, True),
            (IF_UNMODIFIED_SINCE, AFTER, True),
            (IF_UNMODIFIED_SINCE, BEFORE, Failed),
            (IF_UNMODIFIED_SINCE, "never", True),
        ] {
            assert_eq!(outcome(&[(name.clone(), value)]), expected, "{name}: {value}");
        }
    }

    #[test]
    fn entity_tags_take_precedence_over_dates() {
        use Precondition::{Failed, NotModified, True};
        assert_eq!(
            outcome(&[(IF_MATCH, "\"now\""), (IF_UNMODIFIED_SINCE, BEFORE)]),
            True
        );
        assert_eq!(
            outcome(&[(IF_NONE_MATCH, "\"old\""), (IF_MODIFIED_SINCE, AFTER)]),
            True
        );
        assert_eq!(
            outcome(&[(IF_MATCH, "\"old\""), (IF_NONE_MATCH, "\"now\"")]),
            Failed
        );
        assert_eq!(
            outcome(&[(IF_MATCH, "\"now\""), (IF_NONE_MATCH, "\"now\"")]),
            NotModified
        );
        assert_eq!(outcome(&[(IF_MATCH, "\"old\""), (IF_MATCH, "\"now\"")]), True);
        assert_eq!(
            outcome(&[(IF_MODIFIED_SINCE, AFTER), (IF_MODIFIED_SINCE, AFTER)]),
            True
        );
    }

    #[test]
    fn if_range_compares_strongly() {
        for (value, expected) in [
            ("\"now\"", true),
            ("W/\"now\"", false),
            ("\"old\"", false),
            ("\"now\", \"old\"", false),
            ("*", false),
            ("", false),
            (SAME, true),
            (SAME_RFC850, true),
            (BEFORE, false),
            (AFTER, false),
            ("never", false),
        ] {
            assert_eq!(
                current().allow_range(&headers(&[(IF_RANGE, value)])),
                expected,
                "{value}"
            );
        }
        assert!(current().allow_range(&HeaderMap::new()));
        let both = headers(&[(IF_RANGE, "\"now\""), (IF_RANGE, "\"now\"")]);
        assert!(!current().allow_range(&both));
        let weak = Validators {
            tag: EntityTag::parse(b"W/\"now\""),
            modified: None,
        };
        assert!(!weak.allow_range(&headers(&[(IF_RANGE, "W/\"now\"")])));
        assert!(!weak.allow_range(&headers(&[(IF_RANGE, "never")])));
    }

    #[test]
    fn content_without_validators_matches_nothing_but_the_star() {
        let none = Validators {
            tag: None,
            modified: None,
        };
        assert_eq!(none.evaluate(&headers(&[(IF_MATCH, "*")])), Precondition::True);
        assert_eq!(
            none.evaluate(&headers(&[(IF_MATCH, "\"now\"")])),
            Precondition::Failed
        );
        assert_eq!(
            none.evaluate(&headers(&[(IF_MODIFIED_SINCE, AFTER)])),
            Precondition::True
        );
        assert_eq!(
            none.evaluate(&headers(&[(IF_UNMODIFIED_SINCE, BEFORE)])),
            Precondition::True
        );
    }

    #[test]
    fn last_modified_is_expressible_and_not_in_the_future() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(http_time(at(5) + Duration::from_millis(7), at(9)), Some(at(5)));
        assert_eq!(http_time(at(50), at(9)), Some(at(9)));
        assert_eq!(http_time(UNIX_EPOCH - Duration::from_secs(1), at(9)), None);
        let end = at(END_OF_HTTP_DATES);
        assert_eq!(http_time(end, end), None);
        let last = http_time(end - Duration::from_secs(1), end).unwrap();
        assert_eq!(httpdate::fmt_http_date(last), "Fri, 31 Dec 9999 23:59:59 GMT");
    }

    proptest! {
        #[test]
        fn arbitrary_headers_do_not_panic(value in proptest::collection::vec(any::<u8>(), 0..60)) {
            let Ok(value) = HeaderValue::from_bytes(&value) else { return Ok(()) };
            for name in [IF_MATCH, IF_NONE_MATCH, IF_RANGE, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE] {
                let headers = HeaderMap::from_iter([(name, value.clone())]);
                current().evaluate(&headers);
                current().allow_range(&headers);
            }
        }

        #[test]
        fn listed_tag_is_found(before in proptest::collection::vec("(W/)?\"[!#-~]{0,5}\"", 0..4)) {
            let mut list = before.clone();
            list.push("\"now\"".to_owned());
            let value = HeaderValue::from_str(&list.join(", ")).unwrap();
            let headers = HeaderMap::from_iter([(IF_NONE_MATCH, value)]);
            prop_assert_eq!(current().evaluate(&headers), Precondition::NotModified);
        }
    }
}
