//! Properties of captures: a handler gets a text that its group matches, and every text that the group matches can be requested.

use super::Pattern;
use crate::automaton::reference;
use brubeck_runtime::__private::{Entry, Kind, ListedRoute, Method, RouteMatcher, Spec, table};
use brubeck_runtime::Routes;
use proc_macro2::Span;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use regex::Regex;
use std::cell::Cell;
use syn::LitStr;

/// The number of patterns.
const PATTERNS: u32 = 2000;

/// The number of paths per pattern.
const PATHS: usize = 50;

/// A part of a group. It matches the same texts anywhere.
pub(super) fn part() -> impl Strategy<Value = String> {
    let atom = prop::sample::select(vec![
        "a", "b", "é", " ", "/", "%", "<", "2F", ".", "[^/]", "[^/.]", "[^;<>]", "[a-z ]", r"\w", r"\d",
        r"\S", "[a/]", "[à-ü]", "[^é]", "(?s:.)", "日", r"\.", "~", "[^a]",
    ]);
    let times = prop::sample::select(vec!["", "", "+", "*", "{1,3}", "{2}", "?", "+?"]);
    (atom, times).prop_map(|(atom, times)| format!("(?:{atom}){times}"))
}

/// A pattern, and the group in it.
fn pattern() -> impl Strategy<Value = (String, String)> {
    let literal = || prop::sample::select(vec!["", "", "a", "/", "é/", "-", "doc/", "/b", " "]);
    let group = prop_oneof![
        prop::collection::vec(part(), 1..4).prop_map(|parts| parts.concat()),
        prop::collection::vec(part(), 2..4).prop_map(|ways| ways.join("|")),
    ];
    (
        literal(),
        group,
        literal(),
        prop::sample::select(vec!["$", "$", ""]),
    )
        .prop_map(|(before, group, after, end)| (format!("^/{before}(?<x>{group}){after}{end}"), group))
}

/// A character of a path, and the way in which a client sends it.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) character: char,
    escaped: bool,
}

pub(super) fn sent() -> impl Strategy<Value = Sent> {
    let characters: Vec<char> = "aabbé日ü //..%<>;12F~-+\n".chars().collect();
    (prop::sample::select(characters), any::<bool>())
        .prop_map(|(character, escaped)| Sent { character, escaped })
}

/// Encodes a character for a path. One that a URI cannot contain is always percent-encoded.
fn encode(sent: &Sent, path: &mut String) {
    let is_raw = sent.character.is_ascii_alphanumeric() || "/.~-+;".contains(sent.character);
    if is_raw && !sent.escaped {
        path.push(sent.character);
    } else {
        for byte in sent.character.to_string().bytes() {
            let digits = if byte % 2 == 0 {
                format!("%{byte:02x}")
            } else {
                format!("%{byte:02X}")
            };
            path.push_str(&digits);
        }
    }
}

/// Encodes a text as `encodeURIComponent` does.
fn encode_component(text: &str) -> String {
    let mut encoded = String::new();
    for character in text.chars() {
        let escaped = !character.is_ascii_alphanumeric() && !"-_.!~*'()".contains(character);
        encode(&Sent { character, escaped }, &mut encoded);
    }
    encoded
}

/// Returns a table with a handler of this pattern.
pub(super) fn routes(pattern: &Pattern) -> Routes<()> {
    let leak = |bytes: &[u8]| -> &'static [u8] { Vec::leak(bytes.to_vec()) };
    let names = pattern
        .captures
        .iter()
        .map(|capture| &*String::leak(capture.name.clone()));
    let spec = Spec::new("route", String::leak(pattern.text()), Method::Get, Kind::Web)
        .with_automaton(leak(pattern.automaton_bytes()), "")
        .with_captures(Vec::leak(names.collect()))
        .with_regex(String::leak(pattern.regex.clone()));
    let entry = Entry {
        route: ListedRoute::new(Box::leak(Box::new(spec))),
        handle: |_| Box::pin(std::future::pending()),
    };
    table(Vec::leak(vec![entry]))
}

fn matcher(pattern: &Pattern) -> RouteMatcher {
    RouteMatcher::new(routes(pattern)).expect("the routes should be small")
}

fn has_dot_segment(path: &str) -> bool {
    path.split('/').any(|segment| matches!(segment, "." | ".."))
}

#[test]
fn handler_gets_what_its_group_matches_and_every_text_can_be_requested() {
    let (patterns, paths, matched, with_slash) = (Cell::new(0), Cell::new(0), Cell::new(0), Cell::new(0));
    let config = Config {
        cases: PATTERNS,
        failure_persistence: None,
        ..Config::default()
    };
    let cases = (
        pattern(),
        prop::collection::vec(prop::collection::vec(sent(), 0..9), PATHS),
    );
    let result = TestRunner::new(config).run(&cases, |((text, group), tails)| {
        let Ok(pattern) = Pattern::parse(LitStr::new(&text, Span::call_site())) else {
            return Ok(());
        };
        patterns.set(patterns.get() + 1);
        let matcher = matcher(&pattern);
        let build = |text: &str| Regex::new(text).expect("the regex should compile");
        let group = build(&format!(r"\A(?:{})\z", reference(&group)));
        let written = build(&format!(r"\A(?:{})", reference(&text)));
        let example = pattern.example().to_owned();
        for (i, tail) in tails.iter().enumerate() {
            // The characters after a part of the example of the pattern, which match more often than others.
            let kept = [1, example.len(), example.len() / 2][i % 3].min(example.len());
            let mut path = match example.get(..kept) {
                Some(start) if start.rfind('%').is_none_or(|at| at + 2 < start.len()) => start.to_owned(),
                _ => "/".to_owned(),
            };
            tail.iter().for_each(|sent| encode(sent, &mut path));
            paths.set(paths.get() + 1);
            let captures = matcher.captures(&path);

            // The handler gets a text that its group matches.
            if let Some([Some(captured)]) = captures.as_deref() {
                matched.set(matched.get() + 1);
                with_slash.set(with_slash.get() + u32::from(captured.contains('/')));
                prop_assert!(
                    group.is_match(captured),
                    "{} gets {:?} from {}",
                    text,
                    captured,
                    path
                );
            }

            // Paths that differ in their encoding or in dot segments are the same.
            let equivalent = path.replacen('/', "/x/%2E%2e/./", 1);
            prop_assert_eq!(
                matcher.captures(&equivalent),
                captures.clone(),
                "{} on {}",
                text,
                equivalent
            );

            // A path that the pattern matches as it is written can be requested.
            let decoded: String = percent_encoding::percent_decode_str(&path)
                .decode_utf8_lossy()
                .into();
            if !has_dot_segment(&decoded) {
                let encoded: Vec<String> = decoded.split('/').map(encode_component).collect();
                let expected = written
                    .captures(&decoded)
                    .map(|captures| vec![captures.name("x").map(|x| x.as_str().to_owned())]);
                prop_assert_eq!(
                    matcher.captures(&encoded.join("/")),
                    expected,
                    "{} on {:?}",
                    text,
                    decoded
                );
            }
        }
        Ok(())
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
    println!(
        "{} patterns, {} paths, {} of them match, {} captures contain a slash",
        patterns.get(),
        paths.get(),
        matched.get(),
        with_slash.get()
    );
    assert!(patterns.get() >= 1_000, "only {} patterns", patterns.get());
    assert!(matched.get() >= 10_000, "only {} matches", matched.get());
    assert!(
        with_slash.get() >= 200,
        "only {} captures with a slash",
        with_slash.get()
    );
}

#[test]
fn encoded_slash_reaches_the_groups_whose_classes_contain_a_slash() {
    for (group, is_reached) in [
        (".+", true),
        ("[^.]+", true),
        (r"\S+", true),
        ("[a-z:/]+", true),
        ("(?:[a-z:]|[/]x|[/])+", false),
        ("[^/]+", false),
        ("[^/.]+", false),
        (r"[\w:]+", false),
        ("[a-z:]+/+b/c", false),
    ] {
        let pattern = Pattern::parse(LitStr::new(&format!("^/proxy/(?<x>{group})$"), Span::call_site()));
        let matcher = matcher(&pattern.expect("the pattern should be valid"));
        let url = "a:/b/c";
        let captures = matcher.captures(&format!("/proxy/{}", encode_component(url)));
        let expected = is_reached.then(|| vec![Some(url.to_owned())]);
        assert_eq!(captures, expected, "{group}");
    }
}
