//! A template and those it extends, includes or imports.

use super::statement::{Scan, scan};
use crate::error::suggest;
use minijinja::Environment;
use std::collections::BTreeSet;
use std::path::Path;

/// Names that every template has.
const GLOBALS: [&str; 10] = [
    "range",
    "dict",
    "debug",
    "namespace",
    "loop",
    "self",
    "super",
    "caller",
    "true",
    "false",
];

/// Bounds what one derive reads.
const MAX_TEMPLATES: usize = 256;

#[derive(Default)]
pub(super) struct Family {
    /// The named template first.
    pub(super) templates: Vec<Template>,
    pub(super) mistakes: Vec<Mistake>,
}

pub(super) struct Template {
    pub(super) name: String,
    text: String,
    scan: Scan,
    variables: BTreeSet<String>,
    /// Whether it sees the variables of the named template: one that is only imported does not.
    sees_variables: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Mistake {
    Missing {
        name: String,
        wanted_by: Option<String>,
        close: Option<String>,
    },
    Syntax {
        name: String,
        line: usize,
        text: String,
    },
}

/// A variable that is used and never given.
pub(super) struct Unknown {
    pub(super) variable: String,
    pub(super) template: String,
    pub(super) line: usize,
    pub(super) text: String,
}

/// A template to be read, and who asks for it.
struct Wanted {
    name: String,
    by: Option<String>,
    optional: bool,
    sees_variables: bool,
}

impl Family {
    pub(super) fn read(folder: &Path, name: &str) -> Family {
        let mut family = Family::default();
        let first = Wanted {
            name: name.to_owned(),
            by: None,
            optional: false,
            sees_variables: true,
        };
        let mut wanted = vec![first];
        while let Some(next) = wanted.pop() {
            if family.templates.len() >= MAX_TEMPLATES {
                break;
            }
            match family
                .templates
                .iter_mut()
                .find(|template| template.name == next.name)
            {
                Some(known) => known.sees_variables |= next.sees_variables,
                None => wanted.extend(family.add(folder, next)),
            }
        }
        family
    }

    /// Adds one template, and gives those it refers to.
    fn add(&mut self, folder: &Path, wanted: Wanted) -> Vec<Wanted> {
        let Wanted {
            name,
            by,
            optional,
            sees_variables,
        } = wanted;
        let text = match std::fs::read_to_string(folder.join(&name)) {
            Ok(text) => text,
            Err(_) if optional => return Vec::new(),
            Err(_) => {
                let close = close_name(folder, &name);
                self.mistakes.push(Mistake::Missing {
                    name,
                    wanted_by: by,
                    close,
                });
                return Vec::new();
            }
        };
        let environment = Environment::new();
        let variables = match environment.template_from_named_str(&name, &text) {
            Ok(template) => template.undeclared_variables(false).into_iter().collect(),
            Err(error) => {
                let line = error.line().unwrap_or(1);
                let text = error.detail().unwrap_or("this is no template").to_owned();
                self.mistakes.push(Mistake::Syntax { name, line, text });
                return Vec::new();
            }
        };
        let scan = scan(&text);
        let references = scan
            .references
            .iter()
            .map(|reference| Wanted {
                name: reference.name.clone(),
                by: Some(name.clone()),
                optional: reference.optional,
                sees_variables: sees_variables && !reference.imported,
            })
            .collect();
        self.templates.push(Template {
            name,
            text,
            scan,
            variables,
            sees_variables,
        });
        references
    }

    /// The variables that are neither fields nor set by the templates themselves.
    ///
    /// What one template of the family sets is taken to be set for all: which of them is included within
    /// which loop is not looked into.
    pub(super) fn unknown_variables(&self, fields: &[String]) -> Vec<Unknown> {
        let assigned: BTreeSet<&str> = self
            .templates
            .iter()
            .flat_map(|template| &template.scan.assigned)
            .map(String::as_str)
            .collect();
        let known = |variable: &str| {
            fields.iter().any(|field| field == variable)
                || GLOBALS.contains(&variable)
                || assigned.contains(variable)
        };
        let mut seen = BTreeSet::new();
        let mut unknown = Vec::new();
        for template in self.templates.iter().filter(|template| template.sees_variables) {
            for variable in template.variables.iter().filter(|variable| !known(variable)) {
                if seen.insert(variable) {
                    let (line, text) = first_use(&template.text, variable);
                    let (variable, template) = (variable.clone(), template.name.clone());
                    unknown.push(Unknown {
                        variable,
                        template,
                        line,
                        text,
                    });
                }
            }
        }
        unknown
    }
}

/// The line on which `variable` first stands within `{{ }}` or `{% %}`, or at all.
fn first_use(text: &str, variable: &str) -> (usize, String) {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let uses = |line: &str| line.split(|c| !word(c)).any(|part| part == variable);
    let mut lines = text.lines().enumerate().filter(|(_, line)| uses(line));
    let tagged = lines
        .clone()
        .find(|(_, line)| line.contains("{{") || line.contains("{%"));
    tagged
        .or_else(|| lines.next())
        .map_or((1, String::new()), |(i, line)| (i + 1, line.trim().to_owned()))
}

/// A file of that folder with almost that name.
fn close_name(folder: &Path, name: &str) -> Option<String> {
    let (parent, own) = match name.rsplit_once('/') {
        Some((parent, own)) => (Some(parent), own),
        None => (None, name),
    };
    let files = std::fs::read_dir(parent.map_or(folder.to_owned(), |parent| folder.join(parent))).ok()?;
    let mut files: Vec<String> = files
        .flatten()
        .take(1000)
        .filter_map(|file| file.file_name().into_string().ok())
        .collect();
    files.sort();
    let close = suggest(own, files.iter().map(String::as_str))?;
    Some(parent.map_or(close.to_owned(), |parent| format!("{parent}/{close}")))
}
