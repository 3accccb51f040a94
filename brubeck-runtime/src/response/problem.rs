//! The formats in which HTTP clients get a [`Problem`].

use super::{IntoReply, Payload, Response};
use crate::problem::{InvalidField, Problem};
use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE};

impl Problem {
    /// Returns the invalid fields whose reason differs from that of the problem. A [`Rejection`](crate::Rejection) uses one reason for
    /// both, and clients that get HTML or text should read that reason only once.
    fn distinct_fields(&self) -> impl Iterator<Item = &InvalidField> {
        self.invalid_fields()
            .iter()
            .filter(|field| field.reason != self.detail())
    }

    fn text(&self) -> String {
        let fields = self
            .distinct_fields()
            .map(|InvalidField { field, reason }| format!("\n{field}: {reason}"));
        let mut text = self.detail().to_owned();
        text.extend(fields);
        if let Some(trace_id) = self.trace_id() {
            text.extend(["\ntrace: ", trace_id]);
        }
        if let Some(cause) = self.cause() {
            text.extend(["\ncause: ", cause]);
        }
        text
    }

    fn html(&self) -> String {
        let heading = escape(&format!("{} {}", self.status().http().as_u16(), self.title()));
        let reason = match self.detail() {
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
        let item = |name: &str, text: Option<&str>| match text {
            Some(text) => format!("<p>{name}: <code>{}</code></p>", escape(text)),
            None => String::new(),
        };
        let (trace, cause) = (item("Trace", self.trace_id()), item("Cause", self.cause()));
        format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{heading}</title></head>\
             <body><h1>{heading}</h1>{reason}{fields}{trace}{cause}</body></html>"
        )
    }

    /// Returns the variables for an error template.
    #[cfg(feature = "templates")]
    pub(crate) fn template_context(&self) -> minijinja::Value {
        minijinja::context! {
            error_code => self.status().http().as_u16(),
            title => self.title(),
            reason => self.detail(),
            fields => minijinja::Value::from(minijinja::value::Serde(self.invalid_fields())),
            trace_id => self.trace_id(),
            cause => self.cause(),
        }
    }

    /// Renders the problem in a format, with its private cause: remove it if browsers must not see it.
    pub(crate) fn render(&self, format: ProblemFormat) -> Response {
        match format {
            ProblemFormat::Html => Response::html(self.status().clone(), self.html()),
            ProblemFormat::Json => {
                let response = match self.cause() {
                    Some(cause) => Response::json(self.status().clone(), &self.clone().with("cause", cause)),
                    None => Response::json(self.status().clone(), self),
                };
                response.with_media_type("application/problem+json")
            }
            ProblemFormat::Text => Response::text(self.status().clone(), self.text()),
        }
    }
}

impl IntoReply for Problem {
    fn into_reply(self) -> Response {
        Response::new(self.status().clone()).with_payload(Payload::Problem(Box::new(self)))
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
    use crate::status::Status;
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
