//! Limits of a route: sizes of the body and its parts, concurrency, and the time until the response.

use crate::extract::PartLimits;
use crate::response::{IntoReply, Problem, Response};
use crate::routing::ListedRoute;
use crate::scope::RequestScope;
use crate::spec::Spec;
use http::header::{HeaderValue, RETRY_AFTER};
use std::collections::HashMap;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// Limits for the requests of one route, set with [`App::limit`](crate::App::limit).
///
/// A limit that is not set is that of the application, if it has one.
///
/// # Examples
///
/// ```
/// use brubeck::prelude::*;
/// use std::time::Duration;
///
/// #[post("^/upload$")]
/// async fn upload(file: bytes::Bytes) -> String {
///     format!("{} bytes", file.len())
/// }
///
/// const ROUTES: Routes<()> = routes![upload];
///
/// fn app() -> App<()> {
///     let large = Limits::new().body_limit(50 << 20).timeout(Duration::from_secs(60)).concurrency(4);
///     App::new(ROUTES, ()).limit::<upload>(large)
/// }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Limits {
    pub(super) body_limit: Option<usize>,
    pub(super) part_limits: Option<PartLimits>,
    pub(super) message_limit: Option<usize>,
    /// `Some(None)` turns the timeout of the application off.
    pub(super) timeout: Option<Option<Duration>>,
    pub(super) concurrency: Option<Arc<Semaphore>>,
    /// Set if the concurrency is 0.
    never_runs: bool,
}

impl Limits {
    /// Creates limits of which none is set.
    ///
    /// ```
    /// use brubeck::Limits;
    ///
    /// let limits = Limits::new().body_limit(10 << 20).concurrency(8);
    /// ```
    pub fn new() -> Limits {
        Limits::default()
    }

    /// Sets the limit for request bodies, in bytes. A larger body is rejected with 413.
    ///
    /// ```
    /// # use brubeck::Limits;
    /// let pictures = Limits::new().body_limit(10 << 20); // 10 MiB
    /// ```
    ///
    /// The default is the [limit of the application](crate::App::body_limit), which may be lower or higher. For a service
    /// handler this limits the arguments and the body of a call, and the limit of its [`Service`](crate::Service) applies as well.
    pub fn body_limit(mut self, bytes: usize) -> Limits {
        self.body_limit = Some(bytes);
        self
    }

    /// Sets the limit for each part of a multipart form, in bytes. A larger part is rejected with 413.
    ///
    /// ```
    /// # use brubeck::Limits;
    /// let pictures = Limits::new().body_limit(50 << 20).part_limit(10 << 20);
    /// ```
    ///
    /// By default only the body as a whole is limited.
    pub fn part_limit(mut self, bytes: usize) -> Limits {
        self.part_limits.get_or_insert_default().bytes = Some(bytes);
        self
    }

    /// Sets the limit for the number of parts of a multipart form. A form with more parts is rejected with 413.
    ///
    /// ```
    /// # use brubeck::Limits;
    /// let album = Limits::new().parts(500).body_limit(200 << 20);
    /// ```
    ///
    /// The default is 100. Fields and files count, and so do a file input for which no file was chosen and a part that the handler skips.
    pub fn parts(mut self, count: usize) -> Limits {
        self.part_limits.get_or_insert_default().count = Some(count);
        self
    }

    /// Sets the limit for each message of a WebSocket, in bytes, after decompression. A client that sends a larger one is disconnected with
    /// the close code 1009.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// #[websocket("^/drawing$")]
    /// async fn drawing(mut socket: WebSocket) {
    ///     while let Some(stroke) = socket.recv().await {
    /// #       let _ = stroke;
    ///     }
    /// }
    /// const ROUTES: Routes<()> = routes![drawing];
    ///
    /// let app = App::new(ROUTES, ()).limit::<drawing>(Limits::new().message_limit(16 << 20)); // 16 MiB
    /// ```
    ///
    /// The default is the [limit of the application](crate::App::message_limit), which may be lower or higher. It applies to handlers with
    /// [`Upgrade`](crate::Upgrade), too.
    pub fn message_limit(mut self, bytes: usize) -> Limits {
        self.message_limit = Some(bytes);
        self
    }

    /// Sets the time that the handler has until its response. Afterwards the handler is dropped, and the response is 504.
    ///
    /// ```
    /// # use brubeck::Limits;
    /// use std::time::Duration;
    ///
    /// let slow = Limits::new().timeout(Duration::from_secs(120));
    /// let endless = Limits::new().timeout(None);
    /// ```
    ///
    /// `None` turns the timeout off, for example for long polling. The default is the timeout of the application.
    /// [`App::timeout`](crate::App::timeout) explains when the time starts and ends. A service handler has no timeout by
    /// default, only the deadline of its caller. The application does not start with a timeout of 0.
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> Limits {
        self.timeout = Some(timeout.into());
        self
    }

    /// Sets the number of requests that may be in progress at once. Any further request is rejected with 503 and
    /// `retry-after: 1`.
    ///
    /// ```
    /// # use brubeck::Limits;
    /// let expensive = Limits::new().concurrency(2);
    /// ```
    ///
    /// A request is in progress as long as it holds resources: while its body is read, while its handler runs, until its response is
    /// passed to the connection of the client, however slowly that reads, or until the handler of its WebSocket has ended. So event streams and
    /// WebSockets count until they are closed. Clones of these limits share the count. The default is no limit. The
    /// application does not start with 0.
    pub fn concurrency(mut self, requests: usize) -> Limits {
        self.never_runs = requests == 0;
        self.concurrency = Some(Arc::new(Semaphore::new(requests.min(Semaphore::MAX_PERMITS))));
        self
    }
}

/// The limits of all routes that have some.
#[derive(Debug, Default)]
pub(super) struct RouteLimits {
    /// As added, by the spec of the handler.
    added: Vec<(Spec, Limits)>,
    /// As resolved, by the address of the spec in the route table: specs are static, and hashing an address is cheap.
    by_route: HashMap<usize, Limits>,
}

impl RouteLimits {
    pub(super) fn add(&mut self, handler: Spec, limits: Limits) {
        self.added.push((handler, limits));
    }

    /// Resolves the handlers to routes.
    ///
    /// # Errors
    ///
    /// Returns an error if a handler is not in the table.
    pub(super) fn resolve(mut self, routes: &[&'static ListedRoute]) -> crate::Result<RouteLimits> {
        for (spec, limits) in self.added.drain(..) {
            let mut same = routes
                .iter()
                .map(|route| route.spec)
                .filter(|route| route.same_handler(&spec))
                .peekable();
            if same.peek().is_none() {
                let Spec { name, file, line, .. } = spec;
                return Err(crate::Error::new(format!(
                    "cannot set limits for `{name}` ({file}:{line}): it is not in the route list of this application; \
                     add it to the list, or remove its limits"
                )));
            }
            let set_limits = || format!("start the application with the limits of `{}`", spec.name);
            if limits.timeout == Some(Some(Duration::ZERO)) {
                let effect = "each request that waits would fail";
                return Err(crate::Error::zero_setting(
                    set_limits(),
                    "Limits::timeout",
                    effect,
                ));
            }
            if limits.never_runs {
                let effect = "no request would be accepted";
                return Err(crate::Error::zero_setting(
                    set_limits(),
                    "Limits::concurrency",
                    effect,
                ));
            }
            // A table can be listed more than once, below different prefixes.
            self.by_route
                .extend(same.map(|route| (route_key(route), limits.clone())));
        }
        Ok(self)
    }

    #[inline]
    pub(super) fn of(&self, route: &'static Spec) -> Option<&Limits> {
        // Most applications have no such limits: skip hashing.
        if self.by_route.is_empty() {
            return None;
        }
        self.by_route.get(&route_key(route))
    }
}

#[inline]
fn route_key(route: &'static Spec) -> usize {
    std::ptr::from_ref(route) as usize
}

/// A permit to run a handler, if its route has a concurrency limit.
pub(super) type ConcurrencyPermit = Option<OwnedSemaphorePermit>;

/// Acquires a permit of a route, or returns a 503 response if all are in use.
pub(super) fn acquire_permit(limits: Option<&Limits>) -> Result<ConcurrencyPermit, Response> {
    let Some(semaphore) = limits.and_then(|limits| limits.concurrency.as_ref()) else {
        return Ok(None);
    };
    semaphore.clone().try_acquire_owned().map(Some).map_err(|_| {
        let mut response = Problem::new(503, "too many concurrent requests").into_reply();
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from_static("1"));
        response
    })
}

/// The default for [`App::timeout`](crate::App::timeout).
pub(super) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// The timeout of one response.
///
/// Dropping it finishes the request's scope. From then on a stream or WebSocket that the handler started has no deadline.
pub(super) struct ResponseTimeout {
    timeout: Option<Duration>,
    /// Completes when the handler has read or dropped the body. The time starts then, so that a slow client does not use it
    /// up.
    body_read: Option<oneshot::Receiver<Infallible>>,
    scope: Arc<RequestScope>,
}

impl Drop for ResponseTimeout {
    fn drop(&mut self) {
        self.scope.finish();
    }
}

impl ResponseTimeout {
    /// Starts the time when the handler first waits or asks for its deadline. A handler that does neither needs no clock.
    #[inline]
    pub(super) fn from_first_wait(timeout: Option<Duration>) -> ResponseTimeout {
        ResponseTimeout {
            timeout,
            body_read: None,
            scope: Arc::new(RequestScope::with_timeout(timeout)),
        }
    }

    /// Starts the time when the returned sender is dropped, which is when the handler has read or dropped the body. The scope
    /// has no deadline, because it is not known before.
    pub(super) fn after_body(timeout: Option<Duration>) -> (ResponseTimeout, oneshot::Sender<Infallible>) {
        let (reading, body_read) = oneshot::channel();
        let timeout = ResponseTimeout {
            timeout,
            body_read: Some(body_read),
            scope: Arc::default(),
        };
        (timeout, reading)
    }

    /// Returns the scope of the request. It has the deadline, unless this timeout was created with
    /// [`after_body`](Self::after_body).
    #[inline]
    pub(super) fn scope(&self) -> &Arc<RequestScope> {
        &self.scope
    }

    /// Waits for the response of a handler. Returns a 504 response if it takes too long; the caller then drops the handler.
    pub(super) async fn run(
        &mut self,
        handler_name: &'static str,
        mut handler: impl Future<Output = Response> + Unpin,
    ) -> Response {
        // Most handlers are ready after one poll: they need no timer and no box.
        let polled = poll_fn(|cx| Poll::Ready(Pin::new(&mut handler).poll(cx))).await;
        if let Poll::Ready(response) = polled {
            return response;
        }
        let Some(timeout) = self.timeout else {
            return handler.await;
        };
        let expired = Box::pin(async {
            match (self.body_read.take(), self.scope.deadline()) {
                (Some(body_read), _) => {
                    // Nothing is ever sent: the channel closes when the body is read or dropped.
                    let _ = body_read.await;
                    tokio::time::sleep(timeout).await;
                }
                (None, Some(deadline)) => tokio::time::sleep_until(deadline).await,
                // The timeout is too long for an `Instant`.
                (None, None) => std::future::pending().await,
            }
        });
        tokio::select! {
            biased;
            response = handler => response,
            () = expired => {
                tracing::warn!(handler = handler_name, ?timeout, "handler timed out");
                Problem::new(504, "the handler did not respond in time").into_reply()
            }
        }
    }
}
