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
                "{% for row in rows %}{% include 'part/row.html' %}{% endfor %}{{ loop }}",
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
