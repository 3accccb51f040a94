//! Responses from files: ranges, conditional requests and media types.

use crate::response::{Body, IntoReply, NotFound, Payload, Response};
use http::{HeaderMap, Method, StatusCode};
use std::io::ErrorKind;
use tower_http::services::ServeFile;

/// Opens the file of a response, and selects the part of it that the request headers ask for. Returns any other response
/// unchanged.
///
/// The response is 404 if the file does not exist, and 500 if it cannot be read.
pub(super) async fn resolve(response: Response, request_headers: &HeaderMap, is_head: bool) -> Response {
    let Payload::File(file) = response.payload() else {
        return response;
    };
    let disposition = file.disposition();
    let mut request = http::Request::new(Body::empty());
    *request.method_mut() = if is_head { Method::HEAD } else { Method::GET };
    *request.headers_mut() = request_headers.clone();
    let served = match ServeFile::new(file.path()).try_call(request).await {
        Ok(served) if served.status() != StatusCode::NOT_FOUND => served.into_reply(),
        Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            tracing::error!(path = %file.path().display(), %error, "cannot read the file of a response");
            return crate::status::Status::INTERNAL_SERVER_ERROR.into_reply();
        }
        _ => {
            tracing::warn!(path = %file.path().display(), "the file of a response does not exist");
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
