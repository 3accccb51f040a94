//! Reads the operations of a contract from its trait, and reports every mistake in them. Code generation, which follows, does not fail.

use super::call::call_args;
use super::path::CallPath;
use crate::error::{Errors, suggest};
use crate::item::{argument_types, docs, inherited, is_conditional};
use crate::pattern::Pattern;
use crate::types::{self, LocalType};
use proc_macro2::TokenStream;
use std::time::Duration;
use syn::ext::IdentExt;
use syn::{
    Attribute, FnArg, Ident, ItemTrait, LitStr, Pat, PatIdent, PatType, Receiver, ReceiverKind, ReturnType,
    Safety, Signature, TraitItem, TraitItemFn, Type,
};

/// A function of the trait.
pub(super) struct Operation<'a> {
    pub(super) function: &'a TraitItemFn,
    pub(super) path: LitStr,
    pub(super) pattern: Pattern,
    pub(super) method: String,
    pub(super) timeout: Option<Duration>,
    pub(super) idempotent: bool,
    pub(super) arguments: Vec<OperationArgument<'a>>,
    pub(super) returned: Returned<'a>,
}

/// The type that an operation returns: a `Result`, or an alias of one, which may name fewer types or none.
pub(super) struct Returned<'a> {
    pub(super) ty: &'a Type,
    pub(super) ok: Option<&'a Type>,
    pub(super) error: Option<&'a Type>,
}

pub(super) struct OperationArgument<'a> {
    pub(super) docs: Vec<&'a Attribute>,
    /// The lints that the argument allows.
    pub(super) allowed: Vec<TokenStream>,
    pub(super) name: &'a Ident,
    pub(super) ty: &'a Type,
    /// The index of the path parameter that the argument fills. `None` if the argument is sent by name.
    pub(super) parameter: Option<usize>,
}

/// Returns the valid operations, and reports errors in the others. Returns `None` if the trait is generic or its operations can have no
/// module: then only the trait itself is generated.
pub(super) fn lower<'a>(contract: &'a ItemTrait, errors: &Errors) -> Option<Vec<Operation<'a>>> {
    let is_generic = !contract.generics.params.is_empty();
    if is_generic {
        errors.on(
            &contract.generics,
            "a contract cannot be generic: both sides need to know its types\nhelp: use concrete types",
        );
    }
    let has_module = check_trait(contract, errors);
    let mut operations: Vec<Operation<'a>> = Vec::new();
    for item in &contract.items {
        let TraitItem::Fn(function) = item else {
            errors.on(
                item,
                "a contract contains only `async fn`s\nhelp: move this out of the trait",
            );
            continue;
        };
        // An error in one operation does not affect the others.
        let own = Errors::default();
        check_name(contract, function, &own);
        let operation = operation(function, &own);
        if let Some(operation) = operation.filter(|_| !own.any()) {
            let same = operations.iter().find(|other| {
                same_route(other, &operation)
                    && !is_conditional(&other.function.attrs)
                    && !is_conditional(&function.attrs)
            });
            match same {
                Some(other) => {
                    let (first, second) = (&other.function.sig.ident, &function.sig.ident);
                    let text = format!(
                        "`{first}` and `{second}` have the same path and method\nhelp: change the path of one of them"
                    );
                    errors.on(&operation.path, text);
                }
                None => operations.push(operation),
            }
        }
        errors.append(own);
    }
    (!is_generic && has_module).then_some(operations)
}

fn same_route(a: &Operation<'_>, b: &Operation<'_>) -> bool {
    a.method == b.method && a.pattern.text() == b.pattern.text()
}

/// Returns `true` if an earlier operation, which exists under the same conditions, has the same name.
pub(super) fn is_repeated(contract: &ItemTrait, function: &TraitItemFn) -> bool {
    let earlier = contract.items.iter().filter_map(|item| match item {
        TraitItem::Fn(other) => Some(other),
        _ => None,
    });
    earlier
        .take_while(|other| !std::ptr::eq(*other, function))
        .any(|other| {
            other.sig.ident == function.sig.ident
                && !is_conditional(&other.attrs)
                && !is_conditional(&function.attrs)
        })
}

/// Checks the trait, and returns `true` if its operations can have a module.
fn check_trait(contract: &ItemTrait, errors: &Errors) -> bool {
    if let Some(token) = &contract.unsafety {
        errors.on(
            token,
            "a contract is a safe trait, because requests call it\nhelp: remove `unsafe`",
        );
    }
    let name = &contract.ident;
    let module = super::expand::module_name(name);
    let renamed = format!("rename the trait, for example `{}Service`", name.unraw());
    let (problem, help) = if name.unraw() == module {
        let has_case = module.chars().any(char::is_lowercase);
        let help = if has_case {
            "write the name of the trait in camel case"
        } else {
            &renamed
        };
        ("which is the same".to_owned(), help)
    } else if matches!(module.as_str(), "crate" | "super" | "self") {
        (
            format!("and no module can be called `{module}`"),
            "rename the trait",
        )
    } else if types::is_common_crate(&module) {
        (format!("which hides the crate `{module}`"), "rename the trait")
    } else if contract.items.iter().any(|item| uses_name(item, &module)) {
        (
            "which hides something of the same name that its operations use".to_owned(),
            "begin the path with `::` if it is a crate, or rename the trait",
        )
    } else {
        return true;
    };
    errors.on(
        name,
        format!(
            "the module of the operations has the name of the trait in snake case, {problem}\nhelp: {help}"
        ),
    );
    false
}

/// Returns `true` if the types of an operation begin with this name.
fn uses_name(item: &TraitItem, name: &str) -> bool {
    let TraitItem::Fn(function) = item else {
        return false;
    };
    let output = match &function.sig.output {
        ReturnType::Type(_, ty) => Some(&**ty),
        ReturnType::Default => None,
    };
    argument_types(&function.sig)
        .chain(output)
        .any(|ty| types::begins_path(ty, name))
}

/// Checks that the name of an operation does not collide with generated names, which are those of the client and of the module.
fn check_name(contract: &ItemTrait, function: &TraitItemFn, errors: &Errors) {
    let name = &function.sig.ident;
    let word = name.unraw().to_string();
    let help = "help: rename the operation; its path may stay as it is";
    if is_repeated(contract, function) {
        errors.on(name, format!("the contract has two operations `{word}`\n{help}"));
    } else if matches!(word.as_str(), "new" | "at") {
        errors.on(
            name,
            format!(
                "`{word}` is a function of the generated `{}Client`, which creates the client\n{help}",
                contract.ident.unraw()
            ),
        );
    } else if word.starts_with("__") {
        errors.on(
            name,
            format!("names that begin with `__` are reserved for generated code\n{help}"),
        );
    }
}

fn operation<'a>(function: &'a TraitItemFn, errors: &Errors) -> Option<Operation<'a>> {
    let sig = &function.sig;
    // All checks run before the first return, so that all errors of an operation are reported at once.
    check_signature(function, errors);
    let call = call_args(function, errors);
    let path = call.path.and_then(|lit| CallPath::parse(lit, errors));
    let mut arguments = arguments(sig, errors);
    if let Some(path) = &path {
        assign_parameters(path, &mut arguments, sig, errors);
    }
    let returned = returned(sig, errors);
    // rustc reports `_` in the signature of the trait.
    let infers = |ty: &Type| types::mentions(ty, "_");
    if errors.any() || arguments.iter().any(|argument| infers(argument.ty)) {
        return None;
    }
    let CallPath { lit, pattern } = path?;
    let returned = returned.filter(|returned| !infers(returned.ty))?;
    Some(Operation {
        function,
        path: lit,
        pattern,
        method: call.method,
        timeout: call.timeout,
        idempotent: call.idempotent,
        arguments,
        returned,
    })
}

fn check_signature(function: &TraitItemFn, errors: &Errors) {
    let sig = &function.sig;
    let name = &sig.ident;
    if sig.asyncness.is_none() {
        errors.on(
            sig.fn_token,
            format!("an operation must be an `async fn`, because its call goes over the network\nhelp: write `async fn {name}`"),
        );
    }
    if !sig.generics.params.is_empty() {
        errors.on(&sig.generics, GENERIC);
    }
    if let Safety::Unsafe(token) = &sig.safety {
        errors.on(
            token,
            "an operation must be a safe function, because requests call it\nhelp: remove `unsafe`",
        );
    }
    if let Some(abi) = &sig.abi {
        errors.on(
            abi,
            "an operation is an ordinary function of Rust\nhelp: remove `extern`",
        );
    }
    if let Some(clause) = &sig.generics.where_clause {
        errors.on(
            clause,
            "an operation cannot have a `where` clause: both sides need to know its types\nhelp: remove it",
        );
    }
    if let Some(body) = &function.default {
        errors.on(
            body,
            format!("an operation has no body\nhelp: end it with `;`, and implement `{name}` in the service"),
        );
    }
    let shared = |receiver: &&Receiver| match &receiver.kind {
        ReceiverKind::Reference(_, lifetime, None) => lifetime
            .as_ref()
            .is_none_or(|lifetime| lifetime.ident == "_" || !sig.generics.params.is_empty()),
        _ => false,
    };
    if sig.receiver().filter(shared).is_none() {
        match sig.receiver() {
            Some(receiver) => errors.on(
                receiver,
                "an operation takes `&self`, because calls run concurrently\nhelp: write `&self`",
            ),
            None => errors.on(
                &sig.ident,
                format!("an operation takes `&self`\nhelp: write `async fn {name}(&self, ..)`"),
            ),
        }
    }
}

fn arguments<'a>(sig: &'a Signature, errors: &Errors) -> Vec<OperationArgument<'a>> {
    let mut arguments = Vec::new();
    for input in &sig.inputs {
        let FnArg::Typed(typed) = input else { continue };
        let ty = &*typed.ty;
        check_argument_attributes(typed, errors);
        check_sent(ty, &ARGUMENT, errors);
        match &*typed.pat {
            Pat::Ident(pattern) if is_plain(pattern) => {
                let name = &pattern.ident;
                if arguments.iter().any(|other: &OperationArgument<'_>| other.name == name) {
                    errors.on(name, format!("the operation has two arguments `{name}`\nhelp: rename one of them"));
                    continue;
                }
                arguments.push(OperationArgument {
                    docs: docs(&typed.attrs).collect(),
                    allowed: inherited(&typed.attrs),
                    name,
                    ty,
                    parameter: None,
                });
            }
            other => errors.on(other, "an argument of an operation needs a name, because it is sent by name\nhelp: write `name: Type`"),
        }
    }
    arguments
}

/// The texts of the errors for a type whose values are sent.
struct SentType {
    /// The error for `impl Trait`.
    generic: &'static str,
    name: &'static str,
    receiver: &'static str,
    /// The verb of the fix for a type that borrows.
    fix: &'static str,
}

const GENERIC: &str =
    "an operation cannot be generic: both sides need to know its types\nhelp: use concrete types";

const ARGUMENT: SentType = SentType {
    generic: GENERIC,
    name: "an argument",
    receiver: "service",
    fix: "take",
};

const RESULT: SentType = SentType {
    generic: "an operation cannot return `impl Trait`: both sides need to know its types\nhelp: use concrete types",
    name: "the result",
    receiver: "caller",
    fix: "return",
};

/// Reports a type whose values cannot be sent. rustc reports the other ones, by their traits.
fn check_sent(ty: &Type, sent: &SentType, errors: &Errors) {
    let SentType {
        name, receiver, fix, ..
    } = sent;
    if types::mentions_impl(ty) {
        errors.on(ty, sent.generic);
    } else if types::mentions(ty, "Self") {
        errors.on(
            ty,
            "callers do not know `Self`, which is the type that implements the contract\nhelp: use a concrete type",
        );
    } else if let Some(local) = types::local(ty) {
        let (what, owned) = match local {
            LocalType::Object => ("a trait object", "a concrete type, such as an `enum`"),
            LocalType::Pointer => ("a raw pointer", "the value itself"),
            LocalType::Function => ("a function", "a value, such as an `enum`"),
            LocalType::Str => ("a value without a fixed size", "`String`"),
            LocalType::Slice => ("a value without a fixed size", "a `Vec`, or `Bytes`"),
            LocalType::Never => ("a value of this type", "`()`"),
            LocalType::Rc => ("an `Rc`", "the value itself, or an `Arc`"),
        };
        errors.on(
            ty,
            format!(
                "{name} of an operation is sent to the {receiver}, which cannot get {what}: `{}`\nhelp: {fix} {owned}",
                types::text(ty)
            ),
        );
    } else if let Some(owned) = types::borrowed(ty).or_else(|| types::reference(ty)) {
        let text = types::text(ty);
        errors.on(
            ty,
            format!(
                "{name} of an operation must own its value, because it is sent to the {receiver}; `{text}` borrows\n\
                 help: {fix} {owned}"
            ),
        );
    }
}

/// Returns `true` if the result of an operation has no fixed size, which was reported.
pub(super) fn may_be_unsized(ty: &Type) -> bool {
    let parts = types::arguments(ty, "Result").unwrap_or_default();
    parts
        .iter()
        .any(|ty| types::local(ty).is_some() || types::mentions(ty, "Self"))
}

/// Returns `true` for an argument without `mut` or `ref`, which are not allowed in a trait.
pub(super) fn is_plain(pattern: &PatIdent) -> bool {
    pattern.mutability.is_none() && pattern.by_ref.is_none() && pattern.subpat.is_none()
}

fn check_argument_attributes(argument: &PatType, errors: &Errors) {
    if let Some(attribute) = argument
        .attrs
        .iter()
        .find(|attribute| is_conditional(std::slice::from_ref(attribute)))
    {
        errors.on(
            attribute,
            "`#[cfg]` is not supported on an argument of an operation, because both sides need to agree on it\n\
             help: write two operations, each with its own `#[cfg(..)]`",
        );
    }
}

/// Finds the argument of each path parameter.
fn assign_parameters(
    path: &CallPath,
    arguments: &mut [OperationArgument<'_>],
    sig: &Signature,
    errors: &Errors,
) {
    let parameters = path.pattern.captures.iter().map(|capture| &*capture.name);
    for (index, parameter) in parameters.enumerate() {
        match arguments
            .iter_mut()
            .find(|argument| argument.name.unraw() == parameter)
        {
            Some(argument) if argument.parameter.is_none() => argument.parameter = Some(index),
            Some(_) => errors.on(
                &path.lit,
                format!("`{{{parameter}}}` is in the path twice\nhelp: use each argument once"),
            ),
            None => {
                let names: Vec<String> = arguments
                    .iter()
                    .map(|argument| argument.name.unraw().to_string())
                    .collect();
                let help = suggest(parameter, names.iter().map(String::as_str)).map_or_else(
                    || format!("add an argument `{parameter}: <type>`"),
                    |close| format!("did you mean `{{{close}}}`?"),
                );
                errors.on(
                    &path.lit,
                    format!(
                        "`{{{parameter}}}` in the path is not an argument of `{}`\nhelp: {help}",
                        sig.ident
                    ),
                );
            }
        }
    }
}

fn returned<'a>(sig: &'a Signature, errors: &Errors) -> Option<Returned<'a>> {
    let message = |ok: &str| {
        format!(
            "an operation must return `Result<T, E>`, because a call can fail\nhelp: write `Result<{ok}, Problem>`"
        )
    };
    let ReturnType::Type(_, ty) = &sig.output else {
        errors.on(&sig.ident, message("()"));
        return None;
    };
    let parts = types::arguments(ty, "Result").unwrap_or_default();
    if parts.is_empty() {
        // Any other path may be an alias of a `Result`, which rustc resolves.
        if !types::may_be_alias(ty) {
            errors.on(ty, message(&types::text(ty)));
            return None;
        }
        check_sent(ty, &RESULT, errors);
    }
    parts.iter().for_each(|ty| check_sent(ty, &RESULT, errors));
    Some(Returned {
        ty,
        ok: parts.first().copied(),
        error: parts.get(1).copied(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use syn::parse_quote;

    #[test]
    fn invalid_operation_is_reported_and_skipped() {
        let contract: ItemTrait = parse_quote! {
            trait Contract {
                #[call("/a/{id}", method = "get", timeout = "1s")]
                async fn good(&self, id: u64, text: String) -> Result<(), Problem>;
                #[call("/b/{id}")]
                async fn bad(&self) -> Result<(), Problem>;
            }
        };
        let errors = Errors::default();
        let operations = lower(&contract, &errors).expect("a contract");
        assert_eq!(operations.len(), 1);
        let parameters: Vec<_> = operations[0]
            .arguments
            .iter()
            .map(|argument| argument.parameter)
            .collect();
        assert_eq!(parameters, [Some(0), None]);
        assert_eq!(
            (operations[0].method.as_str(), operations[0].timeout),
            ("get", Some(Duration::from_secs(1)))
        );
        assert!(
            errors
                .into_tokens()
                .to_string()
                .contains("`{id}` in the path is not an argument of `bad`")
        );
    }
}
