//! Forms with files.

use super::{Context, FromMessage, PartLimit};
use crate::response::Rejection;
use crate::status::Status;
use bytes::Bytes;
use futures_util::stream;
use http::header::CONTENT_TYPE;
use multer::{Constraints, SizeLimit};
use std::convert::Infallible;

/// How many parts a form may have.
const PARTS: usize = 100;

/// A form with files (`multipart/form-data`).
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
/// Another media type is answered with 415, a form that is malformed with 400, one of more than 100 parts with 413.
/// All of it is in memory: its size is bounded by the body limit of the application, or of the route, which may bound
/// each part as well ([`Limits`](crate::Limits)); beyond it is 413. Feature `multipart`.
#[derive(Clone, Debug, Default)]
pub struct Multipart {
    parts: Vec<Part>,
}

/// One part of a [`Multipart`] form: a field or a file.
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
    /// The parts, in the order they were sent.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The parts of this name, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Part> {
        self.parts.iter().filter(move |part| part.name == name)
    }

    /// The text of the first field of this name; `None` where it is missing or not UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.parts
            .iter()
            .find(|part| part.name == name)
            .and_then(|part| std::str::from_utf8(&part.bytes).ok())
    }

    /// The first file of this name.
    ///
    /// # Errors
    ///
    /// 422 where there is none, which a handler returns with `?`.
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
    /// The name of its field.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the client calls the file, without the folders that some clients put before it; `None` for a field.
    /// It is whatever the client wants: make up your own name to store it under.
    pub fn file_name(&self) -> Option<&str> {
        self.file_name
            .as_deref()
            .and_then(|name| name.rsplit(['/', '\\']).next())
    }

    /// The media type that the client gave it.
    pub fn media_type(&self) -> Option<&str> {
        self.media_type.as_deref()
    }

    /// The content.
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
                "the body must be a form, with the header `content-type: multipart/form-data; boundary=..`";
            Rejection::new(Status::UNSUPPORTED_MEDIA_TYPE, reason)
        })?;
        let body = message.body().clone();
        let pieces = stream::once(async { Ok::<_, Infallible>(body) });
        let mut sizes = SizeLimit::new();
        if let Some(PartLimit(bytes)) = message.extension() {
            sizes = sizes.per_field(u64::try_from(*bytes).unwrap_or(u64::MAX));
        }
        let bounds = Constraints::new().size_limit(sizes);
        let mut form = multer::Multipart::with_constraints(pieces, boundary, bounds);
        let mut parts = Vec::new();
        while let Some(field) = form.next_field().await.map_err(refused)? {
            if parts.len() == PARTS {
                return Err(Rejection::new(
                    Status::PAYLOAD_TOO_LARGE,
                    format!("more than {PARTS} parts"),
                ));
            }
            parts.push(Part {
                name: field.name().unwrap_or_default().to_owned(),
                file_name: field.file_name().map(str::to_owned),
                media_type: field.content_type().map(|media_type| media_type.to_string()),
                bytes: field.bytes().await.map_err(refused)?,
            });
        }
        Ok(Multipart { parts })
    }
}

fn refused(error: multer::Error) -> Rejection {
    match error {
        multer::Error::FieldSizeExceeded { limit, field_name } => {
            let name = field_name.unwrap_or_default();
            let reason = format!("the part `{name}` is larger than {limit} bytes");
            Rejection::new(Status::PAYLOAD_TOO_LARGE, reason).at(name)
        }
        error => Rejection::new(Status::BAD_REQUEST, format!("the form is malformed: {error}")),
    }
}
