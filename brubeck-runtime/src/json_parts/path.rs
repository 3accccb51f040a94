//! The path of the value at which a JSON text could not be read.

use serde::de::Error as _;

/// Limit for the length of a path in an error, in bytes.
const MAX_PATH: usize = 256;

/// Adds the path of the value that could not be read, such as `lines[0].amount`, to an error. An error at the outermost value has none.
///
/// The path is found by the position of the error, so that no type needs a second deserializer.
pub(super) fn locate(text: &[u8], error: serde_json::Error) -> serde_json::Error {
    match path_at(text, error.line(), error.column()) {
        path if path.is_empty() => error,
        path => serde_json::Error::custom(format_args!("`{path}`: {error}")),
    }
}

/// A container that is open at the position, and the member or index in it.
enum JsonStep {
    /// The name of the member, which is `None` before the name has been read.
    Member(Option<String>),
    Index(usize),
}

/// Returns the path of the value that ends at this position or contains it. `line` counts from 1, and `column` is the number of bytes of it
/// that were read.
fn path_at(text: &[u8], line: usize, column: usize) -> String {
    let before: usize = text
        .split_inclusive(|byte| *byte == b'\n')
        .take(line.saturating_sub(1))
        .map(<[u8]>::len)
        .sum();
    let mut rest = text.get(..before.saturating_add(column)).unwrap_or(text);
    let mut open = Vec::new();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match (byte, open.last_mut()) {
            (b'{', _) => open.push(JsonStep::Member(None)),
            (b'[', _) => open.push(JsonStep::Index(0)),
            (b'}' | b']', _) => {
                open.pop();
            }
            (b',', Some(JsonStep::Index(index))) => *index += 1,
            (b',', Some(JsonStep::Member(name))) => *name = None,
            (b'"', place) => {
                let (string, after) = rest.split_at(string_len(rest));
                rest = after.get(1..).unwrap_or_default();
                if let Some(JsonStep::Member(name @ None)) = place {
                    *name = Some(unescape(string));
                }
            }
            _ => {}
        }
    }
    let mut path = String::new();
    for place in &open {
        match place {
            JsonStep::Member(Some(name)) if path.is_empty() => path.push_str(name),
            JsonStep::Member(Some(name)) => path.extend([".", name]),
            JsonStep::Index(index) => path.extend(["[", &index.to_string(), "]"]),
            JsonStep::Member(None) => {}
        }
    }
    while path.len() > MAX_PATH {
        path.pop();
    }
    path
}

/// Returns the length of a string up to its closing quote.
fn string_len(text: &[u8]) -> usize {
    let mut escaped = false;
    let end = text.iter().position(|byte| {
        let ends = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    });
    end.unwrap_or(text.len())
}

fn unescape(string: &[u8]) -> String {
    let quoted = [b"\"", string, b"\""].concat();
    serde_json::from_slice(&quoted).unwrap_or_else(|_| String::from_utf8_lossy(string).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Deserialize;
    use serde::de::DeserializeOwned;

    #[derive(Debug, Deserialize)]
    #[allow(dead_code, reason = "only its errors are of interest")]
    struct Order {
        lines: Vec<Line>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only its errors are of interest")]
    struct Line {
        amount: u8,
    }

    fn text<T: DeserializeOwned + std::fmt::Debug>(text: &str) -> String {
        let error = serde_json::from_str::<T>(text).unwrap_err();
        locate(text.as_bytes(), error).to_string()
    }

    #[test]
    fn error_names_the_path_of_its_value() {
        let cases = [
            (
                r#"{"lines": [{"amount": 1}, {"amount": "x"}]}"#,
                "`lines[1].amount`: invalid type",
            ),
            (
                r#"{"lines": [{"amount": 256}]}"#,
                "`lines[0].amount`: invalid value",
            ),
            (
                "{\"a]\\\"{\": 0,\n \"lines\": [\n{}]}",
                "`lines[0]`: missing field `amount`",
            ),
            (
                r#"{"lines": [{"amoun\u0074": 1, "more": 2}]}"#,
                "`lines[0].more`: unknown field",
            ),
            (r#"{"lines": 7}"#, "`lines`: invalid type"),
            (r#"{"lines": [{"amount": 1]}"#, "`lines[0]"),
            ("{}", "missing field `lines`"),
            ("7", "invalid type"),
        ];
        for (json, start) in cases {
            let error = text::<Order>(json);
            assert!(error.starts_with(start), "{json}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_position_in_any_text_has_a_path(
            text in prop::collection::vec(prop::sample::select(b"{}[],:\"\\n1 \xff".to_vec()), 0..40),
            line in 0..4_usize,
            column in 0..50_usize,
        ) {
            prop_assert!(path_at(&text, line, column).len() <= MAX_PATH);
        }
    }
}
