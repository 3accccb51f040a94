//! The extractor for streamed request bodies.

mod spooled;

pub(crate) use spooled::{PendingFile, SpooledFile};

use super::{Context, FromMessage};
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
    body: Body,
    limit: u64,
    in_use: Option<oneshot::Sender<Infallible>>,
}

impl PendingBody {
    /// `in_use` is dropped once the handler has read the body or abandoned it.
    pub(crate) fn new(body: Body, limit: usize, in_use: oneshot::Sender<Infallible>) -> PendingBody {
        PendingBody(Arc::new(Mutex::new(Some(StreamingBody {
            body,
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
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// Returns the number of bytes that [`chunk`](Upload::chunk) has returned so far.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Returns the content type of the request, with its parameters. Returns `None` if the header is missing or is not visible ASCII.
    pub fn media_type(&self) -> Option<&str> {
        self.media_type.as_deref()
    }

    /// Returns the next bytes of the body, or `None` at the end of the body.
    ///
    /// # Errors
    ///
    /// Returns an error if the body is incomplete, malformed, or exceeds the limit, or if the client stops sending. The upload cannot
    /// continue after an error.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, UploadError> {
        while let Some(frame) = self.body.frame().await {
            let Ok(bytes) = frame.map_err(UploadError::from_box)?.into_data() else {
                // Trailers.
                continue;
            };
            self.received += bytes.len() as u64;
            if self.received > self.limit {
                return Err(UploadError::TooLarge);
            }
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
    /// An upload that Mongrel2 has written to a file is moved instead of copied, if it is on the same file system and nothing has been
    /// read from it. If the upload fails, the incomplete file is removed.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`chunk`](Upload::chunk), and [`UploadError::Io`] if the file exists already or cannot be written.
    pub async fn save(mut self, path: impl AsRef<Path>) -> Result<u64, UploadError> {
        use tokio::io::AsyncWriteExt;
        let path = path.as_ref();
        // Once bytes have been read, the rest has to be copied: moving would include the bytes that were read.
        let received_before = self.received;
        if received_before == 0
            && let Some(file) = self.file.take()
            && let Some(size) = file.save(path, self.limit).await?
        {
            return Ok(size);
        }
        let file = tokio::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(path)
            .await?;
        let incomplete = IncompleteFile(path);
        let mut file = tokio::io::BufWriter::with_capacity(WRITE_BUFFER_BYTES, file);
        while let Some(bytes) = self.chunk().await? {
            file.write_all(&bytes).await?;
        }
        file.flush().await?;
        std::mem::forget(incomplete);
        Ok(self.received - received_before)
    }

    /// Converts the rest of the upload into a [`Body`], for example to forward it. The limit does not apply to the body.
    pub fn into_body(self) -> Body {
        let Some(in_use) = self.in_use else {
            return self.body;
        };
        Body::new(self.body.map_frame(move |frame| {
            // Moves `in_use` into the closure, so that it is dropped with the body.
            let _ = &in_use;
            frame
        }))
    }
}

/// Removes a file on drop. [`Upload::save`] forgets the value once the file is complete.
struct IncompleteFile<'p>(&'p Path);

impl Drop for IncompleteFile<'_> {
    fn drop(&mut self) {
        // The upload has failed already, and its error is the one to report.
        let _ = std::fs::remove_file(self.0);
    }
}

impl<S: Send + Sync + 'static> FromMessage<S> for Upload {
    type Rejection = Rejection;

    const STREAMS: bool = true;

    async fn from_message(cx: &Context<S>) -> Result<Upload, Rejection> {
        let message = cx.message();
        let pending = message.extension::<PendingBody>().map(PendingBody::take);
        let StreamingBody { body, limit, in_use } = match pending {
            Some(Some(streaming)) => streaming,
            Some(None) => {
                let reason = "another argument has taken the body";
                return Err(Rejection::new(Status::INTERNAL_SERVER_ERROR, reason));
            }
            None => body_in_memory(message),
        };
        let length = body.size_hint().exact();
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
        limit: u64::MAX,
        in_use: None,
    }
}

/// Errors of an [`Upload`].
///
/// As a reply, the status is 413, 408, 400 or 500, in the order of the variants.
///
/// ```
/// use brubeck::{IntoReply, UploadError};
///
/// assert_eq!(UploadError::TooLarge.into_reply().status().code(), 413);
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum UploadError {
    /// The body exceeds the limit.
    TooLarge,
    /// The client sent nothing for the body timeout of the embedded server, 10 seconds by default.
    TimedOut,
    /// The body is incomplete or malformed.
    Broken(BoxError),
    /// The upload could not be written to the file of [`Upload::save`].
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
        match error.downcast::<BodyError>() {
            Ok(error) => match *error {
                BodyError::TooLarge => UploadError::TooLarge,
                BodyError::TimedOut => UploadError::TimedOut,
                BodyError::Broken(error) => UploadError::Broken(error),
            },
            Err(error) => UploadError::Broken(error),
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
