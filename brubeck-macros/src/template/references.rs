//! The templates that a template refers to.

use minijinja::Value;
use minijinja::machinery::ast::{Expr, Stmt};
use std::collections::{BTreeMap, BTreeSet};

/// A statement that refers to other templates.
#[derive(Debug, PartialEq)]
pub(super) struct Reference {
    pub(super) names: Names,
    /// The templates may be missing: `ignore missing`.
    pub(super) optional: bool,
    pub(super) line: usize,
}

/// The names that an expression can stand for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Names {
    /// One of them, as the program decides.
    OneOf(Vec<String>),
    /// The first one that exists.
    FirstOf(Vec<String>),
    /// The name is not known at compile time.
    Computed,
}

impl Names {
    pub(super) fn list(&self) -> &[String] {
        match self {
            Names::OneOf(names) | Names::FirstOf(names) => names,
            Names::Computed => &[],
        }
    }
}

/// The constant texts that the variables of a template can have. `None` if a variable can have another value.
pub(super) type Constants<'a> = BTreeMap<&'a str, Option<Vec<String>>>;

/// Returns the references of a template, in its order. `fields` has the variables of the page, which are not constant.
pub(super) fn references(template: &Stmt<'_>, fields: &BTreeSet<String>) -> Vec<Reference> {
    let mut constants = constants(template);
    constants.retain(|name, _| !fields.contains(*name));
    let mut references = Vec::new();
    visit(template, &mut |statement| {
        let (expr, optional, span) = match statement {
            Stmt::Extends(extends) => (&extends.name, false, extends.span()),
            Stmt::Include(include) => (&include.name, include.ignore_missing, include.span()),
            Stmt::Import(import) => (&import.expr, false, import.span()),
            Stmt::FromImport(import) => (&import.expr, false, import.span()),
            _ => return,
        };
        references.push(Reference {
            names: names(expr, &constants),
            optional,
            line: usize::from(span.start_line),
        });
    });
    references
}

/// Calls a function for a statement and all statements in it, in their order.
pub(super) fn visit<'s, 'a>(statement: &'s Stmt<'a>, function: &mut dyn FnMut(&'s Stmt<'a>)) {
    function(statement);
    for body in bodies(statement) {
        for statement in body {
            visit(statement, function);
        }
    }
}

/// Returns the lists of statements in a statement.
pub(super) fn bodies<'s, 'a>(statement: &'s Stmt<'a>) -> Vec<&'s [Stmt<'a>]> {
    match statement {
        Stmt::Template(template) => vec![&template.children],
        Stmt::ForLoop(for_loop) => vec![&for_loop.body, &for_loop.else_body],
        Stmt::IfCond(condition) => vec![&condition.true_body, &condition.false_body],
        Stmt::WithBlock(with) => vec![&with.body],
        Stmt::SetBlock(set) => vec![&set.body],
        Stmt::AutoEscape(escape) => vec![&escape.body],
        Stmt::FilterBlock(filter) => vec![&filter.body],
        Stmt::Block(block) => vec![&block.body],
        Stmt::Macro(decl) => vec![&decl.body],
        Stmt::CallBlock(call) => vec![&call.macro_decl.body],
        Stmt::EmitExpr(_)
        | Stmt::EmitRaw(_)
        | Stmt::Set(_)
        | Stmt::Import(_)
        | Stmt::FromImport(_)
        | Stmt::Extends(_)
        | Stmt::Include(_)
        | Stmt::Do(_) => Vec::new(),
    }
}

/// Returns the variables of a template that are set to constant texts only.
pub(super) fn constants<'a>(template: &Stmt<'a>) -> Constants<'a> {
    let mut constants = Constants::new();
    let mut add = |target: &Expr<'a>, texts: Option<Vec<String>>| {
        if let Expr::Var(variable) = target {
            let known = constants.entry(variable.id).or_insert_with(|| Some(Vec::new()));
            match (known.as_mut(), texts) {
                (Some(known), Some(texts)) => known.extend(texts),
                _ => *known = None,
            }
        }
    };
    visit(template, &mut |statement| match statement {
        Stmt::Set(set) => add(&set.target, set.expr.as_const().and_then(|value| texts(&value))),
        Stmt::SetBlock(set) => add(&set.target, None),
        Stmt::WithBlock(with) => {
            for (target, value) in &with.assignments {
                add(target, value.as_const().and_then(|value| texts(&value)));
            }
        }
        Stmt::ForLoop(for_loop) => {
            let items = for_loop.iter.as_const().filter(|value| value.as_str().is_none());
            add(&for_loop.target, items.and_then(|value| texts(&value)));
        }
        Stmt::Macro(decl) => {
            for argument in &decl.args {
                add(argument, None);
            }
        }
        Stmt::CallBlock(call) => {
            for argument in &call.macro_decl.args {
                add(argument, None);
            }
        }
        Stmt::Import(import) => add(&import.name, None),
        Stmt::FromImport(import) => {
            for (name, alias) in &import.names {
                add(alias.as_ref().unwrap_or(name), None);
            }
        }
        _ => {}
    });
    constants
}

/// Returns a text, or the texts of a list. Returns `None` for other values.
fn texts(value: &Value) -> Option<Vec<String>> {
    if let Some(text) = value.as_str() {
        return Some(vec![text.to_owned()]);
    }
    let items = value.try_iter().ok()?;
    items.map(|item| item.as_str().map(str::to_owned)).collect()
}

/// Returns the names that an expression can stand for.
pub(super) fn names(expr: &Expr<'_>, constants: &Constants<'_>) -> Names {
    if let Some(value) = expr.as_const() {
        return match (texts(&value), value.as_str()) {
            (Some(names), Some(_)) => Names::OneOf(names),
            (Some(names), None) => Names::FirstOf(names),
            (None, _) => Names::Computed,
        };
    }
    match expr {
        Expr::Var(variable) => match constants.get(variable.id) {
            Some(Some(names)) if !names.is_empty() => Names::OneOf(names.clone()),
            _ => Names::Computed,
        },
        Expr::IfExpr(condition) => {
            let otherwise = condition.false_expr.as_ref().map(|expr| names(expr, constants));
            match (names(&condition.true_expr, constants), otherwise) {
                (Names::OneOf(mut names), Some(Names::OneOf(others))) => {
                    names.extend(others);
                    Names::OneOf(names)
                }
                _ => Names::Computed,
            }
        }
        Expr::List(list) => first_of(&list.items, constants),
        Expr::Tuple(tuple) => first_of(&tuple.items, constants),
        _ => Names::Computed,
    }
}

fn first_of(items: &[Expr<'_>], constants: &Constants<'_>) -> Names {
    let mut all = Vec::new();
    for item in items {
        match names(item, constants) {
            Names::OneOf(names) => all.extend(names),
            _ => return Names::Computed,
        }
    }
    Names::FirstOf(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use minijinja::machinery::parse;

    #[test]
    fn finds_names_in_statements_only() {
        let template = parse(
            "{%- extends 'base.html' -%}{# {% include 'no' %} #}{{ \"{% include 'no' %}\" }}{% include \"a%}b\" %}\
             {% raw %}{% include 'no' %}{% endraw %}{% include 'c' ignore missing %}{% include ['d', 'e'] %}\
             {% from 'f' import g %}{% import 'h' as k %}{% include x ~ 'l' %}{% include 'm' if x else 'n' %}\
             {% set y = 'o' %}{% include y %}{% for z in ['p', 'q'] %}{% include z %}{% endfor %}{% include 'r' ~ '.s' %}",
            "t",
            Default::default(),
        )
        .expect("a valid template");
        let one = |name: &str| Names::OneOf(vec![name.to_owned()]);
        let names: Vec<Names> = references(&template, &BTreeSet::new())
            .into_iter()
            .map(|reference| reference.names)
            .collect();
        let two = |a: &str, b: &str| vec![a.to_owned(), b.to_owned()];
        assert_eq!(
            names,
            [
                one("base.html"),
                one("a%}b"),
                one("c"),
                Names::FirstOf(two("d", "e")),
                one("f"),
                one("h"),
                Names::Computed,
                Names::OneOf(two("m", "n")),
                one("o"),
                Names::OneOf(two("p", "q")),
                one("r.s"),
            ]
        );
    }
}
