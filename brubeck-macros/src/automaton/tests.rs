use super::*;
use crate::pattern::canonical_hir;

fn automaton(pattern: &str) -> Automaton {
    let ast = regex_syntax::ast::parse::Parser::new()
        .parse(pattern)
        .expect("the pattern should parse");
    let hir = canonical_hir(pattern, &ast).expect("the pattern should translate");
    Automaton::new(&hir).expect("the automaton should be small")
}

#[test]
fn matches_a_prefix_unless_the_pattern_ends_in_a_dollar() {
    let prefix = automaton("^/service/slow");
    assert!(prefix.accepts(b"/service/slow"));
    assert!(prefix.accepts(b"/service/slower/x=1\n\xff"));
    assert!(!prefix.accepts(b"/service/slo"));
    let exact = automaton("^/service/slow$");
    assert!(exact.accepts(b"/service/slow"));
    assert!(!exact.accepts(b"/service/slower"));
}

#[test]
fn supports_anchors_in_the_middle() {
    assert!(automaton("^/a$b").is_empty());
    let optional = automaton("^/a$(?:b)?");
    assert!(optional.accepts(b"/a"));
    assert!(!optional.accepts(b"/ab"));
    let either = automaton("^/(?:a$|b)c?");
    assert!(either.accepts(b"/a") && either.accepts(b"/b") && either.accepts(b"/bcx"));
    assert!(!either.accepts(b"/ac"));
    assert!(automaton("^/a^b").is_empty());
}

#[test]
fn classes_are_ascii() {
    assert!(!automaton(r"^/\d$").accepts("/\u{663}".as_bytes()));
    assert_eq!(automaton(r"^/\d+$").len(), 3);
    assert_eq!(automaton(r"^/\w+$").len(), 3);
}

#[test]
fn is_minimal() {
    assert_eq!(automaton("^/(?:ab|cb)$").len(), 4);
    assert_eq!(automaton("^/a*a*a*$").len(), 2);
    assert_eq!(automaton("^/(?:foo|foo/bar)").len(), 5);
}

#[test]
fn packs_flags_and_offsets() {
    assert_eq!(
        automaton("^/a").packed().expect("the automaton should be small"),
        [
            0,
            1,
            b'/',
            b'/',
            6,
            0,
            0,
            1,
            b'a',
            b'a',
            12,
            0,
            ACCEPT | ACCEPT_ALL,
            1,
            0,
            255,
            12,
            0
        ]
    );
    assert_eq!(
        automaton("^/$").packed().expect("the automaton should be small"),
        [0, 1, b'/', b'/', 6, 0, ACCEPT, 0]
    );
}

#[test]
fn accepts_its_own_example() {
    for pattern in ["^/", "^/a|^/b", r"^/\d{3}-[x-z]+/?$", r"^/[^a-z]\S", r"^/(?i)QQ"] {
        let automaton = automaton(pattern);
        let example = automaton.example().expect("there should be an example");
        assert!(automaton.accepts(&example), "{pattern} {}", encode(&example));
    }
}

#[test]
fn has_no_example_if_no_request_has_a_matching_path() {
    for pattern in [r"^/\x00", r"^/a/\.\./b", r"^/\.$", r"^/\.\.(?:/|$)"] {
        assert_eq!(automaton(pattern).example(), None, "{pattern}");
    }
    assert_eq!(automaton(r"^/\.\.?").example().as_deref(), Some(&b"/.a"[..]));
}

#[test]
fn classes_match_characters() {
    let one = automaton("^/.$");
    assert!(one.accepts("/é".as_bytes()) && one.accepts("/日".as_bytes()) && one.accepts(b"/\xff"));
    assert!(!one.accepts("/éé".as_bytes()) && !one.accepts(b"/ab"));
    let accented = automaton("^/[à-ü]{2}$");
    assert!(accented.accepts("/éü".as_bytes()) && !accented.accepts("/é".as_bytes()));
}

#[test]
fn only_classes_with_a_slash_match_an_encoded_one() {
    for (pattern, accepts) in [
        ("^/.+$", true),
        ("^/[^.]+$", true),
        ("^/[a/]+$", true),
        (r"^/\S+$", true),
        ("^/(?s:.)$", true),
        ("^/[^/]+$", false),
        ("^/[^/.]+$", false),
        ("^//$", false),
        (r"^/\w$", false),
    ] {
        assert_eq!(automaton(pattern).accepts(b"/\xff"), accepts, "{pattern}");
    }
}

#[test]
fn common_classes_have_small_automata() {
    assert_eq!(automaton("^/[^/]+$").len(), 3);
    assert_eq!(automaton("^/(?s:.+)$").len(), 3);
    assert_eq!(automaton("^/(?:[^/]|.)*$").len(), 3);
}
