//! Requests of a test client.

use super::{TestClient, TestForm, TestResponse};
use crate::message::RemoteAddr;
use crate::response::Body;
use futures_util::future::BoxFuture;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST};
use http::{HeaderName, HeaderValue, Method, Request};
use serde::Serialize;

/// A request of a [`TestClient`]. Awaiting it sends it and returns a [`TestResponse`].
///
/// # Examples
///
/// ```
/// # use brubeck::prelude::*;
/// # use brubeck::testing::TestClient;
/// # #[derive(serde::Deserialize)]
/// # struct Order { dish: String }
/// # #[post("^/order$")]
/// # async fn order(order: Form<Order>) -> String { order.0.dish }
/// # const ROUTES: Routes<()> = routes![order];
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # let client = TestClient::new(App::new(ROUTES, ()));
/// client.post("/order").form([("dish", "soup")]).await.assert_text("soup");
/// client.post("/order").json(&["soup"]).await.assert_status(415);
/// client.post("/order").form([("x", "soup")]).accept("application/json").await.assert_status(422);
/// # }
/// ```
#[must_use = "a request is only sent when it is awaited"]
#[derive(Debug)]
pub struct TestRequest<'a> {
    client: &'a TestClient,
    request: Request<Body>,
}

impl<'a> TestRequest<'a> {
    #[track_caller]
    pub(super) fn new(client: &'a TestClient, method: Method, target: &str) -> TestRequest<'a> {
        let Ok(request) = Request::builder()
            .method(method)
            .uri(target)
            .header(HOST, "localhost")
            .body(Body::empty())
        else {
            panic!(
                "`{target}` is not a valid request target: percent-encode the characters that a URI cannot contain"
            );
        };
        TestRequest { client, request }
    }

    /// Adds a header. `host` and `content-type` replace the previous value. A `cookie` is sent instead of those of the client.
    ///
    /// # Panics
    ///
    /// Panics if HTTP does not allow the name or the value.
    #[track_caller]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> TestRequest<'a> {
        let (Ok(header), Ok(value)) = (
            HeaderName::try_from(name),
            HeaderValue::from_bytes(value.as_ref()),
        ) else {
            panic!(
                "`{name}: {}` is not a valid header",
                value.as_ref().escape_ascii()
            );
        };
        let headers = self.request.headers_mut();
        if header == HOST || header == CONTENT_TYPE {
            headers.insert(header, value);
        } else {
            headers.append(header, value);
        }
        self
    }

    /// Adds an `accept` header.
    ///
    /// # Panics
    ///
    /// Panics if HTTP does not allow the value.
    #[track_caller]
    pub fn accept(self, media_types: &str) -> TestRequest<'a> {
        self.header("accept", media_types)
    }

    /// Sets the address of the client, for [`RemoteAddr`]. By default a request has none.
    pub fn from(mut self, address: std::net::IpAddr) -> TestRequest<'a> {
        self.request.extensions_mut().insert(RemoteAddr(address));
        self
    }

    /// Sets the body. The `content-type` stays as it is: without a call of [`header`](Self::header) there is none.
    pub fn body(mut self, body: impl Into<Body>) -> TestRequest<'a> {
        *self.request.body_mut() = body.into();
        self
    }

    /// Sets a JSON body.
    ///
    /// # Panics
    ///
    /// Panics if the value cannot be serialized.
    #[track_caller]
    pub fn json(self, value: &(impl Serialize + ?Sized)) -> TestRequest<'a> {
        match serde_json::to_vec(value) {
            Ok(text) => self.header("content-type", "application/json").body(text),
            Err(error) => panic!("cannot serialize the value to JSON: {error}"),
        }
    }

    /// Sets a URL-encoded form as the body, as a browser does.
    pub fn form<N: AsRef<str>, V: AsRef<str>>(
        self,
        fields: impl IntoIterator<Item = (N, V)>,
    ) -> TestRequest<'a> {
        let text = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        self.header("content-type", "application/x-www-form-urlencoded")
            .body(text)
    }

    /// Sets a multipart form as the body.
    pub fn multipart(self, form: TestForm) -> TestRequest<'a> {
        let (media_type, body) = form.into_parts();
        self.header("content-type", media_type).body(body)
    }

    /// Sends the request, and returns the response without collecting its body. Use this for endless streams. Cookies of the
    /// response are kept as usual.
    pub async fn stream(self) -> http::Response<Body> {
        let (client, request) = self.into_request();
        client.send(request).await
    }

    /// Adds the cookies of the client, unless the request has a `cookie` header, and the length of a body in memory.
    fn into_request(mut self) -> (&'a TestClient, Request<Body>) {
        let cookies = self.client.cookie_header();
        let headers = self.request.headers_mut();
        if !cookies.is_empty()
            && !headers.contains_key(COOKIE)
            && let Ok(value) = HeaderValue::try_from(cookies)
        {
            headers.insert(COOKIE, value);
        }
        if let Some(length) = self
            .request
            .body()
            .bytes()
            .map(|bytes| bytes.len())
            .filter(|length| *length > 0)
        {
            self.request
                .headers_mut()
                .insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        (self.client, self.request)
    }
}

impl<'a> IntoFuture for TestRequest<'a> {
    type Output = TestResponse;
    type IntoFuture = BoxFuture<'a, TestResponse>;

    fn into_future(self) -> BoxFuture<'a, TestResponse> {
        Box::pin(async move {
            let (client, request) = self.into_request();
            client.send_and_collect(request).await
        })
    }
}
