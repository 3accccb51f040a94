//! A part of the application's state.

use super::{Context, FromMessage};
use std::convert::Infallible;
use std::ops::Deref;

/// A part of the application's state: all of it, or a field of a struct that derives `AppState`.
///
/// ```
/// use brubeck::prelude::*;
///
/// #[derive(Clone)]
/// struct Greeting(&'static str);
///
/// #[derive(Clone, AppState)]
/// struct Site { greeting: Greeting }
///
/// #[get("^/")]
/// async fn hello(greeting: State<Greeting>) -> &'static str {
///     greeting.0.0
/// }
///
/// const ROUTES: Routes<Site> = routes![hello];
/// ```
///
/// Each message gets a clone, so let the fields be cheap to clone (an `Arc`, a pool).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State<T>(pub T);

impl<T> Deref for State<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// `T` is a part of the application state `Self`; derive `AppState` for a struct with several parts.
#[diagnostic::on_unimplemented(
    message = "the app state `{Self}` has no `{T}`",
    label = "a handler in this list takes `State<{T}>`",
    note = "add a `{T}` field and `#[derive(AppState)]` to `{Self}`"
)]
pub trait Provides<T> {
    /// A clone of the part.
    fn provide(&self) -> T;
}

impl<T: Clone> Provides<T> for T {
    fn provide(&self) -> T {
        self.clone()
    }
}

impl<S: Provides<T> + Send + Sync + 'static, T: Send> FromMessage<S> for State<T> {
    type Rejection = Infallible;

    async fn from_message(cx: &Context<S>) -> Result<State<T>, Infallible> {
        Ok(State(cx.state().provide()))
    }
}
