//! The file of a handler's response.

use crate::files::{ContentRequest, open_content, read_again_if_shorter};
use crate::response::{IntoReply, Payload, Response};
use crate::status::Status;
use http::header::{CONTENT_DISPOSITION, HeaderMap, HeaderValue};
use std::io;

/// Opens the file of a response, and selects the part of it that the request headers ask for. Returns any other response
/// unchanged.
///
/// The response is 404 if the file does not exist, and 500 if it cannot be read.
pub(super) async fn resolve(response: Response, request_headers: &HeaderMap, is_head: bool) -> Response {
    let Payload::File(file) = response.payload() else {
        return response;
    };
    let path = file.path().to_owned();
    let disposition = file.disposition();
    let (status, mut headers, _) = response.into_parts();
    if let Some(disposition) = disposition.and_then(|value| HeaderValue::try_from(value).ok()) {
        headers.append(CONTENT_DISPOSITION, disposition);
    }
    let request_headers = request_headers.clone();
    let opened = path.clone();
    let reading = tokio::task::spawn_blocking(move || {
        let request = ContentRequest {
            headers: &request_headers,
            is_head,
            status,
        };
        read_again_if_shorter(|| match open_content(&opened)? {
            Some(content) => content.with_headers(headers.clone()).respond(&request).map(Some),
            None => Ok(None),
        })
    });
    // The task fails if the runtime is shutting down.
    match reading.await.unwrap_or_else(|error| Err(io::Error::other(error))) {
        Ok(Some(response)) => response,
        Ok(None) => {
            tracing::warn!(path = %path.display(), "the file of a response does not exist");
            Status::NOT_FOUND.into_reply()
        }
        Err(error) => {
            tracing::error!(path = %path.display(), %error, "cannot read the file of a response");
            Status::INTERNAL_SERVER_ERROR.into_reply()
        }
    }
}
