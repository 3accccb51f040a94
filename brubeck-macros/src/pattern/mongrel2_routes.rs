//! A property of Mongrel2's configuration: it has a route for every path that a pattern matches, however a client encodes it.

use super::Pattern;
use super::property::{Sent, part, routes, sent};
use brubeck_runtime::__private::RouteMatcher;
use brubeck_runtime::Mongrel2Handler;
use proc_macro2::Span;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::cell::Cell;
use syn::LitStr;

/// The number of patterns.
const PATTERNS: u32 = 1500;

/// The number of paths per pattern.
const PATHS: usize = 40;

/// The branches of a pattern, each complete: `^/a(?:b|c)?$`.
fn branches() -> impl Strategy<Value = Vec<String>> {
    let literal = prop::sample::select(vec![
        "a", "b", "ab", "/", "/a", r"\.html", "-", "~x", "_", "é", " ", ":", r"\(", "[(|]", r"\|", "a{2}",
        "(?i:a)", "b1", "12",
    ]);
    let piece = prop_oneof![4 => literal.prop_map(str::to_owned), 1 => part()];
    let piece = piece.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(|ways| format!("(?:{})", ways.join("|"))),
            (inner, prop::sample::select(vec!["?", "*", "+", "{2}", "{1,2}"]))
                .prop_map(|(inner, times)| format!("(?:{inner}){times}")),
        ]
    });
    let branch = (
        prop::collection::vec(piece, 0..5),
        prop::sample::select(vec!["$", "$", ""]),
    );
    let branch = branch.prop_map(|(pieces, end)| format!("^/{}{end}", pieces.concat()));
    prop::collection::vec(branch, 1..4)
}

fn parse(text: &str) -> Option<Pattern> {
    Pattern::parse(LitStr::new(text, Span::call_site())).ok()
}

/// Returns the paths of the routes in the configuration of Mongrel2.
fn mongrel2_routes(pattern: &Pattern) -> Vec<String> {
    let handler = Mongrel2Handler::new("ipc://send", "ipc://recv");
    let config = routes(pattern).mongrel2_conf("127.0.0.1:0", handler);
    let text = config
        .conf("web-1", "/srv/m2")
        .expect("the configuration should be valid");
    let (_, routes) = text
        .split_once("routes={")
        .expect("the configuration should have routes");
    let (routes, _) = routes.split_once('}').expect("the routes should end");
    routes.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Encodes a text as a path. Letters, digits and `/-._~` stay, and so do the characters in `plain`.
fn encode(text: &str, plain: &str) -> String {
    text.bytes()
        .map(|byte| match char::from(byte) {
            c if c.is_ascii_alphanumeric() || "/-._~".contains(c) || plain.contains(c) => c.to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[test]
fn mongrel2_has_a_route_for_every_path_that_matches() {
    let (matched, several) = (Cell::new(0), Cell::new(0));
    let config = Config {
        cases: PATTERNS,
        failure_persistence: None,
        ..Config::default()
    };
    let cases = (
        branches(),
        prop::collection::vec(prop::collection::vec(sent(), 0..4), PATHS),
    );
    let result = TestRunner::new(config).run(&cases, |(branches, tails)| {
        let Some(pattern) = parse(&branches.join("|")) else {
            return Ok(());
        };
        let Ok(matcher) = RouteMatcher::new(routes(&pattern)) else {
            return Ok(());
        };
        let routes = mongrel2_routes(&pattern);
        several.set(several.get() + u32::from(routes.len() > 1));
        let examples: Vec<String> = branches
            .iter()
            .filter_map(|branch| parse(branch))
            .map(|branch| {
                percent_encoding::percent_decode_str(branch.example())
                    .decode_utf8_lossy()
                    .into_owned()
            })
            .collect();
        for (i, tail) in tails.iter().enumerate() {
            let example = examples
                .get(i % examples.len().max(1))
                .map_or("/", String::as_str);
            let kept = example.chars().count() * (2 + i % 3) / 4;
            let tail = tail.iter().map(|Sent { character, .. }| *character);
            let path: String = example.chars().take(kept).chain(tail).collect();
            if !path.starts_with('/') || path.split('/').any(|segment| matches!(segment, "." | "..")) {
                continue;
            }
            // Browsers, `encodeURIComponent` and Python's `quote` encode different characters.
            for plain in ["!$&'()*+,;=:@", "!*'()", ""] {
                let sent = encode(&path, plain);
                if matcher.find(&sent).is_some() {
                    matched.set(matched.get() + 1);
                    prop_assert!(
                        routes.iter().any(|route| sent.starts_with(route.as_str())),
                        "`{}` matches {}, and the routes are {:?}",
                        branches.join("|"),
                        sent,
                        routes
                    );
                }
            }
        }
        Ok(())
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
    println!(
        "{} paths match, {} patterns have several routes",
        matched.get(),
        several.get()
    );
    assert!(matched.get() >= 20_000, "only {} matches", matched.get());
    assert!(
        several.get() >= 80,
        "only {} patterns with several routes",
        several.get()
    );
}
