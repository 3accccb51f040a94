//! The client.

use super::{TestRequest, TestResponse};
use crate::app::{App, AppService};
use crate::response::Body;
use http::header::SET_COOKIE;
use http::{HeaderMap, Method, Request};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A browser for tests: it keeps cookies, and never opens a socket.
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
///
/// It follows no redirects: [`TestResponse::assert_redirect`] looks at one.
#[derive(Debug)]
pub struct TestClient {
    service: AppService,
    cookies: Mutex<BTreeMap<String, String>>,
}

impl TestClient {
    /// A client of this application.
    ///
    /// # Panics
    ///
    /// The application cannot be put together; the text says why.
    #[track_caller]
    pub fn new<S: Send + Sync + 'static>(app: App<S>) -> TestClient {
        match app.into_service() {
            Ok(service) => TestClient::over(service),
            Err(error) => panic!("the application cannot be put together: {error:?}"),
        }
    }

    /// A client of an application that is put together.
    pub(crate) fn over(service: AppService) -> TestClient {
        TestClient {
            service,
            cookies: Mutex::default(),
        }
    }

    /// A GET; `target` is a path with or without `?query`.
    pub fn get(&self, target: &str) -> TestRequest<'_> {
        self.request(Method::GET, target)
    }

    /// A HEAD.
    pub fn head(&self, target: &str) -> TestRequest<'_> {
        self.request(Method::HEAD, target)
    }

    /// A POST.
    pub fn post(&self, target: &str) -> TestRequest<'_> {
        self.request(Method::POST, target)
    }

    /// A PUT.
    pub fn put(&self, target: &str) -> TestRequest<'_> {
        self.request(Method::PUT, target)
    }

    /// A PATCH.
    pub fn patch(&self, target: &str) -> TestRequest<'_> {
        self.request(Method::PATCH, target)
    }

    /// A DELETE.
    pub fn delete(&self, target: &str) -> TestRequest<'_> {
        self.request(Method::DELETE, target)
    }

    /// An OPTIONS.
    pub fn options(&self, target: &str) -> TestRequest<'_> {
        self.request(Method::OPTIONS, target)
    }

    /// Any method.
    pub fn request(&self, method: Method, target: &str) -> TestRequest<'_> {
        TestRequest::new(self, method, target)
    }

    /// The value of a cookie that the application has told this browser to keep.
    pub fn cookie(&self, name: &str) -> Option<String> {
        self.jar().get(name).cloned()
    }

    /// Keeps a cookie, as if the application had set it; the value is sent as it is.
    pub fn keep_cookie(&self, name: &str, value: &str) {
        self.jar().insert(name.to_owned(), value.to_owned());
    }

    /// Forgets all cookies: another browser.
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
        self.keep(response.headers());
        response
    }

    pub(super) async fn whole(&self, request: Request<Body>) -> TestResponse {
        let asked = format!("{} {}", request.method(), request.uri());
        let (parts, body) = self.send(request).await.into_parts();
        match body.collect(usize::MAX).await {
            Ok(bytes) => TestResponse::new(asked, parts, bytes),
            Err(error) => panic!("{asked}: the body of the response broke off: {error}"),
        }
    }

    fn keep(&self, headers: &HeaderMap) {
        for line in headers
            .get_all(SET_COOKIE)
            .iter()
            .filter_map(|line| line.to_str().ok())
        {
            let Ok(cookie) = ::cookie::Cookie::parse(line) else {
                continue;
            };
            match cookie.max_age().is_some_and(|age| age.is_zero()) {
                true => drop(self.jar().remove(cookie.name())),
                false => drop(
                    self.jar()
                        .insert(cookie.name().to_owned(), cookie.value().to_owned()),
                ),
            }
        }
    }

    fn jar(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.cookies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
