//! Extractors for service calls: [`Services`], [`ServiceResponse`], [`Deadline`] and [`Cancellation`].

use super::{Context, FromMessage};
use crate::response::Rejection;
use crate::rpc::api::{
    CallEnd, CallId, CallerContext, Cancellation, Client, Deadline, Origin, ServiceResponse, Services,
};
use crate::status::Status;
use serde::de::DeserializeOwned;
use std::convert::Infallible;
use std::sync::Arc;

/// Extracts the services of the application. Their calls inherit the origin, the deadline, the hop count and the trace of the message.
#[cfg(feature = "services")]
#[cfg_attr(docsrs, doc(cfg(feature = "services")))]
impl<S: Send + Sync + 'static> FromMessage<S> for Services {
    type Rejection = Infallible;

    async fn from_message(cx: &Context<S>) -> Result<Services, Infallible> {
        Ok(cx.settings().services.with_caller(caller_context(cx)))
    }
}

/// Returns the context that calls of this handler inherit: origin, deadline, hop count and trace. Returns `None` if the application has
/// been dropped while the handler was running. Calls then inherit nothing, and no response handler runs.
fn caller_context<S>(cx: &Context<S>) -> Option<Arc<CallerContext>> {
    let message = cx.message();
    Some(Arc::new(CallerContext {
        handlers: cx.settings().response_handlers.upgrade()?,
        origin: message.extension::<Origin>().cloned(),
        deadline: deadline(cx),
        hops: message.call_meta().map_or(0, |call| call.hops.saturating_add(1)),
        trace: cx.trace().clone(),
    }))
}

fn deadline<S>(cx: &Context<S>) -> Deadline {
    Deadline::for_handler(cx.scope(), cx.message(), || Cancellation(cx.cancel_signal()))
}

/// Binds the client of a contract to the message, so that calls of the client inherit the origin, the deadline, the hop count and the
/// trace of the message.
///
/// In a test, a client that `XClient::at` returned uses the network of the test.
pub fn client_for<S>(cx: &Context<S>, client: Client) -> Client {
    let client = cx.settings().services.adopt(client);
    match caller_context(cx) {
        Some(caller) => client.with_caller(caller),
        None => client,
    }
}

/// Extracts the response of a service, in a response handler. Rejects with 502 if its payload cannot be deserialized into `T`.
impl<S: Send + Sync + 'static, T: DeserializeOwned + Send> FromMessage<S> for ServiceResponse<T> {
    type Rejection = Rejection;

    async fn from_message(cx: &Context<S>) -> Result<ServiceResponse<T>, Rejection> {
        let message = cx.message();
        // Another argument of the handler takes the error.
        if let Some(error) = message.extension::<CallEnd>().and_then(|end| end.error.as_ref()) {
            return Err(Rejection::new(error.status(), "the call has no response"));
        }
        ServiceResponse::from_response_message(message)
            .decode()
            .map_err(|error| {
                Rejection::new(
                    Status::BAD_GATEWAY,
                    format!("the response of the service is not valid: {error}"),
                )
            })
    }
}

/// Extracts the ID of a call, in a response handler. Rejects with 500 if the message is not the response of a call.
impl<S: Send + Sync + 'static> FromMessage<S> for CallId {
    type Rejection = Rejection;

    async fn from_message(cx: &Context<S>) -> Result<CallId, Rejection> {
        let none = || {
            Rejection::new(
                Status::INTERNAL_SERVER_ERROR,
                "only a response handler gets the ID of a call",
            )
        };
        let end = cx.message().extension::<CallEnd>();
        end.map(|end| end.id).ok_or_else(none)
    }

    async fn from_message_if_present(cx: &Context<S>) -> Result<Option<CallId>, Rejection> {
        Ok(cx.message().extension::<CallEnd>().map(|end| end.id))
    }
}

/// Extracts the deadline of the request or call.
impl<S: Send + Sync + 'static> FromMessage<S> for Deadline {
    type Rejection = Infallible;

    async fn from_message(cx: &Context<S>) -> Result<Deadline, Infallible> {
        Ok(deadline(cx))
    }
}

/// Extracts a signal that fires when the handler returns or is cancelled.
impl<S: Send + Sync + 'static> FromMessage<S> for Cancellation {
    type Rejection = Infallible;

    async fn from_message(cx: &Context<S>) -> Result<Cancellation, Infallible> {
        Ok(Cancellation(cx.cancel_signal()))
    }
}
