//! The extractor for the authenticated user.

use super::{Context, FromMessage, Provides};
use crate::method::Method;
use crate::response::{IntoReply, ProblemFormat, Redirect, Rejection, Response};
use crate::session::Session;
use crate::status::Status;
use http::header::WWW_AUTHENTICATE;
use std::ops::Deref;

/// User types that can be looked up by the id in the session.
///
/// ```
/// use brubeck::User;
/// use std::{collections::HashMap, sync::Arc};
///
/// #[derive(Clone)]
/// struct Member { name: String }
///
/// type Members = Arc<HashMap<String, Member>>;
///
/// impl User for Member {
///     type State = Members;
///
///     async fn find(id: &str, members: &Members) -> Option<Member> {
///         members.get(id).cloned()
///     }
/// }
/// ```
///
/// Implement it for the user of your application. Handlers then take a [`CurrentUser<U>`](CurrentUser).
///
/// [`Session::log_in`] puts the id into the session, and [`Session::log_out`] removes it.
pub trait User: Sized + Send {
    /// The part of the application state that is needed for the lookup, as in [`State`](super::State).
    type State: Send + Sync;

    /// Looks up the user by the id that was passed to [`Session::log_in`]: see the example of [`User`].
    ///
    /// Every extraction of a [`CurrentUser`] calls this function if the session has a user. Returns `None` if the user does not exist, or
    /// may no longer log in.
    fn find(id: &str, state: &Self::State) -> impl Future<Output = Option<Self>> + Send;
}

/// Extractor for the user who is logged in.
///
/// ```
/// use brubeck::User;
/// use brubeck::prelude::*;
/// # #[derive(Clone)]
/// # struct Member { name: String }
/// # impl User for Member {
/// #     type State = ();
/// #     async fn find(id: &str, _: &()) -> Option<Member> { None }
/// # }
///
/// #[get("^/account$")]
/// async fn account(member: CurrentUser<Member>) -> String {
///     format!("hello, {}", member.name)
/// }
///
/// #[post("^/logout$")]
/// async fn log_out(session: Session) -> Redirect {
///     session.log_out();
///     Redirect::to("/")
/// }
/// # const ROUTES: Routes<()> = routes![account, log_out];
/// ```
///
/// A handler with this argument requires a login. A handler with `Option<CurrentUser<_>>` does not: it gets `None` if the session has no
/// user, or [`User::find`] returns `None`.
///
/// Rejects with 401 if the session has no user, or [`User::find`] returns `None`. Rejects with 500 unless
/// [`App::cookie_secret`](crate::App::cookie_secret) is set.
///
/// If [`App::login_url`](crate::App::login_url) is set and the client prefers HTML, the rejection is a redirect to that URL instead of
/// 401. The parameter `next` of the URL is the requested path with its query for GET and HEAD, and `/` for all other methods. Pass `next`
/// to [`Redirect::to_local`] after the login. A request for the path of the login URL itself is not redirected.
///
/// To require a login for every web handler, add a hook with [`App::before`](crate::App::before). If the login page is a handler of
/// the same application, exempt its path, because hooks run for it, too. Hooks do not run for service handlers.
///
/// ```
/// use brubeck::User;
/// use brubeck::prelude::*;
/// # #[derive(Clone)]
/// # struct Member { name: String }
/// # impl User for Member {
/// #     type State = ();
/// #     async fn find(id: &str, _: &()) -> Option<Member> { None }
/// # }
///
/// async fn require_login(uri: http::Uri, member: Result<CurrentUser<Member>, Response>) -> Result<(), Response> {
///     match member {
///         Err(response) if uri.path() != "/login" => Err(response),
///         _ => Ok(()),
///     }
/// }
///
/// fn app(routes: Routes<()>) -> App<()> {
///     App::new(routes, ()).login_url("/login").before(require_login)
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CurrentUser<U>(pub U);

impl<U> Deref for CurrentUser<U> {
    type Target = U;

    fn deref(&self) -> &U {
        &self.0
    }
}

impl<S: Provides<U::State> + Send + Sync + 'static, U: User> FromMessage<S> for CurrentUser<U> {
    type Rejection = Response;

    async fn from_message(cx: &Context<S>) -> Result<CurrentUser<U>, Response> {
        let user = Self::from_message_if_present(cx).await?;
        user.ok_or_else(|| login_required(cx))
    }

    async fn from_message_if_present(cx: &Context<S>) -> Result<Option<CurrentUser<U>>, Response> {
        let session = Session::from_message(cx).await.map_err(IntoReply::into_reply)?;
        let Some(id) = session.user_id() else {
            return Ok(None);
        };
        Ok(U::find(&id, &cx.state().provide()).await.map(CurrentUser))
    }
}

/// Returns a redirect to the login page. Returns a 401 response if the application has no login page, if the client does not prefer
/// HTML, or if the request is for the login page itself.
fn login_required<S>(cx: &Context<S>) -> Response {
    let message = cx.message();
    // A hook that requires a login also runs for the login page. Redirecting that request would never end.
    let is_login_page = |url: &str| url.split(['?', '#']).next() == Some(message.path());
    match &cx.settings().login_url {
        Some(url)
            if !is_login_page(url) && ProblemFormat::negotiate(message.headers()) == ProblemFormat::Html =>
        {
            let separator = if url.contains('?') { '&' } else { '?' };
            // The browser follows the redirect with GET and without the body, so only GET and HEAD requests can be repeated after the
            // login.
            let next = match message.method() {
                Method::Get | Method::Head => message.uri().to_string(),
                _ => "/".to_owned(),
            };
            let next: String = form_urlencoded::byte_serialize(next.as_bytes()).collect();
            // A browser that caches the redirect would follow it after the login, too.
            Redirect::to(format!("{url}{separator}next={next}"))
                .into_reply()
                .with_header("cache-control", "no-store")
        }
        // A 401 must name a scheme (RFC 9110, section 15.5.2). Browsers ignore one that they do not know, and show the page.
        _ => Rejection::new(Status::new(401), "login required")
            .into_reply()
            .with_header(WWW_AUTHENTICATE, "Session"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::{AppContext, Captures};
    use crate::message::Message;
    use http::header::{ACCEPT, HeaderMap, HeaderValue, LOCATION};
    use std::sync::Arc;

    /// Returns the target of the redirect. Returns `None` if the response is 401.
    fn redirect_target(login_url: &str, method: Method, target: &str) -> Option<String> {
        let mut app = AppContext::for_tests(());
        app.settings.login_url = Some(login_url.to_owned());
        let html = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("text/html"))]);
        let message = Message::web(method, target).with_headers(html);
        let cx = Context::new(Arc::new(app), message, Captures::default(), None);
        let response = login_required(&cx);
        match response.status().code() {
            401 => None,
            _ => Some(response.headers()[LOCATION].to_str().unwrap().to_owned()),
        }
    }

    #[test]
    fn redirect_returns_to_path_of_get_and_to_root_otherwise() {
        let to = |method| redirect_target("/login", method, "/cart?tab=1").unwrap();
        assert_eq!(to(Method::Get), "/login?next=%2Fcart%3Ftab%3D1");
        assert_eq!(to(Method::Post), "/login?next=%2F");
        let with_query = redirect_target("/login?lang=en", Method::Get, "/cart").unwrap();
        assert_eq!(with_query, "/login?lang=en&next=%2Fcart");
    }

    #[test]
    fn login_page_is_not_redirected_to_itself() {
        assert_eq!(redirect_target("/login", Method::Get, "/login"), None);
        assert_eq!(
            redirect_target("/login?lang=en", Method::Get, "/login?next=%2F"),
            None
        );
        assert!(redirect_target("/login", Method::Get, "/login/help").is_some());
        assert!(redirect_target("https://auth.example/login", Method::Get, "/login").is_some());
    }
}
