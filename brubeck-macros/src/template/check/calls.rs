//! The calls of a template: functions, macros, blocks and URLs, with their arguments.

use super::{Access, CheckSite, Checker, UrlCall, did_you_mean};
use crate::error::suggest;
use crate::template::facts::uses_variable;
use crate::template::is_handler_path;
use crate::template::names::{FUNCTIONS, URL};
use crate::template::scope::{Binding, Scope, Step};
use minijinja::machinery::ast::{Call, CallArg, Expr, Macro};

impl<'a> Checker<'a> {
    pub(super) fn call(
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
