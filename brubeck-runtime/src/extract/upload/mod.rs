//! The extractor for streamed request bodies.

mod spooled;

pub(crate) use spooled::{PendingFile, SpooledFile};

use super::{BodyUse, Context, FromMessage};
use crate::message::Message;
use crate::response::{Body, BodyError, BoxError, IntoReply, Problem, Rejection, Response};
use crate::status::Status;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http_body::Body as _;
use http_body_util::BodyExt;
use std::convert::Infallible;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::{fmt, io};
use tokio::io::AsyncWriteExt;
use tokio::sync::oneshot;

/// The size of the buffer for writing an upload to a file, in bytes.
const WRITE_BUFFER_BYTES: usize = 256 << 10;

/// Extractor that streams the body of a request, for bodies that are too large for memory.
///
/// ```
/// use brubeck::prelude::*;
///
/// #[post("^/photo$")]
/// async fn photo(mut upload: Upload) -> Result<String, UploadError> {
///     let mut size = 0;
///     while let Some(chunk) = upload.chunk().await? {
///         size += chunk.len();
///     }
///     Ok(format!("{size} bytes"))
/// }
///
/// const ROUTES: Routes<()> = routes![photo];
/// # fn app() -> App<()> {
/// App::new(ROUTES, ()).limit::<photo>(Limits::new().body_limit(2 << 30))
/// # }
/// ```
///
/// The handler runs before the whole body has been received. Backpressure applies: while the handler does not read, the client is slowed
/// down. If the handler responds without reading the whole body, an HTTP/1 connection is closed after the response.
///
/// Mongrel2 can also keep a body in memory or write it to a file, without backpressure. The first [`chunk`](Upload::chunk) of a body in a
/// file waits until the file is complete.
///
/// The body limit is that of the application, unless [`Limits`](crate::Limits) set another one for the route. Rejects with
/// 413 if the announced length exceeds it. Rejects with 500 if another argument has taken the body.
pub struct Upload {
    body: Body,
    file: Option<PendingFile>,
    limit: u64,
    length: Option<u64>,
    received: u64,
    /// Dropped when the body is read to its end or abandoned, which starts the timeout of the handler.
    in_use: Option<oneshot::Sender<Infallible>>,
    media_type: Option<String>,
}

/// The request body, as an extension of the message, until an [`Upload`] takes it.
#[derive(Clone)]
pub(crate) struct PendingBody(Arc<Mutex<Option<StreamingBody>>>);

struct StreamingBody {
    /// The body, with the limit of its route: every way of reading it returns an error beyond the limit.
    body: Body,
    length: Option<u64>,
    limit: u64,
    in_use: Option<oneshot::Sender<Infallible>>,
}

impl PendingBody {
    /// `in_use` is dropped once the handler has read the body or abandoned it.
    pub(crate) fn new(body: Body, limit: usize, in_use: oneshot::Sender<Infallible>) -> PendingBody {
        PendingBody(Arc::new(Mutex::new(Some(StreamingBody {
            length: body.size_hint().exact(),
            body: body.limited(limit),
            limit: u64::try_from(limit).unwrap_or(u64::MAX),
            in_use: Some(in_use),
        }))))
    }

    fn take(&self) -> Option<StreamingBody> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Upload {
    /// Returns the announced length in bytes. Returns `None` if the client did not announce it, as with chunked encoding.
    ///
    /// ```
    /// use brubeck::prelude::*;
    ///
    /// #[post("^/upload$")]
    /// async fn upload(upload: Upload) -> Result<String, UploadError> {
    ///     Ok(format!("{:?} bytes announced", upload.length()))
    /// }
    /// # fn main() {}
    /// ```
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// Returns the number of bytes that [`chunk`](Upload::chunk) has returned so far.
    ///
    /// ```
    /// use brubeck::prelude::*;
    ///
    /// #[post("^/upload$")]
    /// async fn upload(mut upload: Upload) -> Result<String, UploadError> {
    ///     while upload.chunk().await?.is_some() {}
    ///     Ok(format!("{} bytes", upload.received()))
    /// }
    /// # fn main() {}
    /// ```
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Returns the content type of the request, with its parameters. Returns `None` if the header is missing or is not visible ASCII.
    ///
    /// ```
    /// use brubeck::prelude::*;
    ///
    /// #[post("^/upload$")]
    /// async fn upload(upload: Upload) -> Result<String, UploadError> {
    ///     Ok(upload.media_type().unwrap_or("unknown").to_owned())
    /// }
    /// # fn main() {}
    /// ```
    pub fn media_type(&self) -> Option<&str> {
        self.media_type.as_deref()
    }

    /// Returns the next bytes of the body, or `None` at the end of the body: see the example of [`Upload`].
    ///
    /// # Errors
    ///
    /// Returns an [`UploadError`]: [`TooLarge`](UploadError::TooLarge) if the body exceeds its limit, [`Broken`](UploadError::Broken) if it is
    /// incomplete or malformed, and [`TimedOut`](UploadError::TimedOut) if the client stops sending. The upload cannot continue after an error.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, UploadError> {
        while let Some(frame) = self.body.frame().await {
            let Ok(bytes) = frame.map_err(UploadError::from_box)?.into_data() else {
                // Trailers.
                continue;
            };
            self.received += bytes.len() as u64;
            if !bytes.is_empty() {
                return Ok(Some(bytes));
            }
        }
        self.in_use = None;
        match self.length {
            Some(length) if self.received < length => Err(UploadError::Broken(
                "the body is shorter than its announced length".into(),
            )),
            _ => Ok(None),
        }
    }

    /// Reads the rest of the body into memory.
    ///
    /// ```
    /// use brubeck::prelude::*;
    ///
    /// #[post("^/upload$")]
    /// async fn upload(upload: Upload) -> Result<String, UploadError> {
    ///     Ok(format!("{} bytes", upload.bytes().await?.len()))
    /// }
    /// # fn main() {}
    /// ```
    ///
    /// # Errors
    ///
    /// Returns the errors of [`chunk`](Upload::chunk).
    pub async fn bytes(mut self) -> Result<Bytes, UploadError> {
        // A body of a single chunk is not copied.
        let Some(first) = self.chunk().await? else {
            return Ok(Bytes::new());
        };
        let Some(second) = self.chunk().await? else {
            return Ok(first);
        };
        let mut all = [first, second].concat();
        while let Some(bytes) = self.chunk().await? {
            all.extend_from_slice(&bytes);
        }
        Ok(all.into())
    }

    /// Writes the rest of the body to a new file, and returns the size of the file in bytes.
    ///
    /// ```
    /// use brubeck::prelude::*;
    ///
    /// #[post("^/upload$")]
    /// async fn upload(upload: Upload) -> Result<String, UploadError> {
    ///     Ok(format!("{} bytes", upload.save("uploads/picture.png").await?))
    /// }
    /// # fn main() {}
    /// ```
    ///
    /// An upload that Mongrel2 has written to a file is moved instead of copied, if it is on the same file system and nothing has been
    /// read from it. If the upload fails, the incomplete file is removed.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`chunk`](Upload::chunk), and [`UploadError::Io`] if the file exists already or cannot be written.
    pub async fn save(mut self, path: impl AsRef<Path>) -> Result<u64, UploadError> {
        let path = path.as_ref();
        // Once bytes have been read, the rest has to be copied: moving would include the bytes that were read.
        if self.received == 0
            && let Some(file) = self.file.take()
            && let Some(size) = file.save(path, self.limit).await?
        {
            return Ok(size);
        }
        let mut file = NewFile::create(path).await?;
        while let Some(bytes) = self.chunk().await? {
            file.write(&bytes).await?;
        }
        file.finish().await
    }

    /// Converts the rest of the upload into a [`Body`], for example to forward it.
    ///
    /// ```
    /// use brubeck::prelude::*;
    ///
    /// #[post("^/upload$")]
    /// async fn upload(upload: Upload) -> Result<String, UploadError> {
    ///     let body = upload.into_body(); // for a request to another server
    /// #   let _ = body;
    ///     Ok("forwarded".into())
    /// }
    /// # fn main() {}
    /// ```
    ///
    /// The limit still applies: beyond it, and if the client stops sending, the body ends with a [`BodyError`].
    pub fn into_body(self) -> Body {
        let in_use = self.in_use;
        let body = self.body.map_err(BodyError::from_box);
        Body::new(body.map_frame(move |frame| {
            // Moves `in_use` into the closure, so that it is dropped with the body.
            let _ = &in_use;
            frame
        }))
    }
}

/// A file that is being written. It is removed unless it is finished.
pub(super) struct NewFile<'p> {
    file: tokio::io::BufWriter<tokio::fs::File>,
    incomplete: IncompleteFile<'p>,
    size: u64,
}

impl<'p> NewFile<'p> {
    /// Creates the file. Returns an error if it exists.
    pub(super) async fn create(path: &'p Path) -> io::Result<NewFile<'p>> {
        let file = tokio::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(path)
            .await?;
        Ok(NewFile {
            file: tokio::io::BufWriter::with_capacity(WRITE_BUFFER_BYTES, file),
            incomplete: IncompleteFile(path),
            size: 0,
        })
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.size += bytes.len() as u64;
        self.file.write_all(bytes).await
    }

    /// Returns the size of the file in bytes.
    pub(super) async fn finish(mut self) -> Result<u64, UploadError> {
        self.file.flush().await?;
        std::mem::forget(self.incomplete);
        Ok(self.size)
    }
}

/// Removes a file on drop. [`NewFile::finish`] forgets the value once the file is complete.
struct IncompleteFile<'p>(&'p Path);

impl Drop for IncompleteFile<'_> {
    fn drop(&mut self) {
        // The upload has failed already, and its error is the one to report.
        let _ = std::fs::remove_file(self.0);
    }
}

impl<S: Send + Sync + 'static> FromMessage<S> for Upload {
    type Rejection = Rejection;

    const BODY: BodyUse = BodyUse::Stream;

    async fn from_message(cx: &Context<S>) -> Result<Upload, Rejection> {
        let message = cx.message();
        let pending = message.extension::<PendingBody>().map(PendingBody::take);
        let StreamingBody {
            body,
            length,
            limit,
            in_use,
        } = match pending {
            Some(Some(streaming)) => streaming,
            Some(None) => {
                let reason = "another argument has taken the body";
                return Err(Rejection::new(Status::INTERNAL_SERVER_ERROR, reason));
            }
            None => body_in_memory(message),
        };
        if length.is_some_and(|length| length > limit) {
            return Err(Rejection::new(Status::PAYLOAD_TOO_LARGE, "the body is too large"));
        }
        let media_type = message
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        Ok(Upload {
            body,
            file: message.extension::<PendingFile>().cloned(),
            limit,
            length,
            received: 0,
            in_use,
            media_type: media_type.map(str::to_owned),
        })
    }
}

/// Returns the body of a message that is in memory already, such as a call. No further limit applies to it.
fn body_in_memory(message: &Message) -> StreamingBody {
    StreamingBody {
        body: Body::from(message.body().clone()),
        length: u64::try_from(message.body().len()).ok(),
        limit: u64::MAX,
        in_use: None,
    }
}

/// The error of reading or storing an [`Upload`] or a [`MultipartStream`](crate::MultipartStream).
///
/// ```
/// use brubeck::prelude::*;
///
/// #[post("/photo")]
/// async fn photo(upload: Upload) -> Result<String, UploadError> {
///     let size = upload.save("photos/latest.jpg").await?;
///     Ok(format!("{size} bytes"))
/// }
/// ```
///
/// A handler can return it. As a reply, the status is 413, 408, 400 or 500, in the order of the variants, with a
/// [`Problem`] whose reason is the variant only: the cause of [`Broken`](UploadError::Broken) and [`Io`](UploadError::Io) is not
/// sent. Any [`io::Error`](std::io::Error) converts into [`Io`](UploadError::Io) with `?`.
#[derive(Debug)]
#[non_exhaustive]
pub enum UploadError {
    /// The body exceeds the limit of the [application](crate::App::body_limit) or the [route](crate::Limits::body_limit), or a form has
    /// too many or too large [parts](crate::Limits::part_limit).
    TooLarge,
    /// The client sent nothing for the [`body_timeout`](crate::Http::body_timeout) of the embedded server, 10 seconds by default.
    TimedOut,
    /// The body is incomplete or malformed: the connection was lost, or a form does not have its format. It contains the cause.
    Broken(BoxError),
    /// The upload, or a part of a form, could not be written to the file of [`save`](Upload::save).
    Io(io::Error),
}

impl UploadError {
    /// Returns the part of the error that clients may see.
    fn reason(&self) -> &'static str {
        match self {
            UploadError::TooLarge => "the upload exceeds the body limit",
            UploadError::TimedOut => "the upload timed out",
            UploadError::Broken(_) => "the upload is incomplete or malformed",
            UploadError::Io(_) => "the upload could not be stored",
        }
    }

    fn from_box(error: BoxError) -> UploadError {
        match BodyError::from_box(error) {
            BodyError::TooLarge => UploadError::TooLarge,
            BodyError::TimedOut => UploadError::TimedOut,
            BodyError::Broken(error) => UploadError::Broken(error),
        }
    }
}

impl From<io::Error> for UploadError {
    fn from(error: io::Error) -> UploadError {
        UploadError::Io(error)
    }
}

impl fmt::Display for UploadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())?;
        match self {
            UploadError::Broken(error) => write!(f, ": {error}"),
            UploadError::Io(error) => write!(f, ": {error}"),
            UploadError::TooLarge | UploadError::TimedOut => Ok(()),
        }
    }
}

impl std::error::Error for UploadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            UploadError::Broken(error) => Some(&**error),
            UploadError::Io(error) => Some(error),
            UploadError::TooLarge | UploadError::TimedOut => None,
        }
    }
}

impl IntoReply for UploadError {
    fn into_reply(self) -> Response {
        let code = match &self {
            UploadError::TooLarge => 413,
            UploadError::TimedOut => 408,
            UploadError::Broken(_) => 400,
            UploadError::Io(error) => {
                tracing::error!(%error, "could not store upload");
                500
            }
        };
        // Only the log has the cause: that of an I/O error can contain a path of the server.
        Problem::new(code, self.reason()).into_reply()
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Upload({} of {:?} bytes)", self.received, self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn save_writes_rest_of_body_and_returns_size_of_file() {
        let chunks = futures_util::stream::iter(["hello", "abc"].map(Ok::<_, io::Error>));
        let mut upload = Upload {
            body: Body::from_stream(chunks),
            file: None,
            limit: 100,
            length: None,
            received: 0,
            in_use: None,
            media_type: None,
        };
        assert_eq!(upload.chunk().await.unwrap().unwrap(), "hello");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rest");
        assert_eq!(upload.save(&path).await.unwrap(), 3);
        assert_eq!(std::fs::read(&path).unwrap(), b"abc");
    }
}
