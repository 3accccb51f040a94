//! The reply that redirects the client.

use super::{IntoReply, Response};
use crate::status::Status;
use http::header::LOCATION;

/// A reply that redirects the client to another URL.
///
/// ```
/// use brubeck::prelude::*;
///
/// #[post("^/login$")]
/// async fn login(form: Form<Login>) -> Redirect {
///     Redirect::to_local(&form.next, "/")
/// }
///
/// #[derive(serde::Deserialize)]
/// struct Login { next: String }
/// ```
///
/// Characters that a URL cannot contain, such as `ß` and a space, are percent-encoded. The response is 500, and an error is logged, if it contains
/// line breaks or other control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    code: i32,
    target: String,
}

impl Redirect {
    /// Redirects with 303 (See Other). The client requests the URL with GET, also after a POST.
    ///
    /// ```
    /// use brubeck::{IntoReply, Redirect};
    ///
    /// assert_eq!(Redirect::to("/new").into_reply().status().code(), 303);
    /// ```
    pub fn to(target: impl Into<String>) -> Redirect {
        Redirect {
            code: 303,
            target: target.into(),
        }
    }

    /// Redirects with 303 to `target` if it is a path on this site, and otherwise to `fallback`.
    ///
    /// ```
    /// use brubeck::{IntoReply, Redirect};
    ///
    /// let target = |next| Redirect::to_local(next, "/").into_reply().headers()["location"].clone();
    /// assert_eq!(target("/orders"), "/orders");
    /// assert_eq!(target("//evil.example"), "/");
    /// ```
    ///
    /// Use it for a target from the request, such as a parameter `next`, to prevent open redirects.
    pub fn to_local(target: &str, fallback: &str) -> Redirect {
        // `//host` is another site. Browsers treat `\` as `/` and ignore tabs and line breaks, so `/\host` is one too.
        let has_unsafe_characters = target.chars().any(|c| c.is_control() || c == '\\');
        if target.starts_with('/') && !target.starts_with("//") && !has_unsafe_characters {
            Redirect::to(target)
        } else {
            Redirect::to(fallback)
        }
    }

    /// Redirects with 302 (Found), as the Python original does. After a POST, browsers use GET, but other clients may repeat the
    /// POST.
    ///
    /// ```
    /// use brubeck::{IntoReply, Redirect};
    ///
    /// assert_eq!(Redirect::found("/new").into_reply().status().code(), 302);
    /// ```
    pub fn found(target: impl Into<String>) -> Redirect {
        Redirect {
            code: 302,
            target: target.into(),
        }
    }

    /// Redirects with 307 (Temporary Redirect). The client repeats the request with the same method and body.
    ///
    /// ```
    /// use brubeck::{IntoReply, Redirect};
    ///
    /// assert_eq!(Redirect::temporary("/new").into_reply().status().code(), 307);
    /// ```
    pub fn temporary(target: impl Into<String>) -> Redirect {
        Redirect {
            code: 307,
            target: target.into(),
        }
    }

    /// Redirects with 308 (Permanent Redirect). The client repeats the request with the same method and body, and may use the
    /// URL for future requests.
    ///
    /// ```
    /// use brubeck::{IntoReply, Redirect};
    ///
    /// assert_eq!(Redirect::permanent("/new").into_reply().status().code(), 308);
    /// ```
    pub fn permanent(target: impl Into<String>) -> Redirect {
        Redirect {
            code: 308,
            target: target.into(),
        }
    }
}

impl IntoReply for Redirect {
    fn into_reply(self) -> Response {
        let response = Response::new(Status::new(self.code)).with_payload(super::Payload::Empty);
        response.with_header(LOCATION, self.target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn to_local_accepts_only_paths_of_this_site() {
        let to = |target: &str| Redirect::to_local(target, "/home").target;
        assert_eq!(to("/account?tab=1"), "/account?tab=1");
        for bad in [
            "",
            "account",
            "//evil.example",
            "/\\evil.example",
            "\\/evil",
            "https://evil.example",
            "/\t/evil.example",
        ] {
            assert_eq!(to(bad), "/home", "{bad}");
        }
    }

    #[test]
    fn rejects_line_breaks_in_location() {
        let response = Redirect::to("/\r\nset-cookie: a=b").into_reply();
        assert_eq!((response.status().code(), response.headers().len()), (500, 0));
    }
}
