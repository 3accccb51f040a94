//! Behind a Mongrel2 web server: requests are pulled from it, replies published to it.

mod http1;
mod pipeline;
mod request;

use super::transport::{
    self, Endpoint, Generation, LINGER, LinkEvent, Mongrel2Link, Timing, Transport, ZeroMq,
};
use super::web::{finish, refusal};
use super::{Application, Connection, Opened, Stop};
use crate::error::Error;
use crate::reply::Body;
use crate::wire::mongrel2::{self as wire, Incoming};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::StatusCode;
use http1::Persistence;
use pipeline::{Pipelines, Reply, Ticket};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::SystemTime;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

/// How many requests of one Mongrel2 are worked on at once; more are answered with 503.
const IN_FLIGHT: usize = 1024;

/// The largest body of a reply, in bytes: Mongrel2 is given replies as a whole.
const BODY: usize = 64 << 20;

/// How many replies may wait for Mongrel2; it takes them as fast as it takes anything, or not at all.
const REPLIES: usize = 4096;

/// Web requests through a Mongrel2 server.
///
/// ```no_run
/// # use brubeck::prelude::*;
/// # async fn example(routes: Routes<()>) -> brubeck::Result {
/// App::new(routes, ()).serve(Mongrel2::new("tcp://127.0.0.1:9999", "tcp://127.0.0.1:9998")).await
/// # }
/// ```
///
/// The two addresses are the `send_spec` and the `recv_spec` of the `Handler` in Mongrel2's configuration.
/// Mongrel2 may start later, and start again: requests are taken once it listens for the replies, and a
/// reply to a request of an earlier start is dropped, because its connection is somebody else's by now.
/// Replies to one browser connection leave in the order of its requests. A browser that goes away stops
/// its handlers. At most 1,024 requests are worked on at once; more are answered with 503.
#[derive(Clone, Debug)]
#[must_use]
pub struct Mongrel2 {
    send_spec: String,
    recv_spec: String,
}

impl Mongrel2 {
    /// Pulls requests from `send_spec` and publishes replies to `recv_spec`, in Mongrel2's words.
    pub fn new(send_spec: impl Into<String>, recv_spec: impl Into<String>) -> Mongrel2 {
        Mongrel2 {
            send_spec: send_spec.into(),
            recv_spec: recv_spec.into(),
        }
    }
}

impl Connection for Mongrel2 {
    fn open(self: Box<Self>, application: Arc<dyn Application>) -> BoxFuture<'static, crate::Result<Opened>> {
        Box::pin(async move {
            let cannot = |spec: &str, error: transport::TransportError| {
                Error::because(format!("cannot connect to Mongrel2 at {spec}"), error)
            };
            let endpoint = |spec: &str| {
                spec.parse::<Endpoint>()
                    .map_err(|error| cannot(spec, error.into()))
            };
            let (requests, replies) = (endpoint(&self.send_spec)?, endpoint(&self.recv_spec)?);
            let link = ZeroMq
                .mongrel2(requests, replies, Timing::default())
                .map_err(|error| cannot(&self.send_spec, error))?;
            let address = format!("Mongrel2 {} {}", self.send_spec, self.recv_spec);
            let handler = Handler::new(application, self.recv_spec);
            Ok(Opened {
                address,
                serve: Box::new(|stop| Box::pin(handler.serve(link, stop))),
            })
        })
    }
}

struct Handler {
    application: Arc<dyn Application>,
    replies_to: String,
    /// The start of Mongrel2 whose requests are answered now.
    generation: Generation,
    pipelines: Pipelines<AbortHandle>,
    handlers: JoinSet<()>,
    finished: mpsc::Sender<Finished>,
    inbox: mpsc::Receiver<Finished>,
    replies: VecDeque<Bytes>,
}

struct Finished {
    ident: Bytes,
    ticket: Ticket,
    reply: Reply,
}

impl Handler {
    fn new(application: Arc<dyn Application>, replies_to: String) -> Handler {
        let (finished, inbox) = mpsc::channel(IN_FLIGHT);
        Handler {
            application,
            replies_to,
            generation: 0,
            pipelines: Pipelines::new(),
            handlers: JoinSet::new(),
            finished,
            inbox,
            replies: VecDeque::new(),
        }
    }

    async fn serve(mut self, mut link: Mongrel2Link, mut stop: Stop) {
        let mut stopping = false;
        while !stopping || !self.pipelines.is_idle() || !self.replies.is_empty() {
            let next = self.replies.front().cloned();
            tokio::select! {
                () = stop.requested(), if !stopping => stopping = true,
                // Receiving never waits for sending: Mongrel2 stops taking replies when its notices pile up.
                event = link.inbound.recv() => match event {
                    Some(event) => self.take(event, stopping),
                    None => return,
                },
                Some(finished) = self.inbox.recv() => self.finish(finished),
                sent = link.outbound.send(self.generation, next.clone().unwrap_or_default()), if next.is_some() => {
                    if sent == Err(transport::SendError::Closed) {
                        return;
                    }
                    self.replies.pop_front();
                }
            }
        }
        link.shutdown(LINGER).await;
    }

    fn take(&mut self, event: LinkEvent, stopping: bool) {
        match event {
            LinkEvent::Up {
                generation,
                recv_ident,
            } => {
                tracing::debug!(generation, recv_ident = %recv_ident.escape_ascii(), "Mongrel2 takes replies");
                self.start_over(generation);
            }
            LinkEvent::Down { generation, reason } => {
                tracing::warn!(generation, reason, "the connection to Mongrel2 is lost");
                self.start_over(generation);
            }
            LinkEvent::Message { generation, .. } if generation != self.generation => {}
            LinkEvent::Message { bytes, .. } => match wire::decode(&bytes) {
                Ok(Incoming::Request(request)) => self.ask(request, stopping),
                Ok(Incoming::Disconnect { conn_id, .. }) => {
                    self.pipelines
                        .forget(&conn_id)
                        .for_each(|handler| handler.abort());
                }
                Ok(_) => {}
                Err(error) => self.refuse(&error),
            },
        }
    }

    /// Connections of another start of Mongrel2 are gone, and their numbers are given out again.
    fn start_over(&mut self, generation: Generation) {
        self.generation = generation;
        self.replies.clear();
        self.pipelines.forget_all().for_each(|handler| handler.abort());
    }

    fn ask(&mut self, request: wire::Request, stopping: bool) {
        while self.handlers.try_join_next().is_some() {}
        let (ident, connection) = (request.ident.clone(), request.conn_id.clone());
        let ticket = self.pipelines.begin(connection);
        let request::Asked { persistence, request } = request::read(request, &self.replies_to);
        match request {
            Ok(request) if !stopping && self.handlers.len() < IN_FLIGHT => {
                let (application, finished) = (self.application.clone(), self.finished.clone());
                let running = ticket.clone();
                let handler = self.handlers.spawn(async move {
                    let head = request.method() == http::Method::HEAD;
                    let reply = whole(application.serve(request).await, head, persistence).await;
                    // Nobody takes it when the server has ended meanwhile.
                    let _ = finished
                        .send(Finished {
                            ident,
                            ticket: running,
                            reply,
                        })
                        .await;
                });
                self.pipelines.runs(&ticket, handler);
            }
            Ok(_) => {
                let mut busy = refusal(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable");
                busy.headers_mut()
                    .insert(http::header::RETRY_AFTER, http::HeaderValue::from_static("1"));
                let persistence = if stopping { Persistence::Close } else { persistence };
                let reply = reply(busy, persistence);
                self.finish(Finished { ident, ticket, reply });
            }
            Err(refused) => {
                let reply = reply(refused, persistence);
                self.finish(Finished { ident, ticket, reply });
            }
        }
    }

    /// What cannot be read is answered where it still says who asked.
    fn refuse(&mut self, error: &wire::DecodeError) {
        tracing::warn!(%error, "a message of Mongrel2 was refused");
        if let Some((ident, connection)) = error.connection() {
            let ticket = self.pipelines.begin(connection);
            let reply = reply(
                refusal(StatusCode::BAD_REQUEST, "Bad Request"),
                Persistence::Close,
            );
            self.finish(Finished { ident, ticket, reply });
        }
    }

    fn finish(&mut self, Finished { ident, ticket, reply }: Finished) {
        let Some(Reply { bytes, close }) = self.pipelines.finish(&ticket, reply) else {
            return;
        };
        let to = [&ticket.connection];
        let frames = wire::reply(&ident, &to, &bytes).map(|frames| frames.collect::<Vec<_>>());
        let closing = if close {
            wire::close(&ident, &to).map(|frames| frames.collect())
        } else {
            Ok(Vec::new())
        };
        match (frames, closing) {
            (Ok(frames), Ok(closing)) if self.replies.len() < REPLIES => {
                self.replies.extend(frames.into_iter().chain(closing));
            }
            (Ok(_), Ok(_)) => tracing::error!("Mongrel2 does not take its replies; one was dropped"),
            (Err(error), _) | (_, Err(error)) => {
                tracing::error!(%error, "a reply for Mongrel2 could not be written")
            }
        }
    }
}

/// The reply once its body is there.
async fn whole(response: http::Response<Body>, head: bool, persistence: Persistence) -> Reply {
    let (parts, body) = response.into_parts();
    match body.collect(BODY).await {
        Ok(body) => reply(
            finish(http::Response::from_parts(parts, body.into()), head),
            persistence,
        ),
        Err(error) => {
            tracing::error!(%error, "the body of a reply cannot be sent");
            reply(
                refusal(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"),
                persistence,
            )
        }
    }
}

fn reply(response: http::Response<Body>, persistence: Persistence) -> Reply {
    let response = response.map(|body| body.bytes().cloned().unwrap_or_default());
    Reply {
        bytes: http1::text(response, persistence, SystemTime::now()),
        close: persistence == Persistence::Close,
    }
}
