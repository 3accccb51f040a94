//! From a response to what HTTP says: the same for every front end, so that answers are equal to the byte.

use crate::reply::{Payload, Response};
use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};

/// The HTTP response of a handler's reply, complete but for the date. `head`: the request was a HEAD,
/// so the body is left away and its length is told all the same.
pub(super) fn http_response(response: Response, head: bool) -> http::Response<Bytes> {
    let (said, mut headers, payload) = response.into_parts();
    let mut status = said.http();
    let body = match payload {
        Payload::Json(body) | Payload::Bytes(body) => body,
        Payload::Message => {
            headers.insert(
                CONTENT_TYPE,
                HeaderValue::from_static("text/plain; charset=utf-8"),
            );
            Bytes::from(said.text().to_owned())
        }
        Payload::Empty | Payload::View(_) | Payload::Handed(_) => {
            if status == StatusCode::OK {
                status = StatusCode::NO_CONTENT;
            }
            Bytes::new()
        }
    };
    let bodiless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if bodiless {
        headers.remove(CONTENT_TYPE);
        headers.remove(CONTENT_LENGTH);
    } else {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    }
    let mut http = http::Response::new(if head || bodiless { Bytes::new() } else { body });
    *http.status_mut() = status;
    *http.headers_mut() = headers;
    http
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reply::IntoReply;
    use crate::status::Status;

    #[test]
    fn a_head_has_the_length_and_not_the_body() {
        let http = http_response("hello".into_reply(), true);
        assert_eq!(http.headers()[CONTENT_LENGTH], "5");
        assert!(http.body().is_empty());
    }

    #[test]
    fn nothing_is_204_without_a_length() {
        for reply in [().into_reply(), Status::NO_CONTENT.into_reply()] {
            let http = http_response(reply, false);
            assert_eq!(http.status(), 204);
            assert!(http.headers().is_empty() && http.body().is_empty());
        }
    }

    #[test]
    fn a_status_tells_itself() {
        let http = http_response(Status::NOT_FOUND.into_reply(), false);
        assert_eq!(
            (http.status().as_u16(), &http.body()[..]),
            (404, &b"Not Found"[..])
        );
    }
}
