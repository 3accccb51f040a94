//! Layers around the calls that an application serves.

use super::inner::AppInner;
use crate::message::Message;
use crate::outcome::Outcome;
use crate::response::{BoxError, IntoReply, Response};
use crate::status::Status;
use futures_util::future::BoxFuture;
use std::convert::Infallible;
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use tower_layer::Layer;
use tower_service::Service;

/// The calls of an application as a [`tower_service::Service`], which [layers](crate::App::call_layer) wrap.
///
/// ```
/// use brubeck::prelude::*;
/// use brubeck::{CallService, Message};
/// use tower::{ServiceExt, layer::layer_fn};
///
/// fn logged(app: App<()>) -> App<()> {
///     app.call_layer(layer_fn(|calls: CallService| {
///         calls.map_request(|call: Message| {
///             tracing::info!(path = call.path(), "call");
///             call
///         })
///     }))
/// }
/// ```
///
/// It takes the [`Message`] of a call, and returns the [`Response`] of its handler. It is always ready, never fails, and is cheap to clone.
#[derive(Clone)]
pub struct CallService(Arc<dyn Fn(Message) -> BoxFuture<'static, Response> + Send + Sync>);

impl CallService {
    /// The calls of an application without their layers.
    pub(super) fn new(app: Arc<AppInner>) -> CallService {
        CallService(Arc::new(move |message| {
            if let Some(progress) = message.extension::<CallProgress>() {
                progress.0.store(true, Ordering::Relaxed);
            }
            Box::pin(app.clone().handle_call(message).1)
        }))
    }

    /// Runs a call through the layers.
    pub(super) fn run(&self, message: Message) -> BoxFuture<'static, Response> {
        (self.0)(message)
    }
}

impl Service<Message> for CallService {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, message: Message) -> Self::Future {
        let response = self.run(message);
        Box::pin(async move { Ok(response.await) })
    }
}

impl fmt::Debug for CallService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallService")
    }
}

/// Set when a layer passes a call on to its handler. An extension of the message.
#[derive(Clone, Default)]
struct CallProgress(Arc<AtomicBool>);

impl CallProgress {
    fn may_have_run(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A layer without its type: a function that wraps the calls of the application.
pub(super) type BoxedCallLayer = Box<dyn FnOnce(CallService) -> CallService + Send>;

pub(super) fn box_call_layer<L>(layer: L) -> BoxedCallLayer
where
    L: Layer<CallService> + Send + 'static,
    L::Service: Service<Message, Response = Response> + Clone + Send + Sync + 'static,
    <L::Service as Service<Message>>::Error: Into<BoxError>,
    <L::Service as Service<Message>>::Future: Send,
{
    Box::new(move |inner| {
        let calls = layer.layer(inner);
        CallService(Arc::new(move |mut message| {
            let mut calls = calls.clone();
            let progress = message
                .extensions_mut()
                .get_or_insert_default::<CallProgress>()
                .clone();
            Box::pin(async move {
                let response = async {
                    poll_fn(|cx| calls.poll_ready(cx)).await?;
                    calls.call(message).await
                };
                match response.await {
                    Ok(response) if progress.may_have_run() || response.status().is_success() => response,
                    Ok(response) => response.with_outcome(Outcome::Rejected),
                    Err(error) => failed(error.into(), &progress),
                }
            })
        }))
    })
}

/// Returns the response to a call whose layer has failed: 503, as for web requests.
fn failed(error: BoxError, progress: &CallProgress) -> Response {
    tracing::warn!(error, "layer around a call failed");
    Status::SERVICE_UNAVAILABLE
        .into_reply()
        .with_outcome(match progress.may_have_run() {
            true => Outcome::Failure,
            false => Outcome::Rejected,
        })
}
