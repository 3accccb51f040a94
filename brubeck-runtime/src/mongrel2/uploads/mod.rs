//! Bodies that Mongrel2 writes to a file or sends in parts.

pub(super) mod body_location;

use super::front_end::websocket::{FrontEndEvent, FrontEndHandle};
use crate::extract::{PendingFile, SpooledFile};
use crate::response::{Body, BodyError, BoxError, FrameTap, TappedBody};
use crate::websocket::ClientId as Ticket;
use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use http_body::{Frame, SizeHint};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use tokio::sync::oneshot;

/// How many bytes may come before the handler has read those before.
const WINDOW: u32 = 256 << 10;

/// An upload that is coming, as the loop keeps it.
#[derive(Debug)]
pub(in crate::mongrel2) enum IncomingUpload {
    /// Into this file.
    File {
        name: String,
        length: Option<u64>,
        tell: Option<oneshot::Sender<SpooledFile>>,
    },
    /// In parts.
    Streamed(Arc<Mutex<StreamedUpload>>),
}

impl IncomingUpload {
    /// An upload that goes into a file, its body, and what moves the file.
    pub(in crate::mongrel2) fn file(
        name: String,
        length: Option<u64>,
    ) -> (IncomingUpload, Body, PendingFile) {
        let (tell, waiting) = PendingFile::new();
        let upload = IncomingUpload::File {
            name,
            length,
            tell: Some(tell),
        };
        let body = Body::new(TappedBody {
            body: waiting.clone().body(),
            tap: ContentLengthTap(length),
        });
        (upload, body, waiting)
    }

    /// An upload that comes in parts, of which this is the first.
    pub(in crate::mongrel2) fn parts(
        ticket: Ticket,
        length: Option<u64>,
        first: &Bytes,
        last: bool,
        link: Arc<FrontEndHandle>,
    ) -> (IncomingUpload, Body) {
        let parts = Arc::new(Mutex::new(StreamedUpload {
            bytes: BytesMut::new(),
            left: length,
            end: None,
            waker: None,
        }));
        let upload = IncomingUpload::Streamed(parts.clone());
        upload.part(first, last);
        let body = Body::new(TappedBody {
            body: Body::from_stream(UploadStream {
                parts,
                ticket,
                link,
                asked: last,
            }),
            tap: ContentLengthTap(length),
        });
        (upload, body)
    }

    /// A part came.
    pub(in crate::mongrel2) fn part(&self, bytes: &Bytes, last: bool) {
        if let IncomingUpload::Streamed(parts) = self {
            parts
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .add(bytes, last);
        }
    }

    /// The file was written. Whoever drops what comes back removes the file.
    pub(in crate::mongrel2) fn written(&mut self, path: PathBuf) -> std::io::Result<()> {
        let IncomingUpload::File { length, tell, .. } = self else {
            return Ok(());
        };
        let stored = SpooledFile::open(path, *length)?;
        if let Some(tell) = tell.take() {
            // A handler that has answered already does not want it any more, and drops it.
            let _ = tell.send(stored);
        }
        Ok(())
    }

    /// Whether it is the upload into this file.
    pub(in crate::mongrel2) fn is_file(&self, of: &str) -> bool {
        matches!(self, IncomingUpload::File { name, .. } if name == of)
    }
}

/// An upload that is forgotten has broken off, unless it was whole.
impl Drop for IncomingUpload {
    fn drop(&mut self) {
        if let IncomingUpload::Streamed(parts) = self {
            let mut parts = parts.lock().unwrap_or_else(PoisonError::into_inner);
            if parts.end.is_none() {
                parts.end = Some(Err(BodyError::Broken("the client went away".into())));
                parts.wake();
            }
        }
    }
}

/// What came of an upload and was not read yet.
#[derive(Debug)]
pub(in crate::mongrel2) struct StreamedUpload {
    bytes: BytesMut,
    /// How much is still to come; behind it stands the next request of the client.
    left: Option<u64>,
    end: Option<Result<(), BodyError>>,
    waker: Option<Waker>,
}

impl StreamedUpload {
    fn add(&mut self, bytes: &Bytes, last: bool) {
        if self.end.is_some() {
            return;
        }
        let many = match self.left {
            Some(left) => usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len())),
            None => bytes.len(),
        };
        self.bytes
            .extend_from_slice(bytes.get(..many).unwrap_or_default());
        self.left = self.left.map(|left| left.saturating_sub(many as u64));
        if last || self.left == Some(0) {
            self.end = Some(match self.left {
                Some(left) if left > 0 => Err(BodyError::Broken("it ended early".into())),
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

/// An upload that comes in parts. The client is asked for more only as it is read.
struct UploadStream {
    parts: Arc<Mutex<StreamedUpload>>,
    ticket: Ticket,
    link: Arc<FrontEndHandle>,
    asked: bool,
}

impl UploadStream {
    fn allow(&self, bytes: u32) {
        self.link.tell(FrontEndEvent::Allow {
            ticket: self.ticket.clone(),
            bytes,
        });
    }
}

impl Stream for UploadStream {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let (bytes, ended) = {
            let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
            let bytes = parts.bytes.split().freeze();
            if bytes.is_empty() {
                match parts.end.take() {
                    Some(end) => {
                        parts.end = Some(Ok(()));
                        return Poll::Ready(end.err().map(Err));
                    }
                    None => parts.waker = Some(cx.waker().clone()),
                }
            }
            (bytes, parts.end.is_some())
        };
        if !self.asked {
            self.asked = true;
            self.allow(WINDOW);
        } else if !bytes.is_empty() && !ended {
            self.allow(u32::try_from(bytes.len()).unwrap_or(WINDOW));
        }
        match bytes.is_empty() {
            true => Poll::Pending,
            false => Poll::Ready(Some(Ok(bytes))),
        }
    }
}

/// Tells the length that the client announced, less what was read.
struct ContentLengthTap(Option<u64>);

impl FrameTap<BoxError> for ContentLengthTap {
    fn poll(
        &mut self,
        polled: Poll<Option<Result<Frame<Bytes>, BoxError>>>,
        _: bool,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let (Poll::Ready(Some(Ok(frame))), Some(length)) = (&polled, self.0) {
            let size = frame.data_ref().map_or(0, |data| data.len() as u64);
            self.0 = Some(length.saturating_sub(size));
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
    fn parts_are_clipped_to_what_was_announced() {
        let (tell, _told) = tokio::sync::mpsc::channel(8);
        let ticket = Ticket {
            connection: "7".into(),
            serial: 1,
            number: 0,
        };
        let (upload, body) = IncomingUpload::parts(
            ticket,
            Some(8),
            &"hello".into(),
            false,
            Arc::new(FrontEndHandle(tell)),
        );
        upload.part(&"abcGET /next".into(), false);
        let all = futures_util::FutureExt::now_or_never(body.collect(100)).unwrap();
        assert_eq!(all.unwrap(), "helloabc");
    }
}
