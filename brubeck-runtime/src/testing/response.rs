//! Responses to a test client, with assertions.

use crate::response::Body;
use bytes::Bytes;
use http::HeaderMap;
use http::header::LOCATION;
use http::response::Parts;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt;

/// The response to a [`TestRequest`](super::TestRequest).
///
/// Each `assert_..` method returns the response, so that assertions can be chained. If the assertion fails, it panics with the
/// head of the response and at most 2,000 characters of its body.
///
/// # Examples
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
    /// The method and target of the request, for panic messages.
    request_line: String,
    parts: Parts,
    body: Bytes,
}

impl TestResponse {
    pub(super) fn new(request_line: String, parts: Parts, body: Bytes) -> TestResponse {
        TestResponse {
            request_line,
            parts,
            body,
        }
    }

    /// Collects the body of a response.
    ///
    /// # Panics
    ///
    /// Panics if the body breaks off.
    pub(super) async fn collect(request_line: String, response: http::Response<Body>) -> TestResponse {
        let (parts, body) = response.into_parts();
        match body.collect(usize::MAX).await {
            Ok(bytes) => TestResponse::new(request_line, parts, bytes),
            Err(error) => panic!("{request_line}: cannot read the response body: {error}"),
        }
    }

    /// Returns the status code.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// assert_eq!(client.get("/").await.status(), 200);
    /// # }
    /// ```
    pub fn status(&self) -> u16 {
        self.parts.status.as_u16()
    }

    /// Returns the headers.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// assert!(client.get("/").await.headers().contains_key("etag"));
    /// # }
    /// ```
    pub fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    /// Returns the first value of a header, or `None` if it is missing or not visible ASCII.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// assert_eq!(client.get("/").await.header("content-type"), Some("text/html; charset=utf-8"));
    /// # }
    /// ```
    pub fn header(&self, name: &str) -> Option<&str> {
        self.parts.headers.get(name)?.to_str().ok()
    }

    /// Returns the body.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// assert!(client.get("/logo.png").await.bytes().starts_with(b"\x89PNG"));
    /// # }
    /// ```
    pub fn bytes(&self) -> &Bytes {
        &self.body
    }

    /// Returns the body as text.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// assert_eq!(client.get("/").await.text(), "hello");
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if the body is not UTF-8.
    #[track_caller]
    pub fn text(&self) -> &str {
        match std::str::from_utf8(&self.body) {
            Ok(text) => text,
            Err(error) => panic!("the body is not UTF-8: {error}\n{self}"),
        }
    }

    /// Deserializes the body from JSON.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// let names: Vec<String> = client.get("/users").await.json();
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if the body is not JSON, or does not match the type.
    #[track_caller]
    pub fn json<T: DeserializeOwned>(&self) -> T {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => panic!("cannot deserialize the body: {error}\n{self}"),
        }
    }

    /// Asserts that the response has this status code.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// client.get("/missing").await.assert_status(404);
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if the status code is another one.
    #[track_caller]
    pub fn assert_status(&self, code: u16) -> &TestResponse {
        assert!(
            self.status() == code,
            "expected status {code}, got {}\n{self}",
            self.parts.status
        );
        self
    }

    /// Asserts that a header has this value. The header may have other values in addition.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// client.get("/").await.assert_header("cache-control", "no-store");
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if no header of this name has this value.
    #[track_caller]
    pub fn assert_header(&self, name: &str, value: &str) -> &TestResponse {
        let found = self
            .parts
            .headers
            .get_all(name)
            .iter()
            .any(|known| known.as_bytes() == value.as_bytes());
        assert!(found, "expected header `{name}: {value}`\n{self}");
        self
    }

    /// Asserts that the response does not have a header.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// client.get("/").await.assert_no_header("set-cookie");
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if the response has a header of this name.
    #[track_caller]
    pub fn assert_no_header(&self, name: &str) -> &TestResponse {
        assert!(
            !self.parts.headers.contains_key(name),
            "expected no header `{name}`\n{self}"
        );
        self
    }

    /// Asserts that the body is exactly this text.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// client.get("/").await.assert_text("hello");
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if the body is another text, or not UTF-8.
    #[track_caller]
    pub fn assert_text(&self, text: &str) -> &TestResponse {
        assert!(self.text() == text, "expected the body to be {text:?}\n{self}");
        self
    }

    /// Asserts that the body contains this text.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// client.get("/").await.assert_contains("<h1>");
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if the body does not contain the text, or is not UTF-8.
    #[track_caller]
    pub fn assert_contains(&self, text: &str) -> &TestResponse {
        assert!(
            self.text().contains(text),
            "expected the body to contain {text:?}\n{self}"
        );
        self
    }

    /// Asserts that the body does not contain this text.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// client.get("/").await.assert_lacks("<script>");
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if the body contains the text, or is not UTF-8.
    #[track_caller]
    pub fn assert_lacks(&self, text: &str) -> &TestResponse {
        assert!(
            !self.text().contains(text),
            "expected the body not to contain {text:?}\n{self}"
        );
        self
    }

    /// Asserts that the body is this JSON value. The order of fields and white space do not matter.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// client.get("/users").await.assert_json(["Dave", "Joe"]);
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if the body is another value or not JSON, or if `value` cannot be serialized.
    #[track_caller]
    pub fn assert_json(&self, value: impl Serialize) -> &TestResponse {
        let expected = match serde_json::to_value(value) {
            Ok(value) => value,
            Err(error) => panic!("cannot serialize the expected value to JSON: {error}"),
        };
        let found: Value = self.json();
        assert!(
            found == expected,
            "expected the body to be the JSON {expected}\n{self}"
        );
        self
    }

    /// Asserts that the response redirects to this target.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// client.get("/old").await.assert_redirect("/new");
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if the status is not a redirection (3xx), or `location` is not exactly `target`.
    #[track_caller]
    pub fn assert_redirect(&self, target: &str) -> &TestResponse {
        let redirects = self.parts.status.is_redirection() && self.header(LOCATION.as_str()) == Some(target);
        assert!(redirects, "expected a redirect to {target}\n{self}");
        self
    }
}

/// Formats the response as HTTP, with at most 2,000 characters of the body.
impl fmt::Display for TestResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "--- {}\n{}", self.request_line, self.parts.status)?;
        for (name, value) in &self.parts.headers {
            writeln!(f, "{name}: {}", value.as_bytes().escape_ascii())?;
        }
        let text: String = String::from_utf8_lossy(&self.body).chars().take(2000).collect();
        write!(f, "\n{text}\n---")
    }
}
