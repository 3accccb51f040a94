//! Sends the browser somewhere else.

use super::{IntoReply, Response};
use crate::status::Status;
use http::header::LOCATION;

/// Sends the browser somewhere else.
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
/// An address that cannot stand in a header is logged and answered with 500: it cannot split the response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    code: i32,
    target: String,
}

impl Redirect {
    /// 303: the browser gets this address, also after a POST.
    pub fn to(target: impl Into<String>) -> Redirect {
        Redirect {
            code: 303,
            target: target.into(),
        }
    }

    /// 303 to a path of this site: to `target` if it is one, and otherwise to `fallback`. For a `next=` that
    /// came with the request, which could be anything.
    pub fn to_local(target: &str, fallback: &str) -> Redirect {
        // Browsers read `\` as `/` and leave out tabs and line ends, and `//host` is another site.
        let unsafe_text = target.chars().any(|c| c.is_control() || c == '\\');
        match target.starts_with('/') && !target.starts_with("//") && !unsafe_text {
            true => Redirect::to(target),
            false => Redirect::to(fallback),
        }
    }

    /// 302, as the original sent it; browsers get the address after a POST, programs may post again.
    pub fn found(target: impl Into<String>) -> Redirect {
        Redirect {
            code: 302,
            target: target.into(),
        }
    }

    /// 307: the same request again at this address, this time.
    pub fn temporary(target: impl Into<String>) -> Redirect {
        Redirect {
            code: 307,
            target: target.into(),
        }
    }

    /// 308: the same request again at this address, from now on.
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
    fn only_paths_of_this_site_are_local() {
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
    fn a_location_cannot_split_the_response() {
        let response = Redirect::to("/\r\nset-cookie: a=b").into_reply();
        assert_eq!((response.status().code(), response.headers().len()), (500, 0));
    }
}
