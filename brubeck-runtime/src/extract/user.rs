//! The extractor for the authenticated user.

use super::{Context, FromMessage, Provides};
use crate::method::Method;
use crate::response::{IntoReply, ProblemFormat, Redirect, Rejection, Response};
use crate::session::Session;
use crate::status::Status;
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
pub trait User: Sized + Send {
    /// The part of the application state that is needed for the lookup, as in [`State`](super::State).
    type State: Send + Sync;

    /// Looks up the user by the id that was passed to [`Session::log_in`]. Returns `None` if the user does not exist, or may
    /// no longer log in.
    fn find(id: &str, state: &Self::State) -> impl Future<Output = Option<Self>> + Send;
}

/// Extractor for the user who is logged in.
///
/// A handler with this argument requires a login. A handler with `Option<CurrentUser<_>>` does not.
///
/// ```
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
/// Rejects with 401 if the session has no user, or [`User::find`] returns `None`. If
/// [`App::login_url`](crate::App::login_url) is set and the client prefers HTML, it redirects to that URL instead, with the requested path
/// in the parameter `next`.
///
/// To require a login for every handler, add a hook: `app.before(|_: CurrentUser<Member>| async {})`.
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
        let session = Session::from_message(cx).await.map_err(IntoReply::into_reply)?;
        if let Some(id) = session.user_id()
            && let Some(user) = U::find(&id, &cx.state().provide()).await
        {
            return Ok(CurrentUser(user));
        }
        Err(login_required(cx))
    }
}

/// Returns a redirect to the login page, or a 401 for clients that do not prefer HTML.
fn login_required<S>(cx: &Context<S>) -> Response {
    let message = cx.message();
    match &cx.app().login_url {
        Some(url) if ProblemFormat::negotiate(message.headers()) == ProblemFormat::Html => {
            let separator = if url.contains('?') { '&' } else { '?' };
            // The body of a POST does not survive the redirect, so only GET and HEAD requests return to their path.
            let next = match message.method() {
                Method::Get | Method::Head => message.uri().to_string(),
                _ => "/".to_owned(),
            };
            let next: String = form_urlencoded::byte_serialize(next.as_bytes()).collect();
            Redirect::to(format!("{url}{separator}next={next}"))
                .into_reply()
                .with_header("cache-control", "no-store")
        }
        _ => Rejection::new(Status::new(401), "login required").into_reply(),
    }
}
