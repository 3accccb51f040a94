//! Extractors for cookies, signed cookies and sessions.

use super::{Context, FromMessage};
use crate::authority::Scheme;
use crate::response::Rejection;
use crate::session::{CookieChanges, Cookies, Session, Sessions, SignedCookies};
use crate::status::Status;
use std::convert::Infallible;

/// Returns the cookie changes of a request, shared by all of its extractors. Service calls and service responses have no scope and no
/// HTTP response, so changes have no effect.
fn changes<S>(cx: &Context<S>) -> CookieChanges {
    match cx.scope() {
        Some(scope) => scope
            .cookies_or_init(|| CookieChanges::new(requires_secure_cookies(cx)))
            .clone(),
        None => CookieChanges::without_response(requires_secure_cookies(cx)),
    }
}

/// Returns `false` if the application may send cookies without `Secure`: it runs without TLS, or the request was for a loopback address in
/// development. Nothing that a client sends makes a difference otherwise.
fn requires_secure_cookies<S>(cx: &Context<S>) -> bool {
    let (settings, message) = (cx.settings(), cx.message());
    let is_loopback = || {
        message
            .authority()
            .is_some_and(|authority| authority.is_loopback())
    };
    message.scheme() == Scheme::Https || !(settings.plain_http || (settings.development && is_loopback()))
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
        let Some(keys) = cx.settings().cookie_keys.clone() else {
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
        let changes = changes(cx);
        match changes.session() {
            Some(session) => Ok(session),
            None => {
                let session = Session::open(&cookies, changes.is_secure(), &cx.settings().sessions).await;
                Ok(changes.session_or(session))
            }
        }
    }
}

impl<S: Send + Sync + 'static> FromMessage<S> for Sessions {
    type Rejection = Infallible;

    async fn from_message(cx: &Context<S>) -> Result<Sessions, Infallible> {
        Ok(cx.settings().sessions.clone())
    }
}
