//! Compares the public API of `brubeck` and of `brubeck-zmtp` with the lists in `docs/public-api`.
//!
//! `PUBLIC_API=overwrite cargo test -p public-api-tests` rewrites the lists. Review the difference before you commit it.
//!
//! rustdoc describes each crate as JSON. The facade consists of re-exports, so its list is the list of the runtime under the
//! names of the facade. Hidden items are not in the JSON. A list has no methods of trait implementations, because the
//! trait states them; an automatic trait is listed only if a type lacks it.

use public_api::{PublicApi, PublicItem};
use regex::{Captures, Regex};
use rustdoc_types::{Crate, Id, ItemEnum};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const UPDATE: &str = "PUBLIC_API=overwrite cargo test -p public-api-tests";

/// The description of one crate by rustdoc.
struct Documented {
    file: PathBuf,
    json: Crate,
}

impl Documented {
    /// Returns `None` if another release of rustdoc wrote the file.
    fn read(folder: &Path, name: &str) -> Option<Documented> {
        let file = folder.join(name).with_extension("json");
        let text = std::fs::read_to_string(&file).expect("the output of rustdoc");
        let format: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        if format["format_version"] != rustdoc_types::FORMAT_VERSION {
            return None;
        }
        Some(Documented {
            json: serde_json::from_value(format).expect("the description of a crate"),
            file,
        })
    }

    /// Returns the lines of the list, with full paths.
    fn lines(&self) -> Vec<String> {
        let api = |automatic: bool| -> PublicApi {
            public_api::Builder::from_rustdoc_json(&self.file)
                .omit_blanket_impls(true)
                .omit_auto_trait_impls(!automatic)
                .build()
                .expect("the description of a crate")
        };
        let lacking = api(true).into_items().map(|item| item.to_string());
        let items = api(false).into_items();
        let lines = items
            .filter(|item| !self.is_stated_by_trait(item))
            .map(|item| item.to_string())
            .filter(|line| !line.contains("StructuralPartialEq"))
            .chain(lacking.filter(|line| line.contains(" !core::marker::S")));
        // An implementation is an item of its type and of its trait.
        let mut known = BTreeSet::new();
        lines.filter(|line| known.insert(line.clone())).collect()
    }

    /// Returns `true` for the functions and constants of a trait implementation. Its associated types are listed, because
    /// only the implementation states them.
    fn is_stated_by_trait(&self, item: &PublicItem) -> bool {
        let inner = |id: Id| self.json.index.get(&id).map(|item| &item.inner);
        matches!(item.parent_id().and_then(inner), Some(ItemEnum::Impl(parent)) if parent.trait_.is_some())
            && matches!(
                inner(item.id()),
                Some(ItemEnum::Function(_) | ItemEnum::AssocConst { .. })
            )
    }

    /// Adds the path of each re-exported item below a module, by its path in the crate that declares it.
    fn re_exports(&self, module: Id, path: &str, found: &mut BTreeMap<String, String>) {
        let Some(ItemEnum::Module(inside)) = self.json.index.get(&module).map(|item| &item.inner) else {
            return;
        };
        for id in &inside.items {
            match self.json.index.get(id).map(|item| (&item.inner, &item.name)) {
                Some((ItemEnum::Use(re_export), _)) if !re_export.is_glob => {
                    found
                        .entry(re_export.source.clone())
                        .or_insert(format!("{path}::{}", re_export.name));
                }
                Some((ItemEnum::Module(_), Some(name))) if name != "prelude" => {
                    self.re_exports(*id, &format!("{path}::{name}"), found);
                }
                _ => {}
            }
        }
    }
}

/// Runs rustdoc for all crates. Returns `None` if its release is not the one of the lists.
fn document() -> Option<BTreeMap<&'static str, Documented>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .expect("the target folder");
    let status = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()))
        .current_dir(root)
        .args(["doc", "--quiet", "--no-deps", "--lib", "--all-features"])
        .args([
            "-p",
            "brubeck-rs",
            "-p",
            "brubeck-runtime",
            "-p",
            "brubeck-macros",
            "-p",
            "brubeck-zmtp",
        ])
        .arg("--target-dir")
        .arg(target)
        .env(
            "RUSTDOC",
            Path::new(env!("CARGO_MANIFEST_DIR")).join("rustdoc.sh"),
        )
        .env(
            "RUSTDOCFLAGS",
            "-Z unstable-options --output-format json --cap-lints allow",
        )
        .status()
        .expect("cargo");
    assert!(status.success(), "rustdoc failed");
    ["brubeck", "brubeck_macros", "brubeck_runtime", "brubeck_zmtp"]
        .into_iter()
        .map(|name| Some((name, Documented::read(&target.join("doc"), name)?)))
        .collect()
}

fn documented() -> Option<&'static BTreeMap<&'static str, Documented>> {
    static CRATES: OnceLock<Option<BTreeMap<&'static str, Documented>>> = OnceLock::new();
    let crates = CRATES.get_or_init(document).as_ref();
    if crates.is_none() {
        let text = format!(
            "the lists need the rustdoc whose JSON has format {}",
            rustdoc_types::FORMAT_VERSION
        );
        assert!(std::env::var_os("CI").is_none(), "{text}");
        println!("skipped: {text}");
    }
    crates
}

/// Shortens the paths of other crates: `Option` for an item of the standard library, `bytes::Bytes` for any other.
fn shorten(line: &str) -> String {
    let path = Regex::new(r"(?-u)\b([a-z_][a-z0-9_]*)(?:::[a-z_][a-z0-9_]*)*::([A-Z]\w*)").expect("a regex");
    path.replace_all(line, |found: &Captures<'_>| match &found[1] {
        "alloc" | "core" | "std" => found[2].to_owned(),
        krate if krate.starts_with("brubeck") => found[0].to_owned(),
        krate => format!("{krate}::{}", &found[2]),
    })
    .into_owned()
}

fn facade(crates: &BTreeMap<&'static str, Documented>) -> Vec<String> {
    let facade = &crates["brubeck"];
    let mut names = BTreeMap::new();
    facade.re_exports(facade.json.root, "brubeck", &mut names);
    let renamed = Regex::new(r"(?-u)\bbrubeck_(?:runtime|macros)::\w+").expect("a regex");
    // The colon that `public_api` leaves out of `Output: Send`.
    let unbound = Regex::new(r"(?-u)([A-Z][A-Za-z]*)(core|alloc|std|brubeck_runtime)::").expect("a regex");
    let own = facade.lines().into_iter().filter(|line| {
        line.starts_with("pub mod")
            || line.starts_with("pub use brubeck::prelude")
            || !line.starts_with("pub use")
    });
    let others = ["brubeck_macros", "brubeck_runtime"]
        .into_iter()
        .flat_map(|name| {
            let lines = crates[name].lines().into_iter();
            lines.filter(move |line| *line != format!("pub mod {name}"))
        });
    own.chain(others)
        .map(|line| {
            let line = unbound.replace_all(&line, "$1: $2::");
            let line = renamed.replace_all(&line, |found: &Captures<'_>| {
                names
                    .get(&found[0])
                    .map_or_else(|| found[0].to_owned(), Clone::clone)
            });
            shorten(&line.replace("brubeck_macros::", "brubeck::"))
        })
        .collect()
}

fn compare(file: &str, lines: &[String]) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs/public-api")
        .join(file);
    let now: String = lines.iter().fold(String::new(), |mut text, line| {
        text.push_str(line);
        text.push('\n');
        text
    });
    if std::env::var_os("PUBLIC_API").is_some_and(|value| value == "overwrite") {
        return std::fs::write(file, now).expect("the list should be writable");
    }
    let old = std::fs::read_to_string(file).unwrap_or_default();
    let (before, after): (BTreeSet<_>, BTreeSet<_>) = (old.lines().collect(), now.lines().collect());
    let mut changes = String::new();
    for line in before.difference(&after) {
        let _ = writeln!(changes, "- {line}");
    }
    for line in after.difference(&before) {
        let _ = writeln!(changes, "+ {line}");
    }
    assert!(
        old == now,
        "the public API is not the one in docs/public-api:\n{changes}If this is intended, run `{UPDATE}` and review the diff."
    );
}

#[test]
fn public_api_matches_the_lists() {
    if let Some(crates) = documented() {
        compare("brubeck.txt", &facade(crates));
        let zmtp: Vec<String> = crates["brubeck_zmtp"]
            .lines()
            .iter()
            .map(|line| shorten(line))
            .collect();
        compare("brubeck-zmtp.txt", &zmtp);
    }
}

#[test]
fn public_signatures_name_only_exported_items() {
    let Some(crates) = documented() else { return };
    let hidden: Vec<String> = facade(crates)
        .into_iter()
        .filter(|line| line.contains("brubeck_runtime::") && !line.contains("::sealed::"))
        .collect();
    assert!(
        hidden.is_empty(),
        "these items name types that `brubeck` does not export:\n{}",
        hidden.join("\n")
    );
}
