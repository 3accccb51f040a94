//! The extractor for multipart forms.

use super::{Context, FromMessage, PartLimit};
use crate::response::Rejection;
use crate::status::Status;
use bytes::Bytes;
use futures_util::stream;
use http::header::CONTENT_TYPE;
use multer::{Constraints, SizeLimit};
use std::convert::Infallible;

/// The limit for the number of parts of a form.
const MAX_PARTS: usize = 100;

/// Extractor for forms with files (`multipart/form-data`).
///
/// ```
/// use brubeck::prelude::*;
///
/// #[post("^/photo$")]
/// async fn photo(form: Multipart) -> Result<String, Rejection> {
///     let photo = form.file("photo")?;
///     let title = form.text("title").unwrap_or("untitled");
///     Ok(format!("{title}: {} bytes of {}", photo.bytes().len(), photo.media_type().unwrap_or("?")))
/// }
/// ```
///
/// The whole form is in memory, so its size is bounded by the body limit of the application or of the route. A route can limit
/// the size of each part too, see [`Limits`](crate::Limits). For large files, use [`Upload`](crate::Upload).
///
/// Rejects with
/// * 415 unless the `content-type` header has this media type and a boundary,
/// * 400 if the form is malformed,
/// * 413 if the form has more than 100 parts, or a part exceeds its limit.
///
/// Requires the feature `multipart`.
#[derive(Clone, Debug, Default)]
pub struct Multipart {
    parts: Vec<Part>,
}

/// A part of a [`Multipart`] form: a field or a file.
///
/// ```
/// # use brubeck::{Multipart, Rejection};
/// fn largest(form: &Multipart) -> usize {
///     form.parts().iter().map(|part| part.bytes().len()).max().unwrap_or(0)
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Part {
    name: String,
    file_name: Option<String>,
    media_type: Option<String>,
    bytes: Bytes,
}

impl Multipart {
    /// Returns all parts, in the order of the form.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Returns the parts with a name, in the order of the form.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Part> {
        self.parts.iter().filter(move |part| part.name == name)
    }

    /// Returns the text of the first part with a name. Returns `None` if there is no such part or it is not UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.parts
            .iter()
            .find(|part| part.name == name)
            .and_then(|part| std::str::from_utf8(&part.bytes).ok())
    }

    /// Returns the first file with a name.
    ///
    /// # Errors
    ///
    /// Returns a rejection with status 422 if the form has no such file.
    pub fn file(&self, name: &str) -> Result<&Part, Rejection> {
        let file = |part: &&Part| part.name == name && part.file_name.is_some();
        self.parts.iter().find(file).ok_or_else(|| {
            Rejection::new(
                Status::UNPROCESSABLE_ENTITY,
                format!("the file `{name}` is missing"),
            )
            .at(name)
        })
    }
}

impl Part {
    /// Returns the name of the form field.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the file name that the client sent, without leading folders. Returns `None` if the part is not a file.
    ///
    /// The client chooses the name, so do not use it as a path on the server.
    pub fn file_name(&self) -> Option<&str> {
        self.file_name
            .as_deref()
            .and_then(|name| name.rsplit(['/', '\\']).next())
    }

    /// Returns the media type that the client sent. Returns `None` if it sent none.
    pub fn media_type(&self) -> Option<&str> {
        self.media_type.as_deref()
    }

    /// Returns the content.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

impl<S: Send + Sync + 'static> FromMessage<S> for Multipart {
    type Rejection = Rejection;

    async fn from_message(cx: &Context<S>) -> Result<Multipart, Rejection> {
        let message = cx.message();
        let media_type = message
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let boundary = multer::parse_boundary(media_type).map_err(|_| {
            let reason =
                "the body must be a form with the header `content-type: multipart/form-data; boundary=..`";
            Rejection::new(Status::UNSUPPORTED_MEDIA_TYPE, reason)
        })?;
        let body = message.body().clone();
        let chunks = stream::once(async { Ok::<_, Infallible>(body) });
        let mut size_limit = SizeLimit::new();
        if let Some(PartLimit(bytes)) = message.extension() {
            size_limit = size_limit.per_field(u64::try_from(*bytes).unwrap_or(u64::MAX));
        }
        let constraints = Constraints::new().size_limit(size_limit);
        let mut form = multer::Multipart::with_constraints(chunks, boundary, constraints);
        let mut parts = Vec::new();
        while let Some(field) = form.next_field().await.map_err(rejection)? {
            if parts.len() == MAX_PARTS {
                return Err(Rejection::new(
                    Status::PAYLOAD_TOO_LARGE,
                    format!("more than {MAX_PARTS} parts"),
                ));
            }
            parts.push(Part {
                name: field.name().unwrap_or_default().to_owned(),
                file_name: field.file_name().map(str::to_owned),
                media_type: field.content_type().map(|media_type| media_type.to_string()),
                bytes: field.bytes().await.map_err(rejection)?,
            });
        }
        Ok(Multipart { parts })
    }
}

fn rejection(error: multer::Error) -> Rejection {
    match error {
        multer::Error::FieldSizeExceeded { limit, field_name } => {
            let name = field_name.unwrap_or_default();
            let reason = format!("the part `{name}` is larger than {limit} bytes");
            Rejection::new(Status::PAYLOAD_TOO_LARGE, reason).at(name)
        }
        error => Rejection::new(Status::BAD_REQUEST, format!("the form is malformed: {error}")),
    }
}
