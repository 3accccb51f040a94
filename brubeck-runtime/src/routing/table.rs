//! The constant that `routes!` makes, and its entries.

use super::proofs::NowaitCalls;
use crate::extract::Context;
use crate::response::Response;
use crate::spec::{Routed, Spec};
use std::pin::Pin;

/// The future of a running handler.
pub type BoxFuture = Pin<Box<dyn Future<Output = Response> + Send>>;

/// A handler with its types erased. Its future is boxed for this, once for each message.
pub type HandlerFn<S> = fn(Context<S>) -> BoxFuture;

/// The routes of a table, in order.
pub(crate) type RouteList = Vec<&'static ListedRoute>;

/// The routes of an application, in the order in which they are tried. `S` is the state of the application.
///
/// ```
/// use brubeck::prelude::*;
///
/// #[get("^/$")]
/// async fn index() -> &'static str {
///     "hello"
/// }
///
/// #[get(r"^/user/(?<id>\d+)$")]
/// async fn user(id: u64) -> String {
///     format!("user {id}")
/// }
///
/// pub const ROUTES: Routes<()> = routes![index, user];
/// ```
///
/// `routes!` makes a table. It is a constant and `Copy`; `..other::ROUTES` nests one table in another.
///
/// The first pattern that matches the path decides; its method is compared after that. A pattern matches a prefix of
/// the path unless it ends in `$`. Handlers with the same pattern text form one resource. A route that an earlier one shadows is a
/// compile error; [`check`](Routes::check) also finds one that several earlier ones shadow together.
pub struct Routes<S: 'static>(&'static [Entry<S>]);

impl<S> Clone for Routes<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Routes<S> {}

impl<S> Routes<S> {
    /// Returns the number of handlers.
    ///
    /// ```
    /// use brubeck::prelude::*;
    ///
    /// #[get("^/$")]
    /// async fn index() -> &'static str {
    ///     "hello"
    /// }
    ///
    /// const ROUTES: Routes<()> = routes![index];
    /// assert_eq!(ROUTES.len(), 1);
    /// ```
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns `true` if the table has no handlers.
    ///
    /// ```
    /// use brubeck::prelude::*;
    ///
    /// #[get("^/$")]
    /// async fn index() -> &'static str {
    ///     "hello"
    /// }
    ///
    /// const ROUTES: Routes<()> = routes![index];
    /// assert!(!ROUTES.is_empty());
    /// ```
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the description of each route, in order.
    ///
    /// ```
    /// use brubeck::prelude::*;
    ///
    /// #[get("^/$")]
    /// async fn index() -> &'static str {
    ///     "hello"
    /// }
    ///
    /// const ROUTES: Routes<()> = routes![index];
    /// assert!(ROUTES.specs().map(|spec| spec.name).eq(["index"]));
    /// ```
    pub fn specs(&self) -> impl Iterator<Item = &'static Spec> + use<S> {
        self.0.iter().map(|entry| entry.route.spec)
    }

    /// Returns the routes without their handlers.
    pub(crate) fn listed(&self) -> RouteList {
        let mut listed = Vec::with_capacity(self.0.len());
        // Every program compiles this function for its own state, and an iterator would be ten times as much code.
        let mut index = 0;
        while index < self.0.len() {
            listed.push(&self.0[index].route);
            index += 1;
        }
        listed
    }

    #[doc(hidden)]
    pub const fn entries(&self) -> &'static [Entry<S>] {
        self.0
    }
}

impl<S> std::fmt::Debug for Routes<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = self.specs().map(|spec| {
            let mark = if spec.matches_prefix() { " (prefix)" } else { "" };
            format!("{} {}{mark} -> {}", spec.method, spec.pattern, spec.name)
        });
        f.debug_list().entries(shown).finish()
    }
}

/// A handler in the table. It is `Copy`, so that constant evaluation can nest tables.
pub struct Entry<S: 'static> {
    /// Its route.
    pub route: ListedRoute,
    /// Runs the handler.
    pub handle: HandlerFn<S>,
}

/// The route of a handler in the table: the part of its entry that does not depend on the state of the application.
#[derive(Clone, Copy, Debug)]
pub struct ListedRoute {
    /// The description of the route.
    pub spec: &'static Spec,
    /// The handler streams the body of a web request.
    pub streams: bool,
    /// `true` if an argument of a response handler takes the error of a call without a response.
    pub takes_call_errors: bool,
    /// The calls with `nowait` in the source text of the handler.
    pub nowait_calls: NowaitCalls,
}

impl ListedRoute {
    /// Creates the route of a handler that neither streams the body nor makes calls with `nowait`.
    pub const fn new(spec: &'static Spec) -> ListedRoute {
        ListedRoute {
            spec,
            streams: false,
            takes_call_errors: false,
            nowait_calls: NowaitCalls::NONE,
        }
    }
}

impl<S> Clone for Entry<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Entry<S> {}

impl<S> Entry<S> {
    /// Fills an array before the entries are copied into it.
    pub(super) const VACANT: Entry<S> = Entry {
        route: ListedRoute::new(&Spec::BROKEN),
        handle: vacant::<S>,
    };
}

fn vacant<S>(_: Context<S>) -> BoxFuture {
    Box::pin(async { Response::new(crate::status::Status::NOT_FOUND) })
}

/// A handler in a list, with the value of its `CHECKED`. If an argument of the handler is invalid, `CHECKED` fails to evaluate and rustc
/// cannot form this type. The error is then reported once, at the handler, and not again at the list.
pub struct Checked<H, const CHECKED: bool>(std::marker::PhantomData<H>);

/// A handler whose arguments are valid.
pub trait Listed {
    /// The handler.
    type Handler;
}

impl<H> Listed for Checked<H, true> {
    type Handler = H;
}

/// A handler that can run in an application whose state is `S`.
pub trait RouteHandler<S>: Routed {
    /// `true` if an argument streams the body of a web request.
    const STREAMS: bool = false;

    /// `true` if an argument of a response handler takes the error of a call without a response.
    const TAKES_CALL_ERRORS: bool = false;

    /// The calls with `nowait` that the attribute has found in the source text of the handler.
    const NOWAIT_CALLS: NowaitCalls = NowaitCalls::NONE;

    /// Extracts the arguments, runs the handler, and converts its return value to a response.
    fn handle(cx: Context<S>) -> BoxFuture;
}

/// Returns the entry of a handler.
pub const fn entry<H: RouteHandler<S>, S>() -> Entry<S> {
    Entry {
        route: ListedRoute {
            spec: const { &H::SPEC },
            streams: H::STREAMS,
            takes_call_errors: H::TAKES_CALL_ERRORS,
            nowait_calls: H::NOWAIT_CALLS,
        },
        handle: H::handle,
    }
}

/// The routes of a contract, for a state that implements it. Implemented for a type in the module of the contract.
pub trait ContractRoutes<S: 'static> {
    /// The table of all operations.
    const ROUTES: Routes<S>;
}

/// Returns the table with these entries.
pub const fn table<S>(entries: &'static [Entry<S>]) -> Routes<S> {
    Routes(entries)
}

/// Concatenates the entries of all parts. `N` is their number.
pub const fn join<S: 'static, const N: usize>(parts: &[&[Entry<S>]]) -> [Entry<S>; N] {
    let mut joined = [Entry::VACANT; N];
    let (mut len, mut part) = (0, 0);
    while part < parts.len() {
        let mut i = 0;
        while i < parts[part].len() {
            joined[len] = parts[part][i];
            len += 1;
            i += 1;
        }
        part += 1;
    }
    joined
}

/// Concatenates the specs of all parts. `N` is their number.
pub const fn join_specs<const N: usize>(parts: &[&[&'static Spec]]) -> [&'static Spec; N] {
    let mut joined: [&'static Spec; N] = [&Spec::BROKEN; N];
    let (mut len, mut part) = (0, 0);
    while part < parts.len() {
        let mut i = 0;
        while i < parts[part].len() {
            joined[len] = parts[part][i];
            len += 1;
            i += 1;
        }
        part += 1;
    }
    joined
}

/// Returns the specs of a table. `N` is its length.
pub const fn specs<S, const N: usize>(routes: Routes<S>) -> [&'static Spec; N] {
    let mut specs: [&'static Spec; N] = [&Spec::BROKEN; N];
    let mut i = 0;
    while i < N {
        specs[i] = routes.0[i].route.spec;
        i += 1;
    }
    specs
}
