//! Checks the templates of a page by the syntax tree of minijinja: filters, tests, functions, macros and their arguments, blocks, and
//! variables in their scopes.
//!
//! A template is checked in the scope of each place that includes or imports it, as it is rendered: an included template sees the variables of
//! that place, and sets variables there; a block sees the variables of the place in the base template that shows it. Within a frame the order
//! does not matter: a variable that is set anywhere in it counts as set, because a condition or a loop can decide when.

use super::facts::{Declared, Facts, children, facts, uses_variable};
use super::is_handler_path;
use super::names::{FILTERS, FUNCTIONS, LOOP, TESTS, URL};
use super::references::{Names, bodies, names};
use super::scope::{Binding, MacroBinding, Module, Scope, Step};
use crate::error::suggest;
use minijinja::machinery::ast::{Call, CallArg, Expr, Filter, Macro, Stmt};
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
            // What a template has outside of its blocks is not shown if it extends another one, but it runs.
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

    fn statements(
        &mut self,
        statements: &'a [Stmt<'a>],
        scope: &mut Scope<'a>,
        place: &CheckSite<'a>,
        shows_blocks: bool,
    ) {
        for statement in statements {
            self.statement(statement, scope, place, shows_blocks);
        }
    }

    /// Checks statements in a frame of their own.
    fn framed(
        &mut self,
        statements: &'a [Stmt<'a>],
        scope: &mut Scope<'a>,
        place: &CheckSite<'a>,
        shows_blocks: bool,
    ) {
        self.hoist(statements, scope, place.template, 0);
        self.statements(statements, scope, place, shows_blocks);
    }

    fn statement(
        &mut self,
        statement: &'a Stmt<'a>,
        scope: &mut Scope<'a>,
        place: &CheckSite<'a>,
        shows_blocks: bool,
    ) {
        match statement {
            Stmt::Template(template) => self.statements(&template.children, scope, place, shows_blocks),
            Stmt::EmitExpr(emit) => self.expr(&emit.expr, scope, place),
            Stmt::EmitRaw(_) => {}
            Stmt::ForLoop(for_loop) => {
                self.expr(&for_loop.iter, scope, place);
                let item = match self.path(&for_loop.iter, scope) {
                    // A recursive loop also runs for lists of other types.
                    Some(mut steps) if !for_loop.recursive => {
                        steps.push(Step::Item);
                        Binding::Path(steps)
                    }
                    _ => Binding::Any,
                };
                scope.with_frame(|scope| {
                    scope.assign(&for_loop.target, item);
                    if let Some(condition) = &for_loop.filter_expr {
                        self.expr(condition, scope, place);
                    }
                    scope.add("loop", Binding::Loop);
                    self.framed(&for_loop.body, scope, place, shows_blocks);
                });
                self.statements(&for_loop.else_body, scope, place, shows_blocks);
            }
            Stmt::IfCond(condition) => {
                self.expr(&condition.expr, scope, place);
                self.statements(&condition.true_body, scope, place, shows_blocks);
                self.statements(&condition.false_body, scope, place, shows_blocks);
            }
            Stmt::WithBlock(with) => scope.with_frame(|scope| {
                for (target, value) in &with.assignments {
                    self.expr(value, scope, place);
                    let binding = self.binding_of(value, scope);
                    scope.assign(target, binding);
                }
                self.framed(&with.body, scope, place, shows_blocks);
            }),
            Stmt::Set(set) => {
                self.expr(&set.expr, scope, place);
                // `{% set namespace.name = value %}`.
                if let Expr::GetAttr(attribute) = &set.target {
                    self.expr(&attribute.expr, scope, place);
                }
            }
            Stmt::SetBlock(set) => {
                self.statements(&set.body, scope, place, shows_blocks);
                if let Some(filter) = &set.filter {
                    self.expr(filter, scope, place);
                }
            }
            Stmt::AutoEscape(escape) => {
                self.expr(&escape.enabled, scope, place);
                self.statements(&escape.body, scope, place, shows_blocks);
            }
            Stmt::FilterBlock(filter) => {
                self.statements(&filter.body, scope, place, shows_blocks);
                self.expr(&filter.filter, scope, place);
            }
            Stmt::Block(block) => {
                if shows_blocks {
                    self.block(block.name, 0, scope, place);
                }
            }
            Stmt::Import(import) => {
                self.expr(&import.expr, scope, place);
                self.import(&import.expr, scope, place);
            }
            Stmt::FromImport(import) => {
                self.expr(&import.expr, scope, place);
                self.import(&import.expr, scope, place);
                let module = self.module(&import.expr, scope, place.template, 0);
                for (name, _) in &import.names {
                    if let Expr::Var(variable) = name
                        && !module.is_open
                        && !module.exports.contains_key(variable.id)
                        && !self.exists_everywhere(variable.id)
                    {
                        let line = usize::from(variable.span().start_line);
                        let target = self.targets(&import.expr, place.template).join("` or `");
                        let help = suggest(variable.id, module.exports.keys().copied()).map(did_you_mean);
                        let message = format!("`{target}` has no macro or variable `{}`", variable.id);
                        self.report(place.template, line, message, help);
                    }
                }
            }
            Stmt::Extends(extends) => self.expr(&extends.name, scope, place),
            Stmt::Include(include) => {
                self.expr(&include.name, scope, place);
                for name in self.targets(&include.name, place.template) {
                    self.template(name, scope, &place.macros);
                }
            }
            Stmt::Macro(decl) => self.macro_body(decl, scope, place),
            Stmt::CallBlock(call) => {
                let line = usize::from(call.call_expr_span.start_line);
                self.call(&call.call, line, true, scope, place);
                self.macro_body(&call.macro_decl, scope, place);
            }
            Stmt::Do(statement) => {
                let line = usize::from(statement.span().start_line);
                self.call(&statement.call, line, false, scope, place);
            }
        }
    }

    /// Checks a block where it is shown: the definition in the chain at or after a position.
    fn block(&mut self, name: &'a str, from: usize, scope: &mut Scope<'a>, place: &CheckSite<'a>) {
        let Some((position, template, body)) = self.block_definition(name, from, place) else {
            return;
        };
        // A block can be nested in a block of the same name of another template.
        if place
            .block
            .is_some_and(|(block, at)| block == name && at >= position)
        {
            return;
        }
        let place = CheckSite {
            template,
            block: Some((name, position)),
            ..place.clone()
        };
        scope.with_frame(|scope| self.framed(body, scope, &place, true));
    }

    fn block_definition(
        &self,
        name: &str,
        from: usize,
        place: &CheckSite<'a>,
    ) -> Option<(usize, &'a str, &'a [Stmt<'a>])> {
        place
            .chain
            .iter()
            .enumerate()
            .skip(from)
            .find_map(|(position, member)| {
                let body = self.facts.get(member)?.blocks.get(name)?;
                Some((position, *member, *body))
            })
    }

    /// Checks what an imported template does outside of its macros. Its macros are checked where they are called, because pages with other
    /// fields can share them.
    fn import(&mut self, expr: &Expr<'a>, scope: &mut Scope<'a>, place: &CheckSite<'a>) {
        for name in self.targets(expr, place.template) {
            let Some(template) = self.templates.get(name) else {
                continue;
            };
            scope.with_frame(|scope| {
                self.hoist_template(name, scope, 0);
                let key = (format!("import {name}"), scope.signature());
                if self.walks >= MAX_WALKS || !self.seen.insert(key) {
                    return;
                }
                self.walks += 1;
                let place = CheckSite {
                    template: name,
                    chain: Rc::new(vec![name]),
                    block: None,
                    macros: place.macros.clone(),
                };
                for statement in children(template)
                    .iter()
                    .filter(|statement| !matches!(statement, Stmt::Macro(_)))
                {
                    self.statement(statement, scope, &place, true);
                }
            });
        }
    }

    fn macro_body(&mut self, decl: &'a Macro<'a>, scope: &mut Scope<'a>, place: &CheckSite<'a>) {
        if place.macros.contains(&std::ptr::from_ref(decl)) {
            return;
        }
        let mut place = CheckSite {
            block: None,
            ..place.clone()
        };
        place.macros.push(decl);
        scope.with_frame(|scope| {
            scope.add("caller", Binding::Any);
            for argument in &decl.args {
                scope.assign(argument, Binding::Any);
            }
            for default in &decl.defaults {
                self.expr(default, scope, &place);
            }
            self.framed(&decl.body, scope, &place, false);
        });
    }

    /// Checks the body of an imported macro, for a call of it.
    fn imported_macro(&mut self, binding: &MacroBinding<'a>, place: &CheckSite<'a>) {
        let Some(inner) = &binding.scope else { return };
        let key = (format!("macro {:p}", binding.decl), inner.signature());
        if self.walks >= MAX_WALKS || self.depth >= MAX_DEPTH || !self.seen.insert(key) {
            return;
        }
        self.walks += 1;
        self.depth += 1;
        let place = CheckSite {
            template: binding.template,
            chain: Rc::new(vec![binding.template]),
            block: None,
            macros: place.macros.clone(),
        };
        let mut inner = Scope::clone(inner);
        self.macro_body(binding.decl, &mut inner, &place);
        self.depth -= 1;
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

    fn expr(&mut self, expr: &'a Expr<'a>, scope: &mut Scope<'a>, place: &CheckSite<'a>) {
        match expr {
            Expr::Var(variable) => {
                self.variable(variable.id, usize::from(variable.span().start_line), scope, place)
            }
            Expr::Const(_) => {}
            Expr::Slice(slice) => {
                self.expr(&slice.expr, scope, place);
                for bound in [&slice.start, &slice.stop, &slice.step].into_iter().flatten() {
                    self.expr(bound, scope, place);
                }
            }
            Expr::UnaryOp(unary) => self.expr(&unary.expr, scope, place),
            Expr::BinOp(binary) => {
                self.expr(&binary.left, scope, place);
                self.expr(&binary.right, scope, place);
            }
            Expr::Compare(compare) => {
                self.expr(&compare.expr, scope, place);
                for operand in &compare.ops {
                    self.expr(&operand.expr, scope, place);
                }
            }
            Expr::IfExpr(condition) => {
                self.expr(&condition.test_expr, scope, place);
                self.expr(&condition.true_expr, scope, place);
                if let Some(otherwise) = &condition.false_expr {
                    self.expr(otherwise, scope, place);
                }
            }
            Expr::Filter(filter) => {
                let line = usize::from(filter.span().start_line);
                self.filter(filter, line, scope, place);
            }
            Expr::Test(test) => {
                self.test_name(test.name, usize::from(test.span().start_line), place);
                if matches!(test.name, "defined" | "undefined") {
                    self.optional(&test.expr, scope, place);
                } else {
                    self.expr(&test.expr, scope, place);
                }
                self.arguments(&test.args, scope, place);
            }
            Expr::GetAttr(attribute) => {
                let line = usize::from(attribute.span().start_line);
                self.attribute(&attribute.expr, attribute.name, line, scope, place);
                self.access(expr, line, scope, place);
            }
            Expr::GetItem(item) => {
                self.expr(&item.subscript_expr, scope, place);
                let line = usize::from(item.span().start_line);
                match item
                    .subscript_expr
                    .as_const()
                    .as_ref()
                    .and_then(|key| key.as_str())
                {
                    Some(_) => {
                        self.base(&item.expr, scope, place);
                        self.access(expr, line, scope, place);
                    }
                    None => self.expr(&item.expr, scope, place),
                }
            }
            Expr::Call(call) => {
                let line = usize::from(call.span().start_line);
                self.call(call, line, false, scope, place);
            }
            Expr::List(list) => list.items.iter().for_each(|item| self.expr(item, scope, place)),
            Expr::Tuple(tuple) => tuple.items.iter().for_each(|item| self.expr(item, scope, place)),
            Expr::Map(map) => map
                .keys
                .iter()
                .chain(&map.values)
                .for_each(|item| self.expr(item, scope, place)),
        }
    }

    /// Checks an expression whose value may be missing.
    fn optional(&mut self, expr: &'a Expr<'a>, scope: &mut Scope<'a>, place: &CheckSite<'a>) {
        match expr {
            Expr::Var(_) => {}
            Expr::GetAttr(attribute) => self.base(&attribute.expr, scope, place),
            Expr::GetItem(item) => {
                self.expr(&item.subscript_expr, scope, place);
                self.base(&item.expr, scope, place);
            }
            _ => self.expr(expr, scope, place),
        }
    }

    /// Checks the variable at the start of a chain of attributes, and everything in it that is not an attribute.
    fn base(&mut self, expr: &'a Expr<'a>, scope: &mut Scope<'a>, place: &CheckSite<'a>) {
        match expr {
            Expr::GetAttr(attribute) => {
                let line = usize::from(attribute.span().start_line);
                self.attribute(&attribute.expr, attribute.name, line, scope, place);
            }
            Expr::GetItem(item) => {
                self.expr(&item.subscript_expr, scope, place);
                self.base(&item.expr, scope, place);
            }
            _ => self.expr(expr, scope, place),
        }
    }

    /// Checks the attribute of a module, of `loop`, or of `self`, and the expression before it.
    fn attribute(
        &mut self,
        base: &'a Expr<'a>,
        name: &'a str,
        line: usize,
        scope: &mut Scope<'a>,
        place: &CheckSite<'a>,
    ) {
        if let Expr::Var(variable) = base {
            match scope.get(variable.id) {
                Some(Binding::Module(module)) => {
                    let module = module.clone();
                    match module.exports.get(name) {
                        Some(Binding::Macro(binding)) => self.imported_macro(binding, place),
                        Some(_) => {}
                        None if module.is_open => {}
                        None => {
                            let help = suggest(name, module.exports.keys().copied()).map(did_you_mean);
                            let message = format!("`{}` has no macro or variable `{name}`", variable.id);
                            self.report(place.template, line, message, help);
                        }
                    }
                    return;
                }
                Some(Binding::Loop) if !LOOP.contains(&name) => {
                    let help = suggest(name, LOOP.iter().copied()).map(did_you_mean);
                    self.report(
                        place.template,
                        line,
                        format!("`loop` has no attribute `{name}`"),
                        help,
                    );
                    return;
                }
                None if variable.id == "self" => {
                    if self.block_definition(name, 0, place).is_none() {
                        let blocks = place.chain.iter().filter_map(|member| self.facts.get(member));
                        let blocks: Vec<&str> =
                            blocks.flat_map(|facts| facts.blocks.keys().copied()).collect();
                        let help = suggest(name, blocks.iter().copied()).map(did_you_mean);
                        self.report(place.template, line, format!("there is no block `{name}`"), help);
                    }
                    return;
                }
                _ => {}
            }
        }
        self.base(base, scope, place);
    }

    /// Remembers the part of a field that an expression uses.
    fn access(&mut self, expr: &Expr<'a>, line: usize, scope: &Scope<'a>, place: &CheckSite<'a>) {
        if let Some(steps) = self.path(expr, scope) {
            let template = place.template.to_owned();
            self.accesses.insert(Access {
                steps,
                template,
                line,
            });
        }
    }

    fn variable(&mut self, name: &'a str, line: usize, scope: &Scope<'a>, place: &CheckSite<'a>) {
        let is_tested = self
            .facts
            .get(place.template)
            .is_some_and(|facts| facts.tested.contains(name));
        let is_special = name == "self" || name == "super" && place.block.is_some();
        if is_tested || is_special || self.is_known(name, scope) {
            // The macro may be called elsewhere.
            if let Some(Binding::Macro(binding)) = scope.get(name) {
                let binding = binding.clone();
                self.imported_macro(&binding, place);
            }
            return;
        }
        let (page, fields) = (self.declared.page, self.declared.fields);
        let visible = fields
            .iter()
            .map(String::as_str)
            .chain(scope.names())
            .chain(self.declared.globals.iter().map(String::as_str));
        let help = match (name, suggest(name, visible)) {
            ("loop", _) => "`loop` exists within a `for` loop only".to_owned(),
            ("super", _) => "`super()` exists within a block only".to_owned(),
            ("caller", _) => "`caller()` exists within a macro only".to_owned(),
            (_, Some(close)) => format!("did you mean `{close}`?"),
            _ => format!("add a field `{name}` to `{page}`"),
        };
        self.report(
            place.template,
            line,
            format!("`{page}` has no field `{name}`"),
            Some(help),
        );
    }

    fn filter(&mut self, filter: &'a Filter<'a>, line: usize, scope: &mut Scope<'a>, place: &CheckSite<'a>) {
        self.filter_name(filter.name, line, place);
        if let Some(value) = &filter.expr {
            if matches!(filter.name, "default" | "d") {
                self.optional(value, scope, place);
            } else {
                self.expr(value, scope, place);
            }
        }
        self.arguments(&filter.args, scope, place);
        // Some filters take the name of a filter or a test.
        let position = match filter.name {
            "map" | "select" | "reject" => 0,
            "selectattr" | "rejectattr" => 1,
            _ => return,
        };
        let named = filter.args.get(position).and_then(|argument| match argument {
            CallArg::Pos(Expr::Const(constant)) => constant.value.as_str().map(str::to_owned),
            _ => None,
        });
        match (filter.name, named) {
            (_, None) => {}
            ("map", Some(name)) => self.filter_name(&name, line, place),
            (_, Some(name)) => self.test_name(&name, line, place),
        }
    }

    fn filter_name(&mut self, name: &str, line: usize, place: &CheckSite<'a>) {
        let declared = self.declared.filters;
        let known = FILTERS.iter().copied().chain(declared.iter().map(String::as_str));
        if known.clone().any(|filter| filter == name) {
            return;
        }
        let help = match suggest(name, known) {
            Some(close) => format!("did you mean `{close}`?"),
            None => format!(
                "if it is added with `App::filter`, declare it: `#[template(\"..\", filters = [\"{name}\"])]`"
            ),
        };
        self.report(
            place.template,
            line,
            format!("there is no filter `{name}`"),
            Some(help),
        );
    }

    fn test_name(&mut self, name: &str, line: usize, place: &CheckSite<'a>) {
        if !TESTS.contains(&name) {
            let help = suggest(name, TESTS.iter().copied()).map(did_you_mean);
            self.report(place.template, line, format!("there is no test `{name}`"), help);
        }
    }

    fn arguments(&mut self, arguments: &'a [CallArg<'a>], scope: &mut Scope<'a>, place: &CheckSite<'a>) {
        for argument in arguments {
            match argument {
                CallArg::Pos(expr)
                | CallArg::Kwarg(_, expr)
                | CallArg::PosSplat(expr)
                | CallArg::KwargSplat(expr) => {
                    self.expr(expr, scope, place);
                }
            }
        }
    }

    fn call(
        &mut self,
        call: &'a Call<'a>,
        line: usize,
        has_caller: bool,
        scope: &mut Scope<'a>,
        place: &CheckSite<'a>,
    ) {
        self.arguments(&call.args, scope, place);
        match &call.expr {
            Expr::Var(variable) => match scope.get(variable.id) {
                Some(Binding::Macro(binding)) => {
                    let binding = binding.clone();
                    self.imported_macro(&binding, place);
                    self.macro_arguments(binding.decl, call, line, has_caller, place);
                }
                None if variable.id == "super" => {
                    let has_parent = place.block.is_some_and(|(name, position)| {
                        self.block_definition(name, position + 1, place).is_some()
                    });
                    match place.block {
                        Some((name, position)) if has_parent => {
                            // The definition of the parent sees the variables of this place.
                            self.block_of_parent(name, position, scope, place);
                        }
                        Some((name, _)) => {
                            let message =
                                format!("`super()`: no parent of this template has a block `{name}`");
                            self.report(place.template, line, message, None);
                        }
                        None => self.variable(variable.id, line, scope, place),
                    }
                }
                None if variable.id == URL && !self.exists_everywhere(URL) => self.url(call, line, place),
                None if !self.is_known(variable.id, scope)
                    && !self
                        .facts
                        .get(place.template)
                        .is_some_and(|facts| facts.tested.contains(variable.id)) =>
                {
                    let name = variable.id;
                    let known = FUNCTIONS
                        .iter()
                        .copied()
                        .chain([URL])
                        .chain(self.declared.globals.iter().map(String::as_str))
                        .chain(scope.names());
                    let help = match (name, suggest(name, known)) {
                        ("caller", _) => "`caller()` exists within a macro only".to_owned(),
                        ("loop", _) => "`loop` exists within a `for` loop only".to_owned(),
                        (_, Some(close)) => format!("did you mean `{close}`?"),
                        _ => format!(
                            "if it is added with `App::global`, declare it: `#[template(\"..\", globals = [\"{name}\"])]`"
                        ),
                    };
                    self.report(
                        place.template,
                        line,
                        format!("there is no function or macro `{name}`"),
                        Some(help),
                    );
                }
                _ => {}
            },
            Expr::GetAttr(attribute) => {
                let name = attribute.name;
                let base = if let Expr::Var(variable) = &attribute.expr {
                    scope.get(variable.id).cloned()
                } else {
                    None
                };
                self.attribute(&attribute.expr, name, line, scope, place);
                match base {
                    Some(Binding::Module(module)) => {
                        if let Some(Binding::Macro(binding)) = module.exports.get(name) {
                            self.macro_arguments(binding.decl, call, line, has_caller, place);
                        }
                    }
                    _ => {
                        if let Some(mut steps) = self.path(&attribute.expr, scope) {
                            steps.push(Step::Method(name.to_owned()));
                            let template = place.template.to_owned();
                            self.accesses.insert(Access {
                                steps,
                                template,
                                line,
                            });
                        }
                    }
                }
            }
            other => self.expr(other, scope, place),
        }
    }

    /// Checks a call of `url`, and remembers its handler.
    fn url(&mut self, call: &Call<'a>, line: usize, place: &CheckSite<'a>) {
        let mut positional = Vec::new();
        let mut captures = Vec::new();
        let mut is_spread = false;
        for argument in &call.args {
            match argument {
                CallArg::Pos(expr) => positional.push(expr),
                CallArg::Kwarg(capture, _) => captures.push((*capture).to_owned()),
                CallArg::PosSplat(_) | CallArg::KwargSplat(_) => is_spread = true,
            }
        }
        let example = "write `url(\"user\", id=7)`: the name of a handler, and its captures by keyword";
        let (message, help) = match &positional[..] {
            _ if is_spread => (
                "the captures of `url` are spread, so they cannot be checked".to_owned(),
                example,
            ),
            [] => ("`url` needs the name of a handler".to_owned(), example),
            [_, _, ..] => (
                "`url` takes the captures of a handler by keyword".to_owned(),
                example,
            ),
            [handler] => match handler.as_const().as_ref().and_then(|name| name.as_str()) {
                None => (
                    "the handler of `url` is computed, so it cannot be checked".to_owned(),
                    "write its name as a literal, or build the URL in Rust with `url!` and add a field",
                ),
                Some(name) if !is_handler_path(name) => (
                    format!("`{name}` is not the name of a handler"),
                    "write the name of its function, such as `user` or `crate::admin::user`",
                ),
                Some(name) => {
                    self.urls.insert(UrlCall {
                        handler: name.to_owned(),
                        captures,
                        template: place.template.to_owned(),
                        line,
                    });
                    return;
                }
            },
        };
        self.report(place.template, line, message, Some(help.to_owned()));
    }

    fn block_of_parent(
        &mut self,
        name: &'a str,
        position: usize,
        scope: &mut Scope<'a>,
        place: &CheckSite<'a>,
    ) {
        if let Some((parent, template, body)) = self.block_definition(name, position + 1, place) {
            let place = CheckSite {
                template,
                block: Some((name, parent)),
                ..place.clone()
            };
            scope.with_frame(|scope| self.framed(body, scope, &place, true));
        }
    }

    /// Checks the arguments of a macro by its declaration.
    fn macro_arguments(
        &mut self,
        decl: &Macro<'a>,
        call: &Call<'a>,
        line: usize,
        has_caller: bool,
        place: &CheckSite<'a>,
    ) {
        let arguments: Vec<&str> = decl
            .args
            .iter()
            .filter_map(|argument| match argument {
                Expr::Var(variable) => Some(variable.id),
                _ => None,
            })
            .collect();
        let uses_caller = uses_variable(&decl.body, "caller");
        let name = decl.name;
        let given = call
            .args
            .iter()
            .filter(|argument| matches!(argument, CallArg::Pos(_)))
            .count();
        if given > arguments.len() {
            let message = format!(
                "the macro `{name}` takes {} arguments, but {given} are given",
                arguments.len()
            );
            self.report(place.template, line, message, None);
            return;
        }
        for argument in &call.args {
            let CallArg::Kwarg(keyword, _) = argument else {
                continue;
            };
            let position = arguments.iter().position(|argument| argument == keyword);
            match position {
                Some(position) if position < given => {
                    let message = format!("the argument `{keyword}` of the macro `{name}` is given twice");
                    self.report(place.template, line, message, None);
                }
                None if !(*keyword == "caller" && uses_caller) => {
                    let help = suggest(keyword, arguments.iter().copied()).map(did_you_mean);
                    let message = format!("the macro `{name}` has no argument `{keyword}`");
                    self.report(place.template, line, message, help);
                }
                _ => {}
            }
        }
        if has_caller && !uses_caller {
            let message =
                format!("the macro `{name}` does not call `caller()`, so it cannot be used with `call`");
            self.report(place.template, line, message, None);
        }
    }
}

fn did_you_mean(name: &str) -> String {
    format!("did you mean `{name}`?")
}
