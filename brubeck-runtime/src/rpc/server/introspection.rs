//! What every service says of itself.

mod stats;

use crate::handler::{Application, CallFuture};
use crate::message::Message;
use crate::method::{Kind, Method};
use crate::response::{IntoReply, Response};
use crate::spec::Spec;
use crate::status::Status;
use futures_util::FutureExt;
use futures_util::future::Either;
use serde_json::{Value, json};
use stats::{Counted, Stats};
use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::time::Instant;

/// Where the paths begin that no application serves itself.
const RESERVED: &str = "/.brubeck/";

const INFO: &str = "info";

/// An application that is asked how it does, and counts what it does.
pub(crate) struct Introspected {
    application: Arc<dyn Application>,
    stats: Stats,
}

impl Introspected {
    pub(crate) fn new(application: Arc<dyn Application>) -> Introspected {
        let stats = Stats::new(served(&*application));
        Introspected { application, stats }
    }

    fn says(&self, method: Method, what: &str) -> Response {
        let value = match what {
            "ping" => json!({"pong": true}),
            INFO => self.info(),
            "stats" => self.stats.json(served(&*self.application)),
            _ => return Status::NOT_FOUND.into_reply(),
        };
        match method {
            Method::Request | Method::Get => Response::json(Status::OK, &value),
            _ => Status::METHOD_NOT_ALLOWED.into_reply(),
        }
    }

    fn info(&self) -> Value {
        json!({
            "brubeck": env!("CARGO_PKG_VERSION"),
            "operations": served(&*self.application).map(operation).collect::<Vec<_>>(),
        })
    }
}

/// Types say themselves what they are: that takes its time, and may panic.
async fn info(service: Arc<Introspected>, method: Method) -> Response {
    let said = tokio::task::spawn_blocking(move || service.says(method, INFO)).await;
    said.unwrap_or_else(|error| {
        tracing::error!(%error, "the types of the operations could not be described");
        Status::INTERNAL_SERVER_ERROR.into_reply()
    })
}

/// The operations, in the order of the list.
fn served(application: &dyn Application) -> impl Iterator<Item = &'static Spec> + use<> {
    let specs = application.specs().into_iter();
    specs.filter(|spec| spec.kind == Kind::Service)
}

fn operation(spec: &Spec) -> Value {
    let mut operation = json!({
        "name": spec.name,
        "method": spec.method.as_str(),
        "path": spec.pattern,
        "captures": spec.captures,
        "example": spec.example,
        "blocking": spec.blocking,
        "slots": spec.slots,
    });
    if let (Some(schemas), Value::Object(operation)) = (spec.schema, &mut operation) {
        operation.extend(schemas());
    }
    operation
}

impl Introspected {
    /// Has a call answered.
    pub(crate) fn call(self: &Arc<Self>, message: Message) -> Counting {
        if let Some(what) = message.path().strip_prefix(RESERVED) {
            let method = message.method();
            let said = match what {
                INFO => info(self.clone(), method).boxed(),
                _ => ready(self.says(method, what)).boxed(),
            };
            return Counting {
                counted: None,
                began: None,
                called: CallFuture(Either::Right(said)),
            };
        }
        let (route, called) = self.application.clone().call(message);
        Counting {
            counted: Some(self.stats.begin(route)),
            began: None,
            called,
        }
    }
}

/// A call that is being answered, and counted. Its time runs from the first poll, or from when it is said to begin.
pub(crate) struct Counting {
    counted: Option<Counted>,
    began: Option<Instant>,
    called: CallFuture,
}

impl Counting {
    /// Whether its handler has always been quick of late.
    pub(super) fn should_poll_inline(&self) -> bool {
        self.counted.as_ref().is_none_or(Counted::should_poll_inline)
    }

    /// It begins now; whoever knows the time saves a look at the clock.
    pub(super) fn begins(&mut self, now: Instant) {
        self.began = Some(now);
    }
}

impl Future for Counting {
    type Output = Response;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response> {
        let began = *self.began.get_or_insert_with(Instant::now);
        let response = ready!(self.called.poll_unpin(cx));
        if let Some(counted) = self.counted.take() {
            counted.answered(response.status().is_success(), began.elapsed());
            #[cfg(feature = "metrics")]
            crate::rpc::api::measured::request(response.status().code(), began.into_std());
        }
        Poll::Ready(response)
    }
}
