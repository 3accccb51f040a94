//! The statements of a template, with the scopes that they open.

use super::{CheckSite, Checker, MAX_DEPTH, MAX_WALKS, did_you_mean};
use crate::error::suggest;
use crate::template::facts::children;
use crate::template::scope::{Binding, MacroBinding, Scope, Step};
use minijinja::machinery::ast::{Expr, Macro, Stmt};
use std::rc::Rc;

impl<'a> Checker<'a> {
    pub(super) fn statements(
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
    pub(super) fn framed(
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

    pub(super) fn block_definition(
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

    /// Checks what an imported template does outside of its macros. Its macros are checked at their calls, because pages with other
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
    pub(super) fn imported_macro(&mut self, binding: &MacroBinding<'a>, place: &CheckSite<'a>) {
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
}
