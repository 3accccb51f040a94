//! The templates of minijinja's own tests: none may be refused that renders.
//!
//! They are read from a clone of minijinja's repository, which `tests/conformance/minijinja.sh` makes.

use super::corpus::Folder;
use super::expand_in;
use brubeck_runtime::minijinja::value::{Rest, ValueOrKwargs};
use brubeck_runtime::minijinja::{Environment, Value};
use brubeck_runtime::testing::TestClient;
use brubeck_runtime::{App, Page, Routes, Template};
use proc_macro2::Span;
use quote::quote;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use syn::Ident;

/// Mistakes to brubeck that minijinja renders, and a part of their message.
const STRICTER: &[(&str, &str)] = &[
    // The name of the template is in a variable, and there is no such template.
    (
        "inputs/include_ignore_missing.txt",
        "the name of this template is computed",
    ),
    // The tag is never reached.
    (
        "inputs/err_extends_actually_not.txt",
        "there is no template `something.html`",
    ),
    // minijinja renders what does not exist as an empty text.
    ("inputs/macro_import.txt", "has no macro or variable `missing`"),
    ("inputs/macro_import2.txt", "has no macro or variable `missing`"),
    // The block is rendered by itself, and never shown otherwise.
    (
        "fragment-inputs/fragment_from_parent.txt",
        "so this block is never shown",
    ),
];

/// A file of minijinja's tests.
struct Case {
    file: PathBuf,
    variables: BTreeMap<String, Value>,
    text: String,
}

impl Case {
    /// Reads a file: the variables as JSON and `---` before the template, or the template alone.
    /// Returns `None` for settings of the parser that no application of brubeck has.
    fn read(file: &Path) -> Option<Case> {
        let contents = std::fs::read_to_string(file).expect("the file is readable");
        let (variables, text) = match contents.split_once("\n---\n") {
            Some((json, text)) => (serde_json::from_str(json).expect("the variables are JSON"), text),
            None => (BTreeMap::new(), contents.as_str()),
        };
        let variables: BTreeMap<String, Value> = variables;
        if variables.keys().any(|name| name.starts_with('$')) || contents.contains("_prefix\":") {
            return None;
        }
        Some(Case {
            file: file.to_owned(),
            variables,
            text: text.to_owned(),
        })
    }

    /// The fields of the page: the variables, and the fields that templates use without a definition.
    fn fields(&self) -> BTreeSet<String> {
        let engine = Environment::new();
        let globals: HashSet<String> = engine.globals().map(|(name, _)| name.to_owned()).collect();
        let references = self.references();
        let texts = references.iter().map(|(_, text)| text).chain([&self.text]);
        let templates: Vec<_> = texts
            .filter_map(|text| engine.template_from_str(text).ok())
            .collect();
        let used = templates
            .iter()
            .flat_map(|template| template.undeclared_variables(false));
        used.filter(|name| !globals.contains(name) && name != "super" && name != "self")
            .chain(self.variables.keys().cloned())
            .collect()
    }

    /// The files that the template can include.
    fn references(&self) -> Vec<(String, String)> {
        let Some(folder) = self.file.parent() else {
            return Vec::new();
        };
        files(&folder.join("refs"))
            .into_iter()
            .map(|file| {
                let name = file.file_name().expect("a file").to_string_lossy().into_owned();
                (
                    name,
                    std::fs::read_to_string(&file).expect("the file is readable"),
                )
            })
            .collect()
    }

    /// The error of the check, or `None`.
    fn refusal(&self, folder: &Path) -> Option<String> {
        let fields = self.fields();
        let fields = fields
            .iter()
            .map(|name| syn::parse_str(name).unwrap_or_else(|_| Ident::new_raw(name, Span::call_site())));
        // Names of templates in variables are listed, as an application has to.
        let references: BTreeSet<String> = self.references().into_iter().map(|(name, _)| name).collect();
        let listed = self.variables.values().filter_map(|value| value.as_str());
        let listed = listed.filter(|name| references.contains(*name));
        let input = quote! {
            #[template("page.html", globals = ["get_args"], templates = [#(#listed),*])]
            struct Variables { #(#fields: Value),* }
        };
        let text = expand_in(folder, input).to_string();
        let (_, error) = text.split_once("compile_error")?;
        Some(error.replace("\\n", "\n"))
    }

    /// The status of the page and its text.
    async fn render(&self, folder: &Path) -> (u16, String) {
        let mut variables = self.variables.clone();
        variables.insert("one_shot_iterator".to_owned(), Value::from_iter(0..3));
        *VARIABLES.lock().unwrap_or_else(PoisonError::into_inner) = variables;
        let app = App::new(NO_ROUTES, ())
            .templates(folder)
            .global(
                "get_args",
                Value::from_function(|arguments: Rest<ValueOrKwargs>| Value::from(arguments.into_values())),
            )
            .fallback(page);
        let response = TestClient::new(app).get("/").await;
        (response.status(), response.text().to_owned())
    }
}

/// The variables of the page that is rendered.
static VARIABLES: Mutex<BTreeMap<String, Value>> = Mutex::new(BTreeMap::new());

/// The page `page.html` of the folder.
struct Variables;

impl Template for Variables {
    const NAME: &'static str = "page.html";
    const SOURCES: &'static [(&'static str, &'static str)] = &[];

    fn context(&self) -> Value {
        Value::from(VARIABLES.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

async fn page() -> Page<Variables> {
    Page(Variables)
}

const NO_ROUTES: Routes<()> = brubeck_runtime::__private::table(&[]);

/// Returns the files of a folder, sorted. A folder that does not exist has none.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    files
}

/// The folders of minijinja's repository that have templates.
const FOLDERS: &[&str] = &[
    "minijinja/tests/inputs",
    "minijinja/tests/fragment-inputs",
    "minijinja/tests/parser-inputs",
    "minijinja/tests/lexer-inputs",
    "benchmarks/inputs",
    "benchmarks/inputs/comparison",
];

#[tokio::test]
#[ignore = "reads minijinja's tests: run tests/conformance/minijinja.sh"]
async fn no_template_that_renders_is_refused() {
    let source =
        PathBuf::from(std::env::var_os("MINIJINJA_SOURCE").expect("a clone of minijinja's repository"));
    let files: Vec<PathBuf> = FOLDERS
        .iter()
        .flat_map(|folder| files(&source.join(folder)))
        .collect();
    assert!(
        files.len() >= 200,
        "only {} templates in {}",
        files.len(),
        source.display()
    );

    let (mut compile, mut render, mut refused, mut stricter, mut settings) = (0, 0, 0, 0, 0);
    let (mut false_alarms, mut values) = (Vec::new(), Vec::new());
    for file in &files {
        let Some(case) = Case::read(file) else {
            settings += 1;
            continue;
        };
        let references = case.references();
        let shared = references
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_str()));
        let folder = Folder::with("engine", shared.chain([("page.html", case.text.as_str())]));
        let refusal = case.refusal(&folder.0);
        let (status, text) = case.render(&folder.0).await;
        let name = file.strip_prefix(&source).expect("a file of the clone").display();
        match &refusal {
            None => compile += 1,
            Some(_) => refused += 1,
        }
        match (status, refusal) {
            (200, None) => render += 1,
            (200, Some(error)) => {
                let name = name.to_string();
                let is_meant = STRICTER
                    .iter()
                    .any(|(file, message)| name.ends_with(file) && error.contains(message));
                match is_meant {
                    true => stricter += 1,
                    false => false_alarms.push(format!("{name}:{error}")),
                }
            }
            (_, None) => values.push(format!("{name}: {text}")),
            (_, Some(_)) => {}
        }
    }
    println!(
        "{} templates: {compile} compile, {render} of them render; {refused} are refused, {stricter} of them on purpose although they render; \
         {settings} need another syntax; false alarms: {}",
        files.len(),
        false_alarms.len()
    );
    if std::env::var_os("VERBOSE").is_some() {
        println!("these compile and do not render:\n{}", values.join("\n"));
    }
    assert!(
        false_alarms.is_empty(),
        "these render:\n{}",
        false_alarms.join("\n")
    );
}
