//! Requests that servers and proxies could understand in different ways.

use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{Request, StatusCode, Version};

/// How many bytes the headers may have in total.
const HEADERS: usize = 16 * 1024;

/// What RFC 9112 (3.2 and 6) tells a server to refuse and hyper lets through.
pub(crate) fn unhygienic<B>(request: &Request<B>) -> Option<(StatusCode, &'static str)> {
    let headers = request.headers();
    let bad = |reason| Some((StatusCode::BAD_REQUEST, reason));
    // In HTTP/2 it is `:authority` that counts.
    let needs_host = request.version() == Version::HTTP_11 || request.version() == Version::HTTP_10;
    let (mut size, mut hosts, mut codings, mut lengths) = (0, 0, 0, 0);
    for (name, value) in headers {
        size += name.as_str().len() + value.len();
        hosts += usize::from(*name == HOST);
        codings += usize::from(*name == TRANSFER_ENCODING);
        lengths += usize::from(*name == CONTENT_LENGTH);
    }
    match hosts {
        0 if request.version() == Version::HTTP_11 => bad("the request has no Host"),
        2.. if needs_host => bad("the request has several Hosts"),
        _ if codings > 1 => bad("the request has several transfer codings"),
        _ if codings > 0
            && headers
                .get(TRANSFER_ENCODING)
                .is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked")) =>
        {
            bad("the transfer coding is not `chunked` and nothing else")
        }
        _ if lengths > 1 => bad("the request has several lengths"),
        _ if codings > 0 && lengths > 0 => bad("the request has a length and a transfer coding"),
        _ if size > HEADERS => Some((
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "the headers are too large",
        )),
        _ => None,
    }
}
