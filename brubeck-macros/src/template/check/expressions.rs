//! The expressions of a template: variables and their parts, filters and tests.

use super::{Access, CheckSite, Checker, did_you_mean};
use crate::error::suggest;
use crate::template::names::{FILTERS, LOOP, TESTS};
use crate::template::scope::{Binding, Scope};
use minijinja::machinery::ast::{CallArg, Expr, Filter};

impl<'a> Checker<'a> {
    pub(super) fn expr(&mut self, expr: &'a Expr<'a>, scope: &mut Scope<'a>, place: &CheckSite<'a>) {
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
    pub(super) fn attribute(
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

    pub(super) fn variable(&mut self, name: &'a str, line: usize, scope: &Scope<'a>, place: &CheckSite<'a>) {
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

    pub(super) fn filter(
        &mut self,
        filter: &'a Filter<'a>,
        line: usize,
        scope: &mut Scope<'a>,
        place: &CheckSite<'a>,
    ) {
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

    pub(super) fn arguments(
        &mut self,
        arguments: &'a [CallArg<'a>],
        scope: &mut Scope<'a>,
        place: &CheckSite<'a>,
    ) {
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
}
