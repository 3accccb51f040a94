//! Extracts the arguments of a handler and runs it.
//!
//! The attributes generate one call of [`run_handler`] for each handler. The futures are here, so rustc checks them once and not again for each
//! handler: that is most of the work of a check of a program with many handlers.

use crate::extract::operation::reject;
use crate::extract::{Context, FromCapture, FromMessage};
use crate::response::Response;
use crate::rpc::api::ResultOfCall;
use crate::status::Status;
use futures_util::TryFutureExt;
use futures_util::future::BoxFuture;
use std::future::ready;

/// Where an argument of a handler comes from. A tuple of arguments is one, too.
pub trait ArgumentSource<S>: Send + 'static {
    /// The type of the argument.
    type Value: Send;

    /// Reads the argument.
    ///
    /// # Errors
    ///
    /// Returns the response for the client if the message has no such argument.
    fn read(self, cx: &mut Context<S>) -> impl Future<Output = Result<Self::Value, Response>> + Send;
}

/// A capture that takes part in every match.
pub struct Captured<T> {
    index: usize,
    parse: fn(&str) -> Option<T>,
}

/// The capture of an optional group.
pub struct OptionalCaptured<T>(Captured<T>);

/// An argument that its type reads from the message.
pub struct Extracted<T> {
    name: &'static str,
    ty: std::marker::PhantomData<fn() -> T>,
}

/// The result of the call that a response handler handles.
pub struct EndedCall<T> {
    ty: std::marker::PhantomData<fn() -> T>,
}

/// Returns the source of the result of a call.
pub const fn call_result<T>() -> EndedCall<T> {
    EndedCall {
        ty: std::marker::PhantomData,
    }
}

/// Returns the source of a capture that takes part in every match. The response is 404 if its text is not a `T`.
pub const fn capture<T: FromCapture>(index: usize) -> Captured<T> {
    Captured {
        index,
        parse: T::from_capture,
    }
}

/// Returns the source of the capture of an optional group. The argument is `None` if the group did not match, or matched an empty text that is
/// not a `T`. The response is 404 if another text is not a `T`.
pub const fn optional_capture<T: FromCapture>(index: usize) -> OptionalCaptured<T> {
    OptionalCaptured(capture(index))
}

/// Returns the source of an argument that its type reads from the message.
pub const fn extracted<T>(name: &'static str) -> Extracted<T> {
    Extracted {
        name,
        ty: std::marker::PhantomData,
    }
}

impl<S: Send + Sync + 'static, T: Send + 'static> ArgumentSource<S> for Captured<T> {
    type Value = T;

    fn read(self, cx: &mut Context<S>) -> impl Future<Output = Result<T, Response>> + Send {
        let text = cx.capture(self.index);
        ready(text.as_deref().and_then(self.parse).ok_or_else(not_found))
    }
}

impl<S: Send + Sync + 'static, T: Send + 'static> ArgumentSource<S> for OptionalCaptured<T> {
    type Value = Option<T>;

    fn read(self, cx: &mut Context<S>) -> impl Future<Output = Result<Option<T>, Response>> + Send {
        let Some(text) = cx.capture(self.0.index) else {
            return ready(Ok(None));
        };
        ready(match (self.0.parse)(&text) {
            None if !text.is_empty() => Err(not_found()),
            value => Ok(value),
        })
    }
}

impl<S: Send + Sync + 'static, T: ResultOfCall<S> + Send + 'static> ArgumentSource<S> for EndedCall<T> {
    type Value = T;

    fn read(self, cx: &mut Context<S>) -> impl Future<Output = Result<T, Response>> + Send {
        ready(Ok(T::of_message(cx.message())))
    }
}

impl<S: Send + Sync + 'static, T: FromMessage<S> + Send + 'static> ArgumentSource<S> for Extracted<T> {
    type Value = T;

    fn read(self, cx: &mut Context<S>) -> impl Future<Output = Result<T, Response>> + Send {
        cx.bind(self.name);
        T::from_message(cx).map_err(reject)
    }
}

macro_rules! tuple {
    ($($source:ident)*) => {
        impl<S: Send + Sync + 'static, $($source: ArgumentSource<S>),*> ArgumentSource<S> for ($($source,)*) {
            type Value = ($($source::Value,)*);

            #[allow(non_snake_case, unused_variables)]
            async fn read(self, cx: &mut Context<S>) -> Result<Self::Value, Response> {
                let ($($source,)*) = self;
                Ok(($($source.read(cx).await?,)*))
            }
        }
    };
}

tuple!();
tuple!(A);
tuple!(A B);
tuple!(A B C);
tuple!(A B C D);
tuple!(A B C D E);
tuple!(A B C D E F);
tuple!(A B C D E F G);
tuple!(A B C D E F G H);

/// Extracts the arguments of a handler, runs it, and converts its return value to a response. The message is dropped before the handler runs.
pub fn run_handler<S, A, H, F, R>(
    mut cx: Context<S>,
    arguments: A,
    handler: H,
    reply: R,
) -> BoxFuture<'static, Response>
where
    S: Send + Sync + 'static,
    A: ArgumentSource<S>,
    H: FnOnce(A::Value) -> F + Send + 'static,
    F: Future + Send + 'static,
    R: FnOnce(F::Output) -> Response + Send + 'static,
{
    Box::pin(async move {
        let arguments = match arguments.read(&mut cx).await {
            Ok(arguments) => arguments,
            Err(response) => return response,
        };
        let _released = cx.release_message();
        reply(handler(arguments).await)
    })
}

/// Reads the arguments of a handler whose body does not fit [`run_handler`].
///
/// # Errors
///
/// Returns the response for the client if the message lacks an argument.
pub async fn read_arguments<S, A: ArgumentSource<S>>(
    cx: &mut Context<S>,
    arguments: A,
) -> Result<A::Value, Response> {
    arguments.read(cx).await
}

fn not_found() -> Response {
    reject(Status::NOT_FOUND)
}
