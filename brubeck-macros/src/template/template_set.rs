//! Reads a template and all templates that it extends, includes or imports.

use super::is_template_name;
use super::references::{Names, Reference, references};
use crate::error::suggest;
use minijinja::Environment;
use minijinja::machinery::ast::Stmt;
use minijinja::machinery::parse;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Limits the work of one derive. Further templates are neither embedded nor checked.
const MAX_TEMPLATES: usize = 256;

#[derive(Default)]
pub(super) struct TemplateSet {
    /// The names and texts of the templates. The template that the attribute names is the first.
    templates: Vec<(String, String)>,
    pub(super) errors: Vec<TemplateError>,
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
    /// A template is referred to by a name that is not a path below the folder.
    InvalidName {
        name: String,
        template: String,
        line: usize,
    },
    /// A template is referred to by a name that is not known at compile time.
    Computed {
        template: String,
        line: usize,
    },
}

/// A template that is to be read.
struct PendingTemplate {
    name: String,
    /// The template that refers to it.
    required_by: Option<String>,
    optional: bool,
}

impl TemplateSet {
    /// Reads the template `name` and, recursively, all templates that it refers to. `also` has the templates that a computed name can
    /// stand for, and `fields` the variables of the page.
    pub(super) fn read(folder: &Path, name: &str, also: &[String], fields: &BTreeSet<String>) -> TemplateSet {
        let mut set = TemplateSet::default();
        let first = std::iter::once(name).chain(also.iter().map(String::as_str));
        let mut pending: Vec<PendingTemplate> = first
            .map(|name| PendingTemplate {
                name: name.to_owned(),
                required_by: None,
                optional: false,
            })
            .collect();
        pending.reverse();
        while let Some(next) = pending.pop() {
            if set.templates.len() >= MAX_TEMPLATES {
                break;
            }
            if set.templates.iter().all(|(name, _)| *name != next.name) {
                let references = set.add(folder, next, fields);
                set.follow(folder, references, also, &mut pending);
            }
        }
        set
    }

    /// Adds a template. Returns its name and its references.
    fn add(
        &mut self,
        folder: &Path,
        template: PendingTemplate,
        fields: &BTreeSet<String>,
    ) -> Option<(String, Vec<Reference>)> {
        let PendingTemplate {
            name,
            required_by,
            optional,
        } = template;
        let Ok(text) = std::fs::read_to_string(folder.join(&name)) else {
            if !optional {
                let close = close_name(folder, &name);
                self.report(TemplateError::Missing {
                    name,
                    required_by,
                    close,
                });
            }
            return None;
        };
        // Compiling finds mistakes that parsing does not, such as two blocks of one name.
        let parsed = match Environment::new().template_from_named_str(&name, &text) {
            Ok(_) => parse(&text, &name, Default::default()).map(|tree| references(&tree, fields)),
            Err(error) => Err(error),
        };
        match parsed {
            Ok(references) => {
                self.templates.push((name.clone(), text));
                Some((name, references))
            }
            Err(error) => {
                let line = error.line().unwrap_or(1);
                let text = error.detail().unwrap_or("invalid template").to_owned();
                self.report(TemplateError::Syntax { name, line, text });
                None
            }
        }
    }

    /// Adds the templates of references to those that are to be read.
    fn follow(
        &mut self,
        folder: &Path,
        references: Option<(String, Vec<Reference>)>,
        also: &[String],
        pending: &mut Vec<PendingTemplate>,
    ) {
        let Some((template, references)) = references else {
            return;
        };
        let mut found = Vec::new();
        for Reference {
            names,
            optional,
            line,
        } in references
        {
            if names == Names::Computed && also.is_empty() {
                self.report(TemplateError::Computed {
                    template: template.clone(),
                    line,
                });
            }
            for name in names.list() {
                if !is_template_name(name) {
                    self.report(TemplateError::InvalidName {
                        name: name.clone(),
                        template: template.clone(),
                        line,
                    });
                    continue;
                }
                // One template of a list is enough.
                let is_one_of_several = match &names {
                    Names::FirstOf(names) => names.iter().any(|name| folder.join(name).is_file()),
                    _ => false,
                };
                found.push(PendingTemplate {
                    name: name.clone(),
                    required_by: Some(template.clone()),
                    optional: optional || is_one_of_several,
                });
            }
        }
        pending.extend(found.into_iter().rev());
    }

    fn report(&mut self, error: TemplateError) {
        if !self.errors.contains(&error) {
            self.errors.push(error);
        }
    }

    /// Returns the names of all templates.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.templates.iter().map(|(name, _)| name.as_str())
    }

    /// Returns the syntax trees of all templates.
    pub(super) fn trees(&self) -> BTreeMap<&str, Stmt<'_>> {
        let trees = self.templates.iter().filter_map(|(name, text)| {
            let tree = parse(text, name, Default::default()).ok()?;
            Some((name.as_str(), tree))
        });
        trees.collect()
    }

    /// Returns the text of a line, without the spaces around it. Lines are counted from 1.
    pub(super) fn line(&self, template: &str, line: usize) -> &str {
        let text = self.templates.iter().find(|(name, _)| name == template);
        text.and_then(|(_, text)| text.lines().nth(line.saturating_sub(1)))
            .unwrap_or_default()
            .trim()
    }
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
