//! The `range` header (RFC 9110, section 14).

use std::ops::Range;

/// Limit for the ranges of one request. Beyond it the header is ignored.
const MAX_RANGES: usize = 32;

/// The part of a content that a `range` header selects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RangeSelection {
    /// The whole content: the header is ignored.
    Whole,
    /// One or more ranges, in the order of the header. None of them is empty or ends beyond the content.
    Ranges(Vec<Range<u64>>),
    /// No range lies in the content: 416.
    Unsatisfiable,
}

/// Selects the ranges of a content of `length` bytes.
///
/// Ignores the header (RFC 9110, section 14.2) if its unit is not `bytes`, if one of its ranges is malformed, or if it asks for more
/// than 32 ranges or for more bytes than the content has, which costs the server more than the whole content. Also ignores it if the content
/// is empty: some clients add a range to all their requests.
pub fn select_ranges(header: &[u8], length: u64) -> RangeSelection {
    match parse(header) {
        Some(specs) => select(&specs, length),
        None => RangeSelection::Whole,
    }
}

/// One range of the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RangeSpec {
    /// From a position to the end.
    From(u64),
    /// From a position to another one, inclusive.
    Between(u64, u64),
    /// The last bytes.
    Last(u64),
}

fn select(specs: &[RangeSpec], length: u64) -> RangeSelection {
    let mut ranges: Vec<Range<u64>> = Vec::with_capacity(specs.len());
    for spec in specs {
        let range = match *spec {
            RangeSpec::From(first) => first..length,
            RangeSpec::Between(first, last) => first..length.min(last.saturating_add(1)),
            RangeSpec::Last(count) => length.saturating_sub(count)..length,
        };
        if !range.is_empty() {
            ranges.push(range);
        }
    }
    let selected = ranges
        .iter()
        .fold(0u64, |sum, range| sum.saturating_add(range.end - range.start));
    if length == 0 {
        RangeSelection::Whole
    } else if ranges.is_empty() {
        RangeSelection::Unsatisfiable
    } else if selected > length {
        RangeSelection::Whole
    } else {
        RangeSelection::Ranges(ranges)
    }
}

/// Parses the header. Returns `None` if it is to be ignored.
fn parse(header: &[u8]) -> Option<Vec<RangeSpec>> {
    let header = std::str::from_utf8(header).ok()?;
    let (unit, set) = header.split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let mut specs = Vec::new();
    for member in set.split(',') {
        let member = member.trim_matches([' ', '\t']);
        // Empty members of a list are allowed (RFC 9110, section 5.6.1.2).
        if member.is_empty() {
            continue;
        }
        if specs.len() == MAX_RANGES {
            return None;
        }
        specs.push(parse_spec(member)?);
    }
    (!specs.is_empty()).then_some(specs)
}

fn parse_spec(member: &str) -> Option<RangeSpec> {
    let (first, last) = member.split_once('-')?;
    match (first, last) {
        ("", count) => Some(RangeSpec::Last(position(count)?)),
        (first, "") => Some(RangeSpec::From(position(first)?)),
        (first, last) => {
            let (first, last) = (position(first)?, position(last)?);
            (first <= last).then_some(RangeSpec::Between(first, last))
        }
    }
}

/// Parses a position. A number beyond `u64` is beyond every content, so it becomes the largest one.
fn position(digits: &str) -> Option<u64> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ranges(header: &str, length: u64) -> Vec<Range<u64>> {
        match select_ranges(header.as_bytes(), length) {
            RangeSelection::Ranges(ranges) => ranges,
            other => panic!("{header}: {other:?}"),
        }
    }

    #[test]
    fn selects_every_form_of_range() {
        for (header, selected) in [
            ("bytes=0-9", 0..10),
            ("bytes=0-0", 0..1),
            ("bytes=990-", 990..1000),
            ("bytes=-5", 995..1000),
            ("bytes=-5000", 0..1000),
            ("bytes=0-", 0..1000),
            ("bytes=5-99999", 5..1000),
            ("bytes=5-18446744073709551615", 5..1000),
            ("bytes=5-99999999999999999999999999", 5..1000),
            ("BYTES=5-6", 5..7),
            ("bytes= 5-6 ,", 5..7),
            ("bytes=0-1,2000-", 0..2),
        ] {
            assert_eq!(ranges(header, 1000), std::slice::from_ref(&selected), "{header}");
        }
        assert_eq!(
            ranges("bytes=0-1, 3-4,,-1", 1000),
            [0..2, 3..5, 999..1000],
            "in the order of the request"
        );
    }

    #[test]
    fn ignores_what_is_malformed_or_costs_more_than_the_whole() {
        for header in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=x",
            "bytes=1",
            "bytes=2-1",
            "bytes=+1-2",
            "bytes=1-2-3",
            "bytes=1 -2",
            "bytes =1-2",
            "bytes=0-1,x",
            "bytes=--1",
            "bytes=0x1-2",
            "lines=1-2",
            "bytes=0-,0-",
            "bytes=0-600,500-",
        ] {
            assert_eq!(
                select_ranges(header.as_bytes(), 1000),
                RangeSelection::Whole,
                "{header}"
            );
        }
        let many = format!("bytes={}", "0-0,".repeat(33));
        assert_eq!(select_ranges(many.as_bytes(), 1000), RangeSelection::Whole);
        assert_eq!(select_ranges(b"bytes=\xff-", 1000), RangeSelection::Whole);
    }

    #[test]
    fn range_beyond_the_content_is_unsatisfiable() {
        for header in [
            "bytes=1000-",
            "bytes=1000-1001",
            "bytes=-0",
            "bytes=99999999999999999999-",
        ] {
            assert_eq!(
                select_ranges(header.as_bytes(), 1000),
                RangeSelection::Unsatisfiable,
                "{header}"
            );
        }
        assert_eq!(select_ranges(b"bytes=0-", 0), RangeSelection::Whole);
        assert_eq!(select_ranges(b"bytes=-1", 0), RangeSelection::Whole);
    }

    proptest! {
        #[test]
        fn selected_ranges_lie_in_the_content(header in "(bytes=)?[-0-9, a-z=]{0,40}", length: u64) {
            if let RangeSelection::Ranges(ranges) = select_ranges(header.as_bytes(), length) {
                prop_assert!(!ranges.is_empty() && ranges.len() <= MAX_RANGES);
                prop_assert!(ranges.iter().all(|range| range.start < range.end && range.end <= length));
                let selected: u128 = ranges.iter().map(|range| u128::from(range.end - range.start)).sum();
                prop_assert!(selected <= u128::from(length));
            }
        }

        #[test]
        fn single_range_selects_its_bytes(first in 0..2000u64, last in 0..2000u64, length in 1..1500u64) {
            let selected = select_ranges(format!("bytes={first}-{last}").as_bytes(), length);
            let expected: Vec<u64> = (0..length).filter(|at| (first..=last).contains(at)).collect();
            match selected {
                RangeSelection::Whole => prop_assert!(first > last),
                RangeSelection::Unsatisfiable => prop_assert!(expected.is_empty()),
                RangeSelection::Ranges(ranges) => prop_assert_eq!(ranges[0].clone().collect::<Vec<_>>(), expected),
            }
        }
    }
}
