//! The kinds of handlers, and the methods of each.

use crate::error::suggest;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Web,
    Service,
    Response,
}

const WEB: [&str; 9] = [
    "get", "post", "put", "patch", "delete", "head", "options", "trace", "connect",
];
const SERVICE: [&str; 8] = [
    "get", "post", "put", "delete", "options", "connect", "response", "request",
];

/// Checks a method. The error lists the known ones, and suggests a correction or the attribute that has this method, if there is one.
pub(crate) fn check_method(method: &str, kind: Kind) -> Result<(), String> {
    let (known, other, other_attribute) = match kind {
        Kind::Web => (&WEB[..], &SERVICE[..], "service_handler"),
        Kind::Service | Kind::Response => (&SERVICE[..], &WEB[..], "web_handler"),
    };
    if known.contains(&method) {
        return Ok(());
    }
    let lower = method.to_lowercase();
    let help = if known.contains(&lower.as_str()) {
        format!("\nhelp: did you mean \"{lower}\"?")
    } else if other.contains(&lower.as_str()) {
        format!("\nhelp: \"{lower}\" is a method of `#[{other_attribute}]`")
    } else {
        suggest(&lower, known.iter().copied())
            .map(|meant| format!("\nhelp: did you mean \"{meant}\"?"))
            .unwrap_or_default()
    };
    Err(format!(
        "unknown method \"{method}\"; expected one of {}{help}",
        known.join(", ")
    ))
}

/// Returns the name of the variant of a method: `Get` for `get`.
pub(crate) fn variant(method: &str) -> String {
    let mut chars = method.chars();
    chars
        .next()
        .map(|first| first.to_uppercase().chain(chars).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_method_is_an_error_with_a_suggestion_if_there_is_one() {
        assert_eq!(check_method("patch", Kind::Web), Ok(()));
        assert_eq!(
            check_method("requst", Kind::Service).unwrap_err(),
            "unknown method \"requst\"; expected one of get, post, put, delete, options, connect, response, \
             request\nhelp: did you mean \"request\"?"
        );
        assert!(
            check_method("GET", Kind::Service)
                .unwrap_err()
                .ends_with("did you mean \"get\"?")
        );
        assert!(
            check_method("patch", Kind::Service)
                .unwrap_err()
                .ends_with("method of `#[web_handler]`")
        );
        assert!(
            check_method("request", Kind::Web)
                .unwrap_err()
                .ends_with("method of `#[service_handler]`")
        );
        assert!(
            check_method("brew", Kind::Web)
                .unwrap_err()
                .ends_with("trace, connect")
        );
    }

    #[test]
    fn capitalizes_variants() {
        assert_eq!(variant("options"), "Options");
        assert_eq!(variant(""), "");
    }
}
