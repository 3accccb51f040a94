//! A client for web requests without a socket.

use super::{TestRequest, TestResponse};
use crate::app::{App, AppService};
use crate::response::Body;
use http::header::SET_COOKIE;
use http::{HeaderMap, Method, Request};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A client for tests that sends web requests to an application without a socket.
///
/// It keeps cookies: `set-cookie` adds and replaces them, `max-age=0` removes them, and every request sends them all. Unlike a
/// browser it ignores their other attributes, such as path and expiry. It does not follow redirects; see
/// [`TestResponse::assert_redirect`].
///
/// # Examples
///
/// ```
/// use brubeck::prelude::*;
/// use brubeck::testing::TestClient;
///
/// #[get("^/visits$")]
/// async fn visits(session: Session) -> String {
///     let visits = session.get::<u32>("visits").unwrap_or(0) + 1;
///     session.set("visits", visits);
///     visits.to_string()
/// }
///
/// const ROUTES: Routes<()> = routes![visits];
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let client = TestClient::new(App::new(ROUTES, ()).cookie_secret("a secret of the test, 32 bytes long"));
/// client.get("/visits").await.assert_text("1");
/// client.get("/visits").await.assert_text("2");
/// # }
/// ```
#[derive(Debug)]
pub struct TestClient {
    service: AppService,
    cookies: Mutex<BTreeMap<String, String>>,
}

impl TestClient {
    /// Creates a client of this application, with no cookies.
    ///
    /// # Panics
    ///
    /// Panics if the configuration of the application is not valid. The message contains the reason.
    #[track_caller]
    pub fn new<S: Send + Sync + 'static>(app: App<S>) -> TestClient {
        match app.into_service() {
            Ok(service) => TestClient::over(service),
            Err(error) => panic!("the configuration of the application is not valid: {error:?}"),
        }
    }

    /// Creates a client of an assembled application.
    pub(crate) fn over(service: AppService) -> TestClient {
        TestClient {
            service,
            cookies: Mutex::default(),
        }
    }

    /// Creates a GET request. `target` is a path with an optional query: `/search?q=jazz`.
    ///
    /// The request is sent when it is awaited.
    ///
    /// # Panics
    ///
    /// Panics if `target` is not a valid URI. The same applies to the other methods that create a request.
    pub fn get(&self, target: &str) -> TestRequest<'_> {
        self.request(Method::GET, target)
    }

    /// Creates a HEAD request.
    pub fn head(&self, target: &str) -> TestRequest<'_> {
        self.request(Method::HEAD, target)
    }

    /// Creates a POST request.
    pub fn post(&self, target: &str) -> TestRequest<'_> {
        self.request(Method::POST, target)
    }

    /// Creates a PUT request.
    pub fn put(&self, target: &str) -> TestRequest<'_> {
        self.request(Method::PUT, target)
    }

    /// Creates a PATCH request.
    pub fn patch(&self, target: &str) -> TestRequest<'_> {
        self.request(Method::PATCH, target)
    }

    /// Creates a DELETE request.
    pub fn delete(&self, target: &str) -> TestRequest<'_> {
        self.request(Method::DELETE, target)
    }

    /// Creates an OPTIONS request.
    pub fn options(&self, target: &str) -> TestRequest<'_> {
        self.request(Method::OPTIONS, target)
    }

    /// Creates a request with any method.
    ///
    /// # Panics
    ///
    /// Panics if `target` is not a valid URI.
    pub fn request(&self, method: Method, target: &str) -> TestRequest<'_> {
        TestRequest::new(self, method, target)
    }

    /// Returns the value of a cookie, or `None` if the client has no cookie of this name.
    pub fn cookie(&self, name: &str) -> Option<String> {
        self.jar().get(name).cloned()
    }

    /// Adds a cookie as if the application had set it. The value is sent without encoding.
    pub fn keep_cookie(&self, name: &str, value: &str) {
        self.jar().insert(name.to_owned(), value.to_owned());
    }

    /// Removes all cookies.
    pub fn forget_cookies(&self) {
        self.jar().clear();
    }

    pub(super) fn cookie_header(&self) -> String {
        let pairs: Vec<String> = self
            .jar()
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        pairs.join("; ")
    }

    pub(super) async fn send(&self, request: Request<Body>) -> http::Response<Body> {
        let response = self.service.respond(request).await;
        self.update_cookies(response.headers());
        response
    }

    pub(super) async fn send_and_collect(&self, request: Request<Body>) -> TestResponse {
        let request_line = format!("{} {}", request.method(), request.uri());
        let (parts, body) = self.send(request).await.into_parts();
        match body.collect(usize::MAX).await {
            Ok(bytes) => TestResponse::new(request_line, parts, bytes),
            Err(error) => panic!("{request_line}: cannot read the response body: {error}"),
        }
    }

    fn update_cookies(&self, headers: &HeaderMap) {
        for line in headers
            .get_all(SET_COOKIE)
            .iter()
            .filter_map(|line| line.to_str().ok())
        {
            let Ok(cookie) = ::cookie::Cookie::parse(line) else {
                continue;
            };
            let (name, value) = (cookie.name(), cookie.value());
            // `Cookies::remove` sends this. An `expires` date is not compared with the clock.
            if cookie.max_age().is_some_and(|age| age.is_zero()) {
                self.jar().remove(name);
            } else {
                self.jar().insert(name.to_owned(), value.to_owned());
            }
        }
    }

    fn jar(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.cookies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
