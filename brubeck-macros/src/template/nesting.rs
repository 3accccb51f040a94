//! Templates that cannot be rendered because of how they extend and include each other.

use super::check::Finding;
use super::facts::children;
use super::references::{Constants, constants, names};
use minijinja::machinery::ast::Stmt;
use std::collections::{BTreeMap, BTreeSet};

/// A tag that always renders another template: the name of the other one, and the line of the tag.
type Edge<'a> = (&'a str, usize);

/// Finds the templates that extend two others, and those that always extend or include themselves, also through others.
pub(super) fn mistakes<'a>(templates: &BTreeMap<&'a str, Stmt<'a>>) -> Vec<Finding> {
    let mut findings = cycles(templates);
    for (name, template) in templates {
        let mut parents = children(template).iter().filter_map(|statement| match statement {
            Stmt::Extends(extends) => Some(usize::from(extends.span().start_line)),
            _ => None,
        });
        if let (Some(_), Some(line)) = (parents.next(), parents.next()) {
            findings.push(Finding {
                template: (*name).to_owned(),
                line,
                message: format!("`{name}` extends two templates"),
                help: Some("remove one of the tags `extends`".to_owned()),
            });
        }
    }
    findings
}

fn cycles<'a>(templates: &BTreeMap<&'a str, Stmt<'a>>) -> Vec<Finding> {
    let edges: BTreeMap<&str, Vec<Edge<'_>>> = templates
        .iter()
        .map(|(name, template)| {
            let mut edges = Vec::new();
            always_rendered(children(template), &constants(template), templates, &mut edges);
            (*name, edges)
        })
        .collect();
    let mut findings = Vec::new();
    for (name, own) in &edges {
        for (other, line) in own {
            if reaches(other, name, &edges) {
                findings.push(Finding {
                    template: (*name).to_owned(),
                    line: *line,
                    message: match other == name {
                        true => format!("`{name}` is rendered within itself without an end"),
                        false => {
                            format!("`{name}` is rendered within itself without an end, through `{other}`")
                        }
                    },
                    help: Some("remove the tag, or put it into `{% if .. %}`".to_owned()),
                });
            }
        }
    }
    findings
}

/// Collects the tags outside of conditions, loops, blocks and macros that name one template.
fn always_rendered<'a>(
    statements: &[Stmt<'a>],
    constants: &Constants<'a>,
    templates: &BTreeMap<&'a str, Stmt<'a>>,
    edges: &mut Vec<Edge<'a>>,
) {
    for statement in statements {
        let (expr, span) = match statement {
            Stmt::Extends(extends) => (&extends.name, extends.span()),
            Stmt::Include(include) => (&include.name, include.span()),
            Stmt::WithBlock(with) => {
                always_rendered(&with.body, constants, templates, edges);
                continue;
            }
            Stmt::AutoEscape(autoescape) => {
                always_rendered(&autoescape.body, constants, templates, edges);
                continue;
            }
            Stmt::FilterBlock(filter) => {
                always_rendered(&filter.body, constants, templates, edges);
                continue;
            }
            _ => continue,
        };
        if let [name] = names(expr, constants).list()
            && let Some((name, _)) = templates.get_key_value(name.as_str())
        {
            edges.push((name, usize::from(span.start_line)));
        }
    }
}

/// Whether a template leads to another one, or is it.
fn reaches(from: &str, to: &str, edges: &BTreeMap<&str, Vec<Edge<'_>>>) -> bool {
    let mut seen = BTreeSet::from([from]);
    let mut pending = vec![from];
    while let Some(name) = pending.pop() {
        if name == to {
            return true;
        }
        for (other, _) in edges.get(name).into_iter().flatten() {
            if seen.insert(other) {
                pending.push(other);
            }
        }
    }
    false
}
