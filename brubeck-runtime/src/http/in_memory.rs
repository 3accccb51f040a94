//! WebSockets over a stream in memory, for tests: the handshake, the limits, the timeouts and the frames of the server, without its socket.

use super::upgrade::{self, AcceptedSocket};
use super::{Http, HttpServer, timeout_stream};
use crate::handler::{Application, Stop, validate_request};
use crate::response::Body;
use crate::response::http_response::error_response;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use hyper_util::rt::TokioIo;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::DuplexStream;
use tokio::sync::{mpsc, oneshot, watch};

/// The bytes that may be on their way in one direction: those that the buffers of two TCP sockets would hold.
const BUFFER_SIZE: usize = 256 << 10;

/// Opens WebSockets of an application. Clones share the number of open WebSockets.
#[derive(Clone)]
pub(crate) struct InMemoryServer {
    server: Arc<HttpServer>,
    open_sockets: Arc<watch::Sender<usize>>,
    /// Keeps a server running that is never stopped. Every WebSocket has a clone, so it may outlive the client that opened it.
    _never_stops: Option<Arc<watch::Sender<bool>>>,
}

/// The client's side of a WebSocket that an application has opened.
pub(crate) struct InMemorySocket {
    /// The response to the handshake.
    pub(crate) response: Response<Body>,
    pub(crate) stream: DuplexStream,
    /// Ends when the handler has returned and the connection is closed.
    pub(crate) handler_ended: oneshot::Receiver<()>,
}

impl InMemoryServer {
    /// Creates a server with the default settings of [`Http`]. It closes its WebSockets when `stop` is requested.
    pub(crate) fn new(application: Arc<dyn Application>, stop: Option<Stop>) -> InMemoryServer {
        let (alive, _) = mpsc::channel(1);
        let (stop, never_stops) = match stop {
            Some(stop) => (stop, None),
            None => {
                let (sender, stop) = Stop::new(Duration::ZERO);
                (stop, Some(Arc::new(sender)))
            }
        };
        InMemoryServer {
            server: Arc::new(HttpServer {
                settings: Http::bind("in memory"),
                application,
                stop,
                _alive: alive,
                #[cfg(feature = "tls")]
                tls: None,
            }),
            open_sockets: Arc::new(watch::Sender::new(0)),
            _never_stops: never_stops,
        }
    }

    /// Passes a handshake to the application with `respond`.
    ///
    /// # Errors
    ///
    /// Returns the response if the WebSocket was not opened.
    pub(crate) async fn open(
        &self,
        mut request: Request<Body>,
        respond: impl FnOnce(Request<Body>) -> BoxFuture<'static, Response<Body>>,
    ) -> Result<InMemorySocket, Response<Body>> {
        validate_request(&request).map_err(|(code, reason)| error_response(code, reason))?;
        let max_message = self.server.application.message_limit();
        let upgrade = upgrade::parse(&mut request, max_message).map_err(upgrade::error_to_response)?;
        let response = respond(request).await;
        let Some(upgrade) = upgrade else {
            return Err(response);
        };
        let (head, socket) = upgrade.accept(response)?;
        let (client, server) = tokio::io::duplex(BUFFER_SIZE);
        let (ended, handler_ended) = oneshot::channel();
        // Counted before the test goes on.
        self.open_sockets.send_modify(|open| *open += 1);
        let run = self.clone().run(socket, server);
        tokio::spawn(async move {
            run.await;
            // Fails if the client does not wait for it.
            let _ = ended.send(());
        });
        Ok(InMemorySocket {
            response: Response::from_parts(head, Body::empty()),
            stream: client,
            handler_ended,
        })
    }

    async fn run(self, socket: AcceptedSocket, stream: DuplexStream) {
        let stop = self.server.stop.clone();
        let (stream, in_flight) = timeout_stream::wrap(stream, &self.server.settings, stop.clone());
        // Keeps the connection from timing out, as that of the embedded server.
        let _guard = in_flight.begin(false);
        socket.run(TokioIo::new(stream), stop).await;
        self.open_sockets.send_modify(|open| *open -= 1);
    }

    /// Waits until all WebSockets are closed and their handlers have returned.
    pub(crate) async fn all_ended(&self) {
        // The sender is in `self`, so this does not fail.
        let _ = self.open_sockets.subscribe().wait_for(|open| *open == 0).await;
    }
}

impl std::fmt::Debug for InMemoryServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "InMemoryServer({} open WebSockets)",
            *self.open_sockets.borrow()
        )
    }
}
