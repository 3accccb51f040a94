//! [`Problem`], an error response in the format that the client prefers.

use super::{IntoReply, Payload, Response};
use crate::status::Status;
use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE};
use serde::Serialize;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// An error response: a status, a reason, and the fields that are invalid.
///
/// ```
/// use brubeck::{IntoReply, Problem};
///
/// async fn withdraw(amount: u64) -> Result<&'static str, Problem> {
///     match amount {
///         0..=50 => Ok("here you are"),
///         _ => Err(Problem::new(409, "insufficient funds").with("balance", 50)),
///     }
/// }
/// ```
///
/// The `accept` header of the request determines the format:
/// * HTML, which browsers prefer: the template `errors/<code>.html` or `errors.html` of the template folder, or a built-in page,
/// * JSON: `application/problem+json` as in [RFC 9457], also if the header has no preference and the body of the request is JSON,
/// * plain text for all other clients.
///
/// The caller of a service gets the status, with the reason as its message, but not the fields.
///
/// Clients can see the reason, the fields and the members that [`with`](Problem::with) adds, so these must not contain secrets.
///
/// [RFC 9457]: https://www.rfc-editor.org/rfc/rfc9457
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    status: Status,
    fields: Vec<InvalidField>,
    members: Map<String, Value>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct InvalidField {
    field: String,
    reason: String,
}

impl Problem {
    /// Creates a problem with a status code and a reason.
    ///
    /// ```
    /// use brubeck::Problem;
    ///
    /// let problem = Problem::new(409, "insufficient funds");
    /// assert_eq!(problem.status().to_string(), "409 insufficient funds");
    /// ```
    ///
    /// The client can see the reason, so it must not contain secrets: it is the member `detail` of the JSON format. Codes that are not the
    /// final status of an HTTP response become 500: see [`Status::http`].
    pub fn new(code: impl Into<Status>, reason: impl Into<Cow<'static, str>>) -> Problem {
        Problem::of(code.into().message(reason))
    }

    /// Creates a problem with the message of the status as its reason.
    pub(crate) fn of(status: Status) -> Problem {
        Problem {
            status,
            fields: Vec::new(),
            members: Map::new(),
        }
    }

    /// Adds an invalid field: its path, such as `user.age`, and the reason.
    ///
    /// ```
    /// use brubeck::prelude::*;
    ///
    /// #[post("/order")]
    /// async fn order(amount: Arg<u32>) -> Result<String, Problem> {
    ///     match amount.0 {
    ///         1..=50 => Ok(format!("{} ordered", amount.0)),
    ///         _ => Err(Problem::new(422, "the order is not valid").invalid("amount", "must be between 1 and 50")),
    ///     }
    /// }
    /// ```
    ///
    /// Call it once for each invalid field. The JSON format lists them in the member `errors`, as objects with `field` and `reason`; plain
    /// text and HTML list them below the reason. [`fields`](Problem::fields) returns the paths. The caller of a service does not get
    /// them.
    pub fn invalid(mut self, path: impl Into<String>, reason: impl Into<String>) -> Problem {
        self.fields.push(InvalidField {
            field: path.into(),
            reason: reason.into(),
        });
        self
    }

    /// Adds an extension member to the JSON format (RFC 9457, section 3.2).
    ///
    /// ```
    /// use brubeck::Problem;
    ///
    /// let problem = Problem::new(402, "the balance is too low").with("balance", 30);
    /// ```
    ///
    /// The members `type`, `title`, `status` and `detail` cannot be replaced, nor can `errors` if there are invalid fields. A value that
    /// cannot be serialized is ignored.
    pub fn with(mut self, name: impl Into<String>, value: impl Serialize) -> Problem {
        if let Ok(value) = serde_json::to_value(value) {
            self.members.insert(name.into(), value);
        }
        self
    }

    /// Replaces the status code, and keeps the reason.
    pub(super) fn set_code(&mut self, code: i32) {
        let reason = self.status.clone().into_text();
        self.status = Status::new(code).message(reason);
    }

    /// Returns the status, with the reason as its message.
    ///
    /// ```
    /// assert_eq!(brubeck::Problem::new(402, "the balance is too low").status().code(), 402);
    /// ```
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// Returns the paths of the invalid fields.
    ///
    /// ```
    /// use brubeck::Problem;
    ///
    /// let problem = Problem::new(422, "the order is not valid").invalid("user.age", "must be at least 18");
    /// assert!(problem.fields().eq(["user.age"]));
    /// ```
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|field| field.field.as_str())
    }

    fn title(&self) -> &'static str {
        self.status.http().canonical_reason().unwrap_or("Error")
    }

    fn json(&self) -> Value {
        let mut object = self.members.clone();
        object.insert("type".into(), "about:blank".into());
        object.insert("title".into(), self.title().into());
        object.insert("status".into(), self.status.http().as_u16().into());
        object.insert("detail".into(), self.status.text().into());
        if !self.fields.is_empty() {
            object.insert(
                "errors".into(),
                serde_json::to_value(&self.fields).unwrap_or_default(),
            );
        }
        Value::Object(object)
    }

    /// Returns the invalid fields whose reason differs from that of the problem. A [`Rejection`](crate::Rejection) uses one reason for
    /// both, and clients that get HTML or text should read that reason only once.
    fn distinct_fields(&self) -> impl Iterator<Item = &InvalidField> {
        self.fields
            .iter()
            .filter(|field| field.reason != self.status.text())
    }

    fn text(&self) -> String {
        let fields = self
            .distinct_fields()
            .map(|InvalidField { field, reason }| format!("\n{field}: {reason}"));
        self.status.text().to_owned() + &fields.collect::<String>()
    }

    fn html(&self) -> String {
        let heading = escape(&format!("{} {}", self.status.http().as_u16(), self.title()));
        let reason = match self.status.text() {
            text if text == self.title() => String::new(),
            text => format!("<p>{}</p>", escape(text)),
        };
        let field = |InvalidField { field, reason }: &InvalidField| {
            format!("<li><code>{}</code>: {}</li>", escape(field), escape(reason))
        };
        let fields = match self.distinct_fields().map(field).collect::<String>() {
            items if items.is_empty() => items,
            items => format!("<ul>{items}</ul>"),
        };
        format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{heading}</title></head>\
             <body><h1>{heading}</h1>{reason}{fields}</body></html>"
        )
    }

    /// Returns the variables for an error template.
    #[cfg(feature = "templates")]
    pub(crate) fn template_context(&self) -> minijinja::Value {
        minijinja::context! {
            error_code => self.status.http().as_u16(),
            title => self.title(),
            reason => self.status.text(),
            fields => minijinja::Value::from(minijinja::value::Serde(&self.fields)),
        }
    }

    /// Renders the problem in a format.
    pub(crate) fn render(&self, format: ProblemFormat) -> Response {
        match format {
            ProblemFormat::Html => Response::html(self.status.clone(), self.html()),
            ProblemFormat::Json => {
                Response::json(self.status.clone(), &self.json()).with_media_type("application/problem+json")
            }
            ProblemFormat::Text => Response::text(self.status.clone(), self.text()),
        }
    }
}

impl IntoReply for Problem {
    fn into_reply(self) -> Response {
        Response::new(self.status.clone()).with_payload(Payload::Problem(Box::new(self)))
    }
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#x27;"),
            _ => escaped.push(character),
        }
    }
    escaped
}

/// The formats of a [`Problem`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProblemFormat {
    Html,
    Json,
    Text,
}

impl ProblemFormat {
    /// Returns the format that the `accept` header prefers. If the header is missing or accepts none of the formats by name, the format is
    /// JSON for a request with a JSON body, and otherwise plain text.
    pub(crate) fn negotiate(headers: &HeaderMap) -> ProblemFormat {
        let ranges = headers
            .get_all(ACCEPT)
            .iter()
            .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
            .filter_map(|range| std::str::from_utf8(range).ok());
        let mut best: Option<(ProblemFormat, f32)> = None;
        for range in ranges {
            let mut parts = range.split(';').map(str::trim);
            let format = parts.next().and_then(ProblemFormat::of_media_type);
            let quality = parts
                .find_map(|part| part.strip_prefix("q="))
                .map_or(Some(1.0), |q| q.parse().ok());
            // The first format wins among those of the same quality. A quality of 0 means "not acceptable".
            if let (Some(format), Some(quality)) = (format, quality)
                && quality > best.map_or(0.0, |(_, best)| best)
            {
                best = Some((format, quality));
            }
        }
        let content_type = || {
            headers
                .get(CONTENT_TYPE)?
                .to_str()
                .ok()?
                .split(';')
                .next()
                .and_then(ProblemFormat::of_media_type)
        };
        match best {
            Some((format, _)) => format,
            None if content_type() == Some(ProblemFormat::Json) => ProblemFormat::Json,
            None => ProblemFormat::Text,
        }
    }

    fn of_media_type(name: &str) -> Option<ProblemFormat> {
        match name.trim().to_ascii_lowercase().as_str() {
            "text/html" | "application/xhtml+xml" => Some(ProblemFormat::Html),
            "text/plain" | "text/*" => Some(ProblemFormat::Text),
            json if json == "application/json" || json.ends_with("+json") => Some(ProblemFormat::Json),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn negotiates_format_by_accept_and_content_type() {
        let accept = |accept: &'static str| {
            ProblemFormat::negotiate(&HeaderMap::from_iter([(
                ACCEPT,
                HeaderValue::from_static(accept),
            )]))
        };
        assert_eq!(
            accept("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
            ProblemFormat::Html
        );
        assert_eq!(accept("application/json"), ProblemFormat::Json);
        assert_eq!(
            accept("application/problem+json, text/html;q=0.5"),
            ProblemFormat::Json
        );
        assert_eq!(
            accept("text/html;q=0.1, application/json;q=0.2"),
            ProblemFormat::Json
        );
        assert_eq!(accept("text/html;q=0, */*"), ProblemFormat::Text);
        assert_eq!(accept("*/*"), ProblemFormat::Text);
        let invalid = HeaderValue::from_bytes(b"x/\xff, application/json").unwrap();
        let format = ProblemFormat::negotiate(&HeaderMap::from_iter([(ACCEPT, invalid)]));
        assert_eq!(format, ProblemFormat::Json);
        assert_eq!(accept("text/html;q=nonsense"), ProblemFormat::Text);
        assert_eq!(ProblemFormat::negotiate(&HeaderMap::new()), ProblemFormat::Text);
        let json = HeaderMap::from_iter([(
            CONTENT_TYPE,
            HeaderValue::from_static("application/json; charset=utf-8"),
        )]);
        assert_eq!(ProblemFormat::negotiate(&json), ProblemFormat::Json);
    }

    #[test]
    fn json_format_is_problem_document() {
        let problem = Problem::new(422, "no")
            .invalid("user.age", "too young")
            .with("status", 1)
            .with("hint", [1]);
        assert_eq!(
            problem.json(),
            serde_json::json!({
                "type": "about:blank", "title": "Unprocessable Entity", "status": 422, "detail": "no", "hint": [1],
                "errors": [{ "field": "user.age", "reason": "too young" }],
            })
        );
    }

    #[test]
    fn status_of_reply_replaces_code_and_keeps_reason() {
        let response = (Status::new(409), Problem::new(400, "taken")).into_reply();
        let Payload::Problem(problem) = response.payload() else {
            panic!("{response:?}");
        };
        assert_eq!(problem.status().to_string(), "409 taken");
        assert_eq!(response.status().code(), 409);
    }

    #[test]
    fn html_format_escapes_reason_and_fields() {
        let html = Problem::new(400, "<script>").invalid("\"'", "&").html();
        assert!(html.contains("<p>&lt;script&gt;</p>"), "{html}");
        assert!(html.contains("<code>&quot;&#x27;</code>: &amp;"), "{html}");
    }
}
