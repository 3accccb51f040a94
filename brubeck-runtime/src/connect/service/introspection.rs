//! What every service says of itself.

use super::super::Application;
use super::stats::Stats;
use crate::message::Message;
use crate::method::{Kind, Method};
use crate::reply::{Body, IntoReply, Response};
use crate::route::Spec;
use crate::status::Status;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use std::sync::Arc;

/// Where the paths begin that no application serves itself.
const RESERVED: &str = "/.brubeck/";

/// An application that is asked how it does, and counts what it does.
pub(super) struct Introspected {
    application: Arc<dyn Application>,
    stats: Stats,
}

impl Introspected {
    pub(super) fn new(application: Arc<dyn Application>) -> Introspected {
        let stats = Stats::new(served(&*application));
        Introspected { application, stats }
    }

    fn says(&self, method: Method, what: &str) -> Response {
        let value = match what {
            "ping" => json!({"pong": true}),
            "info" => self.info(),
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

impl Application for Introspected {
    fn answer(self: Arc<Self>, message: Message) -> BoxFuture<'static, Response> {
        if let Some(what) = message.path().strip_prefix(RESERVED) {
            let said = self.says(message.method(), what);
            return Box::pin(std::future::ready(said));
        }
        Box::pin(async move {
            let counted = self.stats.begin(self.application.route(&message));
            #[cfg(feature = "metrics")]
            let began = std::time::Instant::now();
            let response = self.application.clone().answer(message).await;
            counted.answered(response.status().is_success());
            #[cfg(feature = "metrics")]
            crate::call::measured::request(response.status().code(), began);
            response
        })
    }

    fn serve(self: Arc<Self>, request: http::Request<Body>) -> BoxFuture<'static, http::Response<Body>> {
        self.application.clone().serve(request)
    }

    fn body_limit(&self) -> usize {
        self.application.body_limit()
    }

    fn specs(&self) -> Vec<&'static Spec> {
        self.application.specs()
    }
}
