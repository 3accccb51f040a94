//! Checks the templates of a page by the syntax tree of minijinja: filters, tests, functions, macros and their arguments, blocks, and
//! variables in their scopes.
//!
//! A template is checked in the scope of each place that includes or imports it, as it is rendered: an included template sees the variables of
//! that place, and sets variables there; a block sees the variables of the place in the base template that shows it. Within a frame the order
//! does not matter: a variable that is set anywhere in it counts as set, because a condition or a loop can decide when.

mod calls;
mod expressions;
mod statements;

use super::facts::{Declared, Facts, children, facts};
use super::names::FUNCTIONS;
use super::references::{Names, bodies, names};
use super::scope::{Binding, MacroBinding, Module, Scope, Step};
use crate::error::suggest;
use minijinja::machinery::ast::{Expr, Macro, Stmt};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// Limits the work of one derive. Templates that are included at further places are not checked there.
const MAX_WALKS: usize = 2000;

/// Limits the depth of templates that include each other.
const MAX_DEPTH: usize = 64;

/// A mistake in a template.
#[derive(Debug, PartialEq)]
pub(super) struct Finding {
    pub(super) template: String,
    pub(super) line: usize,
    pub(super) message: String,
    pub(super) help: Option<String>,
}

/// The use of a part of a field, which the type of the field must have.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Access {
    pub(super) steps: Vec<Step>,
    pub(super) template: String,
    pub(super) line: usize,
}

/// The use of the URL of a handler.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct UrlCall {
    /// The name or path of the handler.
    pub(super) handler: String,
    /// The captures that have a value, in order.
    pub(super) captures: Vec<String>,
    pub(super) template: String,
    pub(super) line: usize,
}

pub(super) struct Checker<'a> {
    templates: &'a BTreeMap<&'a str, Stmt<'a>>,
    declared: &'a Declared<'a>,
    facts: BTreeMap<&'a str, Facts<'a>>,
    seen: BTreeSet<(String, String)>,
    walks: usize,
    depth: usize,
    pub(super) findings: Vec<Finding>,
    pub(super) accesses: BTreeSet<Access>,
    pub(super) urls: BTreeSet<UrlCall>,
}

/// The place that is being checked.
#[derive(Clone)]
struct CheckSite<'a> {
    template: &'a str,
    /// The templates whose blocks are shown: the one that is rendered, then its parents.
    chain: Rc<Vec<&'a str>>,
    /// The block that is shown, and the position of its template in the chain.
    block: Option<(&'a str, usize)>,
    /// The macros that are being checked, because a macro can call itself.
    macros: Vec<*const Macro<'a>>,
}

impl<'a> Checker<'a> {
    pub(super) fn new(templates: &'a BTreeMap<&'a str, Stmt<'a>>, declared: &'a Declared<'a>) -> Checker<'a> {
        Checker {
            templates,
            declared,
            facts: templates
                .iter()
                .map(|(name, template)| (*name, facts(template, declared, templates)))
                .collect(),
            seen: BTreeSet::new(),
            walks: 0,
            depth: 0,
            findings: Vec::new(),
            accesses: BTreeSet::new(),
            urls: BTreeSet::new(),
        }
    }

    /// Checks a template as a page.
    pub(super) fn check(&mut self, name: &'a str) {
        self.template(name, &mut Scope::new(), &[]);
    }

    /// Checks a template that is rendered in a scope, and adds the variables that it sets.
    fn template(&mut self, name: &'a str, scope: &mut Scope<'a>, macros: &[*const Macro<'a>]) {
        let chains = self.chains(name);
        self.check_blocks(name, &chains);
        for chain in chains {
            for member in &chain {
                self.hoist_template(member, scope, 0);
            }
            let key = (chain.join("\n"), scope.signature());
            if self.walks >= MAX_WALKS || self.depth >= MAX_DEPTH || !self.seen.insert(key) {
                continue;
            }
            self.walks += 1;
            self.depth += 1;
            let chain = Rc::new(chain);
            // If a template extends another one, its statements outside of blocks run, and their output is not shown.
            for (position, member) in chain.iter().enumerate() {
                let place = CheckSite {
                    template: member,
                    chain: chain.clone(),
                    block: None,
                    macros: macros.to_vec(),
                };
                if let Some(template) = self.templates.get(member) {
                    let is_root = position + 1 == chain.len();
                    self.statements(children(template), scope, &place, is_root);
                }
            }
            self.depth -= 1;
        }
    }

    /// Returns the templates that a template can extend, each list from the template itself to the one that extends no other.
    fn chains(&self, name: &'a str) -> Vec<Vec<&'a str>> {
        let mut chains = Vec::new();
        let mut pending = vec![vec![name]];
        while let Some(chain) = pending.pop() {
            let facts = chain.last().and_then(|last| self.facts.get(last));
            let parents = facts.map_or(&[][..], |facts| &facts.parents);
            let mut is_end = facts.is_none_or(|facts| !facts.extends_always);
            for parent in parents.iter().flatten() {
                if chain.contains(parent) || !self.templates.contains_key(parent) {
                    is_end = true;
                    continue;
                }
                let mut longer = chain.clone();
                longer.push(parent);
                pending.push(longer);
            }
            if is_end {
                chains.push(chain);
            }
            if chains.len() + pending.len() > MAX_DEPTH {
                break;
            }
        }
        chains
    }

    /// Reports blocks that no parent shows, and required blocks that are missing.
    fn check_blocks(&mut self, name: &'a str, chains: &[Vec<&'a str>]) {
        let mut checked = BTreeSet::new();
        for member in chains.iter().flatten() {
            let Some(facts) = self.facts.get(member).filter(|facts| facts.extends_always) else {
                continue;
            };
            if !checked.insert(*member) {
                continue;
            }
            // A template that can extend one of several may have a block for one of them only.
            let mut parents = Vec::new();
            for chain in chains {
                let after = chain.iter().skip_while(|other| *other != member).skip(1);
                parents.extend(after.copied());
            }
            let Some(parent) = parents.first().copied() else {
                continue;
            };
            let known = parents.iter().filter_map(|parent| self.facts.get(parent));
            let known: BTreeSet<&str> = known.flat_map(|facts| facts.blocks.keys().copied()).collect();
            let missing: Vec<(&str, usize)> = facts
                .outer_blocks
                .iter()
                .filter(|(block, _)| !known.contains(block))
                .copied()
                .collect();
            for (block, line) in missing {
                let help = match suggest(block, known.iter().copied()) {
                    Some(close) => format!("did you mean `{close}`?"),
                    None => {
                        format!(
                            "add `{{% block {block} %}}{{% endblock %}}` to `{parent}`, or remove the block"
                        )
                    }
                };
                let message = format!("`{parent}` has no block `{block}`, so this block is never shown");
                self.report(member, line, message, Some(help));
            }
        }
        for chain in chains {
            for member in chain {
                let Some(facts) = self.facts.get(member) else {
                    continue;
                };
                let has_block = |member: &&&str, block: &str| {
                    let facts = self.facts.get(**member);
                    facts.is_some_and(|facts| facts.blocks.contains_key(block))
                };
                let missing: Vec<&str> = facts
                    .required
                    .iter()
                    .filter(|block| chain.iter().filter(|member| has_block(member, block)).count() == 1)
                    .copied()
                    .collect();
                for block in missing {
                    let message = format!("the block `{block}`, which `{member}` requires, is missing");
                    let help = format!("add `{{% block {block} %}}..{{% endblock %}}` to `{name}`");
                    self.report(name, 1, message, Some(help));
                }
            }
        }
    }

    /// Adds the variables that a template sets outside of loops, blocks and macros.
    fn hoist_template(&mut self, name: &'a str, scope: &mut Scope<'a>, depth: usize) {
        if let Some(template) = self.templates.get(name) {
            self.hoist(children(template), scope, name, depth);
        }
    }

    /// Adds the variables that statements set in the innermost frame.
    fn hoist(&mut self, statements: &'a [Stmt<'a>], scope: &mut Scope<'a>, template: &'a str, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        for statement in statements {
            match statement {
                Stmt::Set(set) => {
                    let binding = self.binding_of(&set.expr, scope);
                    scope.assign(&set.target, binding);
                }
                Stmt::SetBlock(set) => {
                    scope.assign(&set.target, Binding::Any);
                    self.hoist(&set.body, scope, template, depth);
                }
                Stmt::Macro(decl) => scope.add(
                    decl.name,
                    Binding::Macro(MacroBinding {
                        decl,
                        template,
                        scope: None,
                    }),
                ),
                Stmt::Import(import) => {
                    let module = self.module(&import.expr, scope, template, depth);
                    scope.assign(&import.name, Binding::Module(Rc::new(module)));
                }
                Stmt::FromImport(import) => {
                    let module = self.module(&import.expr, scope, template, depth);
                    for (name, alias) in &import.names {
                        let binding = match name {
                            Expr::Var(variable) => module.exports.get(variable.id).cloned(),
                            _ => None,
                        };
                        scope.assign(alias.as_ref().unwrap_or(name), binding.unwrap_or(Binding::Any));
                    }
                }
                Stmt::Include(include) => {
                    for name in self.targets(&include.name, template) {
                        for member in self.chains(name).concat() {
                            self.hoist_template(member, scope, depth + 1);
                        }
                    }
                }
                Stmt::IfCond(_) | Stmt::AutoEscape(_) | Stmt::FilterBlock(_) => {
                    for body in bodies(statement) {
                        self.hoist(body, scope, template, depth);
                    }
                }
                Stmt::ForLoop(for_loop) => self.hoist(&for_loop.else_body, scope, template, depth),
                _ => {}
            }
        }
    }

    /// Returns the exports of an imported template.
    fn module(
        &mut self,
        expr: &Expr<'a>,
        scope: &mut Scope<'a>,
        template: &'a str,
        depth: usize,
    ) -> Module<'a> {
        let targets = self.targets(expr, template);
        let mut module = Module {
            exports: BTreeMap::new(),
            is_open: targets.is_empty(),
        };
        if depth > MAX_DEPTH {
            module.is_open = true;
            return module;
        }
        scope.with_frame(|scope| {
            for name in targets {
                for member in self.chains(name).concat() {
                    self.hoist_template(member, scope, depth + 1);
                }
            }
            let inner = Rc::new(scope.clone());
            // Names that begin with an underscore are not exported.
            let exported = scope
                .innermost()
                .into_iter()
                .flatten()
                .filter(|(name, _)| !name.starts_with('_'));
            for (name, binding) in exported {
                let mut binding = binding.clone();
                if let Binding::Macro(MacroBinding {
                    scope: scope @ None, ..
                }) = &mut binding
                {
                    *scope = Some(inner.clone());
                }
                module.exports.insert(name, binding);
            }
        });
        module
    }

    /// Returns the templates that an expression can name.
    fn targets(&self, expr: &Expr<'a>, template: &'a str) -> Vec<&'a str> {
        let found = match self.facts.get(template) {
            Some(facts) => names(expr, &facts.constants),
            None => Names::Computed,
        };
        let names = match &found {
            Names::Computed => self.declared.templates,
            known => known.list(),
        };
        let known = names
            .iter()
            .filter_map(|name| self.templates.get_key_value(name.as_str()));
        known.map(|(name, _)| *name).collect()
    }

    /// Returns what is known about the value of an expression.
    fn binding_of(&self, expr: &Expr<'a>, scope: &Scope<'a>) -> Binding<'a> {
        if let Expr::Var(variable) = expr
            && let Some(binding) = scope.get(variable.id)
        {
            return binding.clone();
        }
        self.path(expr, scope).map_or(Binding::Any, Binding::Path)
    }

    /// Returns the part of a field that an expression stands for.
    fn path(&self, expr: &Expr<'a>, scope: &Scope<'a>) -> Option<Vec<Step>> {
        let with = |base: &Expr<'a>, step| {
            let mut steps = self.path(base, scope)?;
            steps.push(step);
            Some(steps)
        };
        match expr {
            Expr::Var(variable) => match scope.get(variable.id) {
                Some(Binding::Path(steps)) => Some(steps.clone()),
                Some(_) => None,
                None => {
                    let is_field = self.declared.fields.iter().any(|field| field == variable.id);
                    is_field.then(|| vec![Step::Field(variable.id.to_owned())])
                }
            },
            Expr::GetAttr(attribute) => with(&attribute.expr, Step::Field(attribute.name.to_owned())),
            Expr::GetItem(item) => match item.subscript_expr.as_const() {
                Some(key) => match key.as_str() {
                    Some(name) => with(&item.expr, Step::Field(name.to_owned())),
                    None => with(&item.expr, Step::Item),
                },
                // A computed key can be the name of a field.
                None => None,
            },
            // Filters that return elements of a list, or the list.
            Expr::Filter(filter) => match (filter.name, &filter.expr) {
                ("first" | "last" | "min" | "max" | "random", Some(list)) if filter.args.is_empty() => {
                    with(list, Step::Item)
                }
                ("reverse" | "list" | "sort" | "unique", Some(list)) => {
                    // These turn a map into the list of its keys.
                    let steps = self.path(list, scope)?;
                    filter.args.is_empty().then_some(steps)
                }
                _ => None,
            },
            _ => None,
        }
    }

    fn report(&mut self, template: &str, line: usize, message: String, help: Option<String>) {
        let finding = Finding {
            template: template.to_owned(),
            line,
            message,
            help,
        };
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    /// Returns whether a variable exists.
    fn is_known(&self, name: &str, scope: &Scope<'a>) -> bool {
        scope.get(name).is_some() || self.exists_everywhere(name)
    }

    /// Returns whether a variable exists in every scope.
    fn exists_everywhere(&self, name: &str) -> bool {
        self.declared.fields.iter().any(|field| field == name)
            || self.declared.globals.iter().any(|global| global == name)
            || FUNCTIONS.contains(&name)
    }
}

fn did_you_mean(name: &str) -> String {
    format!("did you mean `{name}`?")
}
