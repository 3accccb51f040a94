//! Reads the operations of a contract from its trait, and reports every mistake in them. Code generation, which follows, does not fail.

use super::path::CallPath;
use crate::error::{Errors, suggest};
use crate::method::{Kind, check_method};
use crate::pattern::Pattern;
use crate::types;
use proc_macro2::Span;
use std::collections::HashMap;
use std::time::Duration;
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::{
    Attribute, Expr, FnArg, Ident, ItemTrait, LitStr, Pat, Receiver, ReceiverKind, ReturnType, Signature,
    Token, TraitItem, TraitItemFn, Type,
};

/// A function of the trait.
pub(super) struct Operation<'a> {
    pub(super) function: &'a TraitItemFn,
    pub(super) path: CallPath,
    pub(super) pattern: Pattern,
    pub(super) method: String,
    pub(super) timeout: Option<Duration>,
    pub(super) idempotent: bool,
    pub(super) arguments: Vec<OperationArgument<'a>>,
    pub(super) ok: &'a Type,
    pub(super) fault: &'a Type,
}

pub(super) struct OperationArgument<'a> {
    pub(super) name: &'a Ident,
    pub(super) ty: &'a Type,
    /// The index of the path parameter that the argument fills. `None` if the argument is sent by name.
    pub(super) parameter: Option<usize>,
}

/// The arguments of `#[call("/service/slow", method = "get", timeout = "5s", idempotent)]`.
struct CallArgs {
    path: Option<LitStr>,
    method: String,
    timeout: Option<Duration>,
    idempotent: bool,
}

/// Returns the valid operations, and reports errors in the others. Returns `None` if the trait is generic: then only the trait itself is
/// generated.
pub(super) fn lower<'a>(contract: &'a ItemTrait, errors: &Errors) -> Option<Vec<Operation<'a>>> {
    let is_generic = !contract.generics.params.is_empty();
    if is_generic {
        errors.on(
            &contract.generics,
            "a contract cannot be generic: both sides need to know its types\nhelp: use concrete types",
        );
    }
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
        let operation = operation(function, &own);
        if let Some(operation) = operation.filter(|_| !own.any()) {
            let same = operations.iter().find(|other| same_route(other, &operation));
            match same {
                Some(other) => {
                    let (first, second) = (&other.function.sig.ident, &function.sig.ident);
                    let text = format!(
                        "`{first}` and `{second}` have the same path and method\nhelp: change the path of one of them"
                    );
                    errors.on(&operation.path.lit, text);
                }
                None => operations.push(operation),
            }
        }
        errors.append(own);
    }
    (!is_generic).then_some(operations)
}

fn same_route(a: &Operation<'_>, b: &Operation<'_>) -> bool {
    a.method == b.method && a.pattern.text() == b.pattern.text()
}

fn operation<'a>(function: &'a TraitItemFn, errors: &Errors) -> Option<Operation<'a>> {
    let sig = &function.sig;
    // All checks run before the first return, so that all errors of an operation are reported at once.
    check_signature(function, errors);
    let call = call(function, errors);
    let path = call.path.and_then(|lit| CallPath::parse(lit, errors));
    let mut arguments = arguments(sig, errors);
    if let Some(path) = &path {
        assign_parameters(path, &mut arguments, sig, errors);
    }
    let result = returned(sig, errors);
    if errors.any() {
        return None;
    }
    let path = path?;
    let pattern = errors.keep(Pattern::parse(LitStr::new(&path.pattern(), path.lit.span())))?;
    let (ok, fault) = result?;
    Some(Operation {
        function,
        path,
        pattern,
        method: call.method,
        timeout: call.timeout,
        idempotent: call.idempotent,
        arguments,
        ok,
        fault,
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
        errors.on(
            &sig.generics,
            "an operation cannot be generic: both sides need to know its types\nhelp: use concrete types",
        );
    }
    if let Some(body) = &function.default {
        errors.on(
            body,
            format!("an operation has no body\nhelp: end it with `;`, and implement `{name}` in the service"),
        );
    }
    let shared = |receiver: &&Receiver| matches!(&receiver.kind, ReceiverKind::Reference(_, _, None));
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
        if types::mentions_impl(ty) {
            errors.on(
                ty,
                "an operation cannot be generic: both sides need to know its types\nhelp: use concrete types",
            );
        } else if let Some(owned) = types::borrowed(ty) {
            let text = types::text(ty);
            errors.on(
                ty,
                format!("an argument of an operation must own its value, because it is sent to the service; `{text}` borrows\nhelp: {owned}"),
            );
        }
        match &*typed.pat {
            Pat::Ident(pattern) => arguments.push(OperationArgument {
                name: &pattern.ident,
                ty,
                parameter: None,
            }),
            other => errors.on(other, "an argument of an operation needs a name, because it is sent by name\nhelp: write `name: Type`"),
        }
    }
    arguments
}

/// Finds the argument of each path parameter.
fn assign_parameters(
    path: &CallPath,
    arguments: &mut [OperationArgument<'_>],
    sig: &Signature,
    errors: &Errors,
) {
    for (index, parameter) in path.parameters().enumerate() {
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

fn returned<'a>(sig: &'a Signature, errors: &Errors) -> Option<(&'a Type, &'a Type)> {
    let message = |ok: &str| {
        format!(
            "an operation must return `Result<T, E>`, because a call can fail\nhelp: write `Result<{ok}, Fault>`"
        )
    };
    match &sig.output {
        ReturnType::Type(_, ty) => match types::arguments(ty, "Result").as_deref() {
            Some([ok, fault]) => return Some((ok, fault)),
            Some([ok]) => errors.on(ty, message(&types::text(ok))),
            _ => errors.on(ty, message(&types::text(ty))),
        },
        ReturnType::Default => errors.on(&sig.ident, message("()")),
    }
    None
}

fn call(function: &TraitItemFn, errors: &Errors) -> CallArgs {
    let name = &function.sig.ident;
    let mut call = CallArgs {
        path: None,
        method: "request".to_owned(),
        timeout: None,
        idempotent: false,
    };
    let mut attributes = function.attrs.iter().filter(|attr| is_call(attr));
    let Some(attribute) = attributes.next() else {
        errors.on(
            name,
            format!(
                "`{name}` needs a path\nhelp: write `#[call(\"/service/{}\")]`",
                name.unraw()
            ),
        );
        return call;
    };
    if let Some(second) = attributes.next() {
        errors.on(
            second,
            format!("`{name}` has two `#[call]` attributes\nhelp: remove one of them"),
        );
    }
    let read = attribute.parse_args_with(|input: ParseStream<'_>| {
        let mut seen = HashMap::new();
        while !input.is_empty() {
            read_call(&mut call, &mut seen, input, errors)?;
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(())
    });
    let read = errors.keep(read);
    if call.path.is_none() && read.is_some() {
        errors.on(
            attribute,
            format!(
                "`{name}` needs a path\nhelp: write `#[call(\"/service/{}\")]`",
                name.unraw()
            ),
        );
    }
    call
}

pub(super) fn is_call(attribute: &Attribute) -> bool {
    attribute.path().is_ident("call")
}

fn read_call(
    call: &mut CallArgs,
    seen: &mut HashMap<String, Span>,
    input: ParseStream<'_>,
    errors: &Errors,
) -> syn::Result<()> {
    const KEYS: [&str; 4] = ["path", "method", "timeout", "idempotent"];
    // A bare string is the path.
    let (key, span) = if input.peek(LitStr) {
        ("path".to_owned(), input.span())
    } else {
        let key: Ident = input.call(Ident::parse_any)?;
        (key.to_string(), key.span())
    };
    let has_value = input.peek(LitStr) || input.parse::<Option<Token![=]>>()?.is_some();
    if key == "idempotent" {
        if has_value {
            let value: Expr = input.parse()?;
            let text = "`idempotent` takes no value\nhelp: write `idempotent` alone, or remove it";
            errors.on(value, text);
        } else if seen.insert(key, span).is_some() {
            errors.at(span, "`idempotent` is given twice\nhelp: remove one of them");
        }
        call.idempotent = true;
        return Ok(());
    }
    let value: Option<LitStr> = if has_value { Some(input.parse()?) } else { None };
    if !KEYS.contains(&key.as_str()) {
        let help = suggest(&key, KEYS)
            .map(|meant| format!("\nhelp: did you mean `{meant}`?"))
            .unwrap_or_default();
        errors.at(
            span,
            format!("unknown key `{key}`; expected `path`, `method`, `timeout` or `idempotent`{help}"),
        );
        return Ok(());
    }
    let Some(value) = value else {
        let value = match key.as_str() {
            "path" => "/...",
            "method" => "get",
            _ => "5s",
        };
        errors.at(
            span,
            format!("`{key}` needs a value\nhelp: write `{key} = \"{value}\"`"),
        );
        return Ok(());
    };
    if seen.insert(key.clone(), span).is_some() {
        errors.at(span, format!("`{key}` is given twice\nhelp: remove one of them"));
        return Ok(());
    }
    match key.as_str() {
        "path" => call.path = Some(value),
        "method" => {
            let method = value.value();
            match check_method(&method, Kind::Service) {
                Ok(()) if method == "response" => {
                    errors.on(
                        &value,
                        "\"response\" is not the method of a call\nhelp: remove `method`; the default is \"request\"",
                    );
                }
                Ok(()) => call.method = method,
                Err(text) => errors.on(&value, text),
            }
        }
        _ => {
            call.timeout = parse_duration(&value.value());
            if call.timeout.is_none() {
                errors.on(
                    &value,
                    "`timeout` must be a duration greater than zero\nhelp: write an integer and a unit, such as \"500ms\", \"5s\" or \"2m\"",
                );
            }
        }
    }
    Ok(())
}

/// Parses a duration such as `500ms`, `5s` or `2m`. Returns `None` for zero and for text that is not a duration.
fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    // `parse` would accept a leading `+`.
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok().filter(|number| *number > 0)?;
    match &text[digits.len()..] {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use syn::parse_quote;

    #[test]
    fn parses_durations() {
        assert_eq!(parse_duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(parse_duration("5s"), Some(Duration::from_secs(5)));
        assert_eq!(parse_duration("2m"), Some(Duration::from_secs(120)));
        for wrong in [
            "",
            "5",
            "s",
            "0s",
            "5 s",
            "5h",
            "-5s",
            "+5s",
            "1.5s",
            "99999999999999999999s",
            "18446744073709551615m",
        ] {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn invalid_operation_is_reported_and_skipped() {
        let contract: ItemTrait = parse_quote! {
            trait Contract {
                #[call("/a/{id}", method = "get", timeout = "1s")]
                async fn good(&self, id: u64, text: String) -> Result<(), Fault>;
                #[call("/b/{id}")]
                async fn bad(&self) -> Result<(), Fault>;
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
