//! The route table: a constant, checked in constant evaluation and matched at run time.
//!
//! The first pattern that matches the path decides; its method is compared after that. Handlers with the same pattern text
//! form one resource.
//!
//! - `table` holds the constant that `routes!` makes, `proofs` its checks;
//! - `automaton` reads the automaton of one pattern, which the attribute macros have built;
//! - `router` finds the handler of a request: `dfa` finds the first route that matches, `captures` the captures of the path.

pub(crate) mod captures;

mod automaton;
mod dfa;
mod matcher;
mod order;
mod paths;
mod prefixed;
#[cfg(feature = "mongrel2")]
mod prefixes;
mod proofs;
mod router;
mod table;
mod url;

pub use matcher::RouteMatcher;
pub(crate) use paths::misrouted;
pub(crate) use prefixed::routed_text;
pub use prefixed::{
    TablePrefix, automata, automata_len, prefixed_entries, prefixed_specs, spec_references, texts, texts_len,
};
#[cfg(feature = "mongrel2")]
pub(crate) use prefixes::prefixes;
pub use proofs::{
    NowaitCalls, Unreachable, check_answered, check_body, check_served, emit_error, first_errors,
    shadow_checks,
};
pub(crate) use proofs::{find_unhandled_response, is_answered};
pub(crate) use router::{Match, MatchedRoute, Router};
pub(crate) use table::RouteList;
pub use table::{
    BoxFuture, Checked, ContractRoutes, Entry, HandlerFn, Listed, ListedRoute, RouteHandler, Routes, entry,
    join, join_specs, specs, table,
};
#[cfg(feature = "templates")]
pub(crate) use url::UrlTable;
pub(crate) use url::record_mounts;
pub use url::{UrlError, UrlRoute, own_url_spec, template_url, url_spec};
