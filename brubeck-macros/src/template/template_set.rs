//! Reads a template and all templates that it extends, includes or imports.

use super::scan::{Scan, scan};
use crate::error::suggest;
use minijinja::Environment;
use std::collections::BTreeSet;
use std::path::Path;

/// Names that are defined in every template.
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

/// Limits the work of one derive.
const MAX_TEMPLATES: usize = 256;

#[derive(Default)]
pub(super) struct TemplateSet {
    /// The template that the attribute names is the first.
    pub(super) templates: Vec<Template>,
    pub(super) errors: Vec<TemplateError>,
}

pub(super) struct Template {
    pub(super) name: String,
    text: String,
    scan: Scan,
    variables: BTreeSet<String>,
    /// The fields of the struct are variables of this template. They are not if it is only imported.
    sees_variables: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum TemplateError {
    Missing {
        name: String,
        required_by: Option<String>,
        /// A file with almost this name.
        close: Option<String>,
    },
    Syntax {
        name: String,
        line: usize,
        text: String,
    },
}

/// A variable that is used but is not defined.
pub(super) struct UnknownVariable {
    pub(super) variable: String,
    pub(super) template: String,
    pub(super) line: usize,
    pub(super) text: String,
}

/// A template that is to be read.
struct PendingTemplate {
    name: String,
    /// The template that refers to it.
    required_by: Option<String>,
    optional: bool,
    sees_variables: bool,
}

impl TemplateSet {
    pub(super) fn read(folder: &Path, name: &str) -> TemplateSet {
        let mut set = TemplateSet::default();
        let first = PendingTemplate {
            name: name.to_owned(),
            required_by: None,
            optional: false,
            sees_variables: true,
        };
        let mut pending = vec![first];
        while let Some(next) = pending.pop() {
            if set.templates.len() >= MAX_TEMPLATES {
                break;
            }
            match set
                .templates
                .iter_mut()
                .find(|template| template.name == next.name)
            {
                // Reached a second time: the template sees the variables if any reference to it does.
                Some(known) => known.sees_variables |= next.sees_variables,
                None => pending.extend(set.add(folder, next)),
            }
        }
        set
    }

    /// Adds a template, and returns those that it refers to.
    fn add(&mut self, folder: &Path, template: PendingTemplate) -> Vec<PendingTemplate> {
        let PendingTemplate {
            name,
            required_by,
            optional,
            sees_variables,
        } = template;
        let text = match std::fs::read_to_string(folder.join(&name)) {
            Ok(text) => text,
            Err(_) if optional => return Vec::new(),
            Err(_) => {
                let close = close_name(folder, &name);
                self.errors.push(TemplateError::Missing {
                    name,
                    required_by,
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
                let text = error.detail().unwrap_or("invalid template").to_owned();
                self.errors.push(TemplateError::Syntax { name, line, text });
                return Vec::new();
            }
        };
        let scan = scan(&text);
        let references = scan
            .references
            .iter()
            .map(|reference| PendingTemplate {
                name: reference.name.clone(),
                required_by: Some(name.clone()),
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

    /// Returns the variables that are neither fields nor set by the templates themselves.
    ///
    /// A variable that one template sets counts as set in all of them: it is not analyzed which template is included in which
    /// loop.
    pub(super) fn unknown_variables(&self, fields: &[String]) -> Vec<UnknownVariable> {
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
                    unknown.push(UnknownVariable {
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

/// Returns the first line that contains the variable in a tag, or else the first line that contains it.
fn first_use(text: &str, variable: &str) -> (usize, String) {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let uses = |line: &str| line.split(|c| !is_word(c)).any(|part| part == variable);
    let mut lines = text.lines().enumerate().filter(|(_, line)| uses(line));
    let tagged = lines
        .clone()
        .find(|(_, line)| line.contains("{{") || line.contains("{%"));
    tagged
        .or_else(|| lines.next())
        .map_or((1, String::new()), |(i, line)| (i + 1, line.trim().to_owned()))
}

/// Returns a file of the folder with almost this name.
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
