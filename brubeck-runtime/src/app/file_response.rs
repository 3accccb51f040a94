//! The file of a reply, as much of it as the client wants.

use crate::response::{Body, IntoReply, NotFound, Payload, Response};
use http::{HeaderMap, Method, StatusCode};
use std::io::ErrorKind;
use tower_http::services::ServeFile;

/// Opens the file that a response is; any other response passes unchanged.
pub(super) async fn resolve(response: Response, conditions: &HeaderMap, head: bool) -> Response {
    let Payload::File(file) = response.payload() else {
        return response;
    };
    let disposition = file.disposition();
    let mut request = http::Request::new(Body::empty());
    *request.method_mut() = if head { Method::HEAD } else { Method::GET };
    *request.headers_mut() = conditions.clone();
    let served = match ServeFile::new(file.path()).try_call(request).await {
        Ok(served) if served.status() != StatusCode::NOT_FOUND => served.into_reply(),
        Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            tracing::error!(path = %file.path().display(), %error, "a file that is a reply cannot be read");
            return crate::status::Status::INTERNAL_SERVER_ERROR.into_reply();
        }
        _ => {
            tracing::warn!(path = %file.path().display(), "a file that is a reply is not there");
            return NotFound.into_reply();
        }
    };
    let (_, headers, _) = response.into_parts();
    let served = served.with_headers(headers);
    match disposition {
        Some(disposition) => served.with_header("content-disposition", disposition),
        None => served,
    }
}
