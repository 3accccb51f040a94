//! The arguments of `#[call(..)]`, which is above each operation of a contract.

use crate::error::Errors;
use crate::item::adds;
use crate::keys::{Grammar, Key, Wants};
use crate::method::{Kind, check_method};
use std::time::Duration;
use syn::ext::IdentExt;
use syn::{Attribute, Ident, LitStr, TraitItemFn};

const INVALID_TIMEOUT: &str = "`timeout` must be a duration greater than zero: an integer and a unit, which is `ms`, `s` or `m` (minutes)\n\
     help: write \"500ms\", \"5s\" or \"2m\"";

/// The arguments of `#[call(..)]`.
pub(crate) const CALL: Grammar = Grammar {
    attribute: "call",
    keys: &[
        Key::new("path", Wants::Text, "\"/...\""),
        Key::new("method", Wants::Text, "\"get\""),
        Key::new("timeout", Wants::Duration, "\"5s\""),
        Key::flag("idempotent"),
    ],
    first_without_key: true,
    takes_operation: false,
    elsewhere: |_, word| match word {
        "concurrency" | "slots" | "blocking" => Some(format!(
            "`{word}` is not a key of `#[call]`: the service decides how it runs an operation\n\
             help: write it where the operation is served: `#[service_handler(contract::operation, {})]`",
            if word == "blocking" {
                "blocking"
            } else {
                "concurrency = 4"
            }
        )),
        "crate" => {
            Some("`crate` belongs to the contract\nhelp: write `#[service_client(crate = ..)]`".to_owned())
        }
        _ => None,
    },
};

/// The values of `#[call("/service/slow", method = "get", timeout = "5s", idempotent)]`.
pub(super) struct CallArgs {
    pub(super) path: Option<LitStr>,
    pub(super) method: String,
    pub(super) timeout: Option<Duration>,
    pub(super) idempotent: bool,
}

/// Reads the attribute of an operation, and reports every mistake in it.
pub(super) fn call_args(function: &TraitItemFn, errors: &Errors) -> CallArgs {
    let name = &function.sig.ident;
    let mut call = CallArgs {
        path: None,
        method: "request".to_owned(),
        timeout: None,
        idempotent: false,
    };
    if let Some(attribute) = function.attrs.iter().find(|attr| adds(attr, "call")) {
        errors.on(
            attribute,
            "`#[call]` cannot be in a `#[cfg_attr]`, because the macro does not know the condition\n\
             help: write two operations, each with its own `#[cfg(..)]` and `#[call(..)]`",
        );
        return call;
    }
    let mut attributes = function.attrs.iter().filter(|attr| is_call(attr));
    let Some(attribute) = attributes.next() else {
        errors.on(name, needs_path(name));
        return call;
    };
    if let Some(second) = attributes.next() {
        errors.on(
            second,
            format!("`{name}` has two `#[call]` attributes\nhelp: remove one of them"),
        );
    }
    let arguments = CALL.parse_attributes(std::slice::from_ref(attribute), errors);
    call.path = arguments.text("path").cloned();
    if !arguments.has("path") && !arguments.is_cut {
        errors.on(attribute, needs_path(name));
    }
    if let Some(method) = arguments.text("method") {
        match check_method(&method.value(), Kind::Service) {
            Ok(()) if method.value() == "response" => errors.on(
                method,
                "\"response\" is not the method of a call\nhelp: remove `method`; the default is \"request\"",
            ),
            Ok(()) => call.method = method.value(),
            Err(text) => errors.on(method, text),
        }
    }
    if let Some(timeout) = arguments.text("timeout") {
        call.timeout = parse_duration(&timeout.value());
        if call.timeout.is_none() {
            errors.on(timeout, INVALID_TIMEOUT);
        }
    }
    call.idempotent = arguments.flag("idempotent");
    call
}

fn needs_path(name: &Ident) -> String {
    format!(
        "`{name}` needs a path\nhelp: write `#[call(\"/service/{}\")]`",
        name.unraw()
    )
}

fn is_call(attribute: &Attribute) -> bool {
    attribute.path().is_ident("call")
}

/// Returns `true` for an attribute that the trait cannot keep.
pub(super) fn mentions_call(attribute: &Attribute) -> bool {
    is_call(attribute) || adds(attribute, "call")
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
}
