//! The content of one file: its headers, the part of it that a request selects, and reading it.

use super::codec::conditions::http_time;
use super::codec::{ContentCoding, EntityTag, Precondition, RangeSelection, Validators, select_ranges};
use crate::response::{Body, IntoReply, Payload, Response};
use crate::status::Status;
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::stream;
use http::header::{
    ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap,
    HeaderValue, LAST_MODIFIED, RANGE,
};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Limit for responses that are read at once, in bytes. Larger ones are streamed.
const MAX_IN_MEMORY: u64 = 64 << 10;

/// The size of the chunks of a stream, in bytes.
const CHUNK_BYTES: u64 = 128 << 10;

/// The headers of a response that describe the content. The response to a handler's [`File`](crate::File) may replace the first four.
const REPLACEABLE: [http::header::HeaderName; 4] = [CONTENT_TYPE, ETAG, LAST_MODIFIED, ACCEPT_RANGES];

/// The request for the content of a file.
pub(crate) struct ContentRequest<'a> {
    pub(crate) headers: &'a HeaderMap,
    pub(crate) is_head: bool,
    /// The status of a response with the whole content. Conditions and ranges apply only if it is 200 (RFC 9110, section 13.2.1).
    pub(crate) status: Status,
}

/// An open file, and the headers of its content.
pub(crate) struct FileContent {
    file: File,
    length: u64,
    headers: HeaderMap,
}

impl FileContent {
    /// Describes an open file. Its media type is that of the extension of `name`.
    ///
    /// # Errors
    ///
    /// Returns an error if the metadata of the file cannot be read.
    pub(crate) fn new(file: File, name: &Path) -> io::Result<FileContent> {
        let metadata = file.metadata()?;
        let length = metadata.len();
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(CONTENT_TYPE, media_type(name));
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        if let Ok(modified) = metadata.modified() {
            let (seconds, nanoseconds) = match modified.duration_since(UNIX_EPOCH) {
                Ok(after) => (i128::from(after.as_secs()), after.subsec_nanos()),
                Err(before) => (
                    -i128::from(before.duration().as_secs()),
                    before.duration().subsec_nanos(),
                ),
            };
            let tag = format!("\"{seconds:x}.{nanoseconds:x}-{length:x}\"");
            headers.extend(HeaderValue::try_from(tag).ok().map(|tag| (ETAG, tag)));
            let last_modified = http_time(modified, SystemTime::now()).map(httpdate::fmt_http_date);
            let last_modified = last_modified.and_then(|date| HeaderValue::try_from(date).ok());
            headers.extend(last_modified.map(|date| (LAST_MODIFIED, date)));
        }
        Ok(FileContent {
            file,
            length,
            headers,
        })
    }

    /// Marks the content as coded. Its entity tag differs from that of the plain content.
    pub(crate) fn with_coding(mut self, coding: ContentCoding) -> FileContent {
        let name = coding.name();
        self.headers
            .insert(CONTENT_ENCODING, HeaderValue::from_static(name));
        if let Some(tag) = self.headers.get(ETAG) {
            let tag = tag.to_str().unwrap_or_default().trim_end_matches('"');
            if let Ok(tag) = HeaderValue::try_from(format!("{tag}-{name}\"")) {
                self.headers.insert(ETAG, tag);
            }
        }
        self
    }

    /// Adds the headers of a handler. Its media type, validators and `accept-ranges` replace those of the file.
    pub(crate) fn with_headers(mut self, headers: HeaderMap) -> FileContent {
        for name in REPLACEABLE {
            if headers.contains_key(&name) {
                self.headers.remove(name);
            }
        }
        for (name, value) in &headers {
            // These two follow from the file and the request.
            if *name != CONTENT_LENGTH && *name != CONTENT_RANGE {
                self.headers.append(name, value.clone());
            }
        }
        self
    }

    /// Creates the response. It is 200, 206, 304, 412 or 416, or has the status of the request if that is not 200.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be read.
    pub(crate) fn respond(self, request: &ContentRequest<'_>) -> io::Result<Response> {
        if request.status.http() != http::StatusCode::OK {
            return self.whole(request);
        }
        let (precondition, allow_range) = {
            let tag = self.headers.get(ETAG).map(HeaderValue::as_bytes);
            let modified = self
                .headers
                .get(LAST_MODIFIED)
                .and_then(|date| date.to_str().ok());
            let validators = Validators {
                tag: tag.and_then(EntityTag::parse),
                modified: modified.and_then(|date| httpdate::parse_http_date(date).ok()),
            };
            (
                validators.evaluate(request.headers),
                validators.allow_range(request.headers),
            )
        };
        match precondition {
            Precondition::True => {}
            Precondition::NotModified => return Ok(self.not_modified()),
            Precondition::Failed => return Ok(Status::new(412).into_reply()),
        }
        let mut ranges = request.headers.get_all(RANGE).iter();
        // Ranges are defined for GET only (RFC 9110, section 14.2), and the header is not a list.
        let (Some(header), None, true, false) = (ranges.next(), ranges.next(), allow_range, request.is_head)
        else {
            return self.whole(request);
        };
        match select_ranges(header.as_bytes(), self.length) {
            RangeSelection::Whole => self.whole(request),
            RangeSelection::Ranges(ranges) => match <[Range<u64>; 1]>::try_from(ranges) {
                Ok([range]) => self.single_range(range),
                Err(ranges) => self.several_ranges(&ranges),
            },
            RangeSelection::Unsatisfiable => {
                let mut response = Status::new(416).into_reply();
                let headers = response.headers_mut();
                headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
                headers.extend(content_range(None, self.length).map(|value| (CONTENT_RANGE, value)));
                Ok(response)
            }
        }
    }

    fn whole(self, request: &ContentRequest<'_>) -> io::Result<Response> {
        let whole = 0..self.length;
        if request.is_head {
            let length = self.length;
            let mut response = self.empty(request.status.clone());
            response
                .headers_mut()
                .insert(CONTENT_LENGTH, HeaderValue::from(length));
            return Ok(response);
        }
        self.send(request.status.clone(), vec![Section::File(whole)])
    }

    fn single_range(mut self, range: Range<u64>) -> io::Result<Response> {
        let value = content_range(Some(&range), self.length);
        self.headers.extend(value.map(|value| (CONTENT_RANGE, value)));
        self.send(Status::new(206), vec![Section::File(range)])
    }

    /// Sends several ranges as `multipart/byteranges` (RFC 9110, section 14.6).
    fn several_ranges(mut self, ranges: &[Range<u64>]) -> io::Result<Response> {
        let mut random = [0; 16];
        getrandom::fill(&mut random)?;
        let boundary = format!("{:032x}", u128::from_ne_bytes(random));
        let media_type = self.headers.remove(CONTENT_TYPE);
        let mut sections = Vec::with_capacity(2 * ranges.len() + 1);
        for range in ranges {
            let mut head = BytesMut::new();
            head.put_slice(format!("\r\n--{boundary}\r\n").as_bytes());
            let part_headers = [
                ("content-type", media_type.clone()),
                ("content-range", content_range(Some(range), self.length)),
            ];
            for (name, value) in part_headers {
                let Some(value) = value else { continue };
                head.put_slice(name.as_bytes());
                head.put_slice(b": ");
                head.put_slice(value.as_bytes());
                head.put_slice(b"\r\n");
            }
            head.put_slice(b"\r\n");
            sections.push(Section::Text(head.freeze()));
            sections.push(Section::File(range.clone()));
        }
        sections.push(Section::Text(format!("\r\n--{boundary}--\r\n").into()));
        let media_type = HeaderValue::try_from(format!("multipart/byteranges; boundary={boundary}"));
        self.headers
            .extend(media_type.ok().map(|value| (CONTENT_TYPE, value)));
        self.send(Status::new(206), sections)
    }

    fn send(mut self, status: Status, sections: Vec<Section>) -> io::Result<Response> {
        let length: u64 = sections.iter().map(Section::length).sum();
        self.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        let payload = if length <= MAX_IN_MEMORY {
            Payload::Bytes(read_all(&self.file, &sections)?)
        } else {
            Payload::Stream(read_in_chunks(self.file, sections))
        };
        let mut response = Response::new(status).with_payload(payload);
        *response.headers_mut() = self.headers;
        Ok(response)
    }

    /// Only the headers that update what the client has stored are sent (RFC 9110, section 15.4.5).
    fn not_modified(mut self) -> Response {
        for name in [CONTENT_TYPE, CONTENT_ENCODING, ACCEPT_RANGES] {
            self.headers.remove(name);
        }
        self.empty(Status::new(304))
    }

    fn empty(self, status: Status) -> Response {
        let mut response = Response::new(status).with_payload(Payload::Stream(Body::empty()));
        *response.headers_mut() = self.headers;
        response
    }
}

/// A section of a response body.
enum Section {
    Text(Bytes),
    /// A range of the file.
    File(Range<u64>),
}

impl Section {
    fn length(&self) -> u64 {
        match self {
            Section::Text(text) => text.len() as u64,
            Section::File(range) => range.end - range.start,
        }
    }
}

fn read_all(file: &File, sections: &[Section]) -> io::Result<Bytes> {
    let mut all = Vec::new();
    for section in sections {
        match section {
            Section::Text(text) => all.extend_from_slice(text),
            Section::File(range) => all.extend_from_slice(&read_chunk(file, range)?),
        }
    }
    Ok(all.into())
}

/// Reads a whole range, whose length is limited by the caller.
///
/// # Errors
///
/// Returns an error if the file has become shorter.
fn read_chunk(file: &File, range: &Range<u64>) -> io::Result<Vec<u8>> {
    let length = usize::try_from(range.end - range.start).map_err(io::Error::other)?;
    let mut chunk = vec![0; length];
    file.read_exact_at(&mut chunk, range.start)?;
    Ok(chunk)
}

/// Streams sections. If the file becomes shorter, the stream fails, so that the client notices that the body is incomplete.
fn read_in_chunks(file: File, sections: Vec<Section>) -> Body {
    let state = (Arc::new(file), sections.into_iter(), 0..0);
    Body::from_stream(stream::try_unfold(
        state,
        async |(file, mut sections, mut rest)| {
            while rest.is_empty() {
                match sections.next() {
                    None => return Ok(None),
                    Some(Section::Text(text)) => return Ok(Some((text, (file, sections, rest)))),
                    Some(Section::File(range)) => rest = range,
                }
            }
            let end = rest.end.min(rest.start + CHUNK_BYTES);
            let (reader, chunk) = (file.clone(), rest.start..end);
            let reading = tokio::task::spawn_blocking(move || read_chunk(&reader, &chunk));
            let chunk = reading.await.map_err(io::Error::other)??;
            Ok::<_, io::Error>(Some((Bytes::from(chunk), (file, sections, end..rest.end))))
        },
    ))
}

/// Formats `content-range`. Without a range it is that of a 416 response.
fn content_range(range: Option<&Range<u64>>, length: u64) -> Option<HeaderValue> {
    let value = match range {
        // Selected ranges are never empty.
        Some(range) => format!("bytes {}-{}/{length}", range.start, range.end.saturating_sub(1)),
        None => format!("bytes */{length}"),
    };
    HeaderValue::try_from(value).ok()
}

/// Returns the media type for the extension of a name. Text is declared to be UTF-8.
fn media_type(name: &Path) -> HeaderValue {
    let binary = "application/octet-stream";
    let essence = mime_guess::from_path(name).first_raw().unwrap_or(binary);
    if !essence.starts_with("text/") {
        return HeaderValue::from_static(essence);
    }
    HeaderValue::try_from(format!("{essence}; charset=utf-8")).unwrap_or(HeaderValue::from_static(binary))
}
