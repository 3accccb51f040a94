use super::*;
use crate::target::codec::ENCODED_SLASH;
use proptest::prelude::*;
use regex::bytes::{Regex, RegexBuilder};

const NAMES: [&str; 3] = ["a", "b", "c"];

fn compile(pattern: &str) -> Option<CaptureProgram> {
    CaptureProgram::compile(pattern, &NAMES, &mut ByteSetInterner::default())
}

fn regex(pattern: &str) -> Regex {
    RegexBuilder::new(&format!(r"\A(?:{pattern})")).build().unwrap()
}

/// Returns what the regex captures, or `None` if it does not match.
///
/// `|` in a path stands for an encoded `/`.
fn regex_captures(regex: &Regex, path: &str) -> Option<Vec<Option<String>>> {
    let matched = matched(path);
    let captures = regex.captures(&matched)?;
    let text = |name: &&str| Some(path[captures.name(name)?.range()].to_owned());
    Some(NAMES.iter().map(text).collect())
}

fn matched(path: &str) -> Vec<u8> {
    path.bytes()
        .map(|byte| if byte == b'|' { ENCODED_SLASH } else { byte })
        .collect()
}

fn program_captures(program: &CaptureProgram, path: &str) -> Vec<Option<String>> {
    let captures = program.run(&matched(path));
    let text = |index| Some(path[captures.get(index)?].to_owned());
    (0..NAMES.len()).map(text).collect()
}

#[test]
fn common_patterns_compile_and_capture_like_the_regex() {
    for (pattern, path, captures) in [
        (r"^/item/(?<a>[^/]+)$", "/item/x", [Some("x"), None, None]),
        (r"^/user/(?<a>[0-9]+)", "/user/12ab", [Some("12"), None, None]),
        (
            r"^/user/(?<a>[0-9]+)(?:/|$)",
            "/user/12/",
            [Some("12"), None, None],
        ),
        (
            r"^/(?<a>[0-9]+)(?:/(?<b>[a-z]+))?$",
            "/12",
            [Some("12"), None, None],
        ),
        (
            r"^/(?<a>[0-9]+)(?:/(?<b>[a-z]+))?$",
            "/12/x",
            [Some("12"), Some("x"), None],
        ),
        (
            r"^/(?<a>en|de|fr)/(?<b>.*)$",
            "/de/a/b",
            [Some("de"), Some("a/b"), None],
        ),
        (
            r"^/(?<a>[0-9]{4})-(?<b>[0-9][0-9]?)-(?<c>[0-9]{2})$",
            "/2026-1-02",
            [Some("2026"), Some("1"), Some("02")],
        ),
        (
            r"^/(?:n/(?<a>[0-9]+)|t/(?<b>[a-z]+))$",
            "/t/x",
            [None, Some("x"), None],
        ),
        (r"^/(?<a>x(?<b>[0-9]*))y", "/xyy", [Some("x"), Some(""), None]),
        (
            r"^/(?<a>[aA][bB][cC])/(?<b>[a-zA-Z]+?)/$",
            "/aBc/Q/",
            [Some("aBc"), Some("Q"), None],
        ),
        (
            r"^/(?<a>[^/]+)/(?<b>.)$",
            "/café/ü",
            [Some("café"), Some("ü"), None],
        ),
        (
            r"^/(?<a>[^/-]{1,2})(?<b>-.{2})?/",
            "/éé-éé/",
            [Some("éé"), Some("-éé"), None],
        ),
        (
            r"^/(?<a>[à-ü]*)(?<b>x|日)",
            "/éü日x",
            [Some("éü"), Some("日"), None],
        ),
        (
            r"^/(?<a>(?:[^/]|(?-u:\xFF))+)/(?<b>(?:(?s:.)|(?-u:\xFF))+)$",
            "/é|/a/|",
            [Some("é|"), Some("a/|"), None],
        ),
    ] {
        let program = compile(pattern).unwrap_or_else(|| panic!("{pattern} does not compile"));
        let captures = captures.map(|capture| capture.map(str::to_owned));
        assert_eq!(program_captures(&program, path), captures, "{pattern}");
        assert_eq!(
            regex_captures(&regex(pattern), path).unwrap(),
            captures,
            "{pattern}"
        );
    }
}

#[test]
fn patterns_that_need_backtracking_do_not_compile() {
    for pattern in [
        r"^/(?<a>.*)/(?<b>.*)$",
        r"^/(?<a>[^é]+)",
        r"^/(?<a>[a-z]+)z",
        r"^/(?<a>[0-9]+?)",
        r"^/(?<a>[0-9]+)(?:/(?<b>[a-z]+))?",
        r"^/(?<a>[0-9]+)(?:/(?<b>[a-z]+)){0,2}$",
        r"^/(?:(?<a>ab)|(?<b>ac))$",
        r"^/(?:$|(?<a>x*))",
        r"^/(?:(?<a>x*)|y)$",
        r"^/(?<a>/|$)?$",
        r"^/(?:x(?<a>/|$)|y(?<b>(?:/|$))?)$",
    ] {
        assert!(compile(pattern).is_none(), "{pattern}");
    }
}

#[test]
fn pattern_with_unknown_group_or_syntax_error_does_not_compile() {
    assert!(compile(r"^/(?<other>x+)$").is_none());
    assert!(compile(r"^/(").is_none());
}

#[test]
fn programs_share_equal_byte_sets() {
    let mut sets = ByteSetInterner::default();
    for number in 0..100 {
        let pattern = format!("^/(?<a>[a-z]+)/view{number}$");
        CaptureProgram::compile(&pattern, &NAMES, &mut sets).unwrap();
    }
    assert_eq!(sets.len(), 1);
}

/// A part of a pattern, with `(capture` in place of each named group.
fn part() -> impl Strategy<Value = String> {
    let byte = prop_oneof![
        "[xyz/]",
        Just("[xy]".to_owned()),
        Just("[^/]".to_owned()),
        Just(".".to_owned()),
        Just("[xé]".to_owned()),
        Just(r"(?:[^/]|(?-u:\xFF))".to_owned()),
    ];
    let times = prop_oneof![
        4 => Just(""),
        1 => Just("*"),
        1 => Just("+"),
        1 => Just("?"),
        1 => Just("+?"),
        1 => Just("{1,2}"),
        1 => Just("{2}"),
    ];
    let leaf = (byte, times.clone()).prop_map(|(byte, times)| format!("{byte}{times}"));
    let leaf = prop_oneof![6 => leaf, 1 => Just("(?:/|$)".to_owned())];
    leaf.prop_recursive(3, 12, 3, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.concat()),
            prop::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("(?:{})", parts.join("|"))),
            (inner.clone(), times.clone()).prop_map(|(part, times)| format!("(?:{part}){times}")),
            inner.clone().prop_map(|part| format!("(capture{part})")),
            inner.prop_map(|part| format!("(capture{part})")),
        ]
    })
}

/// Names the first groups, and makes the others non-capturing.
fn named(pattern: &str) -> String {
    let mut names = NAMES.iter();
    let mut parts = pattern.split("(capture");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| match names.next() {
        Some(name) => format!("{text}(?<{name}>{part}"),
        None => format!("{text}(?:{part}"),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn program_and_regex_capture_the_same(
        parts in prop::collection::vec(part(), 1..5),
        closed in any::<bool>(),
        paths in prop::collection::vec("/[xyzé日/|]{0,8}", 1..20),
    ) {
        let pattern = named(&format!("^/{}{}", parts.concat(), if closed { "$" } else { "" }));
        if let Some(program) = compile(&pattern) {
            let regex = regex(&pattern);
            for path in paths {
                if let Some(expected) = regex_captures(&regex, &path) {
                    prop_assert_eq!(program_captures(&program, &path), expected, "{} {}", pattern, path);
                }
            }
        }
    }
}
