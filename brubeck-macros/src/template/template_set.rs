//! Reads a template and all templates that it extends, includes or imports.

use super::scan::{Scan, scan};
use crate::error::suggest;
use minijinja::Environment;
use std::collections::BTreeSet;
use std::path::Path;

/// Names that minijinja defines, some of them in certain blocks only. No field is needed for them.
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

/// Limits the work of one derive. Further templates are neither embedded nor checked.
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
    /// The variables of this template are checked. Those of a template that is only imported are not, because pages with different fields
    /// may share it.
    checks_variables: bool,
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
    checks_variables: bool,
}

impl Template {
    /// Returns the templates that this one refers to.
    fn references(&self) -> Vec<PendingTemplate> {
        let references = self.scan.references.iter().map(|reference| PendingTemplate {
            name: reference.name.clone(),
            required_by: Some(self.name.clone()),
            optional: reference.optional,
            checks_variables: self.checks_variables && !reference.imported,
        });
        references.collect()
    }
}

impl TemplateSet {
    /// Reads the template `name` and, recursively, all templates that it refers to.
    pub(super) fn read(folder: &Path, name: &str) -> TemplateSet {
        let mut set = TemplateSet::default();
        let first = PendingTemplate {
            name: name.to_owned(),
            required_by: None,
            optional: false,
            checks_variables: true,
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
                // Only imported so far. Now it is also included or extended, so it is checked, and so are the templates that it refers to.
                Some(known) if next.checks_variables && !known.checks_variables => {
                    known.checks_variables = true;
                    pending.extend(known.references());
                }
                Some(_) => {}
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
            checks_variables,
        } = template;
        let text = match std::fs::read_to_string(folder.join(&name)) {
            Ok(text) => text,
            Err(_) if optional => return Vec::new(),
            Err(_) => {
                let close = close_name(folder, &name);
                let error = TemplateError::Missing {
                    name,
                    required_by,
                    close,
                };
                // The references of a template are followed twice if it is imported and included.
                if !self.errors.contains(&error) {
                    self.errors.push(error);
                }
                return Vec::new();
            }
        };
        let environment = Environment::new();
        let variables = match environment.template_from_named_str(&name, &text) {
            Ok(template) => template.undeclared_variables(false).into_iter().collect(),
            Err(error) => {
                let line = error.line().unwrap_or(1);
                let text = error.detail().unwrap_or("invalid template").to_owned();
                let error = TemplateError::Syntax { name, line, text };
                if !self.errors.contains(&error) {
                    self.errors.push(error);
                }
                return Vec::new();
            }
        };
        let template = Template {
            scan: scan(&text),
            name,
            text,
            variables,
            checks_variables,
        };
        let references = template.references();
        self.templates.push(template);
        references
    }

    /// Returns the variables that are neither fields nor globals nor set by the templates themselves, except those of templates that are
    /// only imported.
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
        for template in self.templates.iter().filter(|template| template.checks_variables) {
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
