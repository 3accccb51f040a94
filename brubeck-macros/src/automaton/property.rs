//! Compares automata with the `regex` crate, and the proofs of `routes!` with both, on random patterns.

use crate::pattern::{ENCODED_SLASH, Pattern};
use brubeck_runtime::__private::{Kind, Method, Spec, shadow_checks};
use proc_macro2::Span;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use regex::bytes::{Regex, RegexBuilder};
use std::cell::Cell;
use syn::LitStr;

/// The number of pairs of patterns.
const PAIRS: u32 = 3000;

/// The number of paths per pair.
const PATHS: usize = 60;

fn piece() -> impl Strategy<Value = String> {
    let atom = prop_oneof![
        6 => prop::sample::select(vec!["a", "b", "/", "1", "-", "ab", "/a"]),
        3 => prop::sample::select(vec![
            "[ab]", "[^/]", "[^a]", "[a-c1-3]", r"\d", r"\w", r"\S", ".", "(?i:A)", "é", "[à-ü]", "[^é]", "[a/]",
        ]),
        1 => Just("$"),
    ];
    atom.prop_map(str::to_owned).prop_recursive(3, 10, 3, |inner| {
        prop_oneof![
            3 => prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.concat()),
            2 => prop::collection::vec(inner.clone(), 2..4).prop_map(|ways| format!("(?:{})", ways.join("|"))),
            1 => inner.clone().prop_map(|inner| format!("(?<NAME>{inner})")),
            3 => (inner, prop::sample::select(vec!["?", "*", "+", "{2}", "{1,3}", "+?", "*?"]))
                .prop_map(|(inner, times)| format!("(?:{inner}){times}")),
        ]
    })
}

/// Gives each group a unique name.
fn named(pattern: &str) -> String {
    let mut parts = pattern.split("NAME");
    let mut named = parts.next().unwrap_or_default().to_owned();
    for (i, part) in parts.enumerate() {
        named += &format!("n{i}{part}");
    }
    named
}

/// Two patterns, of which the second often extends the first.
fn pair() -> impl Strategy<Value = (String, String)> {
    let end = || prop::sample::select(vec!["", "", "$"]);
    let first = (prop::collection::vec(piece(), 0..4), end());
    let other = (prop::collection::vec(piece(), 0..3), end(), any::<bool>());
    (first, other).prop_map(|((first, end), (other, other_end, extends))| {
        let first = first.concat();
        let other = if extends {
            first.clone() + &other.concat()
        } else {
            other.concat()
        };
        (
            named(&format!("^/{first}{end}")),
            named(&format!("^/{other}{other_end}")),
        )
    })
}

/// Random ends of canonical paths, mostly of the characters in the patterns. `|` becomes an encoded `/`.
fn path() -> impl Strategy<Value = Vec<u8>> {
    let characters: Vec<char> = "aabb//11-cA.\néÀ日||".chars().collect();
    prop::collection::vec(prop::sample::select(characters), 0..7).prop_map(|path| {
        let path: String = path.into_iter().collect();
        let bytes = path.bytes();
        bytes
            .map(|byte| if byte == b'|' { ENCODED_SLASH } else { byte })
            .collect()
    })
}

/// Returns the pattern as a regex for the `regex` crate, which is built without the Unicode tables: its classes are those of a route.
pub(crate) fn reference(pattern: &str) -> String {
    pattern
        .replace(r"\d", "[[:digit:]]")
        .replace(r"\w", "[[:word:]]")
        .replace(r"\S", "[[:^space:]]")
        .replace("(?i:A)", "[aA]")
}

struct Candidate {
    pattern: Pattern,
    /// The pattern as the user wrote it, for paths without an encoded `/`.
    written: Regex,
    /// The pattern as the router compiles it if it cannot use the automaton.
    regex: Regex,
}

impl Candidate {
    /// Returns `None` if the pattern is invalid, matches nothing, or is too large for an automaton.
    fn new(text: &str) -> Option<Candidate> {
        let pattern = Pattern::parse(LitStr::new(text, Span::call_site())).ok()?;
        pattern.is_proven().then_some(())?;
        let build = |text: &str| {
            let regex = RegexBuilder::new(&format!(r"\A(?:{text})")).build();
            regex.expect("the regex should compile")
        };
        Some(Candidate {
            written: build(&reference(text)),
            regex: build(&pattern.regex),
            pattern,
        })
    }

    /// Matches with the packed automaton, as the runtime does, but reads the whole path.
    fn accepts(&self, path: &[u8]) -> bool {
        let packed = self.pattern.automaton_bytes();
        let mut state = 0;
        for byte in path {
            let mut edges = packed[state + 2..].chunks(4).take(usize::from(packed[state + 1]));
            match edges.find(|edge| (edge[0]..=edge[1]).contains(byte)) {
                Some(edge) => state = usize::from(u16::from_le_bytes([edge[2], edge[3]])),
                None => return false,
            }
        }
        packed[state] & 1 != 0
    }

    fn spec(&self) -> &'static Spec {
        let leak = |bytes: &[u8]| -> &'static [u8] { Vec::leak(bytes.to_vec()) };
        let text: &'static str = String::leak(self.pattern.text());
        let spec = Spec::new("route", text, Method::Get, Kind::Web);
        Box::leak(Box::new(
            spec.with_automaton(leak(self.pattern.automaton_bytes()), ""),
        ))
    }
}

#[test]
fn automata_agree_with_regexes_and_proofs_hold() {
    let (comparisons, included, matched) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let config = Config {
        cases: PAIRS,
        failure_persistence: None,
        ..Config::default()
    };
    let cases = (pair(), prop::collection::vec(path(), PATHS));
    let result = TestRunner::new(config).run(&cases, |((first, second), tails)| {
        let (Some(early), Some(late)) = (Candidate::new(&first), Candidate::new(&second)) else {
            return Ok(());
        };
        let shadowed = shadow_checks(&[early.spec(), late.spec()], &[1, 1]) != [0, 0];
        included.set(included.get() + u32::from(shadowed));
        // Random paths seldom match a long pattern. Paths that extend an example often do.
        let examples = [early.pattern.example(), late.pattern.example(), "/"];
        for (i, tail) in tails.iter().enumerate() {
            // An example is percent-encoded, but the characters of these patterns are not, except for `é` and `à`.
            let example = examples[i % examples.len()]
                .replace("%C3%A9", "é")
                .replace("%C3%A0", "à");
            let kept = example.chars().count() * if i % 2 == 0 { 3 } else { 2 } / 3;
            let example: String = example.chars().take(kept).collect();
            let path = [example.replace("%2F", "/").as_bytes(), tail].concat();
            for candidate in [&early, &late] {
                let expected = candidate.regex.is_match(&path);
                if !path.contains(&ENCODED_SLASH) {
                    prop_assert_eq!(
                        candidate.written.is_match(&path),
                        expected,
                        "{} on {:?}",
                        candidate.pattern.text(),
                        path
                    );
                }
                prop_assert_eq!(
                    candidate.accepts(&path),
                    expected,
                    "{} on {:?}",
                    candidate.pattern.text(),
                    path
                );
                comparisons.set(comparisons.get() + 1);
                matched.set(matched.get() + u32::from(expected));
            }
            prop_assert!(
                !shadowed || !late.accepts(&path) || early.accepts(&path),
                "`{}` is proven to match every path of `{}`, but does not match {:?}",
                first,
                second,
                path
            );
        }
        Ok(())
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
    println!(
        "{} paths compared with a pattern, {} of them match, {} inclusions",
        comparisons.get(),
        matched.get(),
        included.get()
    );
    assert!(
        comparisons.get() >= 100_000,
        "only {} comparisons",
        comparisons.get()
    );
    assert!(matched.get() >= 10_000, "only {} matches", matched.get());
    assert!(included.get() >= 50, "only {} inclusions", included.get());
}
