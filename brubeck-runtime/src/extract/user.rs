//! Who asks.

use super::{Context, FromMessage, Provides};
use crate::method::Method;
use crate::response::{IntoReply, ProblemFormat, Redirect, Rejection, Response};
use crate::session::Session;
use crate::status::Status;
use std::ops::Deref;

/// Somebody who can log in.
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
    /// Where users are looked up: the part of the application's state that a [`State`](super::State) of it would be.
    type State: Send + Sync;

    /// The user whom [`Session::log_in`] was told; `None` where there is no such user, or not any more.
    fn find(id: &str, state: &Self::State) -> impl Future<Output = Option<Self>> + Send;
}

/// The user who is logged in. A handler that takes it is for them alone; `Option<CurrentUser<_>>` is for everybody.
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
/// Anybody else is answered with 401; a browser that wants a page is sent to
/// [`App::login_url`](crate::App::login_url) instead, with the path it wanted as `next`. As a guard for all
/// handlers: `app.before(|_: CurrentUser<Member>| async {})`.
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
        Err(log_in_first(cx))
    }
}

fn log_in_first<S>(cx: &Context<S>) -> Response {
    let message = cx.message();
    match &cx.app().login_url {
        Some(url) if ProblemFormat::negotiate(message.headers()) == ProblemFormat::Html => {
            let separator = if url.contains('?') { '&' } else { '?' };
            // What was posted is lost on the way, so only a page is come back to.
            let next = match message.method() {
                Method::Get | Method::Head => message.uri().to_string(),
                _ => "/".to_owned(),
            };
            let next: String = form_urlencoded::byte_serialize(next.as_bytes()).collect();
            Redirect::to(format!("{url}{separator}next={next}"))
                .into_reply()
                .with_header("cache-control", "no-store")
        }
        _ => Rejection::new(Status::new(401), "log in first").into_reply(),
    }
}
