use super::*;
use proptest::prelude::*;
use regex::bytes::{Regex, RegexBuilder};

const NAMES: [&str; 3] = ["a", "b", "c"];

fn compile(pattern: &str) -> Option<CaptureProgram> {
    CaptureProgram::compile(pattern, &NAMES, &mut ByteSetInterner::default())
}

fn regex(pattern: &str) -> Regex {
    let mut builder = RegexBuilder::new(&format!(r"\A(?:{pattern})"));
    builder.unicode(false).build().unwrap()
}

/// Returns what the regex captures, or `None` if it does not match.
fn regex_captures(regex: &Regex, path: &str) -> Option<Vec<Option<String>>> {
    let captures = regex.captures(path.as_bytes())?;
    let text = |name: &&str| Some(path[captures.name(name)?.range()].to_owned());
    Some(NAMES.iter().map(text).collect())
}

fn program_captures(program: &CaptureProgram, path: &str) -> Vec<Option<String>> {
    let captures = program.run(path.as_bytes());
    let text = |index| Some(path[captures.get(index)?].to_owned());
    (0..NAMES.len()).map(text).collect()
}

#[test]
fn common_patterns_compile_and_capture_like_the_regex() {
    for (pattern, path, captures) in [
        (r"^/item/(?<a>[^/]+)$", "/item/x", [Some("x"), None, None]),
        (r"^/user/(?<a>\d+)", "/user/12ab", [Some("12"), None, None]),
        (r"^/user/(?<a>\d+)(?:/|$)", "/user/12/", [Some("12"), None, None]),
        (r"^/(?<a>\d+)(?:/(?<b>[a-z]+))?$", "/12", [Some("12"), None, None]),
        (
            r"^/(?<a>\d+)(?:/(?<b>[a-z]+))?$",
            "/12/x",
            [Some("12"), Some("x"), None],
        ),
        (
            r"^/(?<a>en|de|fr)/(?<b>.*)$",
            "/de/a/b",
            [Some("de"), Some("a/b"), None],
        ),
        (
            r"^/(?<a>\d{4})-(?<b>\d\d?)-(?<c>\d{2})$",
            "/2026-1-02",
            [Some("2026"), Some("1"), Some("02")],
        ),
        (
            r"^/(?:n/(?<a>\d+)|t/(?<b>[a-z]+))$",
            "/t/x",
            [None, Some("x"), None],
        ),
        (r"^/(?<a>x(?<b>\d*))y", "/xyy", [Some("x"), Some(""), None]),
        (
            r"(?i)^/(?<a>abc)/(?<b>[a-z]+?)/$",
            "/aBc/Q/",
            [Some("aBc"), Some("Q"), None],
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
        r"^/(?<a>[a-z]+)z",
        r"^/(?<a>\d+?)",
        r"^/(?<a>\d+)(?:/(?<b>[a-z]+))?",
        r"^/(?<a>\d+)(?:/(?<b>[a-z]+)){0,2}$",
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
        Just(".".to_owned())
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
        paths in prop::collection::vec("/[xyz/]{0,8}", 1..20),
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
