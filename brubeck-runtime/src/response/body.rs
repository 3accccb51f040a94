//! The body of an HTTP message: whole, or still coming.

use bytes::Bytes;
use futures_util::stream::{Stream, StreamExt};
use http_body::{Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use std::any::Any;
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Any error, as bodies and layers have it.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// The body of an HTTP request or response: whole in memory, or a stream.
///
/// ```
/// use brubeck::Body;
/// use futures_util::stream;
///
/// let whole = Body::from("hello");
/// let parts = Body::from_stream(stream::iter(["hel", "lo"].map(Ok::<_, std::io::Error>)));
///
/// assert_eq!(whole.bytes().unwrap(), "hello");
/// assert!(parts.bytes().is_none());
/// # futures_util::FutureExt::now_or_never(async move {
/// assert_eq!(parts.collect(100).await.unwrap(), "hello");
/// # }).unwrap();
/// ```
///
/// It is an [`http_body::Body`], so every layer and service of the tower world takes it.
#[derive(Default)]
pub struct Body(Inner);

#[derive(Default)]
enum Inner {
    #[default]
    Empty,
    Whole(Bytes),
    Stream(UnsyncBoxBody<Bytes, BoxError>),
}

/// Why a body could not be read.
///
/// ```
/// use brubeck::{Body, BodyError};
///
/// # futures_util::FutureExt::now_or_never(async move {
/// assert!(matches!(Body::from("hello").collect(4).await, Err(BodyError::TooLarge)));
/// # }).unwrap();
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum BodyError {
    /// It has more bytes than are taken.
    TooLarge,
    /// It stopped coming.
    TimedOut,
    /// It broke off, or its transfer coding is wrong.
    Broken(BoxError),
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BodyError::TooLarge => "the body is too large",
            BodyError::TimedOut => "the body did not come in time",
            BodyError::Broken(_) => "the body is malformed",
        })
    }
}

impl Error for BodyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            BodyError::Broken(error) => Some(&**error),
            BodyError::TooLarge | BodyError::TimedOut => None,
        }
    }
}

impl Body {
    /// No content.
    pub fn empty() -> Body {
        Body(Inner::Empty)
    }

    /// Any body of the `http_body` world.
    pub fn new<B>(body: B) -> Body
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let mut body = Some(body);
        // A body that is one of ours already is not boxed again.
        match (&mut body as &mut dyn Any)
            .downcast_mut::<Option<Body>>()
            .and_then(Option::take)
        {
            Some(own) => own,
            None => body.map_or_else(Body::empty, |body| {
                Body(Inner::Stream(body.map_err(Into::into).boxed_unsync()))
            }),
        }
    }

    /// A body that comes piece by piece. After an error the connection is cut, so that the client sees that
    /// something is missing.
    pub fn from_stream<S, D, E>(stream: S) -> Body
    where
        S: Stream<Item = Result<D, E>> + Send + 'static,
        D: Into<Bytes>,
        E: Into<BoxError>,
    {
        let frames = stream.map(|piece| piece.map(|data| Frame::data(data.into())).map_err(Into::into));
        Body(Inner::Stream(StreamBody::new(frames).boxed_unsync()))
    }

    /// The bytes of a body that is whole; `None` for a stream.
    pub fn bytes(&self) -> Option<&Bytes> {
        static NONE: Bytes = Bytes::new();
        match &self.0 {
            Inner::Empty => Some(&NONE),
            Inner::Whole(bytes) => Some(bytes),
            Inner::Stream(_) => None,
        }
    }

    /// All of it, if it has no more than `limit` bytes; a body that says beforehand that it has more is not read.
    ///
    /// # Errors
    ///
    /// [`BodyError`] says why not.
    pub async fn collect(mut self, limit: usize) -> Result<Bytes, BodyError> {
        let announced = http_body::Body::size_hint(&self).lower();
        if usize::try_from(announced).map_or(true, |length| length > limit) {
            return Err(BodyError::TooLarge);
        }
        if let Inner::Empty | Inner::Whole(_) = self.0 {
            return Ok(self.bytes().cloned().unwrap_or_default());
        }
        let mut all = Pieces::Empty;
        while let Some(frame) = self.frame().await {
            if let Ok(data) = frame.map_err(BodyError::from_box)?.into_data() {
                if data.len() > limit.saturating_sub(all.len()) {
                    return Err(BodyError::TooLarge);
                }
                all = all.and(data);
            }
        }
        Ok(all.into_bytes())
    }
}

impl BodyError {
    fn from_box(error: BoxError) -> BodyError {
        let error = match error.downcast::<BodyError>() {
            Ok(known) => return *known,
            Err(error) => error,
        };
        match error.is::<http_body_util::LengthLimitError>() {
            true => BodyError::TooLarge,
            false => BodyError::Broken(error),
        }
    }
}

/// Most bodies come in one piece, which is then not copied.
enum Pieces {
    Empty,
    One(Bytes),
    Many(Vec<u8>),
}

impl Pieces {
    fn and(self, data: Bytes) -> Pieces {
        let mut all = match self {
            Pieces::Empty => return Pieces::One(data),
            Pieces::One(first) => first.to_vec(),
            Pieces::Many(all) => all,
        };
        all.extend_from_slice(&data);
        Pieces::Many(all)
    }

    fn len(&self) -> usize {
        match self {
            Pieces::Empty => 0,
            Pieces::One(bytes) => bytes.len(),
            Pieces::Many(bytes) => bytes.len(),
        }
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Pieces::Empty => Bytes::new(),
            Pieces::One(bytes) => bytes,
            Pieces::Many(bytes) => bytes.into(),
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Inner::Stream(stream) = &mut self.0 {
            let frame = ready!(Pin::new(stream).poll_frame(cx));
            return Poll::Ready(frame);
        }
        Poll::Ready(match std::mem::take(&mut self.0) {
            Inner::Whole(bytes) if !bytes.is_empty() => Some(Ok(Frame::data(bytes))),
            _ => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Inner::Empty => true,
            Inner::Whole(bytes) => bytes.is_empty(),
            Inner::Stream(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Inner::Empty => SizeHint::with_exact(0),
            Inner::Whole(bytes) => SizeHint::with_exact(u64::try_from(bytes.len()).unwrap_or(u64::MAX)),
            Inner::Stream(stream) => stream.size_hint(),
        }
    }
}

/// A function over the frames of a body: it sees each poll and decides what becomes of it.
pub(crate) trait FrameTap<E>: Unpin {
    /// Passes a poll on, changed or unchanged. `ended` tells that no frame follows.
    fn poll(
        &mut self,
        polled: Poll<Option<Result<Frame<Bytes>, E>>>,
        ended: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>>;

    /// The size that the body is said to have.
    fn size_hint(&self, hint: SizeHint) -> SizeHint {
        hint
    }
}

/// A body whose frames pass through a [`FrameTap`].
pub(crate) struct TappedBody<B, T> {
    pub(crate) body: B,
    pub(crate) tap: T,
}

impl<B, T> http_body::Body for TappedBody<B, T>
where
    B: http_body::Body<Data = Bytes> + Unpin,
    T: FrameTap<B::Error>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let TappedBody { body, tap } = &mut *self;
        let polled = Pin::new(&mut *body).poll_frame(cx);
        tap.poll(polled, body.is_end_stream(), cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.tap.size_hint(self.body.size_hint())
    }
}

macro_rules! from {
    ($($source:ty),*) => { $(
        impl From<$source> for Body {
            fn from(content: $source) -> Body {
                Body(Inner::Whole(content.into()))
            }
        }
    )* };
}

from!(Bytes, Vec<u8>, String, &'static str);

/// Sizes instead of contents: a body may hold a secret.
impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Inner::Empty => f.write_str("Body(empty)"),
            Inner::Whole(bytes) => write!(f, "Body({} bytes)", bytes.len()),
            Inner::Stream(_) => f.write_str("Body(stream)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;
    use http_body_util::Full;

    fn parts(parts: &'static [&'static str]) -> Body {
        Body::from_stream(stream::iter(
            parts.iter().map(|part| Ok::<_, std::io::Error>(*part)),
        ))
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_its_limit() {
        assert_eq!(parts(&["hel", "", "lo"]).collect(5).await.unwrap(), "hello");
        assert!(matches!(
            parts(&["hel", "lo"]).collect(4).await,
            Err(BodyError::TooLarge)
        ));
        assert!(matches!(
            Body::from("hello").collect(4).await,
            Err(BodyError::TooLarge)
        ));
        assert_eq!(Body::from("hello").collect(5).await.unwrap(), "hello");
        assert_eq!(Body::empty().collect(0).await.unwrap(), "");
    }

    #[tokio::test]
    async fn an_error_in_the_middle_is_an_error() {
        let broken = stream::iter([Ok("hel"), Err(std::io::Error::other("cut"))]);
        assert!(matches!(
            Body::from_stream(broken).collect(10).await,
            Err(BodyError::Broken(_))
        ));
        let late = stream::iter([Ok::<_, BoxError>("hel"), Err(BodyError::TimedOut.into())]);
        assert!(matches!(
            Body::from_stream(late).collect(10).await,
            Err(BodyError::TimedOut)
        ));
    }

    #[test]
    fn our_own_bodies_are_not_boxed_again() {
        assert_eq!(Body::new(Body::from("hello")).bytes().unwrap(), "hello");
        assert!(Body::new(Full::new(Bytes::from("hello"))).bytes().is_none());
    }
}
