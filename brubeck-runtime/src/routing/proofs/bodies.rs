//! Checks that the arguments of a handler can read the same body.

use crate::const_string::ConstString;
use crate::extract::BodyUse;

/// Panics, which is a compile error, if the argument with this index cannot read the body that an argument before it reads. Each argument
/// has a name with its type, and its use of the body. Only the first such argument of a handler is reported.
#[track_caller]
pub const fn check_body(arguments: &[(&str, BodyUse)], index: usize) {
    let Some((early, late)) = first_conflict(arguments) else {
        return;
    };
    if late != index {
        return;
    }
    let ((early, early_use), (late, late_use)) = (arguments[early], arguments[late]);
    let text = ConstString::new();
    let text = if early_use.is_stream() || late_use.is_stream() {
        text.push("the body can be read once, but both `")
            .push(early)
            .push("` and `")
            .push(late)
            .push("` read it, and one of them takes it as a stream\nhelp: remove one of these arguments")
    } else {
        text.push("the body cannot be both ")
            .push(format_of(early_use))
            .push(", as `")
            .push(early)
            .push("` needs, and ")
            .push(format_of(late_use))
            .push(", as `")
            .push(late)
            .push("` needs\nhelp: remove one of these arguments, or make both an `Option`")
    };
    panic!("{}", text.as_str());
}

/// Returns the indexes of the first argument that conflicts with one before it, and of that one.
const fn first_conflict(arguments: &[(&str, BodyUse)]) -> Option<(usize, usize)> {
    let mut late = 1;
    while late < arguments.len() {
        let mut early = 0;
        while early < late {
            if is_conflict(arguments[early].1, arguments[late].1) {
                return Some((early, late));
            }
            early += 1;
        }
        late += 1;
    }
    None
}

const fn is_conflict(a: BodyUse, b: BodyUse) -> bool {
    use BodyUse::{Any, Form, Json, Multipart, None, Stream};
    match (a, b) {
        (None, _) | (_, None) => false,
        (Stream, _) | (_, Stream) => true,
        (Any, _) | (_, Any) | (Json, Json) | (Form, Form) | (Multipart, Multipart) => false,
        (Json, Form | Multipart) | (Form, Json | Multipart) | (Multipart, Json | Form) => true,
    }
}

const fn format_of(body: BodyUse) -> &'static str {
    match body {
        BodyUse::Json => "JSON",
        BodyUse::Form => "a URL-encoded form",
        BodyUse::Multipart => "a multipart form",
        BodyUse::None | BodyUse::Any | BodyUse::Stream => "read",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_formats_and_shared_streams_conflict() {
        use BodyUse::*;
        let uses = [None, Any, Json, Form, Multipart, Stream];
        for (i, a) in uses.into_iter().enumerate() {
            for (j, b) in uses.into_iter().enumerate() {
                let expected = match (a, b) {
                    (None, _) | (_, None) => false,
                    (Stream, _) | (_, Stream) => true,
                    (Any, _) | (_, Any) => false,
                    _ => i != j,
                };
                assert_eq!(is_conflict(a, b), expected, "{a:?} {b:?}");
            }
        }
        let arguments = [("a", None), ("b", Json), ("c", Any), ("d", Form), ("e", Stream)];
        assert_eq!(first_conflict(&arguments), Some((1, 3)));
        assert_eq!(first_conflict(&arguments[..3]), Option::None);
    }

    #[test]
    #[should_panic = "the body cannot be both JSON, as `a: Json<A>` needs, and a URL-encoded form, as `b: Form<B>` needs"]
    fn conflict_names_both_arguments() {
        check_body(&[("a: Json<A>", BodyUse::Json), ("b: Form<B>", BodyUse::Form)], 1);
    }
}
