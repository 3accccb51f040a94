//! The JSON document of a [`Problem`] (RFC 9457, section 3).

use super::{InvalidField, NO_TYPE, Problem, Rest};
use crate::status::Status;
use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value};

/// The members that RFC 9457 defines.
pub(super) const STANDARD_MEMBERS: &[&str] = &["type", "title", "status", "detail", "instance"];

/// The member that lists the invalid fields.
const ERRORS: &str = "errors";

/// Writes the document of RFC 9457. Its member `status` is [`Status::http`].
impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut document = serializer.serialize_map(None)?;
        document.serialize_entry("type", self.type_uri())?;
        document.serialize_entry("title", self.title())?;
        document.serialize_entry("status", &self.status.http().as_u16())?;
        document.serialize_entry("detail", self.detail())?;
        if let Some(uri) = self.instance() {
            document.serialize_entry("instance", uri)?;
        }
        let fields = self.invalid_fields();
        if !fields.is_empty() {
            document.serialize_entry(ERRORS, fields)?;
        }
        for (name, value) in self.rest.iter().flat_map(|rest| &rest.members) {
            if fields.is_empty() || name != ERRORS {
                document.serialize_entry(name, value)?;
            }
        }
        document.end()
    }
}

/// Reads a document of RFC 9457.
///
/// As the RFC requires, every member may be missing, and a member of another type than the RFC defines is ignored. A document without a status
/// has the status 500.
impl<'de> Deserialize<'de> for Problem {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Problem, D::Error> {
        let mut members = Map::deserialize(deserializer)?;
        let code = members.remove("status").and_then(|code| code.as_i64());
        let code = code.and_then(|code| i32::try_from(code).ok()).unwrap_or(500);
        let mut text = |name| match members.remove(name) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        let (type_uri, title) = (text("type"), text("title"));
        let (detail, instance) = (text("detail"), text("instance"));
        let status = match detail {
            Some(detail) => Status::new(code).message(detail),
            None => Status::new(code),
        };
        let problem = Problem::from(status);
        let rest = Rest {
            type_uri: type_uri.filter(|uri| uri != NO_TYPE),
            title: title.filter(|title| title != problem.default_title()),
            instance,
            fields: take_fields(&mut members),
            members,
            cause: None,
        };
        Ok(Problem {
            rest: (rest != Rest::default()).then(|| Box::new(rest)),
            ..problem
        })
    }
}

/// Removes the list of invalid fields. Returns an empty list, and leaves the member in place, if it has another form.
fn take_fields(members: &mut Map<String, Value>) -> Vec<InvalidField> {
    match members.get(ERRORS).map(Vec::deserialize) {
        Some(Ok(fields)) => {
            members.remove(ERRORS);
            fields
        }
        _ => Vec::new(),
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Problem {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Problem".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "The failure of an operation, as in RFC 9457.",
            "type": "object",
            "properties": {
                "type": {"type": "string", "default": NO_TYPE},
                "title": {"type": "string"},
                "status": {"type": "integer", "minimum": 100, "maximum": 999},
                "detail": {"type": "string"},
                "instance": {"type": "string"},
                "errors": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {"field": {"type": "string"}, "reason": {"type": "string"}},
                        "required": ["field", "reason"],
                    },
                },
            },
            "required": ["type", "title", "status", "detail"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn document_has_the_members_of_the_rfc() {
        let problem = Problem::new(422, "no")
            .invalid("user.age", "too young")
            .with("status", 1)
            .with("hint", [1]);
        assert_eq!(
            serde_json::to_value(&problem).unwrap(),
            json!({
                "type": "about:blank", "title": "Unprocessable Entity", "status": 422, "detail": "no", "hint": [1],
                "errors": [{ "field": "user.age", "reason": "too young" }],
            })
        );
    }

    #[test]
    fn members_of_other_types_are_ignored_or_kept_as_extensions() {
        let read = |document: Value| serde_json::from_value::<Problem>(document).unwrap();
        assert_eq!(read(json!({})), Problem::from(Status::new(500)));
        assert_eq!(
            read(json!({"status": "x", "title": 1, "detail": null})),
            read(json!({}))
        );
        let problem = read(json!({"status": 404, "errors": {"age": ["too young"]}}));
        assert_eq!(problem.get("errors"), Some(&json!({"age": ["too young"]})));
        assert_eq!(problem.detail(), "Not Found");
        assert!(serde_json::from_value::<Problem>(json!([1])).is_err());
    }

    fn problems() -> impl Strategy<Value = Problem> {
        let texts = (
            any::<Option<String>>(),
            any::<Option<String>>(),
            any::<Option<String>>(),
        );
        let fields = prop::collection::vec((any::<String>(), any::<String>()), 0..4);
        let members = prop::collection::vec(("[a-z]{0,6}", any::<i64>()), 0..4);
        (200..1000_i32, any::<String>(), texts, fields, members).prop_map(
            |(code, detail, (type_uri, title, instance), fields, members)| {
                let problem = Problem::new(code, detail);
                let problem = type_uri.into_iter().fold(problem, Problem::with_type);
                let problem = title.into_iter().fold(problem, Problem::with_title);
                let problem = instance.into_iter().fold(problem, Problem::with_instance);
                let problem = fields
                    .into_iter()
                    .fold(problem, |problem, (field, reason)| problem.invalid(field, reason));
                members
                    .into_iter()
                    .fold(problem, |problem, (name, value)| problem.with(name, value))
            },
        )
    }

    proptest! {
        #[test]
        fn problem_is_equal_after_it_was_written_and_read(problem in problems()) {
            // Invalid fields replace a member of the same name.
            prop_assume!(problem.get(ERRORS).is_none());
            let text = serde_json::to_string(&problem).unwrap();
            let read: Problem = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(read, problem);
        }
    }
}
