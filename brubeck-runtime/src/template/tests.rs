//! Tests of pages: escaping, the template folder, and unknown fields.

use super::*;
use minijinja::context;

const HELLO: &[(&str, &str)] = &[("hello.html", "<p>{{ name }}</p>")];

fn no_folder() -> Templates {
    Templates::new(TemplateConfig::default(), true, &[]).unwrap()
}

fn in_folder(folder: &Path) -> crate::error::Result<Templates> {
    let folder = Some(folder.to_owned());
    Templates::new(
        TemplateConfig {
            folder,
            ..TemplateConfig::default()
        },
        true,
        &[],
    )
}

fn page(sources: &'static [(&'static str, &'static str)]) -> Response {
    let view = View {
        name: "hello.html",
        sources,
        urls: &[],
        context: context! { name => "<b>&" },
    };
    Response::view(Status::OK, view)
}

fn text(response: &Response) -> &str {
    match response.payload() {
        Payload::Bytes(text) => std::str::from_utf8(text).unwrap(),
        other => panic!("not rendered: {other:?}"),
    }
}

#[test]
fn escapes_values() {
    let templates = no_folder();
    assert_eq!(text(&templates.render(page(HELLO))), "<p>&lt;b&gt;&amp;</p>");
}

/// Returns the page of a template, among sources that live as long as the program.
fn view(name: &'static str, sources: &[(String, String)]) -> View {
    let sources: Vec<(&'static str, &'static str)> = sources
        .iter()
        .map(|(name, text)| (&*name.clone().leak(), &*text.clone().leak()))
        .collect();
    View {
        name,
        sources: sources.leak(),
        urls: &[],
        context: context! { name => "<b>" },
    }
}

#[test]
fn values_are_escaped_whatever_the_name_is() {
    for extension in [
        "html", "HTML", "htm", "html.j2", "jinja", "J2", "tera", "xhtml", "txt", "md", "json", "js", "yaml",
        "xml", "svg", "", "html.bak", "j2.jinja",
    ] {
        for name in [
            format!("page.{extension}"),
            format!("a/b.txt/page.{extension}"),
            "page".to_owned(),
        ] {
            let part = |part: &str| format!("{part}.{extension}");
            let sources = [
                (
                    name.clone(),
                    format!(
                        "{{% extends '{}' %}}{{% import '{}' as m %}}{{% block b %}}{{{{ name }}}}{{% include '{}' %}}{{{{ m.m(name) }}}}{{% endblock %}}",
                        part("base"),
                        part("lib"),
                        part("row"),
                    ),
                ),
                (part("base"), "{{ name }}{% block b %}{% endblock %}".to_owned()),
                (part("row"), "{{ name }}".to_owned()),
                (
                    part("lib"),
                    "{% macro m(x) %}{{ x }}{{ name }}{% endmacro %}".to_owned(),
                ),
            ];
            let view = view(name.clone().leak(), &sources);
            let built_in = no_folder().render_text(&view).unwrap();
            assert_eq!(built_in, "&lt;b&gt;".repeat(5), "{name}");
            let folder = tempfile::tempdir().unwrap();
            for (name, text) in &sources {
                let path = folder.path().join(name);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            }
            let view = View { sources: &[], ..view };
            let read = in_folder(folder.path()).unwrap().render_text(&view).unwrap();
            assert_eq!(read, built_in, "{name}");
        }
    }
}

#[test]
fn each_template_is_taken_from_the_folder_or_else_built_in() {
    const NAMES: [&str; 4] = ["page.html", "base.html", "row.html", "lib.html"];
    let text = |name: &str, place: &str| match name {
        "page.html" => format!(
            "{{% extends 'base.html' %}}{{% from 'lib.html' import m %}}\
             {{% block b %}}page {place} {{% include 'row.html' %}}{{{{ m() }}}}{{% endblock %}}"
        ),
        "base.html" => format!("base {place} {{% block b %}}{{% endblock %}}"),
        "lib.html" => format!("{{% macro m() %}}lib {place}{{% endmacro %}}"),
        _ => format!("row {place} "),
    };
    for subset in 0..1 << NAMES.len() {
        let in_subset = |name| {
            NAMES
                .iter()
                .position(|n| *n == name)
                .is_some_and(|i| subset >> i & 1 == 1)
        };
        let folder = tempfile::tempdir().unwrap();
        let sources = NAMES.map(|name| (name.to_owned(), text(name, "built")));
        let view = view("page.html", &sources);
        let templates = in_folder(folder.path()).unwrap();
        let all_built = "base built page built row built lib built";
        assert_eq!(templates.render_text(&view).unwrap(), all_built);
        for name in NAMES.into_iter().filter(|name| in_subset(*name)) {
            std::fs::write(folder.path().join(name), text(name, "read")).unwrap();
        }
        let place = |name| if in_subset(name) { "read" } else { "built" };
        let expected = format!(
            "base {} page {} row {} lib {}",
            place("base.html"),
            place("page.html"),
            place("row.html"),
            place("lib.html")
        );
        assert_eq!(templates.render_text(&view).unwrap(), expected);
        assert_eq!(
            in_folder(folder.path()).unwrap().render_text(&view).unwrap(),
            expected
        );
        for name in NAMES.into_iter().filter(|name| in_subset(*name)) {
            std::fs::remove_file(folder.path().join(name)).unwrap();
        }
        assert_eq!(templates.render_text(&view).unwrap(), all_built);
    }
}

#[test]
fn names_outside_of_the_folder_are_not_found() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("templates");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(parent.path().join("outside.html"), "outside").unwrap();
    std::fs::write(folder.join(".hidden"), "hidden").unwrap();
    std::fs::write(folder.join("part.html"), "part").unwrap();
    let templates = in_folder(&folder).unwrap();
    for name in [
        "./part.html",
        "../outside.html",
        "/part.html",
        "part.html/",
        "a//part.html",
        ".hidden",
        "a\\part.html",
        "",
        "part.html\0",
    ] {
        let view = view(
            "page.html",
            &[("page.html".to_owned(), format!("{{% include {name:?} %}}"))],
        );
        let error = templates.render_text(&view).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TemplateNotFound, "{name}");
    }
}

#[test]
fn templates_of_same_name_are_separate() {
    const OTHER: &[(&str, &str)] = &[("hello.html", "other {{ name }}")];
    let templates = no_folder();
    templates.render(page(HELLO));
    assert_eq!(text(&templates.render(page(OTHER))), "other &lt;b&gt;&amp;");
    assert_eq!(text(&templates.render(page(HELLO))), "<p>&lt;b&gt;&amp;</p>");
}

#[test]
fn folder_overrides_built_in_text_and_is_reloaded() {
    let folder = tempfile::tempdir().unwrap();
    let templates = in_folder(folder.path()).unwrap();
    assert_eq!(text(&templates.render(page(HELLO))), "<p>&lt;b&gt;&amp;</p>");
    std::fs::write(folder.path().join("hello.html"), "file: {{ name }}").unwrap();
    assert_eq!(text(&templates.render(page(HELLO))), "file: &lt;b&gt;&amp;");
    std::fs::write(folder.path().join("hello.html"), "the file, changed: {{ name }}").unwrap();
    assert_eq!(
        text(&templates.render(page(HELLO))),
        "the file, changed: &lt;b&gt;&amp;"
    );
}

#[test]
fn broken_template_is_500_without_detail() {
    let templates = no_folder();
    let response = templates.render(page(&[("hello.html", "{{ name | nonsense }}")]));
    assert_eq!(response.status().code(), 500);
    assert!(matches!(response.payload(), Payload::Message));
}

#[test]
fn missing_folder_is_an_error() {
    assert!(in_folder(Path::new("no/such/folder")).is_err());
}

#[derive(serde::Serialize)]
struct Book {
    title: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    subtitle: Option<&'static str>,
    author: Author,
    tags: Vec<Author>,
    numbers: HashMap<&'static str, u8>,
    note: Value,
}

#[derive(Clone, serde::Serialize)]
struct Author {
    name: &'static str,
}

/// Renders a template with a book, in development or not. Returns `None` if the response is an error.
fn book_page(development: bool, template: &'static str) -> Option<String> {
    let author = Author { name: "Ann" };
    let book = Book {
        title: "<T>",
        subtitle: None,
        author: author.clone(),
        tags: vec![author],
        numbers: HashMap::from([("one", 1)]),
        note: Value::from_safe_string("<b>".to_owned()),
    };
    let view = View {
        name: "page.html",
        sources: vec![("page.html", template)].leak(),
        urls: &[],
        context: page_variables("BookPage", vec![("book", variable(&book))]),
    };
    let templates = Templates::new(TemplateConfig::default(), development, &[]).unwrap();
    let response = templates.render(Response::view(Status::OK, view));
    (response.status().code() == 200).then(|| text(&response).to_owned())
}

#[test]
fn unknown_field_of_a_struct_is_an_error_in_development_only() {
    for template in [
        "{{ book.titel }}",
        "{{ book['titel'] }}",
        "{{ book.author.nmae }}",
        "{{ book.tags[0].nmae }}",
        "{% for tag in book.tags %}{{ tag.nmae }}{% endfor %}",
        "{% if book.titel %}x{% endif %}",
        "{% for x in book.titel %}{% endfor %}",
        "{% set b = book %}{{ b.titel }}",
        "{{ book.titel }}{{ book.numbers.two | default('') }}",
        "{% macro m(b) %}{{ b.titel }}{% endmacro %}{{ m(book) }}",
    ] {
        assert_eq!(book_page(true, template), None, "{template}");
        assert_eq!(book_page(false, template).as_deref(), Some(""), "{template}");
    }
}

#[test]
fn names_that_may_be_missing_are_no_mistakes() {
    for (template, expected) in [
        (
            "{{ book.title }}{{ book.note }}{{ book.author.name }}",
            "&lt;T&gt;<b>Ann",
        ),
        ("{{ book.subtitle }}{% if book.subtitle %}x{% endif %}", ""),
        ("{{ book.numbers.two }}{{ book.numbers.one }}", "1"),
        (
            "{{ book.titel is defined }}{{ book.titel is undefined }}",
            "FalseTrue",
        ),
        (
            "{{ book.titel | default('x') }}{{ book.titel | d(book.title) }}",
            "x&lt;T&gt;",
        ),
        ("{{ nothing }}{{ book | length }}", "5"),
        (
            "{% for key in book %}{{ key }} {% endfor %}",
            "title author tags numbers note ",
        ),
        ("{{ book.author | tojson }}", "{\"name\":\"Ann\"}"),
    ] {
        let rendered = book_page(true, template).map(|text| text.to_lowercase().replace(": ", ":"));
        assert_eq!(rendered, Some(expected.to_lowercase()), "{template}");
    }
}

#[test]
fn values_are_those_of_minijinja() {
    #[derive(serde::Serialize)]
    enum Kind {
        Unit,
        New(u8),
        Tuple(u8, u8),
        Struct { a: u8 },
    }
    #[derive(serde::Serialize)]
    struct Wrapper(u64);
    #[derive(serde::Serialize)]
    struct Pair(u8, i8);
    #[derive(serde::Serialize)]
    struct Everything {
        kinds: Vec<Kind>,
        wrapper: Wrapper,
        pair: Pair,
        tuple: (bool, char, f32, String),
        map: std::collections::BTreeMap<u8, Option<u8>>,
        unit: (),
        large: u128,
        bytes: Vec<u8>,
    }
    let everything = Everything {
        kinds: vec![Kind::Unit, Kind::New(1), Kind::Tuple(1, 2), Kind::Struct { a: 1 }],
        wrapper: Wrapper(u64::MAX),
        pair: Pair(1, -1),
        tuple: (true, 'c', 0.5, "s".to_owned()),
        map: [(1, None), (2, Some(3))].into(),
        unit: (),
        large: u128::MAX,
        bytes: vec![1, 2],
    };
    let ours = variable(&everything);
    assert_eq!(
        ours.to_string(),
        Value::from(minijinja::value::Serde(&everything)).to_string()
    );
    assert_eq!(
        serde_json::to_string(&ours).unwrap(),
        serde_json::to_string(&everything).unwrap()
    );
}
