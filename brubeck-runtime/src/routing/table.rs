//! The route table: a constant that `routes!` makes.

use super::proofs::NowaitCalls;
use crate::extract::Context;
use crate::response::Response;
use crate::spec::{Routed, Spec};
use std::pin::Pin;

/// What a handler runs as.
pub type BoxFuture = Pin<Box<dyn Future<Output = Response> + Send>>;

/// A handler with its types erased: the one allocation of a message.
pub type HandlerFn<S> = fn(Context<S>) -> BoxFuture;

/// The routes of an application whose state is `S`, in the order they are tried.
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
/// A table is a constant and free to copy; `..other::ROUTES` lists one within another. The first pattern that
/// matches the start of the path wins, before the method is looked at; handlers with the same pattern text are
/// one resource. A route that could never run is a compile error.
pub struct Routes<S: 'static>(&'static [Entry<S>]);

impl<S> Clone for Routes<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Routes<S> {}

impl<S> Routes<S> {
    /// How many handlers are listed.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no handler is listed.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is known of each route, in order.
    pub fn specs(&self) -> impl Iterator<Item = &'static Spec> + use<S> {
        self.0.iter().map(|entry| entry.spec)
    }

    #[doc(hidden)]
    pub const fn entries(&self) -> &'static [Entry<S>] {
        self.0
    }
}

impl<S> std::fmt::Debug for Routes<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(
                self.specs()
                    .map(|spec| format!("{} {} -> {}", spec.method, spec.pattern, spec.name)),
            )
            .finish()
    }
}

/// A handler in the table.
pub struct Entry<S: 'static> {
    /// What is known of its route.
    pub spec: &'static Spec,
    /// Runs it.
    pub handle: HandlerFn<S>,
    /// Whether it takes the body while that comes.
    pub streams: bool,
    /// What it sends without waiting.
    pub nowait_calls: NowaitCalls,
}

impl<S> Clone for Entry<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Entry<S> {}

impl<S> Entry<S> {
    /// Fills a table until its entries are copied in.
    const VACANT: Entry<S> = Entry {
        spec: &Spec::BROKEN,
        handle: vacant::<S>,
        streams: false,
        nowait_calls: NowaitCalls::NONE,
    };
}

fn vacant<S>(_: Context<S>) -> BoxFuture {
    Box::pin(async { Response::new(crate::status::Status::NOT_FOUND) })
}

/// A handler in a list, with what its `CHECKED` says.
pub struct Checked<H, const CHECKED: bool>(std::marker::PhantomData<H>);

/// A handler whose arguments are right.
pub trait Listed {
    /// It.
    type Handler;
}

impl<H> Listed for Checked<H, true> {
    type Handler = H;
}

/// A handler that can run in an application whose state is `S`.
pub trait RouteHandler<S>: Routed {
    /// Whether an argument takes the body while that comes.
    const STREAMS: bool = false;

    /// What its body sends without waiting, as far as its text says.
    const NOWAIT_CALLS: NowaitCalls = NowaitCalls::NONE;

    /// Reads the arguments, runs the handler, makes its reply.
    fn handle(cx: Context<S>) -> BoxFuture;
}

/// The entry of a handler.
pub const fn entry<H: RouteHandler<S>, S>() -> Entry<S> {
    Entry {
        spec: const { &H::SPEC },
        handle: H::handle,
        streams: H::STREAMS,
        nowait_calls: H::NOWAIT_CALLS,
    }
}

/// The table of these entries.
pub const fn table<S>(entries: &'static [Entry<S>]) -> Routes<S> {
    Routes(entries)
}

/// One array of the entries of all parts.
pub const fn join<S: 'static, const N: usize>(parts: &[&[Entry<S>]]) -> [Entry<S>; N] {
    let mut joined = [Entry::VACANT; N];
    let (mut at, mut part) = (0, 0);
    while part < parts.len() {
        let mut i = 0;
        while i < parts[part].len() {
            joined[at] = parts[part][i];
            at += 1;
            i += 1;
        }
        part += 1;
    }
    joined
}

/// One array of the specs of all parts.
pub const fn join_specs<const N: usize>(parts: &[&[&'static Spec]]) -> [&'static Spec; N] {
    let mut joined: [&'static Spec; N] = [&Spec::BROKEN; N];
    let (mut at, mut part) = (0, 0);
    while part < parts.len() {
        let mut i = 0;
        while i < parts[part].len() {
            joined[at] = parts[part][i];
            at += 1;
            i += 1;
        }
        part += 1;
    }
    joined
}

/// The specs of a table.
pub const fn specs<S, const N: usize>(routes: Routes<S>) -> [&'static Spec; N] {
    let mut specs: [&'static Spec; N] = [&Spec::BROKEN; N];
    let mut i = 0;
    while i < N {
        specs[i] = routes.0[i].spec;
        i += 1;
    }
    specs
}
