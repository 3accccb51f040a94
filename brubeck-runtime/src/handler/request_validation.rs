//! Rejects requests that two HTTP implementations could interpret differently, and headers that are too large.

use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{Request, StatusCode, Version};

/// Limit for the names and values of all headers, in bytes.
const MAX_HEADER_BYTES: usize = 16 * 1024;

/// Rejects requests that hyper or Mongrel2 may accept although they are invalid or ambiguous: a missing or repeated `Host` (RFC 9112,
/// section 3.2), and ambiguous body framing (section 6), which enables request smuggling. The framing checks are stricter than the
/// RFC requires. Also enforces [`MAX_HEADER_BYTES`].
///
/// # Errors
///
/// Returns the status and the reason to respond with.
pub(crate) fn validate_request<B>(request: &Request<B>) -> Result<(), (StatusCode, &'static str)> {
    let headers = request.headers();
    let (mut bytes, mut hosts, mut codings, mut lengths) = (0, 0, 0, 0);
    let mut is_chunked = true;
    // A single pass: most requests have few headers, so comparing names is cheaper than a lookup for each.
    for (name, value) in headers {
        bytes += name.as_str().len() + value.len();
        if *name == HOST {
            hosts += 1;
        } else if *name == CONTENT_LENGTH {
            lengths += 1;
        } else if *name == TRANSFER_ENCODING {
            codings += 1;
            is_chunked &= value.as_bytes().eq_ignore_ascii_case(b"chunked");
        }
    }
    let bad_request = |reason| Err((StatusCode::BAD_REQUEST, reason));
    let version = request.version();
    if version == Version::HTTP_11 && hosts == 0 {
        return bad_request("the request has no Host header");
    }
    // HTTP/2 names the host in `:authority`.
    if (version == Version::HTTP_11 || version == Version::HTTP_10) && hosts > 1 {
        return bad_request("the request has more than one Host header");
    }
    if codings > 1 {
        return bad_request("the request has more than one Transfer-Encoding header");
    }
    if !is_chunked {
        return bad_request("the only supported transfer coding is `chunked`");
    }
    if lengths > 1 {
        return bad_request("the request has more than one Content-Length header");
    }
    if codings > 0 && lengths > 0 {
        return bad_request("the request has both a Content-Length and a Transfer-Encoding header");
    }
    if bytes > MAX_HEADER_BYTES {
        return Err((
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "the request headers are too large",
        ));
    }
    Ok(())
}
