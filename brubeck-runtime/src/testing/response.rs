//! What a test was answered.

use bytes::Bytes;
use http::HeaderMap;
use http::header::LOCATION;
use http::response::Parts;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt;

/// The response to a [`TestRequest`](super::TestRequest). Each `assert_..` panics with the whole response where it is
/// not as expected, and else gives it back, so that they chain.
///
/// ```
/// # use brubeck::prelude::*;
/// # use brubeck::testing::TestClient;
/// # #[get("^/$")]
/// # async fn index() -> Html<&'static str> { Html("<h1>hello</h1>") }
/// # const ROUTES: Routes<()> = routes![index];
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # let client = TestClient::new(App::new(ROUTES, ()));
/// let response = client.get("/").await;
/// response.assert_status(200).assert_header("content-type", "text/html; charset=utf-8").assert_contains("hello");
/// assert_eq!(response.text().len(), 14);
/// # }
/// ```
#[derive(Debug)]
pub struct TestResponse {
    asked: String,
    parts: Parts,
    body: Bytes,
}

impl TestResponse {
    pub(super) fn new(asked: String, parts: Parts, body: Bytes) -> TestResponse {
        TestResponse { asked, parts, body }
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        self.parts.status.as_u16()
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    /// The first value of a header; `None` where it is missing or not visible ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.parts.headers.get(name)?.to_str().ok()
    }

    /// The body.
    pub fn bytes(&self) -> &Bytes {
        &self.body
    }

    /// The body as text.
    ///
    /// # Panics
    ///
    /// It is not UTF-8.
    #[track_caller]
    pub fn text(&self) -> &str {
        match std::str::from_utf8(&self.body) {
            Ok(text) => text,
            Err(error) => panic!("the body is not UTF-8: {error}\n{self}"),
        }
    }

    /// The body as a JSON value.
    ///
    /// # Panics
    ///
    /// It is not JSON, or of another shape.
    #[track_caller]
    pub fn json<T: DeserializeOwned>(&self) -> T {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => panic!("the body is not the expected JSON: {error}\n{self}"),
        }
    }

    /// Expects this status code.
    #[track_caller]
    pub fn assert_status(&self, code: u16) -> &TestResponse {
        assert!(
            self.status() == code,
            "expected the status {code}, got {}\n{self}",
            self.parts.status
        );
        self
    }

    /// Expects this value of a header, among others it may have.
    #[track_caller]
    pub fn assert_header(&self, name: &str, value: &str) -> &TestResponse {
        let found = self
            .parts
            .headers
            .get_all(name)
            .iter()
            .any(|known| known.as_bytes() == value.as_bytes());
        assert!(found, "expected the header `{name}: {value}`\n{self}");
        self
    }

    /// Expects that a header is missing.
    #[track_caller]
    pub fn assert_no_header(&self, name: &str) -> &TestResponse {
        assert!(
            !self.parts.headers.contains_key(name),
            "expected no header `{name}`\n{self}"
        );
        self
    }

    /// Expects exactly this text.
    #[track_caller]
    pub fn assert_text(&self, text: &str) -> &TestResponse {
        assert!(self.text() == text, "expected the text {text:?}\n{self}");
        self
    }

    /// Expects a body with this text in it.
    #[track_caller]
    pub fn assert_contains(&self, text: &str) -> &TestResponse {
        assert!(
            self.text().contains(text),
            "expected {text:?} in the body\n{self}"
        );
        self
    }

    /// Expects a body without this text.
    #[track_caller]
    pub fn assert_lacks(&self, text: &str) -> &TestResponse {
        assert!(
            !self.text().contains(text),
            "expected no {text:?} in the body\n{self}"
        );
        self
    }

    /// Expects this JSON value; neither the order of fields nor white space counts.
    #[track_caller]
    pub fn assert_json(&self, value: impl Serialize) -> &TestResponse {
        let expected = match serde_json::to_value(value) {
            Ok(value) => value,
            Err(error) => panic!("the expected value is not JSON: {error}"),
        };
        let found: Value = self.json();
        assert!(found == expected, "expected the JSON {expected}\n{self}");
        self
    }

    /// Expects a redirect to this address.
    #[track_caller]
    pub fn assert_redirect(&self, target: &str) -> &TestResponse {
        let redirects = self.parts.status.is_redirection() && self.header(LOCATION.as_str()) == Some(target);
        assert!(redirects, "expected a redirect to {target}\n{self}");
        self
    }
}

/// As it would be on the wire; a long body is cut.
impl fmt::Display for TestResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "--- {}\n{}", self.asked, self.parts.status)?;
        for (name, value) in &self.parts.headers {
            writeln!(f, "{name}: {}", value.as_bytes().escape_ascii())?;
        }
        let text: String = String::from_utf8_lossy(&self.body).chars().take(2000).collect();
        write!(f, "\n{text}\n---")
    }
}
