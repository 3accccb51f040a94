//! Bodies too large for memory: they are handed to the handler while they come.

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

/// The body of a request while it comes, however large it is.
///
/// ```
/// use brubeck::prelude::*;
///
/// #[post("^/photo$")]
/// async fn photo(mut upload: Upload) -> Result<String, UploadError> {
///     let mut size = 0;
///     while let Some(piece) = upload.chunk().await? {
///         size += piece.len();
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
/// It is one and the same whether the body came within a message, streams through Mongrel2 or the embedded server, or
/// was written to a file by Mongrel2. The handler runs as soon as the head of the request is there, and a client is
/// slowed down while the handler does not read. More than the body limit of the route, which is that of the application
/// unless [`Limits`](crate::Limits) say otherwise, is answered with 413. What the handler leaves unread is not taken: the
/// connection is closed behind its answer.
pub struct Upload {
    body: Body,
    stored: Option<PendingFile>,
    limit: u64,
    length: Option<u64>,
    received: u64,
    /// Dropped when all is read.
    reading: Option<oneshot::Sender<Infallible>>,
    media_type: Option<String>,
}

/// A body that is still to come, until a handler takes it.
#[derive(Clone)]
pub(crate) struct PendingBody(Arc<Mutex<Option<StreamingBody>>>);

struct StreamingBody {
    body: Body,
    limit: u64,
    reading: Option<oneshot::Sender<Infallible>>,
}

impl PendingBody {
    /// `reading` is dropped once the handler has read the body, or has left it.
    pub(crate) fn new(body: Body, limit: usize, reading: oneshot::Sender<Infallible>) -> PendingBody {
        PendingBody(Arc::new(Mutex::new(Some(StreamingBody {
            body,
            limit: u64::try_from(limit).unwrap_or(u64::MAX),
            reading: Some(reading),
        }))))
    }

    fn take(&self) -> Option<StreamingBody> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Upload {
    /// How many bytes the client announced; `None` where it sends chunks.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// How many bytes came so far.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// The media type that the client gave.
    pub fn media_type(&self) -> Option<&str> {
        self.media_type.as_deref()
    }

    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    ///
    /// [`UploadError`]: it broke off, or is larger than what is taken.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, UploadError> {
        while let Some(frame) = self.body.frame().await {
            let Ok(bytes) = frame.map_err(UploadError::from_box)?.into_data() else {
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
        self.reading = None;
        match self.length {
            Some(length) if self.received < length => Err(UploadError::Broken("it ended early".into())),
            _ => Ok(None),
        }
    }

    /// All of it, in memory.
    ///
    /// # Errors
    ///
    /// As [`chunk`](Upload::chunk).
    pub async fn bytes(mut self) -> Result<Bytes, UploadError> {
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

    /// Writes it to a file that is not there yet, and says how many bytes it has. A file that Mongrel2 wrote is moved
    /// where that is possible. What was written of an upload that breaks off is removed.
    ///
    /// # Errors
    ///
    /// As [`chunk`](Upload::chunk), and [`UploadError::Io`]: the file is there already, or cannot be written.
    pub async fn save(mut self, path: impl AsRef<Path>) -> Result<u64, UploadError> {
        use tokio::io::AsyncWriteExt;
        let path = path.as_ref();
        if self.received == 0
            && let Some(stored) = self.stored.take()
            && let Some(size) = stored.save(path, self.limit).await?
        {
            return Ok(size);
        }
        let file = tokio::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(path)
            .await?;
        let unfinished = Unfinished(path);
        let mut file = tokio::io::BufWriter::with_capacity(256 << 10, file);
        while let Some(bytes) = self.chunk().await? {
            file.write_all(&bytes).await?;
        }
        file.flush().await?;
        std::mem::forget(unfinished);
        Ok(self.received)
    }

    /// The rest of it as a body, for whoever takes one.
    pub fn into_body(self) -> Body {
        let Some(reading) = self.reading else {
            return self.body;
        };
        Body::new(self.body.map_frame(move |frame| {
            // Dropped with the body.
            let _ = &reading;
            frame
        }))
    }
}

/// Removes a file that was not written to its end.
struct Unfinished<'p>(&'p Path);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        // It may have been removed by somebody else.
        let _ = std::fs::remove_file(self.0);
    }
}

impl<S: Send + Sync + 'static> FromMessage<S> for Upload {
    type Rejection = Rejection;

    const STREAMS: bool = true;

    async fn from_message(cx: &Context<S>) -> Result<Upload, Rejection> {
        let message = cx.message();
        let arriving = message.extension::<PendingBody>().map(PendingBody::take);
        let StreamingBody { body, limit, reading } = match arriving {
            Some(Some(taken)) => taken,
            Some(None) => {
                let reason = "the body is taken by another argument already";
                return Err(Rejection::new(Status::INTERNAL_SERVER_ERROR, reason));
            }
            None => whole(message),
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
            stored: message.extension::<PendingFile>().cloned(),
            limit,
            length,
            received: 0,
            reading,
            media_type: media_type.map(str::to_owned),
        })
    }
}

/// Messages of other applications are whole.
fn whole(message: &Message) -> StreamingBody {
    StreamingBody {
        body: Body::from(message.body().clone()),
        limit: u64::MAX,
        reading: None,
    }
}

/// Why an upload could not be read; as a reply 413, 408, 400 or 500.
///
/// ```
/// use brubeck::{IntoReply, UploadError};
///
/// assert_eq!(UploadError::TooLarge.into_reply().status().code(), 413);
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum UploadError {
    /// It has more bytes than are taken.
    TooLarge,
    /// It stopped coming.
    TimedOut,
    /// It broke off, or is malformed.
    Broken(BoxError),
    /// It could not be written.
    Io(io::Error),
}

impl UploadError {
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
        f.write_str(match self {
            UploadError::TooLarge => "the upload is too large",
            UploadError::TimedOut => "the upload stopped coming",
            UploadError::Broken(_) => "the upload broke off",
            UploadError::Io(_) => "the upload could not be stored",
        })
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
                tracing::error!(%error, "an upload could not be stored");
                500
            }
        };
        Problem::new(code, self.to_string()).into_reply()
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Upload({} of {:?} bytes)", self.received, self.length)
    }
}
