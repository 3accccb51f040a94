use super::*;
use std::path::PathBuf;

/// A folder of templates that goes when the test ends.
struct Templates(PathBuf);

impl Templates {
    fn new(test: &str, files: &[(&str, &str)]) -> Templates {
        let folder = std::env::temp_dir().join(format!("brubeck-macros-{test}-{}", std::process::id()));
        for (name, text) in files {
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::fs::write(path, text).expect("a file");
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
fn a_page_and_its_family_are_embedded() {
    let templates = Templates::new(
        "family",
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
fn mistakes_are_named() {
    let templates = Templates::new(
        "mistakes",
        &[
            ("page.html", "<p>\n{{ nane }} {{ colour }}"),
            ("broken.html", "<p>\n{% if %}"),
            ("child.html", "{% extends 'nowhere.html' %}"),
        ],
    );
    let said = |input: TokenStream, text: &str| {
        let got = templates.expand(input);
        assert!(got.contains(text), "{got}");
    };
    let page = quote!(
        #[template("page.html")]
        struct Page {
            name: String,
        }
    );
    said(
        page.clone(),
        "`nane` is no field of `Page`\\n  templates/page.html:2: {{ nane }} {{ colour }}\\nhelp: did you mean `name`?",
    );
    said(page, "help: add a field `colour` to `Page`");
    said(
        quote!(
            #[template("broken.html")]
            struct Page {}
        ),
        "templates/broken.html:2: ",
    );
    said(
        quote!(
            #[template("child.html")]
            struct Page {}
        ),
        "there is no template `nowhere.html`, which `child.html` needs",
    );
    said(
        quote!(
            #[template("pages.html")]
            struct Page {}
        ),
        "help: did you mean `page.html`?",
    );
    said(
        quote!(
            #[template("../page.html")]
            struct Page {}
        ),
        "a template is named by its path below",
    );
    said(
        quote!(
            struct Page {}
        ),
        "`Page` names no template",
    );
    said(
        quote!(
            #[template(page)]
            struct Page {}
        ),
        "expected the path of a template",
    );
    said(
        quote!(
            #[template("page.html")]
            enum Page {}
        ),
        "a template shows the fields of a struct",
    );
    said(
        quote!(
            #[template("page.html")]
            struct Page(u8);
        ),
        "name them",
    );
}
