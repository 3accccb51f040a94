//! Handler arguments that have to do with calls: the services of the application, the answer of one, and how long and for
//! whom a handler works.

use super::{Context, FromMessage};
use crate::response::Rejection;
use crate::rpc::api::{CallerContext, Cancellation, Client, Deadline, Origin, ServiceResponse, Services};
use crate::status::Status;
use serde::de::DeserializeOwned;
use std::convert::Infallible;
use std::sync::Arc;

impl<S: Send + Sync + 'static> FromMessage<S> for Services {
    type Rejection = Infallible;

    async fn from_message(cx: &Context<S>) -> Result<Services, Infallible> {
        Ok(cx.app().services.with_caller(caller(cx)))
    }
}

/// On whose behalf the handler of this message calls services.
fn caller<S>(cx: &Context<S>) -> Option<Arc<CallerContext>> {
    let message = cx.message();
    Some(Arc::new(CallerContext {
        handlers: cx.app().response_handlers.upgrade()?,
        origin: message.extension::<Origin>().cloned(),
        deadline: Deadline::of(cx.scope(), message),
        hops: message.call().map_or(0, |call| call.hops.saturating_add(1)),
        trace: cx.trace().clone(),
    }))
}

/// The client of a contract as a handler uses it: on behalf of the application it runs in.
pub fn client_for<S>(cx: &Context<S>, client: Client) -> Client {
    match caller(cx) {
        Some(caller) => client.with_caller(caller),
        None => client,
    }
}

impl<S: Send + Sync + 'static, T: DeserializeOwned + Send> FromMessage<S> for ServiceResponse<T> {
    type Rejection = Rejection;

    async fn from_message(cx: &Context<S>) -> Result<ServiceResponse<T>, Rejection> {
        ServiceResponse::from_response_message(cx.message())
            .read()
            .map_err(|error| {
                Rejection::new(
                    Status::BAD_GATEWAY,
                    format!("the service answered something else than expected: {error}"),
                )
            })
    }
}

impl<S: Send + Sync + 'static> FromMessage<S> for Deadline {
    type Rejection = Infallible;

    async fn from_message(cx: &Context<S>) -> Result<Deadline, Infallible> {
        Ok(Deadline::of(cx.scope(), cx.message()))
    }
}

impl<S: Send + Sync + 'static> FromMessage<S> for Cancellation {
    type Rejection = Infallible;

    async fn from_message(cx: &Context<S>) -> Result<Cancellation, Infallible> {
        Ok(Cancellation(cx.alive()))
    }
}
