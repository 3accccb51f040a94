//! The body of an HTTP request or response: in memory or streamed.

use bytes::Bytes;
use futures_util::stream::{Stream, StreamExt};
use http_body::{Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, BodyStream, Limited, StreamBody};
use std::any::Any;
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// A boxed error of any type, as bodies and layers return it.
///
/// ```
/// fn broken() -> brubeck::BoxError {
///     "the stream is broken".into()
/// }
/// ```
pub type BoxError = Box<dyn Error + Send + Sync>;

/// The body of an HTTP request or response, either in memory or a stream.
///
/// ```
/// use brubeck::Body;
/// use futures_util::stream;
///
/// let in_memory = Body::from("hello");
/// let streamed = Body::from_stream(stream::iter(["hel", "lo"].map(Ok::<_, std::io::Error>)));
///
/// assert_eq!(in_memory.bytes().unwrap(), "hello");
/// assert!(streamed.bytes().is_none());
/// # futures_util::FutureExt::now_or_never(async move {
/// assert_eq!(streamed.collect(100).await.unwrap(), "hello");
/// # }).unwrap();
/// ```
///
/// It implements [`http_body::Body`], the trait that the layers and services of the tower ecosystem use for bodies. As a reply, it is a
/// 200 response with the content type `application/octet-stream`.
#[derive(Default)]
pub struct Body(Inner);

#[derive(Default)]
enum Inner {
    #[default]
    Empty,
    Full(Bytes),
    Stream(UnsyncBoxBody<Bytes, BoxError>),
    /// A stream that has no end of its own: it ends when the application drains.
    Endless(UnsyncBoxBody<Bytes, BoxError>),
}

/// The error of reading a [`Body`], as [`Body::collect`] returns it.
///
/// ```
/// use brubeck::{Body, BodyError};
///
/// # futures_util::FutureExt::now_or_never(async move {
/// match Body::from("hello").collect(4).await {
///     Err(BodyError::TooLarge) => {} // respond with 413
///     Err(error) => panic!("{error}"),
///     Ok(bytes) => panic!("{bytes:?}"),
/// }
/// # }).unwrap();
/// ```
///
/// If brubeck itself reads the body for a handler, it responds with 413, 408 or 400, in the order of the variants. The error of an
/// [`Upload`](crate::Upload) is an [`UploadError`](crate::UploadError), which is a reply.
#[derive(Debug)]
#[non_exhaustive]
pub enum BodyError {
    /// The body exceeds the limit: that of [`Body::collect`], or that of the [application](crate::App::body_limit) or the
    /// [route](crate::Limits::body_limit) for the body of a request.
    TooLarge,
    /// The client sent nothing for the [`body_timeout`](crate::Http::body_timeout) of the embedded server, 10 seconds by default.
    TimedOut,
    /// The body is incomplete or malformed, or its stream returned another error, which this contains.
    Broken(BoxError),
}

impl BodyError {
    /// Returns the part of the error that clients may see.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            BodyError::TooLarge => "the body exceeds the limit",
            BodyError::TimedOut => "the body timed out",
            BodyError::Broken(_) => "the body is incomplete or malformed",
        }
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())?;
        match self {
            BodyError::Broken(error) => write!(f, ": {error}"),
            BodyError::TooLarge | BodyError::TimedOut => Ok(()),
        }
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
    /// Creates an empty body.
    ///
    /// ```
    /// use brubeck::Body;
    ///
    /// assert!(http_body::Body::is_end_stream(&Body::empty()));
    /// ```
    pub fn empty() -> Body {
        Body(Inner::Empty)
    }

    /// Wraps any [`http_body::Body`]. A value that is already a [`Body`] is returned as it is.
    ///
    /// ```
    /// use brubeck::Body;
    ///
    /// let body = Body::new(http_body_util::Full::new(bytes::Bytes::from("hello")));
    /// ```
    pub fn new<B>(body: B) -> Body
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let mut body = Some(body);
        // `Any` detects a body that is already a `Body`, so that it is not boxed twice.
        match (&mut body as &mut dyn Any)
            .downcast_mut::<Option<Body>>()
            .and_then(Option::take)
        {
            Some(body) => body,
            None => body.map_or_else(Body::empty, |body| {
                Body(Inner::Stream(body.map_err(Into::into).boxed_unsync()))
            }),
        }
    }

    /// Creates a body from a stream of chunks.
    ///
    /// ```
    /// use brubeck::Body;
    ///
    /// let chunks = futures_util::stream::iter(["hel", "lo"].map(Ok::<_, std::io::Error>));
    /// let body = Body::from_stream(chunks);
    /// ```
    ///
    /// If the stream of a response yields an error, the connection is aborted (with HTTP/2: the stream is reset), so that the client
    /// detects the incomplete body.
    pub fn from_stream<S, D, E>(stream: S) -> Body
    where
        S: Stream<Item = Result<D, E>> + Send + 'static,
        D: Into<Bytes>,
        E: Into<BoxError>,
    {
        let frames = stream.map(|chunk| chunk.map(|data| Frame::data(data.into())).map_err(Into::into));
        Body(Inner::Stream(StreamBody::new(frames).boxed_unsync()))
    }

    /// Marks a stream as one that has no end of its own.
    pub(crate) fn endless(self) -> Body {
        match self.0 {
            Inner::Stream(body) => Body(Inner::Endless(body)),
            _ => self,
        }
    }

    pub(crate) fn is_endless(&self) -> bool {
        matches!(self.0, Inner::Endless(_))
    }

    /// Ends a stream that has no end of its own when `end` completes. Returns any other body unchanged.
    pub(crate) fn until(self, end: impl Future<Output = ()> + Send + 'static) -> Body {
        match self.0 {
            Inner::Endless(body) => {
                let frames = BodyStream::new(body).take_until(Box::pin(end));
                Body(Inner::Stream(StreamBody::new(frames).boxed_unsync()))
            }
            _ => self,
        }
    }

    /// Returns the bytes of a body in memory. Returns `None` if the body is a stream.
    ///
    /// ```
    /// use brubeck::Body;
    ///
    /// assert_eq!(Body::from("hello").bytes().unwrap(), "hello");
    /// ```
    ///
    /// To read a stream as well, use [`collect`](Body::collect).
    pub fn bytes(&self) -> Option<&Bytes> {
        static EMPTY: Bytes = Bytes::new();
        match &self.0 {
            Inner::Empty => Some(&EMPTY),
            Inner::Full(bytes) => Some(bytes),
            Inner::Stream(_) | Inner::Endless(_) => None,
        }
    }

    /// Keeps a value until the body has been sent or dropped. A body in memory has been sent when its last copy is dropped.
    pub(crate) fn keep_until_sent(self, value: impl Send + Sync + Unpin + 'static) -> Body {
        match self.0 {
            Inner::Empty => self,
            Inner::Full(bytes) => Body(Inner::Full(Bytes::from_owner(KeepsBytes(bytes, value)))),
            Inner::Stream(body) => Body::new(TappedBody {
                body,
                tap: KeepsValue(value),
            }),
            Inner::Endless(body) => Body(Inner::Stream(body)).keep_until_sent(value).endless(),
        }
    }

    /// Limits the body, unless it is complete and within the limit. Beyond the limit it ends with
    /// [`http_body_util::LengthLimitError`], which other crates of the tower ecosystem answer with 413, as brubeck does.
    pub(crate) fn limited(self, limit: usize) -> Body {
        match self.bytes() {
            Some(bytes) if bytes.len() <= limit => self,
            _ => Body::new(Limited::new(self, limit)),
        }
    }

    /// Reads the whole body into memory, up to `limit` bytes.
    ///
    /// ```
    /// use brubeck::{Body, BodyError};
    ///
    /// # futures_util::FutureExt::now_or_never(async move {
    /// assert_eq!(Body::from("hello").collect(5).await.unwrap(), "hello");
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// Returns [`BodyError::TooLarge`] if the body exceeds `limit`; if the announced size already does, nothing is read. Returns
    /// [`BodyError::TimedOut`] if the client stops sending, and [`BodyError::Broken`] if the body cannot be read for another reason.
    pub async fn collect(mut self, limit: usize) -> Result<Bytes, BodyError> {
        // The lower bound is the announced length, or 0 if the length is not announced.
        let announced = http_body::Body::size_hint(&self).lower();
        if usize::try_from(announced).map_or(true, |length| length > limit) {
            return Err(BodyError::TooLarge);
        }
        if let Inner::Empty | Inner::Full(_) = self.0 {
            return Ok(self.bytes().cloned().unwrap_or_default());
        }
        let mut collected = Collected::Empty;
        while let Some(frame) = self.frame().await {
            if let Ok(data) = frame.map_err(BodyError::from_box)?.into_data() {
                if data.len() > limit.saturating_sub(collected.len()) {
                    return Err(BodyError::TooLarge);
                }
                collected = collected.push(data);
            }
        }
        Ok(collected.into_bytes())
    }
}

impl BodyError {
    /// Returns the error of a body as a [`BodyError`].
    pub(crate) fn from_box(error: BoxError) -> BodyError {
        let error = match error.downcast::<BodyError>() {
            Ok(error) => return *error,
            Err(error) => error,
        };
        if error.is::<http_body_util::LengthLimitError>() {
            BodyError::TooLarge
        } else {
            BodyError::Broken(error)
        }
    }
}

/// The collected chunks of a body. Most bodies have a single chunk, which is not copied.
enum Collected {
    Empty,
    One(Bytes),
    Many(Vec<u8>),
}

impl Collected {
    fn push(self, data: Bytes) -> Collected {
        let mut all = match self {
            Collected::Empty => return Collected::One(data),
            Collected::One(first) => first.to_vec(),
            Collected::Many(all) => all,
        };
        all.extend_from_slice(&data);
        Collected::Many(all)
    }

    fn len(&self) -> usize {
        match self {
            Collected::Empty => 0,
            Collected::One(bytes) => bytes.len(),
            Collected::Many(bytes) => bytes.len(),
        }
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Collected::Empty => Bytes::new(),
            Collected::One(bytes) => bytes,
            Collected::Many(bytes) => bytes.into(),
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
        if let Inner::Stream(stream) | Inner::Endless(stream) = &mut self.0 {
            let frame = ready!(Pin::new(stream).poll_frame(cx));
            return Poll::Ready(frame);
        }
        Poll::Ready(match std::mem::take(&mut self.0) {
            Inner::Full(bytes) if !bytes.is_empty() => Some(Ok(Frame::data(bytes))),
            _ => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Inner::Empty => true,
            Inner::Full(bytes) => bytes.is_empty(),
            Inner::Stream(stream) | Inner::Endless(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Inner::Empty => SizeHint::with_exact(0),
            Inner::Full(bytes) => SizeHint::with_exact(u64::try_from(bytes.len()).unwrap_or(u64::MAX)),
            Inner::Stream(stream) | Inner::Endless(stream) => stream.size_hint(),
        }
    }
}

/// Observes or changes the frames of a body.
pub(crate) trait FrameTap<E>: Unpin {
    /// Maps the result of a poll of the body. `ended` is `true` if it is known that no frame follows.
    fn poll(
        &mut self,
        polled: Poll<Option<Result<Frame<Bytes>, E>>>,
        ended: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>>;

    /// Maps the size hint of the body. Default: unchanged.
    fn size_hint(&self, hint: SizeHint) -> SizeHint {
        hint
    }
}

/// A body with a [`FrameTap`].
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

/// Bytes that keep a value.
struct KeepsBytes<T>(Bytes, #[allow(dead_code, reason = "dropped with the bytes")] T);

impl<T> AsRef<[u8]> for KeepsBytes<T> {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// A tap that keeps a value and changes nothing.
struct KeepsValue<T>(#[allow(dead_code, reason = "dropped with the body")] T);

impl<T: Unpin> FrameTap<BoxError> for KeepsValue<T> {
    fn poll(
        &mut self,
        polled: Poll<Option<Result<Frame<Bytes>, BoxError>>>,
        _: bool,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        polled
    }
}

macro_rules! from {
    ($($source:ty),*) => { $(
        impl From<$source> for Body {
            fn from(content: $source) -> Body {
                Body(Inner::Full(content.into()))
            }
        }
    )* };
}

from!(Bytes, Vec<u8>, String, &'static str);

/// Prints the size instead of the content, because a body can contain secrets.
impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Inner::Empty => f.write_str("Body(empty)"),
            Inner::Full(bytes) => write!(f, "Body({} bytes)", bytes.len()),
            Inner::Stream(_) | Inner::Endless(_) => f.write_str("Body(stream)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;
    use http_body_util::Full;

    fn streamed(chunks: &'static [&'static str]) -> Body {
        Body::from_stream(stream::iter(
            chunks.iter().map(|chunk| Ok::<_, std::io::Error>(*chunk)),
        ))
    }

    #[tokio::test]
    async fn collect_fails_beyond_limit() {
        assert_eq!(streamed(&["hel", "", "lo"]).collect(5).await.unwrap(), "hello");
        assert!(matches!(
            streamed(&["hel", "lo"]).collect(4).await,
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
    async fn collect_returns_errors_of_stream() {
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

    #[tokio::test]
    async fn value_is_kept_until_the_body_is_sent_or_dropped() {
        use std::sync::Arc;
        let value = Arc::new(());
        let full = Body::from("hello").keep_until_sent(value.clone());
        assert_eq!(Arc::strong_count(&value), 2);
        let sending = full.bytes().cloned();
        drop(full);
        assert_eq!(
            (sending.as_deref(), Arc::strong_count(&value)),
            (Some(&b"hello"[..]), 2)
        );
        drop(sending);
        assert_eq!(Arc::strong_count(&value), 1);
        let mut stream = streamed(&["hel", "lo"]).keep_until_sent(value.clone());
        assert!(stream.frame().await.is_some());
        assert_eq!(Arc::strong_count(&value), 2);
        drop(stream);
        drop(Body::empty().keep_until_sent(value.clone()));
        assert_eq!(Arc::strong_count(&value), 1);
    }

    #[test]
    fn new_does_not_box_body_twice() {
        assert_eq!(Body::new(Body::from("hello")).bytes().unwrap(), "hello");
        assert!(Body::new(Full::new(Bytes::from("hello"))).bytes().is_none());
    }
}
