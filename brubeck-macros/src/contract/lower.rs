//! Trait -> operations. Everything a user can get wrong is found here.

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

/// A function of the trait, of which a call can be made.
pub(super) struct Operation<'a> {
    pub(super) function: &'a TraitItemFn,
    pub(super) path: CallPath,
    pub(super) pattern: Pattern,
    pub(super) method: String,
    pub(super) timeout: Option<Duration>,
    pub(super) idempotent: bool,
    pub(super) arguments: Vec<Argument<'a>>,
    pub(super) ok: &'a Type,
    pub(super) fault: &'a Type,
}

pub(super) struct Argument<'a> {
    pub(super) name: &'a Ident,
    pub(super) ty: &'a Type,
    /// The place in the path that it fills.
    pub(super) place: Option<usize>,
}

/// `#[call("/service/slow", method = "get", timeout = "5s", idempotent)]`.
struct Call {
    path: Option<LitStr>,
    method: String,
    timeout: Option<Duration>,
    idempotent: bool,
}

/// The operations without a mistake; one with a mistake leaves nothing but what is said about it. `None`: nothing
/// can be made of the contract.
pub(super) fn lower<'a>(contract: &'a ItemTrait, errors: &Errors) -> Option<Vec<Operation<'a>>> {
    let is_generic = !contract.generics.params.is_empty();
    if is_generic {
        errors.on(
            &contract.generics,
            "a contract cannot be generic: both sides have to know its types",
        );
    }
    let mut operations: Vec<Operation<'a>> = Vec::new();
    for item in &contract.items {
        let TraitItem::Fn(function) = item else {
            errors.on(item, "a contract has only `async fn`s");
            continue;
        };
        let own = Errors::default();
        let operation = operation(function, &own);
        if let Some(operation) = operation.filter(|_| !own.any()) {
            let twin = operations.iter().find(|other| same_route(other, &operation));
            match twin {
                Some(other) => {
                    let (first, second) = (&other.function.sig.ident, &function.sig.ident);
                    let text =
                        format!("`{first}` and `{second}` are sent to the same path by the same method");
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
    check_signature(function, errors);
    let call = call(function, errors);
    let path = call.path.and_then(|lit| CallPath::parse(lit, errors));
    let mut arguments = arguments(sig, errors);
    if let Some(path) = &path {
        place(path, &mut arguments, sig, errors);
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
            format!("a call crosses a socket, so `{name}` is an `async fn`"),
        );
    }
    if !sig.generics.params.is_empty() {
        errors.on(
            &sig.generics,
            "an operation cannot be generic: both sides have to know its types",
        );
    }
    if let Some(body) = &function.default {
        errors.on(
            body,
            format!("an operation has no body: services say what `{name}` does"),
        );
    }
    let shared = |receiver: &&Receiver| matches!(&receiver.kind, ReceiverKind::Reference(_, _, None));
    if sig.receiver().filter(shared).is_none() {
        match sig.receiver() {
            Some(receiver) => errors.on(receiver, "many calls run at once, so an operation takes `&self`"),
            None => errors.on(
                &sig.ident,
                format!("an operation takes `&self`\nhelp: `async fn {name}(&self, ..)`"),
            ),
        }
    }
}

fn arguments<'a>(sig: &'a Signature, errors: &Errors) -> Vec<Argument<'a>> {
    let mut arguments = Vec::new();
    for input in &sig.inputs {
        let FnArg::Typed(typed) = input else { continue };
        let ty = &*typed.ty;
        if types::mentions_impl(ty) {
            errors.on(
                ty,
                "an operation cannot be generic: both sides have to know its types",
            );
        } else if let Some(owned) = types::borrowed(ty) {
            let text = types::text(ty);
            errors.on(
                ty,
                format!("a value that goes over the wire is owned, and `{text}` borrows it\nhelp: {owned}"),
            );
        }
        match &*typed.pat {
            Pat::Ident(pattern) => arguments.push(Argument {
                name: &pattern.ident,
                ty,
                place: None,
            }),
            other => errors.on(other, "name this argument: its name goes over the wire"),
        }
    }
    arguments
}

/// Finds the argument of each place in the path.
fn place(path: &CallPath, arguments: &mut [Argument<'_>], sig: &Signature, errors: &Errors) {
    for (index, place) in path.places().enumerate() {
        match arguments
            .iter_mut()
            .find(|argument| argument.name.unraw() == place)
        {
            Some(argument) if argument.place.is_none() => argument.place = Some(index),
            Some(_) => errors.on(&path.lit, format!("`{{{place}}}` is in the path twice")),
            None => {
                let names: Vec<String> = arguments
                    .iter()
                    .map(|argument| argument.name.unraw().to_string())
                    .collect();
                let help = suggest(place, names.iter().map(String::as_str))
                    .map(|close| format!("\nhelp: did you mean `{{{close}}}`?"))
                    .unwrap_or_default();
                errors.on(
                    &path.lit,
                    format!("`{{{place}}}` is no argument of `{}`{help}", sig.ident),
                );
            }
        }
    }
}

fn returned<'a>(sig: &'a Signature, errors: &Errors) -> Option<(&'a Type, &'a Type)> {
    const FALLIBLE: &str =
        "a call can fail: return `Result<T, F>`, where `F` is what the service answers when it fails";
    match &sig.output {
        ReturnType::Type(_, ty) => match types::arguments(ty, "Result").as_deref() {
            Some([ok, fault]) => return Some((ok, fault)),
            _ => errors.on(ty, FALLIBLE),
        },
        ReturnType::Default => errors.on(&sig.ident, FALLIBLE),
    }
    None
}

fn call(function: &TraitItemFn, errors: &Errors) -> Call {
    let name = &function.sig.ident;
    let mut call = Call {
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
                "`{name}` needs a path\nhelp: `#[call(\"/service/{}\")]`",
                name.unraw()
            ),
        );
        return call;
    };
    if let Some(second) = attributes.next() {
        errors.on(second, format!("`{name}` has a path already"));
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
                "`{name}` needs a path\nhelp: `#[call(\"/service/{}\")]`",
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
    call: &mut Call,
    seen: &mut HashMap<String, Span>,
    input: ParseStream<'_>,
    errors: &Errors,
) -> syn::Result<()> {
    const KEYS: [&str; 4] = ["path", "method", "timeout", "idempotent"];
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
            let text = "`idempotent` takes no value\nhelp: leave it out, or write `idempotent` alone";
            errors.on(value, text);
        } else if seen.insert(key, span).is_some() {
            errors.at(span, "`idempotent` is given twice");
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
            format!("unknown argument `{key}`; expected `path`, `method`, `timeout` or `idempotent`{help}"),
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
            format!("`{key}` needs a value\nhelp: `{key} = \"{value}\"`"),
        );
        return Ok(());
    };
    if seen.insert(key.clone(), span).is_some() {
        errors.at(span, format!("`{key}` is given twice"));
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
                        "a call is not a response\nhelp: leave `method` out, it is \"request\"",
                    );
                }
                Ok(()) => call.method = method,
                Err(text) => errors.on(&value, text),
            }
        }
        _ => {
            call.timeout = duration(&value.value());
            if call.timeout.is_none() {
                errors.on(
                    &value,
                    "`timeout` is a duration such as \"5s\", \"500ms\" or \"2m\"",
                );
            }
        }
    }
    Ok(())
}

/// `5s`, `500ms`, `2m`; not nothing.
fn duration(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
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
    fn durations() {
        assert_eq!(duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(duration("5s"), Some(Duration::from_secs(5)));
        assert_eq!(duration("2m"), Some(Duration::from_secs(120)));
        for wrong in [
            "",
            "5",
            "s",
            "0s",
            "5 s",
            "5h",
            "-5s",
            "1.5s",
            "99999999999999999999s",
            "18446744073709551615m",
        ] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_operation_with_a_mistake_leaves_nothing() {
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
        let places: Vec<_> = operations[0]
            .arguments
            .iter()
            .map(|argument| argument.place)
            .collect();
        assert_eq!(places, [Some(0), None]);
        assert_eq!(
            (operations[0].method.as_str(), operations[0].timeout),
            ("get", Some(Duration::from_secs(1)))
        );
        assert!(
            errors
                .into_tokens()
                .to_string()
                .contains("`{id}` is no argument of `bad`")
        );
    }
}
