//! Request bodies that arrive in pieces.

use super::client::target_of;
use super::cookie_jar::CookieTarget;
use super::patience::wait_for;
use super::request::request_line;
use super::{TestClient, TestResponse};
use crate::response::{Body, BodyError, BoxError};
use bytes::Bytes;
use http::{Request, Response};
use std::panic::Location;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// A request whose body the test sends in pieces, from [`TestRequest::in_pieces`](super::TestRequest::in_pieces).
///
/// Dropping it is a client that disconnects: the handler is dropped.
///
/// # Examples
///
/// ```
/// use brubeck::prelude::*;
/// use brubeck::testing::TestClient;
///
/// #[post("^/count$")]
/// async fn count(mut upload: Upload) -> Result<String, UploadError> {
///     let mut chunks = 0;
///     while upload.chunk().await?.is_some() {
///         chunks += 1;
///     }
///     Ok(format!("{chunks} chunks"))
/// }
///
/// const ROUTES: Routes<()> = routes![count];
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let client = TestClient::new(App::new(ROUTES, ()).body_limit(10));
/// let upload = client.post("/count").in_pieces();
/// upload.send("one").await;
/// upload.send("two").await;
/// upload.finish().await.assert_text("2 chunks");
///
/// let upload = client.post("/count").in_pieces();
/// upload.send("more than ten bytes").await;
/// upload.finish().await.assert_status(413);
/// # }
/// ```
#[derive(Debug)]
pub struct TestUpload<'a> {
    client: &'a TestClient,
    request_line: String,
    target: CookieTarget,
    response: ResponseTask,
    pieces: mpsc::Sender<Piece>,
}

/// A part of the body. The body has broken off if the channel ends without [`Piece::End`].
#[derive(Debug)]
enum Piece {
    Data(Bytes),
    End,
}

/// The task of the request. Dropping it ends the request.
#[derive(Debug)]
struct ResponseTask(JoinHandle<Response<Body>>);

impl Drop for ResponseTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<'a> TestUpload<'a> {
    #[track_caller]
    pub(super) fn begin(client: &'a TestClient, request: Request<Body>) -> TestUpload<'a> {
        // The least capacity: `send` waits for the handler soon.
        let (pieces, receiver) = mpsc::channel(1);
        let stream = futures_util::stream::unfold(Some(receiver), async |receiver| {
            let mut receiver: mpsc::Receiver<Piece> = receiver?;
            match receiver.recv().await {
                Some(Piece::Data(bytes)) => Some((Ok(bytes), Some(receiver))),
                Some(Piece::End) => None,
                None => Some((Err(connection_lost()), None)),
            }
        });
        TestUpload {
            client,
            request_line: request_line(&request),
            target: target_of(&request),
            pieces,
            response: ResponseTask(client.spawn(request.map(|_| Body::from_stream(stream)))),
        }
    }

    /// Sends a piece of the body: see the example of [`TestUpload`]. Waits until the application has taken the piece before it.
    ///
    /// If the application has responded, the piece is discarded.
    ///
    /// # Panics
    ///
    /// Panics if the application neither reads nor responds within 10 seconds, or within a day of a paused clock.
    #[track_caller]
    pub fn send(&self, piece: impl Into<Bytes>) -> impl Future<Output = ()> + Send {
        let (caller, piece) = (Location::caller(), piece.into());
        async move {
            self.send_piece(Piece::Data(piece), caller).await;
        }
    }

    async fn send_piece(&self, piece: Piece, caller: &'static Location<'static>) {
        // Fails if the body was dropped.
        let _ = wait_for(self.pieces.send(piece), caller, || {
            format!("{}: nothing reads the body", self.request_line)
        })
        .await;
    }

    /// Ends the body, and returns the response: see the example of [`TestUpload`]. Cookies of the response are kept as usual.
    ///
    /// # Panics
    ///
    /// Panics if there is no response within 10 seconds, or within a day of a paused clock.
    #[track_caller]
    pub fn finish(self) -> impl Future<Output = TestResponse> + Send + use<'a> {
        let caller = Location::caller();
        async move {
            self.send_piece(Piece::End, caller).await;
            self.response(caller).await
        }
    }

    /// Breaks the body off, as a connection that is lost, and returns what the application responds. A client over a socket does not get this
    /// response.
    ///
    /// ```
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient, folder: &std::path::Path) {
    /// let upload = client.post("/photo").in_pieces();
    /// upload.send("the first half").await;
    /// upload.break_off().await.assert_status(400);
    /// assert!(!folder.join("photo.png").exists());
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// Panics in the same cases as [`finish`](TestUpload::finish).
    #[track_caller]
    pub fn break_off(self) -> impl Future<Output = TestResponse> + Send + use<'a> {
        self.response(Location::caller())
    }

    async fn response(self, caller: &'static Location<'static>) -> TestResponse {
        let TestUpload {
            client,
            request_line,
            target,
            pieces,
            mut response,
        } = self;
        drop(pieces);
        let response = wait_for(&mut response.0, caller, || format!("{request_line}: no response")).await;
        match response {
            Ok(response) => {
                client.keep_cookies(response.headers(), &target);
                TestResponse::collect(request_line, response).await
            }
            Err(error) => panic!("{request_line}: the request failed: {error}, at {caller}"),
        }
    }
}

/// The error of reading a body whose client is gone.
fn connection_lost() -> BoxError {
    let lost = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    BodyError::Broken(lost.into()).into()
}
