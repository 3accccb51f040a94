//! The extractor for the state of the application.

use super::{Context, FromMessage};
use std::convert::Infallible;
use std::ops::Deref;

/// Extractor for a part of the application state.
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
/// `T` is the type of the whole state, or of a field if the state derives
/// [`AppState`](../brubeck/derive.AppState.html).
///
/// Every extraction clones the value, so it should be cheap to clone, such as an `Arc` or a connection pool.
///
/// Applications whose state does not provide `T` do not compile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State<T>(pub T);

impl<T> Deref for State<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// Application states that have a part of type `T`.
///
/// Derive [`AppState`](../brubeck/derive.AppState.html) to implement it for the fields of a struct. Every `Clone` type provides itself.
///
/// ```
/// use brubeck::Provides;
///
/// #[derive(Clone, brubeck::AppState)]
/// struct Site { name: String, port: u16 }
///
/// let site = Site { name: "blue".into(), port: 6767 };
/// let port: u16 = site.provide();
/// assert_eq!(port, 6767);
/// ```
#[diagnostic::on_unimplemented(
    message = "the app state `{Self}` has no `{T}`",
    label = "a handler in this list takes `State<{T}>`",
    note = "add a `{T}` field and `#[derive(AppState)]` to `{Self}`"
)]
pub trait Provides<T> {
    /// Returns a clone of the part: see the example of [`Provides`].
    ///
    /// Each extraction of a [`State<T>`](State) calls it, so the part should be cheap to clone. Implement it yourself to compute a part
    /// from several fields:
    ///
    /// ```
    /// use brubeck::Provides;
    /// use brubeck::prelude::*;
    ///
    /// #[derive(Clone)]
    /// struct Greeting(String);
    ///
    /// #[derive(Clone)]
    /// struct Site { name: String }
    ///
    /// impl Provides<Greeting> for Site {
    ///     fn provide(&self) -> Greeting {
    ///         Greeting(format!("hello from {}", self.name))
    ///     }
    /// }
    ///
    /// #[get("/")]
    /// async fn index(greeting: State<Greeting>) -> String {
    ///     greeting.0.0
    /// }
    ///
    /// const ROUTES: Routes<Site> = routes![index];
    /// ```
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
