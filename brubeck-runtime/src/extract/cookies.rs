//! Extractors for cookies, signed cookies and sessions.

use super::{Context, FromMessage};
use crate::response::Rejection;
use crate::session::{CookieChanges, Cookies, Session, SignedCookies};
use crate::status::Status;
use http::header::HOST;
use std::convert::Infallible;

/// Returns the cookie changes of a request, shared by all of its extractors. Service calls and service responses have no scope and no
/// HTTP response: each of their extractors gets its own changes, which are discarded.
fn changes<S>(cx: &Context<S>) -> CookieChanges {
    let new_changes = || CookieChanges::for_host(cx.message().headers().get(HOST));
    match cx.scope() {
        Some(scope) => scope.cookies_or_init(new_changes).clone(),
        None => new_changes(),
    }
}

fn cookies<S>(cx: &Context<S>) -> Cookies {
    Cookies::new(cx.message().headers(), changes(cx))
}

impl<S: Send + Sync + 'static> FromMessage<S> for Cookies {
    type Rejection = Infallible;

    async fn from_message(cx: &Context<S>) -> Result<Cookies, Infallible> {
        Ok(cookies(cx))
    }
}

impl<S: Send + Sync + 'static> FromMessage<S> for SignedCookies {
    type Rejection = Rejection;

    async fn from_message(cx: &Context<S>) -> Result<SignedCookies, Rejection> {
        let Some(keys) = cx.app().cookie_keys.clone() else {
            tracing::error!("signed cookies and sessions require `App::cookie_secret`");
            return Err(Rejection::new(
                Status::INTERNAL_SERVER_ERROR,
                "the application has no cookie secret",
            ));
        };
        Ok(SignedCookies::new(cookies(cx), keys))
    }
}

impl<S: Send + Sync + 'static> FromMessage<S> for Session {
    type Rejection = Rejection;

    async fn from_message(cx: &Context<S>) -> Result<Session, Rejection> {
        let cookies = SignedCookies::from_message(cx).await?;
        Ok(changes(cx).session(|| Session::open(&cookies)))
    }
}
