//! The extractor for multipart forms that are too large for memory.

use super::codec::{Decoder, FormEvent, PartHead};
use super::{BodyUse, Context, FromMessage, PartLimits, decoder_for};
use crate::extract::upload::NewFile;
use crate::extract::{Upload, UploadError};
use crate::response::Rejection;
use bytes::{Bytes, BytesMut};
use std::path::Path;

/// Extractor that reads a multipart form part by part, while it arrives.
///
/// ```
/// use brubeck::prelude::*;
///
/// #[post("^/photos$")]
/// async fn photos(mut form: MultipartStream) -> Result<String, UploadError> {
///     let mut photos = 0;
///     while let Some(mut part) = form.next_part().await? {
///         if part.is_file() {
///             photos += 1;
///             while let Some(chunk) = part.chunk().await? {
///                 // Store the chunk.
///             }
///         } else if part.name() == "title" {
///             let title = part.text().await?;
///         }
///     }
///     Ok(format!("{photos} photos"))
/// }
///
/// const ROUTES: Routes<()> = routes![photos];
/// # fn app() -> App<()> {
/// App::new(ROUTES, ()).limit::<photos>(Limits::new().body_limit(2 << 30).part_limit(1 << 30))
/// # }
/// ```
///
/// Like [`Upload`], it takes the body as a stream: the handler runs before the whole body has been received, and the client is slowed down
/// while the handler does not read. Parts are files or fields by the rules of [`Multipart`](crate::Multipart).
///
/// The limits are those of [`Multipart`](crate::Multipart): the body limit of the route, and the number and the size of the parts. At most
/// one chunk of the body, or the header of a part, is in memory.
///
/// Rejects with 415 unless the `content-type` header has the media type `multipart/form-data` and a boundary, and like [`Upload`].
///
/// Requires the feature `multipart`.
#[derive(Debug)]
pub struct MultipartStream {
    upload: Upload,
    decoder: Decoder,
    limits: PartLimits,
    parts: usize,
    /// The part that is being read, or `None` between parts.
    part: Option<CurrentPart>,
}

/// The part of a form that is being read or skipped.
#[derive(Debug)]
struct CurrentPart {
    name: String,
    received: usize,
}

/// A part of a [`MultipartStream`]: a field or a file.
///
/// ```
/// use brubeck::prelude::*;
///
/// #[post("^/photos$")]
/// async fn photos(mut form: MultipartStream) -> Result<String, UploadError> {
///     let mut report = String::new();
///     while let Some(mut part) = form.next_part().await? {
///         let name = part.name().to_owned();
///         if part.is_file() {
///             let file_name = part.file_name().unwrap_or_default().to_owned();
///             let media_type = part.media_type().unwrap_or("unknown").to_owned();
///             let mut size = 0;
///             while let Some(chunk) = part.chunk().await? {
///                 size += chunk.len();
///             }
///             report += &format!("{name}: {file_name} ({media_type}) of {size} bytes\n");
///         } else {
///             report += &format!("{name}: {}\n", part.text().await?);
///         }
///     }
///     Ok(report)
/// }
/// # const ROUTES: Routes<()> = routes![photos];
/// ```
///
/// The rest of a part that is dropped is skipped when the next part is read, and counts towards the limits.
#[derive(Debug)]
pub struct PartStream<'f> {
    form: &'f mut MultipartStream,
    head: PartHead,
    /// The first bytes, which were read to see whether there are any.
    first: Option<Bytes>,
}

impl MultipartStream {
    /// Returns the next part, or `None` at the end of the form. The rest of the part before is skipped.
    ///
    /// ```
    /// use brubeck::prelude::*;
    ///
    /// #[post("/names")]
    /// async fn names(mut form: MultipartStream) -> Result<String, UploadError> {
    ///     let mut names = Vec::new();
    ///     while let Some(part) = form.next_part().await? {
    ///         names.push(part.name().to_owned());
    ///     }
    ///     Ok(names.join(", "))
    /// }
    /// # const ROUTES: Routes<()> = routes![names];
    /// ```
    ///
    /// A file input for which no file was chosen is left out.
    ///
    /// # Errors
    ///
    /// Returns an [`UploadError`]: [`TooLarge`](UploadError::TooLarge) if the form has too many parts, or a part or the body exceeds its limit,
    /// [`Broken`](UploadError::Broken) if the form is malformed or incomplete, and [`TimedOut`](UploadError::TimedOut) if the client stops sending.
    pub async fn next_part(&mut self) -> Result<Option<PartStream<'_>>, UploadError> {
        loop {
            match self.next_event().await? {
                Some(FormEvent::Part(head)) => {
                    self.limits.check_count(&mut self.parts).map_err(too_large)?;
                    self.part = Some(CurrentPart {
                        name: head.name.clone(),
                        received: 0,
                    });
                    let first = self.part_data().await?;
                    // A file input for which no file was chosen.
                    let is_missing = first.is_none() && head.file_name.as_deref() == Some("");
                    if !is_missing {
                        let form = self;
                        return Ok(Some(PartStream { form, head, first }));
                    }
                }
                Some(FormEvent::PartEnd) => self.part = None,
                Some(FormEvent::Data(skipped)) => self.check_part_limit(skipped.len())?,
                Some(FormEvent::End) => {
                    // What follows the form is read, so that the connection can be used again.
                    while self.upload.chunk().await?.is_some() {}
                    return Ok(None);
                }
                None => return Ok(None),
            }
        }
    }

    /// Returns the next event, or `None` if the form has ended before.
    async fn next_event(&mut self) -> Result<Option<FormEvent>, UploadError> {
        loop {
            if let Some(event) = self
                .decoder
                .next_event()
                .map_err(|error| UploadError::Broken(error.into()))?
            {
                return Ok(Some(event));
            }
            if self.decoder.finish().is_ok() {
                return Ok(None);
            }
            match self.upload.chunk().await? {
                Some(bytes) => self.decoder.feed(bytes),
                None => {
                    let incomplete = self
                        .decoder
                        .finish()
                        .err()
                        .map(|error| UploadError::Broken(error.into()));
                    return incomplete.map_or(Ok(None), Err);
                }
            }
        }
    }

    /// Returns the next bytes of the current part, or `None` at its end.
    async fn part_data(&mut self) -> Result<Option<Bytes>, UploadError> {
        if self.part.is_none() {
            return Ok(None);
        }
        match self.next_event().await? {
            Some(FormEvent::Data(bytes)) => {
                self.check_part_limit(bytes.len())?;
                Ok(Some(bytes))
            }
            _ => {
                self.part = None;
                Ok(None)
            }
        }
    }

    /// Counts received bytes of the current part. A part that the handler skips is limited, too.
    fn check_part_limit(&mut self, received: usize) -> Result<(), UploadError> {
        let Some(part) = &mut self.part else {
            return Ok(());
        };
        part.received += received;
        self.limits
            .check_size(&part.name, part.received)
            .map_err(too_large)
    }
}

fn too_large(_: Rejection) -> UploadError {
    UploadError::TooLarge
}

impl PartStream<'_> {
    /// Returns the name of the form field: see the example of [`PartStream`].
    ///
    /// It is empty if the client sent none. Several parts may have the same name.
    pub fn name(&self) -> &str {
        &self.head.name
    }

    /// Returns whether the part is a file, and not a field: see the example of [`PartStream`].
    pub fn is_file(&self) -> bool {
        self.head.file_name.is_some()
    }

    /// Returns the file name that the client sent, without leading folders. Returns `None` if the part is not a file. See the example of
    /// [`PartStream`].
    ///
    /// The client chooses the name, so do not use it as a path on the server.
    pub fn file_name(&self) -> Option<&str> {
        self.head.file_name_without_folders()
    }

    /// Returns the media type that the client sent, with its parameters. Returns `None` if it sent none. See the example of [`PartStream`].
    ///
    /// The client chooses it, so the content may have another format.
    pub fn media_type(&self) -> Option<&str> {
        self.head.media_type.as_deref()
    }

    /// Returns the next bytes of the part, or `None` at its end: see the example of [`PartStream`].
    ///
    /// # Errors
    ///
    /// Returns the [`UploadError`] of [`MultipartStream::next_part`]: [`TooLarge`](UploadError::TooLarge) also if the part exceeds its
    /// [limit](crate::Limits::part_limit).
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, UploadError> {
        match self.first.take() {
            Some(first) => Ok(Some(first)),
            None => self.form.part_data().await,
        }
    }

    /// Reads the rest of the part into memory.
    ///
    /// ```
    /// use brubeck::prelude::*;
    ///
    /// #[post("^/photos$")]
    /// async fn photos(mut form: MultipartStream) -> Result<String, UploadError> {
    ///     let mut size = 0;
    ///     while let Some(mut part) = form.next_part().await? {
    ///         size += part.bytes().await?.len();
    ///     }
    ///     Ok(format!("{size} bytes"))
    /// }
    /// # const ROUTES: Routes<()> = routes![photos];
    /// ```
    ///
    /// Its size is bounded by the [part limit](crate::Limits::part_limit) of the route, or else by its body limit.
    ///
    /// # Errors
    ///
    /// Returns the [`UploadError`] of [`chunk`](PartStream::chunk).
    pub async fn bytes(&mut self) -> Result<Bytes, UploadError> {
        let Some(first) = self.chunk().await? else {
            return Ok(Bytes::new());
        };
        let Some(second) = self.chunk().await? else {
            return Ok(first);
        };
        let mut all = BytesMut::from(&first[..]);
        all.extend_from_slice(&second);
        while let Some(bytes) = self.chunk().await? {
            all.extend_from_slice(&bytes);
        }
        Ok(all.freeze())
    }

    /// Reads the rest of the part as UTF-8 text.
    ///
    /// ```
    /// use brubeck::prelude::*;
    ///
    /// #[post("/form")]
    /// async fn form(mut form: MultipartStream) -> Result<String, UploadError> {
    ///     let mut texts = String::new();
    ///     while let Some(mut part) = form.next_part().await? {
    ///         texts += &part.text().await?;
    ///     }
    ///     Ok(texts)
    /// }
    /// # const ROUTES: Routes<()> = routes![form];
    /// ```
    ///
    /// Its size is bounded as for [`bytes`](PartStream::bytes).
    ///
    /// # Errors
    ///
    /// Returns the [`UploadError`] of [`chunk`](PartStream::chunk), and [`Broken`](UploadError::Broken) if the part is not UTF-8.
    pub async fn text(&mut self) -> Result<String, UploadError> {
        let bytes = self.bytes().await?;
        String::from_utf8(bytes.into()).map_err(|error| UploadError::Broken(error.into()))
    }

    /// Writes the rest of the part to a new file, and returns the size of the file in bytes.
    ///
    /// ```
    /// use brubeck::prelude::*;
    ///
    /// #[post("^/photos$")]
    /// async fn photos(mut form: MultipartStream) -> Result<String, UploadError> {
    ///     let mut count = 0;
    ///     while let Some(mut part) = form.next_part().await? {
    ///         if part.is_file() {
    ///             count += 1;
    ///             // A name that the server chooses, not the client.
    ///             part.save(format!("/var/photos/{count}.jpg")).await?;
    ///         }
    ///     }
    ///     Ok(format!("{count} photos"))
    /// }
    /// # const ROUTES: Routes<()> = routes![photos];
    /// ```
    ///
    /// If this fails, the incomplete file is removed.
    ///
    /// # Errors
    ///
    /// Returns the [`UploadError`] of [`chunk`](PartStream::chunk), and [`Io`](UploadError::Io) if the file exists already or cannot be written.
    pub async fn save(&mut self, path: impl AsRef<Path>) -> Result<u64, UploadError> {
        let mut file = NewFile::create(path.as_ref()).await?;
        while let Some(bytes) = self.chunk().await? {
            file.write(&bytes).await?;
        }
        file.finish().await
    }
}

impl<S: Send + Sync + 'static> FromMessage<S> for MultipartStream {
    type Rejection = Rejection;

    const BODY: BodyUse = BodyUse::Stream;

    async fn from_message(cx: &Context<S>) -> Result<MultipartStream, Rejection> {
        let decoder = decoder_for(cx.message())?;
        Ok(MultipartStream {
            upload: Upload::from_message(cx).await?,
            decoder,
            limits: PartLimits::of(cx.message()),
            parts: 0,
            part: None,
        })
    }
}
