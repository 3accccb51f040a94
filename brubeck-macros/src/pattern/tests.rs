use super::inspector::suggested_pattern;
use super::*;

fn parse(text: &str) -> Result<Pattern, String> {
    Pattern::parse(LitStr::new(text, Span::call_site())).map_err(|error| {
        error
            .into_iter()
            .map(|e| e.to_string())
            .collect::<Vec<_>>()
            .join("\n--\n")
    })
}

fn mistakes(text: &str) -> String {
    parse(text)
        .err()
        .unwrap_or_else(|| panic!("`{text}` is a good pattern"))
}

#[test]
fn finds_required_and_optional_captures() {
    let pattern = parse(r"^/user/(?<id>\d+)(?:/(?<tab>[a-z]+))?$").unwrap();
    let captures: Vec<_> = pattern
        .captures
        .iter()
        .map(|c| (c.name.as_str(), c.optional))
        .collect();
    assert_eq!(captures, [("id", false), ("tab", true)]);
    let pattern = parse(r"^/(?:(?<a>x)|(?<b>y)){1,2}(?P<c>z){0,3}(?<d>(?:p|q))$").unwrap();
    let captures: Vec<_> = pattern
        .captures
        .iter()
        .map(|c| (c.name.as_str(), c.optional))
        .collect();
    assert_eq!(captures, [("a", true), ("b", true), ("c", true), ("d", false)]);
}

#[test]
fn errors_point_at_the_mistake_and_suggest_a_fix() {
    assert_eq!(
        mistakes("^/service/(slow"),
        "invalid route pattern: unclosed group\n    ^/service/(slow\n              ^"
    );
    assert_eq!(
        mistakes("service/slow"),
        "a path begins with `/`, or with `^` if it is a regex\n    service/slow\n    ^\nhelp: write `/service/slow` or \
         `^/service/slow$`"
    );
    assert_eq!(
        mistakes("^service"),
        "a route pattern starts with `^/`, because every path starts with `/`\n    ^service\n     ^\nhelp: write `^/service`"
    );
    assert!(mistakes(r"^/user/(\d+)$").contains("    ^/user/(\\d+)$\n           ^\nhelp: name it"));
    assert!(mistakes(r"^/user\b").contains("word boundaries"));
    assert!(mistakes(r"^/(?x) a").contains("this flag"));
    assert!(mistakes(r"^/(?m:a)$").contains("this flag"));
    assert!(mistakes(r"^/(?u)\w").contains("this flag"));
    assert!(mistakes(r"^/(?-u:\w)").contains("this flag"));
    assert!(mistakes(r"^/\p{L}").contains("classes of Unicode properties"));
    assert!(mistakes(r"^/[a\pL]").contains("classes of Unicode properties"));
    assert!(mistakes(r"^/a/\.\./b$").contains("matches no path that a request can have"));
    assert!(mistakes(r"^/(?<self>a)").contains("cannot be the name"));
    assert!(mistakes(r"^/a$b").contains("matches no path"));
    assert!(mistakes("").contains("begins with `/`, or with `^`"));
    assert!(mistakes("^").contains("starts with `^/`"));
}

#[test]
fn splits_simple_patterns_into_segments() {
    let shown = |text: &str| {
        let segments = parse(text).unwrap().segments()?;
        let shown = segments.iter().map(|segment| match segment {
            PatternSegment::Text(text) => text.clone(),
            PatternSegment::Capture(index) => format!("{{{index}}}"),
            PatternSegment::Rest(index) => format!("{{*{index}}}"),
        });
        Some(shown.collect::<String>())
    };
    assert_eq!(
        shown(r"^/user/(?<id>\d+)/p\.(?<tab>[a-z]+)$").as_deref(),
        Some("/user/{0}/p.{1}")
    );
    assert_eq!(shown("^/").as_deref(), Some("/"));
    for pattern in [
        "^/a|^/b",
        "^/a?",
        "^/(?<id>a(?<x>b))",
        "^/(?:a)",
        "^/.",
        r"^/(?<id>a)?",
        "^/(?i)a",
    ] {
        assert_eq!(shown(pattern), None, "{pattern}");
    }
}

#[test]
fn template_matches_the_whole_path_literally() {
    let regex = |text: &str| {
        let pattern = parse(text).unwrap();
        let regex = regex::bytes::Regex::new(&pattern.regex).unwrap();
        let names: Vec<_> = pattern.captures.iter().map(|c| c.name.clone()).collect();
        move |path: &[u8]| {
            let captures = regex.captures(path)?;
            let text = |name: &String| captures[&**name].escape_ascii().to_string();
            Some(names.iter().map(text).collect::<Vec<_>>().join(","))
        }
    };
    for (template, path, captures) in [
        ("/", &b"/"[..], Some("")),
        ("/", b"/a", None),
        ("/a.b+(c)*|^[d]", b"/a.b+(c)*|^[d]", Some("")),
        ("/user/{id}", b"/user/7", Some("7")),
        ("/user/{id}", b"/user/", None),
        ("/user/{id}", b"/user/7/", None),
        ("/user/{id}", b"/user/a\xffb\n", Some("a\\xffb\\n")),
        ("/user/{id}/{type}", b"/user/7/x", Some("7,x")),
        ("/p.{tab}.html", b"/p.a.html.html", Some("a.html")),
        ("/files/{*rest}", b"/files/a//b\xff", Some("a//b\\xff")),
        ("/files/{*rest}", b"/files/", None),
        ("/{{a}}", b"/{a}", Some("")),
        ("/{{{a}}}", b"/{x}", Some("x")),
    ] {
        assert_eq!(regex(template)(path).as_deref(), captures, "{template}");
    }
}

#[test]
fn mistakes_in_templates_are_reported_with_a_fix() {
    for (template, message) in [
        ("/user/(?<id>..)", "for a regex write `^/user/(?<id>..)`"),
        (r"/user/\d+", "for a regex write"),
        ("/files/.*", "for a regex write"),
        ("/user$", "write `/user`, or a regex: `^/user$`"),
        ("/user/<id>", "write `{id}`"),
        ("/user/<path..>", "write `{*path}`"),
        ("/user/:id", "write `{id}`"),
        ("/user/{id:[0-9]}", "with the group `(?<id>[0-9])`"),
        ("/a?b={c}", "a path has no query"),
        ("/a/{id", "unclosed `{`"),
        ("/a/id}", "`}` without a `{`"),
        ("/a/{}", "cannot be the name"),
        ("/a/{self}", "cannot be the name"),
        ("/a/{id}{tab}", "two parameters in one segment"),
        ("/a/{id}-{tab}", "two parameters in one segment"),
        ("/a/{id}/{id}", "is in the path twice"),
        ("/a/{*rest}/b", "is not the last segment"),
        ("/a-{*rest}", "is not the last segment"),
        ("/a/../b", "matches no path that a request can have"),
        ("/a/.", "matches no path that a request can have"),
    ] {
        let text = mistakes(template);
        assert!(text.contains(message), "{template}: {text}");
        assert!(!text.contains("--"), "one mistake is one error: {text}");
    }
}

#[test]
fn reports_all_errors_at_once() {
    assert_eq!(mistakes(r"(a)\b(b)").matches("--").count(), 3);
}

#[test]
fn accepts_keywords_as_captures_and_supported_flags() {
    assert!(parse(r"^/(?<type>a)").is_ok());
    assert!(parse(r"^/(?i)a(?-i:b)(?-m:c)").is_ok());
}

#[test]
fn large_pattern_has_no_automaton() {
    let pattern = parse(r"^/(?<id>[a-z]{40}(?:a|b){0,4000})$").unwrap();
    assert!(pattern.proof.is_none());
    assert_eq!(pattern.example(), "");
    assert!(parse(r"^/(?:(?:a{1000}){1000}){1000}$").unwrap().proof.is_none());
    assert!(parse(r"^/(?:(?:){1000}){1000}$").is_ok());
}

#[test]
fn suggests_a_pattern_for_paths_of_other_frameworks() {
    for (path, pattern) in [
        ("/", "^/$"),
        ("/user/{id}", "^/user/(?<id>[^/]+)$"),
        ("/user/<id>/<rest..>", "^/user/(?<id>[^/]+)/(?<rest>.+)$"),
        ("/files/:name/{*rest}", "^/files/(?<name>[^/]+)/(?<rest>.+)$"),
    ] {
        assert_eq!(suggested_pattern(path), pattern);
        assert!(parse(pattern).is_ok(), "{pattern}");
    }
    assert_eq!(
        mistakes("^/user/{id}/{tab}$"),
        "`{..}` is a parameter in a template and a repetition in a regex\n    ^/user/{id}/{tab}$\n           ^^^^\nhelp: write the \
         template `/user/{id}/{tab}`, or the regex `^/user/(?<id>[^/]+)/(?<tab>[^/]+)$`"
    );
    assert!(!mistakes("user/{id}").contains("--"), "one mistake is one error");
}

#[test]
fn examples_are_shortest_and_readable() {
    for (pattern, example) in [
        ("^/", "/"),
        (r"^/user/(?<id>\d+)$", "/user/1"),
        (r"^/u/(?<name>\w+)/posts/(?<slug>[-\w]+)$", "/u/a/posts/a"),
        (r"^/x/[0-9a-f]{8}-[0-9a-f]{4}$", "/x/aaaaaaaa-aaaa"),
        ("^/café/hello world$", "/caf%C3%A9/hello%20world"),
        ("^/100%$", "/100%25"),
        (r"^/\.{1,2}", "/.a"),
        ("^/[é-ü]$", "/%C3%A9"),
    ] {
        assert_eq!(parse(pattern).unwrap().example(), example);
    }
}
