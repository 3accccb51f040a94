//! The properties of a template by itself: its blocks, the templates that it can extend, and the variables that it tests.

use super::references::{Constants, Names, bodies, constants, names, visit};
use minijinja::machinery::ast::{Call, CallArg, Expr, Stmt};
use std::collections::{BTreeMap, BTreeSet};

/// The names that the attribute of the page declares, and its fields.
#[derive(Default)]
pub(super) struct Declared<'a> {
    /// The name of the struct.
    pub(super) page: &'a str,
    pub(super) fields: &'a [String],
    pub(super) filters: &'a [String],
    pub(super) globals: &'a [String],
    /// The templates that a computed name can stand for.
    pub(super) templates: &'a [String],
}

/// What is known about a template by itself.
pub(super) struct Facts<'a> {
    pub(super) constants: Constants<'a>,
    /// The names that the template tests before it uses them, such as `{% if title is defined %}`.
    pub(super) tested: BTreeSet<&'a str>,
    pub(super) blocks: BTreeMap<&'a str, &'a [Stmt<'a>]>,
    pub(super) required: BTreeSet<&'a str>,
    /// The blocks that are not in another block, and their lines.
    pub(super) outer_blocks: Vec<(&'a str, usize)>,
    /// The lists of templates that this one can extend. Empty if it is not extended under a condition only.
    pub(super) parents: Vec<Vec<&'a str>>,
    pub(super) extends_always: bool,
}

pub(super) fn children<'a>(template: &'a Stmt<'a>) -> &'a [Stmt<'a>] {
    match template {
        Stmt::Template(template) => &template.children,
        _ => &[],
    }
}

pub(super) fn facts<'a>(
    template: &'a Stmt<'a>,
    declared: &Declared<'_>,
    templates: &'a BTreeMap<&'a str, Stmt<'a>>,
) -> Facts<'a> {
    let mut constants = constants(template);
    constants.retain(|name, _| !declared.fields.iter().any(|field| field == name));
    let mut facts = Facts {
        tested: BTreeSet::new(),
        blocks: BTreeMap::new(),
        required: BTreeSet::new(),
        outer_blocks: Vec::new(),
        parents: Vec::new(),
        extends_always: children(template)
            .iter()
            .any(|statement| matches!(statement, Stmt::Extends(_))),
        constants,
    };
    visit(template, &mut |statement| {
        for expr in exprs(statement) {
            tested_variables(expr, &mut facts.tested);
        }
        match statement {
            Stmt::Block(block) => {
                facts.blocks.insert(block.name, &block.body);
                if block.required {
                    facts.required.insert(block.name);
                }
            }
            Stmt::Extends(extends) => {
                let found = names(&extends.name, &facts.constants);
                let names = match &found {
                    Names::Computed => declared.templates,
                    known => known.list(),
                };
                let known = names
                    .iter()
                    .filter_map(|name| templates.get_key_value(name.as_str()));
                facts.parents.push(known.map(|(name, _)| *name).collect());
            }
            _ => {}
        }
    });
    outer_blocks(children(template), &mut facts.outer_blocks);
    facts
}

/// Collects the blocks that are not in another block.
fn outer_blocks<'a>(statements: &'a [Stmt<'a>], found: &mut Vec<(&'a str, usize)>) {
    for statement in statements {
        match statement {
            Stmt::Block(block) => found.push((block.name, usize::from(block.span().start_line))),
            _ => bodies(statement)
                .into_iter()
                .for_each(|body| outer_blocks(body, found)),
        }
    }
}

/// Returns the expressions of a statement, without those of the statements in it.
fn exprs<'a>(statement: &'a Stmt<'a>) -> Vec<&'a Expr<'a>> {
    match statement {
        Stmt::EmitExpr(emit) => vec![&emit.expr],
        Stmt::ForLoop(for_loop) => [Some(&for_loop.iter), for_loop.filter_expr.as_ref()]
            .into_iter()
            .flatten()
            .collect(),
        Stmt::IfCond(condition) => vec![&condition.expr],
        Stmt::WithBlock(with) => with.assignments.iter().map(|(_, value)| value).collect(),
        Stmt::Set(set) => vec![&set.expr],
        Stmt::SetBlock(set) => set.filter.iter().collect(),
        Stmt::AutoEscape(escape) => vec![&escape.enabled],
        Stmt::FilterBlock(filter) => vec![&filter.filter],
        Stmt::Extends(extends) => vec![&extends.name],
        Stmt::Include(include) => vec![&include.name],
        Stmt::Import(import) => vec![&import.expr],
        Stmt::FromImport(import) => vec![&import.expr],
        Stmt::Macro(decl) => decl.defaults.iter().collect(),
        Stmt::CallBlock(call) => call_exprs(&call.call),
        Stmt::Do(statement) => call_exprs(&statement.call),
        Stmt::Template(_) | Stmt::EmitRaw(_) | Stmt::Block(_) => Vec::new(),
    }
}

fn call_exprs<'a>(call: &'a Call<'a>) -> Vec<&'a Expr<'a>> {
    std::iter::once(&call.expr)
        .chain(argument_exprs(&call.args))
        .collect()
}

fn argument_exprs<'a>(arguments: &'a [CallArg<'a>]) -> impl Iterator<Item = &'a Expr<'a>> {
    arguments.iter().map(|argument| match argument {
        CallArg::Pos(expr)
        | CallArg::Kwarg(_, expr)
        | CallArg::PosSplat(expr)
        | CallArg::KwargSplat(expr) => expr,
    })
}

/// Returns the expressions that an expression consists of.
fn parts<'a>(expr: &'a Expr<'a>) -> Vec<&'a Expr<'a>> {
    match expr {
        Expr::Var(_) | Expr::Const(_) => Vec::new(),
        Expr::Slice(slice) => std::iter::once(&slice.expr)
            .chain([&slice.start, &slice.stop, &slice.step].into_iter().flatten())
            .collect(),
        Expr::UnaryOp(unary) => vec![&unary.expr],
        Expr::BinOp(binary) => vec![&binary.left, &binary.right],
        Expr::Compare(compare) => std::iter::once(&compare.expr)
            .chain(compare.ops.iter().map(|operand| &operand.expr))
            .collect(),
        Expr::IfExpr(condition) => [
            Some(&condition.test_expr),
            Some(&condition.true_expr),
            condition.false_expr.as_ref(),
        ]
        .into_iter()
        .flatten()
        .collect(),
        Expr::Filter(filter) => filter.expr.iter().chain(argument_exprs(&filter.args)).collect(),
        Expr::Test(test) => std::iter::once(&test.expr)
            .chain(argument_exprs(&test.args))
            .collect(),
        Expr::GetAttr(attribute) => vec![&attribute.expr],
        Expr::GetItem(item) => vec![&item.expr, &item.subscript_expr],
        Expr::Call(call) => call_exprs(call),
        Expr::List(list) => list.items.iter().collect(),
        Expr::Tuple(tuple) => tuple.items.iter().collect(),
        Expr::Map(map) => map.keys.iter().chain(&map.values).collect(),
    }
}

/// Collects the variables that an expression tests with `is defined` or `is undefined`.
fn tested_variables<'a>(expr: &'a Expr<'a>, tested: &mut BTreeSet<&'a str>) {
    if let Expr::Test(test) = expr
        && matches!(test.name, "defined" | "undefined")
        && let Expr::Var(variable) = &test.expr
    {
        tested.insert(variable.id);
    }
    for part in parts(expr) {
        tested_variables(part, tested);
    }
}

/// Returns whether statements use a variable of this name.
pub(super) fn uses_variable<'a>(statements: &'a [Stmt<'a>], name: &str) -> bool {
    fn in_expr<'a>(expr: &'a Expr<'a>, name: &str) -> bool {
        matches!(expr, Expr::Var(variable) if variable.id == name)
            || parts(expr).into_iter().any(|part| in_expr(part, name))
    }
    statements.iter().any(|statement| {
        exprs(statement).into_iter().any(|expr| in_expr(expr, name))
            || bodies(statement)
                .into_iter()
                .any(|body| uses_variable(body, name))
    })
}
