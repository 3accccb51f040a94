//! Requests of a test client.

use super::{TestClient, TestEvents, TestForm, TestResponse, TestUpload};
use crate::authority::Scheme;
use crate::peer::RemoteAddr;
use crate::response::Body;
use futures_util::future::BoxFuture;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST};
use http::{HeaderName, HeaderValue, Method, Request};
use serde::Serialize;
use std::panic::Location;

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
        let Ok(mut request) = Request::builder()
            .method(method)
            .uri(target)
            .header(HOST, "localhost")
            .body(Body::empty())
        else {
            panic!(
                "`{target}` is not a valid request target: percent-encode the characters that a URI cannot contain"
            );
        };
        if request.uri().scheme() == Some(&http::uri::Scheme::HTTPS) {
            request.extensions_mut().insert(Scheme::Https);
        }
        TestRequest { client, request }
    }

    /// Adds a header. `host` and `content-type` replace the previous value. A `cookie` is sent instead of those of the client.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// client.get("/").header("accept-language", "de").await.assert_contains("Hallo");
    /// # }
    /// ```
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
    /// ```
    /// # use brubeck::prelude::*;
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// client.get("/missing").accept("application/json").await.assert_status(404);
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if HTTP does not allow the value.
    #[track_caller]
    pub fn accept(self, media_types: &str) -> TestRequest<'a> {
        self.header("accept", media_types)
    }

    /// Sets the address of the client, for [`RemoteAddr`]. By default a request has none.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// client.get("/").from([10, 0, 0, 7].into()).await.assert_text("10.0.0.7");
    /// # }
    /// ```
    pub fn from(mut self, address: std::net::IpAddr) -> TestRequest<'a> {
        self.request.extensions_mut().insert(RemoteAddr(address));
        self
    }

    /// Sets the body: text, bytes, or a [`Body`](crate::Body) with a stream.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// client.post("/echo").body("hello").await.assert_text("hello");
    /// # }
    /// ```
    ///
    /// The `content-type` stays as it is: without a call of [`header`](Self::header) a request has none. [`json`](Self::json),
    /// [`form`](Self::form) and [`multipart`](Self::multipart) set it. A body in memory that is not empty gets a `content-length`, a stream does
    /// not. [`in_pieces`](Self::in_pieces) sends a body piece by piece.
    pub fn body(mut self, body: impl Into<Body>) -> TestRequest<'a> {
        *self.request.body_mut() = body.into();
        self
    }

    /// Sets a JSON body.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// client.post("/sum").json(&[1, 2]).await.assert_json(3);
    /// # }
    /// ```
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
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// client.post("/login").form([("name", "dave"), ("password", "secret")]).await.assert_redirect("/");
    /// # }
    /// ```
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
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// use brubeck::testing::TestForm;
    ///
    /// let form = TestForm::new().text("title", "Sea").file("image", "sea.png", "image/png", b"..");
    /// client.post("/upload").multipart(form).await.assert_status(200);
    /// # }
    /// ```
    pub fn multipart(self, form: TestForm) -> TestRequest<'a> {
        self.header("content-type", form.media_type())
            .body(form.into_bytes())
    }

    /// Sends the request, and returns the response without collecting its body. Use this for endless streams. Cookies of the
    /// response are kept as usual.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// let response = client.get("/events").stream().await;
    /// assert_eq!(response.status(), 200);
    /// # }
    /// ```
    pub async fn stream(self) -> http::Response<Body> {
        let (client, request) = self.into_request();
        client.send(request).await
    }

    /// Sends the request, and returns the server-sent events of the response, to receive them one by one. Cookies of the response are kept as
    /// usual.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// let mut events = client.get("/prices").header("last-event-id", "7").events().await;
    /// assert_eq!(events.recv().await.unwrap().id(), "8");
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if the response has another status than 200, or another content type than `text/event-stream`.
    #[track_caller]
    pub fn events(self) -> impl Future<Output = TestEvents> + Send + use<'a> {
        let caller = Location::caller();
        async move {
            let (client, request) = self.into_request();
            let request_line = request_line(&request);
            TestEvents::new(request_line, client.send(request).await, caller).await
        }
    }

    /// Begins the request without a body, and returns an upload to send it in pieces. The request runs from now on, in a task.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// let mut upload = client.post("/import").in_pieces();
    /// upload.send("name,price\n").await;
    /// upload.send("tea,7\n").await;
    /// upload.finish().await.assert_text("1 line");
    /// # }
    /// ```
    ///
    /// The body has no length, as one with chunked encoding, unless the request has a header `content-length`.
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime.
    #[track_caller]
    pub fn in_pieces(self) -> TestUpload<'a> {
        let (client, request) = self.into_request();
        TestUpload::begin(client, request)
    }

    /// Returns the origin of the application that the request is for: `http://localhost`.
    #[cfg(feature = "http")]
    pub(super) fn own_origin(&self) -> String {
        let scheme = self.request.extensions().get().copied().unwrap_or(Scheme::Http);
        let host = match self.request.uri().authority() {
            Some(authority) => authority.as_str().as_bytes(),
            None => self
                .request
                .headers()
                .get(HOST)
                .map_or(&b""[..], HeaderValue::as_bytes),
        };
        format!("{scheme}://{}", String::from_utf8_lossy(host))
    }

    /// Adds a header of the client, unless the test has set one.
    #[cfg(feature = "http")]
    pub(super) fn header_unless_set(mut self, name: HeaderName, value: &'static str) -> TestRequest<'a> {
        let headers = self.request.headers_mut();
        headers.entry(name).or_insert(HeaderValue::from_static(value));
        self
    }

    /// Adds the cookies of the client, unless the request has a `cookie` header, and the length of a body in memory.
    pub(super) fn into_request(mut self) -> (&'a TestClient, Request<Body>) {
        let cookies = self.client.cookie_header(&self.request);
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

/// Returns the method and the target of a request, for the messages of panics.
pub(super) fn request_line(request: &Request<Body>) -> String {
    format!("{} {}", request.method(), request.uri())
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
