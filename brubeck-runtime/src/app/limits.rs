//! The limits of a route: body, concurrency, and the time that a handler has until its response.

use crate::extract::PartLimit;
use crate::response::{IntoReply, Problem, Response};
use crate::routing::Routes;
use crate::scope::RequestScope;
use crate::spec::{Routed, Spec};
use futures_util::poll;
use http::header::{HeaderValue, RETRY_AFTER};
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit, oneshot};

/// What the requests of one route may take, where that differs from the rest of the application.
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
    pub(super) body: Option<usize>,
    pub(super) part: Option<PartLimit>,
    /// `Some(None)`: none, whatever the application has.
    pub(super) time: Option<Option<Duration>>,
    pub(super) places: Option<Arc<Semaphore>>,
}

impl Limits {
    /// The limits of the application.
    pub fn new() -> Limits {
        Limits::default()
    }

    /// The largest body, in bytes; a larger one is answered with 413.
    pub fn body_limit(mut self, bytes: usize) -> Limits {
        self.body = Some(bytes);
        self
    }

    /// The largest part of a form with files, in bytes; a larger one is answered with 413.
    pub fn part_limit(mut self, bytes: usize) -> Limits {
        self.part = Some(PartLimit(bytes));
        self
    }

    /// How long the handler may take to its answer, `None` for ever, as the handler of a long poll may; then it is
    /// dropped, and 504 is answered. See [`App::timeout`](crate::App::timeout).
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> Limits {
        self.time = Some(timeout.into());
        self
    }

    /// How many requests are worked on at once; more are answered with 503.
    pub fn concurrency(mut self, requests: usize) -> Limits {
        self.places = Some(Arc::new(Semaphore::new(requests.min(Semaphore::MAX_PERMITS))));
        self
    }
}

/// The limits of routes, by where the spec of each lies.
#[derive(Debug, Default)]
pub(super) struct RouteLimits {
    given: Vec<(Spec, Limits)>,
    by_route: HashMap<usize, Limits>,
}

impl RouteLimits {
    pub(super) fn add<H: Routed>(&mut self, limits: Limits) {
        self.given.push((H::SPEC, limits));
    }

    /// Finds the routes in the table.
    ///
    /// # Errors
    ///
    /// A handler that is not listed.
    pub(super) fn resolve<S>(mut self, routes: Routes<S>) -> crate::Result<RouteLimits> {
        for (spec, limits) in self.given.drain(..) {
            let same = |known: &&'static Spec| {
                (known.file, known.line, known.name) == (spec.file, spec.line, spec.name)
            };
            let Some(route) = routes.specs().find(same) else {
                let Spec { name, file, line, .. } = spec;
                return Err(crate::Error::new(format!(
                    "limits are given to `{name}` ({file}:{line}), which is not in the route list: add it there"
                )));
            };
            self.by_route.insert(key(route), limits);
        }
        Ok(self)
    }

    pub(super) fn of(&self, route: &'static Spec) -> Option<&Limits> {
        match self.by_route.is_empty() {
            true => None,
            false => self.by_route.get(&key(route)),
        }
    }
}

fn key(route: &'static Spec) -> usize {
    std::ptr::from_ref(route) as usize
}

/// A permit to run a handler of a route with a concurrency limit, if it has one.
pub(super) type Permit<'a> = Option<SemaphorePermit<'a>>;

/// Takes a permit of a route, or returns the 503 that refuses the request.
pub(super) fn acquire(limits: Option<&Limits>) -> Result<Permit<'_>, Response> {
    let Some(permits) = limits.and_then(|limits| limits.places.as_ref()) else {
        return Ok(None);
    };
    permits.try_acquire().map(Some).map_err(|_| {
        let mut busy = Problem::new(503, "too many requests at once").into_reply();
        busy.headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from_static("1"));
        busy
    })
}

/// How long a handler may take unless the application or its route says otherwise.
pub(super) const TIME: Duration = Duration::from_secs(60);

/// The time that is left for one answer. Dropped with the wait for it, which ends the deadline of what the handler
/// leaves behind: a stream, a WebSocket.
pub(super) struct TimeLeft {
    limit: Option<Duration>,
    /// Ends when the body is read: the time of a client that still sends is not that of the handler.
    reading: Option<oneshot::Receiver<Infallible>>,
    scope: Arc<RequestScope>,
}

impl Drop for TimeLeft {
    fn drop(&mut self) {
        self.scope.finish();
    }
}

impl TimeLeft {
    /// The time runs from now on.
    pub(super) fn from_now(limit: Option<Duration>) -> TimeLeft {
        TimeLeft {
            limit,
            reading: None,
            scope: Arc::new(RequestScope::with_timeout(limit)),
        }
    }

    /// The time runs once the body is read, which is when what comes back is dropped.
    pub(super) fn once_read(limit: Option<Duration>) -> (TimeLeft, oneshot::Sender<Infallible>) {
        let (held, reading) = oneshot::channel();
        let left = TimeLeft {
            limit,
            reading: Some(reading),
            scope: Arc::default(),
        };
        (left, held)
    }

    /// What the handler is to know of this.
    pub(super) fn scope(&self) -> &Arc<RequestScope> {
        &self.scope
    }

    /// The answer, or 504 where it does not come in time: then the handler is dropped.
    pub(super) async fn wait_for(
        &mut self,
        handler: &'static str,
        mut answer: impl Future<Output = Response> + Unpin,
    ) -> Response {
        // Most handlers answer at once, and need no clock.
        if let Poll::Ready(answer) = poll!(&mut answer) {
            return answer;
        }
        let Some(limit) = self.limit else {
            return answer.await;
        };
        let late = Box::pin(async {
            match (self.reading.take(), self.scope.deadline()) {
                (Some(reading), _) => {
                    // Nothing is ever sent: the end of the sender is the end of the body.
                    let _ = reading.await;
                    tokio::time::sleep(limit).await;
                }
                (None, Some(until)) => tokio::time::sleep_until(until).await,
                // Beyond what the clock can tell.
                (None, None) => std::future::pending().await,
            }
        });
        tokio::select! {
            biased;
            answer = answer => answer,
            () = late => {
                tracing::warn!(handler, ?limit, "a handler did not answer in time");
                Problem::new(504, "it took too long").into_reply()
            }
        }
    }
}
