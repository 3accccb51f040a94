//! The extractors for multipart forms: as a whole in memory, and part by part while it arrives.

pub mod codec;
mod stream;

pub use stream::{MultipartStream, PartStream};

use super::{BodyUse, Context, FromMessage, PartLimits};
use crate::message::Message;
use crate::response::Rejection;
use crate::status::Status;
use bytes::{Bytes, BytesMut};
use codec::{DecodeError, Decoder, FormEvent, PartHead};
use http::header::CONTENT_TYPE;
use std::borrow::Cow;
use std::sync::Arc;

/// The number of parts of a form, unless the route has another limit.
const DEFAULT_MAX_PARTS: usize = 100;

impl PartLimits {
    fn of(message: &Message) -> PartLimits {
        message.extension().copied().unwrap_or_default()
    }

    /// Counts a part, or returns the rejection of the form if it has too many.
    fn check_count(&self, parts: &mut usize) -> Result<(), Rejection> {
        let limit = self.count.unwrap_or(DEFAULT_MAX_PARTS);
        *parts += 1;
        if *parts > limit {
            let reason = format!("more than {limit} parts");
            return Err(Rejection::new(Status::PAYLOAD_TOO_LARGE, reason));
        }
        Ok(())
    }

    fn check_size(&self, name: &str, size: usize) -> Result<(), Rejection> {
        match self.bytes {
            Some(limit) if size > limit => {
                let reason = format!("the part `{name}` is larger than {limit} bytes");
                Err(Rejection::new(Status::PAYLOAD_TOO_LARGE, reason).at(name))
            }
            _ => Ok(()),
        }
    }
}

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
/// A part is a file if the client sent a file name, and a field otherwise. A browser sends an empty part without a file name if no file was
/// chosen: the form has no such part. Names are read as browsers, curl, Python and .NET write them (RFC 7578 and, for `filename*`, RFC 8187).
/// A name that is not UTF-8 gets replacement characters.
///
/// The whole form is in memory, so its size is bounded by the body limit of the application or of the route. A route can limit
/// the size and the number of the parts too, see [`Limits`](crate::Limits). For large files, use [`MultipartStream`], or
/// [`Upload`](crate::Upload) for a body that is a file. Single fields can be read with [`Arg`](crate::Arg).
///
/// Rejects with
/// * 415 unless the `content-type` header has this media type and a boundary,
/// * 400 if the form is malformed, or a part has a header of more than 16 KiB or 32 lines,
/// * 413 if the form has more than 100 parts (unless the route has [another limit](crate::Limits::parts)), or a part exceeds its limit.
///
/// `Option<Multipart>` is `None` if the request has no body.
///
/// Requires the feature `multipart`.
#[derive(Clone, Debug, Default)]
pub struct Multipart {
    parts: Arc<[Part]>,
}

/// A part of a [`Multipart`] form: a field or a file.
///
/// ```
/// use brubeck::prelude::*;
///
/// #[post("^/form$")]
/// async fn describe(form: Multipart) -> String {
///     let mut lines = Vec::new();
///     for part in form.parts() {
///         let size = part.bytes().len();
///         lines.push(match part.file_name() {
///             Some(file_name) => {
///                 let media_type = part.media_type().unwrap_or("unknown");
///                 format!("{}: the file {file_name} ({media_type}), {size} bytes", part.name())
///             }
///             None => format!("{}: a field, {size} bytes", part.name()),
///         });
///     }
///     let files = form.parts().iter().filter(|part| part.is_file()).count();
///     format!("{files} files\n{}", lines.join("\n"))
/// }
/// # const ROUTES: Routes<()> = routes![describe];
/// ```
#[derive(Clone, Debug)]
pub struct Part {
    head: PartHead,
    bytes: Bytes,
}

impl Multipart {
    /// Returns all parts, in the order of the form. See [`Part`] for an example.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Returns the parts with a name, in the order of the form.
    ///
    /// ```
    /// use brubeck::prelude::*;
    ///
    /// #[post("^/album$")]
    /// async fn album(form: Multipart) -> String {
    ///     let photos = form.all("photo").filter(|part| part.is_file());
    ///     format!("{} photos", photos.count())
    /// }
    /// # const ROUTES: Routes<()> = routes![album];
    /// ```
    ///
    /// The iterator is empty if the form has no such part. It includes fields and files.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Part> {
        self.parts.iter().filter(move |part| part.head.name == name)
    }

    /// Returns the text of the first field with a name. Returns `None` if there is no such field or it is not UTF-8.
    ///
    /// ```
    /// use brubeck::prelude::*;
    ///
    /// #[post("/form")]
    /// async fn form(form: Multipart) -> String {
    ///     form.text("title").unwrap_or("untitled").to_owned()
    /// }
    /// # const ROUTES: Routes<()> = routes![form];
    /// ```
    pub fn text(&self, name: &str) -> Option<&str> {
        let field = self
            .parts
            .iter()
            .find(|part| part.head.name == name && !part.is_file())?;
        std::str::from_utf8(&field.bytes).ok()
    }

    /// Returns the first file with a name.
    ///
    /// ```
    /// use brubeck::prelude::*;
    ///
    /// #[post("/photo")]
    /// async fn photo(form: Multipart) -> Result<String, Rejection> {
    ///     Ok(format!("{} bytes", form.file("photo")?.bytes().len()))
    /// }
    /// # const ROUTES: Routes<()> = routes![photo];
    /// ```
    ///
    /// # Errors
    ///
    /// Returns a [`Rejection`] with status 422 if the form has no such file.
    pub fn file(&self, name: &str) -> Result<&Part, Rejection> {
        let is_file = |part: &&Part| part.head.name == name && part.is_file();
        self.parts.iter().find(is_file).ok_or_else(|| {
            Rejection::new(
                Status::UNPROCESSABLE_ENTITY,
                format!("the file `{name}` is missing"),
            )
            .at(name)
        })
    }

    /// Returns the texts of the fields with a name.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<Cow<'_, str>>, Rejection> {
        let fields = self
            .parts
            .iter()
            .filter(|part| part.head.name == name && !part.is_file());
        let texts = fields.map(|field| match std::str::from_utf8(&field.bytes) {
            Ok(text) => Ok(Cow::Borrowed(text)),
            Err(error) => {
                let reason = format!("the field `{name}` is not UTF-8: {error}");
                Err(Rejection::new(Status::BAD_REQUEST, reason).at(name))
            }
        });
        texts.collect()
    }

    /// Reads the form of a message.
    pub(super) fn read(message: &Message) -> Result<Multipart, Rejection> {
        let mut decoder = decoder_for(message)?;
        let limits = PartLimits::of(message);
        let mut parts: Vec<Part> = Vec::new();
        let mut count = 0;
        decoder.feed(message.body().clone());
        while let Some(event) = decoder.next_event().map_err(malformed)? {
            match event {
                FormEvent::Part(head) => {
                    limits.check_count(&mut count)?;
                    parts.push(Part {
                        head,
                        bytes: Bytes::new(),
                    });
                }
                FormEvent::Data(bytes) => {
                    if let Some(part) = parts.last_mut() {
                        limits.check_size(&part.head.name, part.bytes.len() + bytes.len())?;
                        part.append(bytes);
                    }
                }
                FormEvent::PartEnd => {
                    parts.pop_if(|part| part.is_missing_file());
                }
                FormEvent::End => {}
            }
        }
        decoder.finish().map_err(malformed)?;
        Ok(Multipart { parts: parts.into() })
    }
}

/// Returns the decoder for the form of a message.
///
/// # Errors
///
/// Returns a rejection with status 415 if the body is not a form.
fn decoder_for(message: &Message) -> Result<Decoder, Rejection> {
    match content_type_boundary(message) {
        Some(boundary) => Ok(Decoder::new(&boundary)),
        None => Err(Rejection::new(
            Status::UNSUPPORTED_MEDIA_TYPE,
            "the body must be a form with the header `content-type: multipart/form-data; boundary=..`",
        )),
    }
}

fn content_type_boundary(message: &Message) -> Option<Vec<u8>> {
    codec::boundary(message.headers().get(CONTENT_TYPE)?.as_bytes())
}

/// Returns whether the body of a message is a multipart form.
pub(super) fn is_multipart(message: &Message) -> bool {
    content_type_boundary(message).is_some()
}

fn malformed(error: DecodeError) -> Rejection {
    Rejection::new(Status::BAD_REQUEST, format!("the form is malformed: {error}"))
}

impl Part {
    /// Returns the name of the form field: see the example of [`Part`].
    ///
    /// It is empty if the client sent none. Several parts may have the same name: see [`Multipart::all`].
    pub fn name(&self) -> &str {
        &self.head.name
    }

    /// Returns whether the part is a file, and not a field: see the example of [`Part`].
    pub fn is_file(&self) -> bool {
        self.head.file_name.is_some()
    }

    /// Returns the file name that the client sent, without leading folders. Returns `None` if the part is not a file. See the example of
    /// [`Part`].
    ///
    /// The client chooses the name, so do not use it as a path on the server.
    pub fn file_name(&self) -> Option<&str> {
        self.head.file_name_without_folders()
    }

    /// Returns the media type that the client sent, with its parameters. Returns `None` if it sent none. See the example of [`Part`].
    ///
    /// The client chooses it, so the content may have another format.
    pub fn media_type(&self) -> Option<&str> {
        self.head.media_type.as_deref()
    }

    /// Returns the content, without copying it: see the example of [`Part`].
    ///
    /// It is empty if the client sent an empty field or file. Its size is limited by the [part limit](crate::Limits::part_limit) of the
    /// route and the [body limit](crate::App::body_limit).
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    fn append(&mut self, bytes: Bytes) {
        if self.bytes.is_empty() {
            self.bytes = bytes;
            return;
        }
        let mut joined = BytesMut::from(&self.bytes[..]);
        joined.extend_from_slice(&bytes);
        self.bytes = joined.freeze();
    }

    /// Returns whether this is the part of a file input of a browser for which no file was chosen.
    fn is_missing_file(&self) -> bool {
        self.head.file_name.as_deref() == Some("") && self.bytes.is_empty()
    }
}

impl<S: Send + Sync + 'static> FromMessage<S> for Multipart {
    type Rejection = Rejection;

    const BODY: BodyUse = BodyUse::Multipart;

    async fn from_message(cx: &Context<S>) -> Result<Multipart, Rejection> {
        cx.multipart().cloned()
    }

    async fn from_message_if_present(cx: &Context<S>) -> Result<Option<Multipart>, Rejection> {
        if cx.message().body().is_empty() {
            return Ok(None);
        }
        cx.multipart().cloned().map(Some)
    }
}
