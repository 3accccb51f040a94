use super::*;
use std::path::PathBuf;

/// A folder of templates that is removed when the test ends.
struct Templates(PathBuf);

impl Templates {
    fn new(test: &str, files: &[(&str, &str)]) -> Templates {
        let folder = std::env::temp_dir().join(format!("brubeck-macros-{test}-{}", std::process::id()));
        for (name, text) in files {
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().expect("the folder should be writable"))
                .expect("the folder should be writable");
            std::fs::write(path, text).expect("the file should be writable");
        }
        Templates(folder)
    }

    fn expand(&self, input: TokenStream) -> String {
        expand_in(&self.0, input).to_string()
    }
}

impl Drop for Templates {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn embeds_a_template_and_all_that_it_refers_to() {
    let templates = Templates::new(
        "embed",
        &[
            (
                "page.html",
                "{% extends 'base.html' %}{% from 'lib.html' import shown %}{{ shown(name) }}",
            ),
            (
                "base.html",
                "{% for row in rows %}{% include 'part/row.html' %}{% endfor %}{{ name }}",
            ),
            ("part/row.html", "{{ row }}"),
            ("lib.html", "{% macro shown(x) %}{{ x }}{% endmacro %}"),
        ],
    );
    let text = templates.expand(quote! {
        #[template("page.html")]
        struct Page { name: String, rows: Vec<u8> }
    });
    assert!(!text.contains("compile_error"), "{text}");
    for file in ["page.html", "base.html", "part/row.html", "lib.html"] {
        assert!(text.contains(&format!("\"/templates/{file}\"")), "{text}");
    }
}

#[test]
fn checks_variables_of_template_that_is_both_imported_and_included() {
    let templates = Templates::new(
        "imported",
        &[
            (
                "page.html",
                "{% include 'part.html' %}{% import 'part.html' as part %}",
            ),
            ("part.html", "{% include 'row.html' %}"),
            ("row.html", "{{ colour }}"),
        ],
    );
    let text = templates.expand(quote! {
        #[template("page.html")]
        struct Page { name: String }
    });
    assert!(text.contains("`Page` has no field `colour`"), "{text}");
}

#[test]
fn reports_mistakes_with_a_fix() {
    let templates = Templates::new(
        "mistakes",
        &[
            ("page.html", "<p>\n{{ nane }} {{ colour }}"),
            ("broken.html", "<p>\n{% if %}"),
            ("child.html", "{% extends 'nowhere.html' %}"),
        ],
    );
    let assert_reported = |input: TokenStream, text: &str| {
        let got = templates.expand(input);
        assert!(got.contains(text), "{got}");
    };
    let page = quote!(
        #[template("page.html")]
        struct Page {
            name: String,
        }
    );
    assert_reported(
        page.clone(),
        "`Page` has no field `nane`\\n  templates/page.html:2: {{ nane }} {{ colour }}\\nhelp: did you mean `name`?",
    );
    assert_reported(page, "help: add a field `colour` to `Page`");
    assert_reported(
        quote!(
            #[template("broken.html")]
            struct Page {}
        ),
        "templates/broken.html:2: ",
    );
    assert_reported(
        quote!(
            #[template("child.html")]
            struct Page {}
        ),
        "there is no template `nowhere.html`, which `child.html` refers to",
    );
    assert_reported(
        quote!(
            #[template("pages.html")]
            struct Page {}
        ),
        "help: did you mean `page.html`?",
    );
    assert_reported(
        quote!(
            #[template("../page.html")]
            struct Page {}
        ),
        "write its path below",
    );
    assert_reported(
        quote!(
            struct Page {}
        ),
        "`Page` has no template",
    );
    assert_reported(
        quote!(
            #[template(page)]
            struct Page {}
        ),
        "expected the path of a template",
    );
    assert_reported(
        quote!(
            #[template("page.html")]
            enum Page {}
        ),
        "`Template` can only be derived for a struct",
    );
    assert_reported(
        quote!(
            #[template("page.html")]
            struct Page(u8);
        ),
        "need names",
    );
}

#[test]
fn url_is_checked_against_the_route_of_its_handler() {
    let templates = Templates::new(
        "urls",
        &[
            (
                "page.html",
                "{% extends 'base.html' %}{% from 'lib.html' import link %}{% block b %}{{ url('user', id=1, tab='x') }}\n\
                 {{ url('user', tab=2, id=2) }}{{ url('user', id=3, tab=name) }}{{ link(4) }}{% endblock %}",
            ),
            (
                "base.html",
                "{{ url('crate::r#type::index') }}{% block b %}{% endblock %}",
            ),
            (
                "lib.html",
                "{% macro link(id) %}{{ url('self::super::match', id=id) | upper }}{% endmacro %}",
            ),
        ],
    );
    let text = templates.expand(quote! {
        #[template("page.html")]
        struct Page { name: String }
    });
    assert!(!text.contains("compile_error"), "{text}");
    let text = text.replace(' ', "").replace("::brubeck::", "");
    let entry = |name: &str, path: &str, captures: &str| {
        format!("(\"{name}\",__private::template_url(&<{path}as__private::Routed>::SPEC,&[{captures}],")
    };
    for (entry, count) in [
        (entry("user", "user", "\"id\",\"tab\""), 1),
        (entry("user", "user", "\"tab\",\"id\""), 1),
        (entry("crate::r#type::index", "crate::r#type::index", ""), 1),
        (entry("self::super::match", "self::super::r#match", "\"id\""), 1),
    ] {
        assert_eq!(text.matches(&entry).count(), count, "{entry} {text}");
    }
    assert!(
        text.contains("\"templates/page.html:2:{{url('user',tab=2,id=2)}}"),
        "{text}"
    );
}

#[test]
fn url_that_cannot_be_checked_is_refused() {
    for (template, mistake) in [
        ("{{ url() }}", "`url` needs the name of a handler"),
        ("{{ url(id=7) }}", "`url` needs the name of a handler"),
        (
            "{{ url('user', 7) }}",
            "`url` takes the captures of a handler by keyword",
        ),
        ("{{ url(name) }}", "the handler of `url` is computed"),
        ("{{ url('us' ~ name) }}", "the handler of `url` is computed"),
        ("{{ url('user', **name) }}", "the captures of `url` are spread"),
        ("{{ url(*name) }}", "the captures of `url` are spread"),
        ("{{ url('/user/7') }}", "`/user/7` is not the name of a handler"),
        ("{{ url('') }}", "`` is not the name of a handler"),
        ("{{ url('a::') }}", "`a::` is not the name of a handler"),
        ("{{ url('a b') }}", "`a b` is not the name of a handler"),
        ("{{ url('crate') }}", "`crate` is not the name of a handler"),
        (
            "{{ url('a::crate::b') }}",
            "`a::crate::b` is not the name of a handler",
        ),
        ("{{ url('Self') }}", "`Self` is not the name of a handler"),
        ("{{ url }}", "`Page` has no field `url`"),
        ("{% set u = url %}", "`Page` has no field `url`"),
        ("{{ uri('user') }}", "there is no function or macro `uri`"),
    ] {
        let templates = Templates::new("url-mistakes", &[("page.html", template)]);
        let text = templates.expand(quote! {
            #[template("page.html")]
            struct Page { name: String }
        });
        assert_eq!(text.matches("compile_error").count(), 1, "{template}: {text}");
        assert!(text.contains(mistake), "{template}: {text}");
    }
}

#[test]
fn url_of_the_page_or_of_the_application_is_not_the_function() {
    for template in [
        "{{ url }}{{ url(1) }}",
        "{% if url is defined %}{{ url }}{% endif %}",
    ] {
        let templates = Templates::new("url-own", &[("page.html", template)]);
        for page in [
            quote! {
                #[template("page.html")]
                struct Page { url: String }
            },
            quote! {
                #[template("page.html", globals = ["url"])]
                struct Page;
            },
        ] {
            let text = templates.expand(page);
            assert!(!text.contains("compile_error"), "{text}");
            assert!(!text.contains("template_url"), "{text}");
        }
    }
    let templates = Templates::new(
        "url-local",
        &[(
            "page.html",
            "{% macro url(x) %}{{ x }}{% endmacro %}{{ url(7) }}{% if urls is defined %}{% endif %}",
        )],
    );
    let text = templates.expand(quote! {
        #[template("page.html")]
        struct Page;
    });
    assert!(
        !text.contains("compile_error") && !text.contains("template_url"),
        "{text}"
    );
}
