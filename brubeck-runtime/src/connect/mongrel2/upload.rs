//! Bodies that Mongrel2 writes to a file or sends in parts.

use super::event::Event;
use super::socket::Link;
use crate::reply::{Body, BodyError, BoxError};
use crate::upload::{Stored, Waiting};
use crate::websocket::Seat as Ticket;
use crate::wire::mongrel2::Headers;
use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use tokio::sync::oneshot;

/// How many bytes may come before the handler has read those before.
const WINDOW: u32 = 256 << 10;
/// The longest body that Mongrel2 can count.
const LONGEST: u64 = (1 << 31) - 1;
const START: &str = "x-mongrel2-upload-start";
const DONE: &str = "x-mongrel2-upload-done";

/// Where Mongrel2 writes uploads: its setting `upload.temp_store`, and where that is for this process.
#[derive(Clone, Debug)]
pub(super) struct Store {
    /// What names begin with, as Mongrel2 writes them.
    prefix: String,
    /// The folder of the files, as this process sees it.
    folder: PathBuf,
}

/// What the special headers of a request say of its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Announced {
    /// It is within the message.
    Whole,
    /// Mongrel2 begins to write it to a file, or has done so.
    File { name: String, path: PathBuf, done: bool },
    /// It comes in parts.
    Parts { offset: u64, last: bool },
    /// It is too large, and there is nowhere to put it.
    Nowhere,
}

impl Store {
    /// `template` is the setting, which ends in `XXXXXX`; `folder` is where its folder is for this process.
    pub(super) fn new(template: &str, folder: Option<PathBuf>) -> Option<Store> {
        let prefix = template.strip_suffix("XXXXXX")?.to_owned();
        let folder = match folder {
            Some(folder) => folder,
            None => Path::new(template).parent()?.to_owned(),
        };
        Some(Store { prefix, folder })
    }

    /// Where the file of this name is, if Mongrel2 can have made it.
    fn path(&self, name: &str) -> Option<PathBuf> {
        let made_up = name.strip_prefix(&self.prefix)?;
        let fits = made_up.len() == 6 && made_up.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let file = Path::new(name).file_name()?;
        fits.then(|| self.folder.join(file))
    }
}

/// The number of a content length that Mongrel2 takes for what it is; `Err` where it does not.
pub(super) fn length(headers: &Headers) -> Result<Option<u64>, ()> {
    let mut values = headers.get_all("content-length");
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() || value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(());
    }
    let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
    number.filter(|length| *length <= LONGEST).map(Some).ok_or(())
}

/// Reads the special headers. Any client can send those of files, so they are believed only where Mongrel2 itself must
/// have written them: with such a length it either puts the body into the message or replaces both headers.
pub(super) fn announced(headers: &Headers, body: &[u8], store: Option<&Store>) -> Announced {
    if let Some(offset) = headers.upload_stream() {
        return Announced::Parts {
            offset,
            last: headers.upload_stream_done(),
        };
    }
    let single = |name: &str| {
        let mut values = headers.get_all(name);
        let value = std::str::from_utf8(values.next()?).ok()?;
        values.next().is_none().then_some(value)
    };
    let Some(name) = single(START).filter(|_| body.is_empty()) else {
        return Announced::Whole;
    };
    let counted = match length(headers) {
        Ok(Some(length)) => length > 0,
        Ok(None) => single("transfer-encoding") == Some("chunked"),
        Err(()) => false,
    };
    if !counted {
        return Announced::Whole;
    }
    let Some(store) = store else { return Announced::Nowhere };
    match store.path(name) {
        Some(path) => Announced::File {
            name: name.to_owned(),
            path,
            done: single(DONE) == Some(name),
        },
        None => Announced::Nowhere,
    }
}

/// Whether this header is one that Mongrel2 uses for uploads, so that applications must not see what a client says.
pub(super) fn is_special(name: &[u8]) -> bool {
    name == START.as_bytes() || name == DONE.as_bytes()
}

/// An upload that is coming, as the loop keeps it.
#[derive(Debug)]
pub(super) enum Upload {
    /// Into this file.
    File {
        name: String,
        length: Option<u64>,
        tell: Option<oneshot::Sender<Stored>>,
    },
    /// In parts.
    Parts(Arc<Mutex<Parts>>),
}

impl Upload {
    /// An upload that goes into a file, its body, and what moves the file.
    pub(super) fn file(name: String, length: Option<u64>) -> (Upload, Body, Waiting) {
        let (tell, waiting) = Waiting::new();
        let upload = Upload::File {
            name,
            length,
            tell: Some(tell),
        };
        let body = Body::new(Sized {
            body: waiting.clone().body(),
            length,
        });
        (upload, body, waiting)
    }

    /// An upload that comes in parts, of which this is the first.
    pub(super) fn parts(
        ticket: Ticket,
        length: Option<u64>,
        first: &Bytes,
        last: bool,
        link: Arc<Link>,
    ) -> (Upload, Body) {
        let parts = Arc::new(Mutex::new(Parts {
            bytes: BytesMut::new(),
            left: length,
            end: None,
            waker: None,
        }));
        let upload = Upload::Parts(parts.clone());
        upload.part(first, last);
        let body = Body::new(Sized {
            body: Body::new(PartsBody {
                parts,
                ticket,
                link,
                asked: last,
            }),
            length,
        });
        (upload, body)
    }

    /// A part came.
    pub(super) fn part(&self, bytes: &Bytes, last: bool) {
        if let Upload::Parts(parts) = self {
            parts.lock().unwrap_or_else(PoisonError::into_inner).add(bytes, last);
        }
    }

    /// The file was written. Whoever drops what comes back removes the file.
    pub(super) fn written(&mut self, path: PathBuf) -> std::io::Result<()> {
        let Upload::File { length, tell, .. } = self else { return Ok(()) };
        let stored = Stored::open(path, *length)?;
        if let Some(tell) = tell.take() {
            // A handler that has answered already does not want it any more, and drops it.
            let _ = tell.send(stored);
        }
        Ok(())
    }

    /// Whether it is the upload into this file.
    pub(super) fn is_file(&self, of: &str) -> bool {
        matches!(self, Upload::File { name, .. } if name == of)
    }
}

/// An upload that is forgotten has broken off, unless it was whole.
impl Drop for Upload {
    fn drop(&mut self) {
        if let Upload::Parts(parts) = self {
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
pub(super) struct Parts {
    bytes: BytesMut,
    /// How much is still to come; behind it stands the next request of the client.
    left: Option<u64>,
    end: Option<Result<(), BodyError>>,
    waker: Option<Waker>,
}

impl Parts {
    fn add(&mut self, bytes: &Bytes, last: bool) {
        if self.end.is_some() {
            return;
        }
        let many = match self.left {
            Some(left) => usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len())),
            None => bytes.len(),
        };
        self.bytes.extend_from_slice(bytes.get(..many).unwrap_or_default());
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

/// The body of an upload that comes in parts. The client is asked for more only as it is read.
struct PartsBody {
    parts: Arc<Mutex<Parts>>,
    ticket: Ticket,
    link: Arc<Link>,
    asked: bool,
}

impl PartsBody {
    fn allow(&self, bytes: u32) {
        self.link.tell(Event::Allow {
            ticket: self.ticket.clone(),
            bytes,
        });
    }
}

impl http_body::Body for PartsBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let (bytes, ended) = {
            let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
            let bytes = parts.bytes.split().freeze();
            if bytes.is_empty() {
                match parts.end.take() {
                    Some(end) => {
                        parts.end = Some(Ok(()));
                        return Poll::Ready(end.err().map(|error| Err(error.into())));
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
            false => Poll::Ready(Some(Ok(Frame::data(bytes)))),
        }
    }
}

/// A body whose length the client announced.
struct Sized {
    body: Body,
    length: Option<u64>,
}

impl http_body::Body for Sized {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let (Poll::Ready(Some(Ok(frame))), Some(length)) = (&polled, self.length) {
            let size = frame.data_ref().map_or(0, |data| data.len() as u64);
            self.length = Some(length.saturating_sub(size));
        }
        polled
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> Store {
        Store::new("/uploads/u.XXXXXX", None).unwrap()
    }

    #[track_caller]
    fn forged(headers: &[(&'static str, &'static str)], body: &[u8]) {
        let headers: Headers = headers.iter().copied().collect();
        let announced = announced(&headers, body, Some(&store()));
        assert!(matches!(announced, Announced::Whole | Announced::Nowhere), "{announced:?}");
    }

    const NAME: &str = "/uploads/u.aB3xYz";

    #[test]
    fn what_mongrel2_says_is_believed() {
        let read = |headers: &[(&'static str, &'static str)]| {
            announced(&headers.iter().copied().collect(), b"", Some(&store()))
        };
        let file = |done| Announced::File {
            name: NAME.into(),
            path: NAME.into(),
            done,
        };
        assert_eq!(read(&[(START, NAME), ("content-length", "30000")]), file(false));
        assert_eq!(read(&[(START, NAME), ("transfer-encoding", "chunked")]), file(false));
        assert_eq!(read(&[(START, NAME), (DONE, NAME), ("content-length", "30000")]), file(true));
        // The client made this one up; the file is only begun.
        assert_eq!(read(&[(START, NAME), (DONE, "/etc/passwd"), ("content-length", "9")]), file(false));
        assert_eq!(
            read(&[("UPLOAD_STREAM", "100"), ("UPLOAD_STREAM_DONE", "1")]),
            Announced::Parts { offset: 100, last: true }
        );
    }

    #[test]
    fn what_a_client_says_is_not() {
        forged(&[(START, NAME), (DONE, NAME)], b"");
        forged(&[(START, NAME), (DONE, NAME), ("content-length", "0")], b"");
        forged(&[(START, NAME), (DONE, NAME), ("content-length", "99999999999")], b"");
        forged(&[(START, NAME), (DONE, NAME), ("content-length", "5x")], b"");
        forged(&[(START, NAME), (DONE, NAME), ("content-length", "+5")], b"");
        forged(&[(START, NAME), (DONE, NAME), ("content-length", "5"), ("content-length", "5")], b"");
        forged(&[(START, NAME), (DONE, NAME), ("content-length", "5")], b"hello");
        forged(&[(START, NAME), (DONE, NAME), ("transfer-encoding", "Chunked")], b"");
        forged(&[(START, NAME), (START, NAME), (DONE, NAME), ("content-length", "5")], b"");
        for name in [
            "/etc/passwd",
            "/uploads/u.aB3xY",
            "/uploads/u.aB3xYzz",
            "/uploads/u.../..",
            "/uploads/u.a/../b",
            "/uploads/../u.aB3xYz",
            "u.aB3xYz",
        ] {
            let headers: Headers = [(START, name), (DONE, name), ("content-length", "5")].into_iter().collect();
            assert_eq!(announced(&headers, b"", Some(&store())), Announced::Nowhere, "{name}");
        }
    }

    #[test]
    fn the_folder_may_lie_elsewhere_for_us() {
        let store = Store::new("tmp/u.XXXXXX", Some("/srv/m2/tmp".into())).unwrap();
        assert_eq!(store.path("tmp/u.abcdef"), Some("/srv/m2/tmp/u.abcdef".into()));
        assert!(Store::new("/uploads/u", None).is_none());
    }

    #[test]
    fn parts_are_clipped_to_what_was_announced() {
        let (tell, _told) = tokio::sync::mpsc::channel(8);
        let ticket = Ticket {
            connection: "7".into(),
            serial: 1,
            number: 0,
        };
        let (upload, body) = Upload::parts(ticket, Some(8), &"hello".into(), false, Arc::new(Link(tell)));
        upload.part(&"abcGET /next".into(), false);
        let all = futures_util::FutureExt::now_or_never(body.collect(100)).unwrap();
        assert_eq!(all.unwrap(), "helloabc");
    }
}
