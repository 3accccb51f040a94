//! Functions that an application runs beside its handlers.

use crate::extract::{Context, FromMessage};
use crate::response::{IntoReply, Response};
use futures_util::future::BoxFuture;
use std::sync::Arc;

/// An `async fn` of up to four extractors that an application runs beside its handlers.
///
/// ```
/// use brubeck::prelude::*;
///
/// async fn only_by_day(clock: State<Clock>) -> Result<(), Status> {
///     if clock.hour < 18 { Ok(()) } else { Err(Status::new(503).message("closed")) }
/// }
///
/// #[derive(Clone)]
/// struct Clock { hour: u8 }
///
/// fn app(routes: Routes<Clock>) -> App<Clock> {
///     App::new(routes, Clock { hour: 9 }).before(only_by_day)
/// }
/// ```
///
/// Given to [`App::before`](crate::App::before), [`App::fallback`](crate::App::fallback) and
/// [`App::catch`](crate::App::catch). `A` stands for the types of the arguments and is never written.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot run beside the handlers of an app whose state is `{S}`",
    label = "not an `async fn` of up to four extractors"
)]
pub trait Hook<S, A>: Send + Sync + 'static {
    /// What it returns.
    type Output: Send;

    /// Reads the arguments and runs it; an argument that refuses is the answer.
    fn run<'a>(&'a self, cx: &'a Context<S>) -> BoxFuture<'a, Result<Self::Output, Response>>;
}

macro_rules! hook {
    ($($argument:ident),*) => {
        impl<S, F, R, $($argument),*> Hook<S, ($($argument,)*)> for F
        where
            S: Send + Sync + 'static,
            F: Fn($($argument),*) -> R + Send + Sync + 'static,
            R: Future<Output: Send> + Send,
            $($argument: FromMessage<S> + Send,)*
        {
            type Output = R::Output;

            #[allow(non_snake_case, unused_variables)]
            fn run<'a>(&'a self, cx: &'a Context<S>) -> BoxFuture<'a, Result<R::Output, Response>> {
                Box::pin(async move {
                    $(let $argument = $argument::from_message(cx).await.map_err(IntoReply::into_reply)?;)*
                    Ok(self($($argument),*).await)
                })
            }
        }
    };
}

hook!();
hook!(A);
hook!(A, B);
hook!(A, B, C);
hook!(A, B, C, D);

/// What a function that runs before the handlers can return: `()`, or `Err` of a reply to answer instead.
///
/// ```
/// use brubeck::{Proceed, Status};
///
/// assert!(().proceed().is_ok());
/// assert_eq!(Err(Status::FORBIDDEN).proceed().unwrap_err().status().code(), 403);
/// ```
pub trait Proceed {
    /// `Err` is answered instead of what the handler would have said.
    fn proceed(self) -> Result<(), Response>;
}

impl Proceed for () {
    fn proceed(self) -> Result<(), Response> {
        Ok(())
    }
}

impl<E: IntoReply> Proceed for Result<(), E> {
    fn proceed(self) -> Result<(), Response> {
        self.map_err(IntoReply::into_reply)
    }
}

/// A hook with its types erased: `Err` answers.
pub(super) type Erased<S> =
    Arc<dyn for<'a> Fn(&'a Context<S>) -> BoxFuture<'a, Result<(), Response>> + Send + Sync>;

pub(super) fn guard<S: Send + Sync + 'static, A: 'static>(
    hook: impl Hook<S, A, Output: Proceed>,
) -> Erased<S> {
    let hook = Arc::new(hook);
    Arc::new(move |cx| {
        let hook = hook.clone();
        Box::pin(async move { hook.run(cx).await?.proceed() })
    })
}

pub(super) fn answer<S: Send + Sync + 'static, A: 'static>(
    hook: impl Hook<S, A, Output: IntoReply>,
) -> Erased<S> {
    let hook = Arc::new(hook);
    Arc::new(move |cx| {
        let hook = hook.clone();
        Box::pin(async move {
            Err(hook
                .run(cx)
                .await
                .map_or_else(|refused| refused, IntoReply::into_reply))
        })
    })
}
