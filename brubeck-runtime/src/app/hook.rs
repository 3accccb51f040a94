//! Hooks: `async fn`s of extractors that run around handlers or in place of them.

use crate::extract::{Context, FromMessage};
use crate::response::{IntoReply, Response};
use futures_util::future::BoxFuture;
use std::sync::Arc;

/// An `async fn` of up to four extractors, for [`App::before`](crate::App::before),
/// [`App::fallback`](crate::App::fallback) and [`App::catch`](crate::App::catch). The trait is sealed.
///
/// `S` is the state of the application. `A` is the tuple of the argument types; it is inferred.
///
/// # Examples
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
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a hook for an app whose state is `{S}`",
    label = "not an `async fn` of up to four extractors"
)]
pub trait Hook<S, A>: sealed::Hook<A> + Send + Sync + 'static {
    /// The output of the future that the function returns.
    ///
    /// For [`App::before`](crate::App::before) it implements [`Proceed`], and [`IntoReply`] for [`App::fallback`](crate::App::fallback) and
    /// [`App::catch`](crate::App::catch).
    type Output: Send;

    /// Extracts the arguments and calls the function.
    ///
    /// # Errors
    ///
    /// Returns the response of the first extractor that rejects the message.
    #[doc(hidden)]
    fn run<'a>(&'a self, cx: &'a Context<S>) -> BoxFuture<'a, Result<Self::Output, Response>>;
}

mod sealed {
    pub trait Hook<A> {}
    pub trait Proceed {}
}

macro_rules! impl_hook {
    ($($argument:ident),*) => {
        impl<F, R, $($argument),*> sealed::Hook<($($argument,)*)> for F where F: Fn($($argument),*) -> R {}

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

impl_hook!();
impl_hook!(A);
impl_hook!(A, B);
impl_hook!(A, B, C);
impl_hook!(A, B, C, D);

/// The return type of a hook that runs [before](crate::App::before) handlers: `()` or `Result<(), impl IntoReply>`.
///
/// The trait is sealed: other types do not implement it.
///
/// # Examples
///
/// ```
/// use brubeck::{Proceed, Status};
///
/// assert!(().proceed().is_ok());
/// assert_eq!(Err(Status::FORBIDDEN).proceed().unwrap_err().status().code(), 403);
/// ```
pub trait Proceed: sealed::Proceed {
    /// Decides whether the request proceeds to the next hook and to the handler.
    ///
    /// # Errors
    ///
    /// Returns the response to send instead of the handler's.
    fn proceed(self) -> Result<(), Response>;
}

impl sealed::Proceed for () {}

impl Proceed for () {
    fn proceed(self) -> Result<(), Response> {
        Ok(())
    }
}

impl<E: IntoReply> sealed::Proceed for Result<(), E> {}

impl<E: IntoReply> Proceed for Result<(), E> {
    fn proceed(self) -> Result<(), Response> {
        self.map_err(IntoReply::into_reply)
    }
}

/// The position of a hook in the list of all hooks of an application.
#[derive(Clone, Copy, Debug)]
pub(super) struct HookId(pub(super) usize);

/// A hook of any type. `Err` is a response, `Ok` means that the request proceeds.
pub(super) type ErasedHook<S> =
    Arc<dyn for<'a> Fn(&'a Context<S>) -> BoxFuture<'a, Result<(), Response>> + Send + Sync>;

/// Erases the type of a hook that may let the request proceed.
pub(super) fn erase_before_hook<S: Send + Sync + 'static, A: 'static>(
    hook: impl Hook<S, A, Output: Proceed>,
) -> ErasedHook<S> {
    let hook = Arc::new(hook);
    Arc::new(move |cx| {
        let hook = hook.clone();
        Box::pin(async move { hook.run(cx).await?.proceed() })
    })
}

/// Erases the type of a hook that always responds, so its result is always `Err`.
pub(super) fn erase_responder<S: Send + Sync + 'static, A: 'static>(
    hook: impl Hook<S, A, Output: IntoReply>,
) -> ErasedHook<S> {
    let hook = Arc::new(hook);
    Arc::new(move |cx| {
        let hook = hook.clone();
        Box::pin(async move {
            let response = match hook.run(cx).await {
                Ok(output) => output.into_reply(),
                Err(rejection) => rejection,
            };
            Err(response)
        })
    })
}
