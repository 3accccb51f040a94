//! Request bodies that Mongrel2 writes to a file or sends in parts.

pub(super) mod body_location;

use super::front_end::events::{FrontEndEvent, FrontEndHandle};
use crate::extract::{PendingFile, SpooledFile};
use crate::response::{Body, BodyError, BoxError, FrameTap, TappedBody};
use crate::websocket::ClientId;
use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use http_body::{Frame, SizeHint};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use tokio::sync::oneshot;

/// Bytes of a streamed upload, after its first part, that may be received before the handler has read the preceding
/// ones.
const UPLOAD_WINDOW: u32 = 256 << 10;

/// An upload in progress, as the event loop stores it.
#[derive(Debug)]
pub(in crate::mongrel2) enum IncomingUpload {
    /// Mongrel2 writes the body to a file.
    File {
        name: String,
        content_length: Option<u64>,
        file_sender: Option<oneshot::Sender<SpooledFile>>,
    },
    /// Mongrel2 sends the body in parts.
    Streamed(Arc<Mutex<UploadBuffer>>),
}

impl IncomingUpload {
    /// Creates an upload to a file. Returns it with the request body, and with the extension through which the
    /// handler gets the file.
    pub(in crate::mongrel2) fn file(
        name: String,
        content_length: Option<u64>,
    ) -> (IncomingUpload, Body, PendingFile) {
        let (file_sender, pending_file) = PendingFile::new();
        let upload = IncomingUpload::File {
            name,
            content_length,
            file_sender: Some(file_sender),
        };
        let body = Body::new(TappedBody {
            body: pending_file.clone().body(),
            tap: RemainingLength(content_length),
        });
        (upload, body, pending_file)
    }

    /// Creates a streamed upload from its first part. Returns it with the request body.
    pub(in crate::mongrel2) fn streamed(
        client: ClientId,
        content_length: Option<u64>,
        first_part: &Bytes,
        is_last: bool,
        front_end: Arc<FrontEndHandle>,
    ) -> (IncomingUpload, Body) {
        let buffer = Arc::new(Mutex::new(UploadBuffer {
            bytes: BytesMut::new(),
            remaining: content_length,
            end: None,
            waker: None,
        }));
        let upload = IncomingUpload::Streamed(buffer.clone());
        upload.add_part(first_part, is_last);
        let body = Body::new(TappedBody {
            body: Body::from_stream(UploadStream {
                buffer,
                client,
                front_end,
                window_granted: is_last,
            }),
            tap: RemainingLength(content_length),
        });
        (upload, body)
    }

    /// Adds a part to a streamed upload. Does nothing if the upload is complete, or goes to a file.
    pub(in crate::mongrel2) fn add_part(&self, bytes: &Bytes, is_last: bool) {
        if let IncomingUpload::Streamed(buffer) = self {
            buffer
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .add(bytes, is_last);
        }
    }

    /// Passes the file, which Mongrel2 has finished writing, to the handler. Does nothing if the upload is streamed.
    ///
    /// # Errors
    /// Returns an error if the file cannot be opened.
    pub(in crate::mongrel2) fn finish_file(&mut self, path: PathBuf) -> std::io::Result<()> {
        let IncomingUpload::File {
            content_length,
            file_sender,
            ..
        } = self
        else {
            return Ok(());
        };
        let file = SpooledFile::open(path, *content_length)?;
        if let Some(file_sender) = file_sender.take() {
            // If the handler does not wait for the file any more, this drops it, which removes it.
            let _ = file_sender.send(file);
        }
        Ok(())
    }

    /// Returns `true` if this is the upload to the file `file_name`.
    pub(in crate::mongrel2) fn is_file(&self, file_name: &str) -> bool {
        matches!(self, IncomingUpload::File { name, .. } if name == file_name)
    }
}

/// Ends the request body with an error unless the upload was complete. For a file, dropping the sender does this.
impl Drop for IncomingUpload {
    fn drop(&mut self) {
        if let IncomingUpload::Streamed(buffer) = self {
            let mut buffer = buffer.lock().unwrap_or_else(PoisonError::into_inner);
            if buffer.end.is_none() {
                buffer.end = Some(Err(BodyError::Broken(
                    "the connection was closed before the upload was complete".into(),
                )));
                buffer.wake();
            }
        }
    }
}

/// The received bytes of a streamed upload that the handler has not read yet.
#[derive(Debug)]
pub(in crate::mongrel2) struct UploadBuffer {
    bytes: BytesMut,
    /// Bytes of the body that are still to be received, if the content length is known.
    remaining: Option<u64>,
    /// Set once the last part was received or the upload failed.
    end: Option<Result<(), BodyError>>,
    waker: Option<Waker>,
}

impl UploadBuffer {
    fn add(&mut self, bytes: &Bytes, is_last: bool) {
        if self.end.is_some() {
            return;
        }
        // Mongrel2 may append bytes of the client's next request to the last part, so clip it to the content length.
        let count = match self.remaining {
            Some(remaining) => usize::try_from(remaining).map_or(bytes.len(), |left| left.min(bytes.len())),
            None => bytes.len(),
        };
        self.bytes
            .extend_from_slice(bytes.get(..count).unwrap_or_default());
        self.remaining = self
            .remaining
            .map(|remaining| remaining.saturating_sub(count as u64));
        if is_last || self.remaining == Some(0) {
            self.end = Some(match self.remaining {
                Some(missing) if missing > 0 => Err(BodyError::Broken(
                    "the body is shorter than its content length".into(),
                )),
                _ => Ok(()),
            });
        }
        self.wake();
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// The body of a streamed upload. It grants the client credit for more bytes as the handler reads.
struct UploadStream {
    buffer: Arc<Mutex<UploadBuffer>>,
    client: ClientId,
    front_end: Arc<FrontEndHandle>,
    /// `true` once the first window was granted, or if the first part was the last one.
    window_granted: bool,
}

impl UploadStream {
    fn grant_credit(&self, bytes: u32) {
        self.front_end.send_event(FrontEndEvent::GrantUploadCredit {
            client: self.client.clone(),
            bytes,
        });
    }
}

impl Stream for UploadStream {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let (bytes, ended) = {
            let mut buffer = self.buffer.lock().unwrap_or_else(PoisonError::into_inner);
            let bytes = buffer.bytes.split().freeze();
            if bytes.is_empty() {
                match buffer.end.take() {
                    Some(end) => {
                        buffer.end = Some(Ok(()));
                        return Poll::Ready(end.err().map(Err));
                    }
                    None => buffer.waker = Some(cx.waker().clone()),
                }
            }
            (bytes, buffer.end.is_some())
        };
        // The first poll grants a whole window, so a handler that does not read its body receives nothing but the
        // first part. Later polls grant as many bytes as were read.
        if !self.window_granted {
            self.window_granted = true;
            self.grant_credit(UPLOAD_WINDOW);
        } else if !bytes.is_empty() && !ended {
            self.grant_credit(u32::try_from(bytes.len()).unwrap_or(UPLOAD_WINDOW));
        }
        if bytes.is_empty() {
            Poll::Pending
        } else {
            Poll::Ready(Some(Ok(bytes)))
        }
    }
}

/// Reports the content length, less the bytes that were read, as the size hint of a body.
struct RemainingLength(Option<u64>);

impl FrameTap<BoxError> for RemainingLength {
    fn poll(
        &mut self,
        polled: Poll<Option<Result<Frame<Bytes>, BoxError>>>,
        _: bool,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let (Poll::Ready(Some(Ok(frame))), Some(remaining)) = (&polled, self.0) {
            let size = frame.data_ref().map_or(0, |data| data.len() as u64);
            self.0 = Some(remaining.saturating_sub(size));
        }
        polled
    }

    fn size_hint(&self, _: SizeHint) -> SizeHint {
        self.0.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clips_streamed_upload_to_content_length() {
        let (events, _receiver) = tokio::sync::mpsc::channel(8);
        let client = ClientId {
            connection: "7".into(),
            serial: 1,
            number: 0,
        };
        let front_end = Arc::new(FrontEndHandle(events));
        let (upload, body) = IncomingUpload::streamed(client, Some(8), &"hello".into(), false, front_end);
        upload.add_part(&"abcGET /next".into(), false);
        let collected = futures_util::FutureExt::now_or_never(body.collect(100)).unwrap();
        assert_eq!(collected.unwrap(), "helloabc");
    }
}
