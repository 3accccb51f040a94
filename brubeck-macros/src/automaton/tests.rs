use super::*;
use regex_syntax::hir::translate::TranslatorBuilder;

fn automaton(pattern: &str) -> Automaton {
    let ast = regex_syntax::ast::parse::Parser::new()
        .parse(pattern)
        .expect("the pattern should parse");
    let hir = TranslatorBuilder::new()
        .utf8(false)
        .unicode(false)
        .build()
        .translate(pattern, &ast)
        .expect("the pattern should translate");
    Automaton::new(&hir).expect("the automaton should be small")
}

#[test]
fn matches_a_prefix_unless_the_pattern_ends_in_a_dollar() {
    let prefix = automaton("^/service/slow");
    assert!(prefix.accepts(b"/service/slow"));
    assert!(prefix.accepts(b"/service/slower?x=1\n\xff"));
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
fn forced_prefix_ends_before_the_first_choice() {
    assert_eq!(automaton("^/service/slow").forced_prefix(), b"/service/slow");
    assert_eq!(automaton(r"^/user/(?<id>\d+)$").forced_prefix(), b"/user/");
    assert_eq!(automaton("^/(?:ab|ac)d").forced_prefix(), b"/a");
    assert_eq!(automaton("^/").forced_prefix(), b"/");
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
        assert!(automaton.accepts(example.as_bytes()), "{pattern} {example}");
    }
}

#[test]
fn has_no_example_if_no_matching_path_is_printable() {
    assert_eq!(automaton(r"^/\x00").example(), None);
}
