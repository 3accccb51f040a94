//! The variables that a template can see.

use minijinja::machinery::ast::{Expr, Macro};
use std::collections::BTreeMap;
use std::rc::Rc;

/// What is known about a variable.
#[derive(Clone, Debug)]
pub(super) enum Binding<'a> {
    /// A variable with any value.
    Any,
    /// A field of the page, or a part of it.
    Path(Vec<Step>),
    Macro(MacroBinding<'a>),
    /// The macros and variables of an imported template.
    Module(Rc<Module<'a>>),
    /// The variable `loop`.
    Loop,
}

/// A step from a field of the page to one of its parts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Field(String),
    /// An element of a list, or a value of a map.
    Item,
    /// A method is called.
    Method(String),
}

#[derive(Clone, Debug)]
pub(super) struct MacroBinding<'a> {
    pub(super) decl: &'a Macro<'a>,
    pub(super) template: &'a str,
    /// The scope in which the macro of an imported template is checked when it is called. `None` if it is checked where it is declared.
    pub(super) scope: Option<Rc<Scope<'a>>>,
}

#[derive(Debug, Default)]
pub(super) struct Module<'a> {
    pub(super) exports: BTreeMap<&'a str, Binding<'a>>,
    /// The module includes templates that are not known, so it may export other names too.
    pub(super) is_open: bool,
}

/// The frames of a template, the innermost last. The fields of the page are below all of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope<'a> {
    frames: Vec<BTreeMap<&'a str, Binding<'a>>>,
}

impl<'a> Scope<'a> {
    pub(super) fn new() -> Scope<'a> {
        Scope {
            frames: vec![BTreeMap::new()],
        }
    }

    /// Returns what is known about a variable. Returns `None` if there is none of this name.
    pub(super) fn get(&self, name: &str) -> Option<&Binding<'a>> {
        self.frames.iter().rev().find_map(|frame| frame.get(name))
    }

    /// Runs a function with one more frame.
    pub(super) fn with_frame<T>(&mut self, function: impl FnOnce(&mut Scope<'a>) -> T) -> T {
        self.frames.push(BTreeMap::new());
        let value = function(self);
        self.frames.pop();
        value
    }

    /// Adds a variable to the innermost frame. A variable that the frame has already can have either value.
    pub(super) fn add(&mut self, name: &'a str, binding: Binding<'a>) {
        if let Some(frame) = self.frames.last_mut() {
            let binding = match frame.get(name) {
                Some(known) if !known.is_same(&binding) => Binding::Any,
                _ => binding,
            };
            frame.insert(name, binding);
        }
    }

    /// Adds the variables of an assignment.
    pub(super) fn assign(&mut self, target: &Expr<'a>, binding: Binding<'a>) {
        match target {
            Expr::Var(variable) => self.add(variable.id, binding),
            Expr::List(list) => list.items.iter().for_each(|item| self.assign(item, Binding::Any)),
            Expr::Tuple(tuple) => tuple
                .items
                .iter()
                .for_each(|item| self.assign(item, Binding::Any)),
            _ => {}
        }
    }

    /// Returns the variables of the innermost frame.
    pub(super) fn innermost(&self) -> Option<&BTreeMap<&'a str, Binding<'a>>> {
        self.frames.last()
    }

    /// Returns a text that is the same for scopes in which a template has the same mistakes.
    pub(super) fn signature(&self) -> String {
        let mut names: BTreeMap<&str, String> = BTreeMap::new();
        for (name, binding) in self.frames.iter().flatten() {
            names.insert(name, binding.signature());
        }
        format!("{names:?}")
    }

    /// Returns the names of all variables.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.frames.iter().flat_map(|frame| frame.keys().copied())
    }
}

impl Binding<'_> {
    fn is_same(&self, other: &Binding<'_>) -> bool {
        match (self, other) {
            (Binding::Any, Binding::Any) | (Binding::Loop, Binding::Loop) => true,
            (Binding::Path(a), Binding::Path(b)) => a == b,
            (Binding::Macro(a), Binding::Macro(b)) => std::ptr::eq(a.decl, b.decl),
            (Binding::Module(a), Binding::Module(b)) => Rc::ptr_eq(a, b),
            _ => false,
        }
    }

    fn signature(&self) -> String {
        match self {
            Binding::Any => "any".to_owned(),
            Binding::Loop => "loop".to_owned(),
            Binding::Path(steps) => format!("{steps:?}"),
            Binding::Macro(decl) => format!("macro {:p}", decl.decl),
            Binding::Module(module) => format!("module {:?}", module.exports.keys()),
        }
    }
}
