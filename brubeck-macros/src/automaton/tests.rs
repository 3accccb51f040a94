use super::*;
use regex_syntax::hir::translate::TranslatorBuilder;

fn automaton(pattern: &str) -> Automaton {
    let ast = regex_syntax::ast::parse::Parser::new()
        .parse(pattern)
        .expect("a pattern");
    let hir = TranslatorBuilder::new()
        .utf8(false)
        .unicode(false)
        .build()
        .translate(pattern, &ast)
        .expect("a translation");
    Automaton::new(&hir).expect("a small automaton")
}

#[test]
fn a_prefix_matches_unless_the_end_is_asked_for() {
    let open = automaton("^/service/slow");
    assert!(open.accepts(b"/service/slow"));
    assert!(open.accepts(b"/service/slower?x=1\n\xff"));
    assert!(!open.accepts(b"/service/slo"));
    let closed = automaton("^/service/slow$");
    assert!(closed.accepts(b"/service/slow"));
    assert!(!closed.accepts(b"/service/slower"));
}

#[test]
fn the_end_is_honoured_in_the_middle() {
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
fn it_is_minimal() {
    assert_eq!(automaton("^/(?:ab|cb)$").len(), 4);
    assert_eq!(automaton("^/a*a*a*$").len(), 2);
    assert_eq!(automaton("^/(?:foo|foo/bar)").len(), 5);
}

#[test]
fn the_forced_prefix_ends_where_a_choice_begins() {
    assert_eq!(automaton("^/service/slow").forced_prefix(), b"/service/slow");
    assert_eq!(automaton(r"^/user/(?<id>\d+)$").forced_prefix(), b"/user/");
    assert_eq!(automaton("^/(?:ab|ac)d").forced_prefix(), b"/a");
    assert_eq!(automaton("^/").forced_prefix(), b"/");
}

#[test]
fn the_packed_form_has_flags_and_offsets() {
    assert_eq!(
        automaton("^/a").packed().expect("a small automaton"),
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
        automaton("^/$").packed().expect("a small automaton"),
        [0, 1, b'/', b'/', 6, 0, ACCEPT, 0]
    );
}

#[test]
fn an_example_is_accepted() {
    for pattern in ["^/", "^/a|^/b", r"^/\d{3}-[x-z]+/?$", r"^/[^a-z]\S", r"^/(?i)QQ"] {
        let automaton = automaton(pattern);
        let example = automaton.example().expect("an example");
        assert!(automaton.accepts(example.as_bytes()), "{pattern} {example}");
    }
    assert_eq!(automaton(r"^/\x00").example(), None);
}
