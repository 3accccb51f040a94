#![deny(warnings, missing_docs, clippy::all)]
//! Attributes of functions, operations and arguments, and unusual names.
use brubeck::prelude::*;

/// A deprecated handler is served without a warning.
#[get("^/old$")]
#[deprecated = "use `new`"]
pub async fn old() {}

#[service_handler(r"^/old/(?<__path>\d+)$")]
#[deprecated]
async fn old_call(__path: u32, into: Arg<u8>) {
    drop(into);
}

#[get("^/typed$")]
#[expect(deprecated)]
async fn typed(outdated: State<Outdated>) {
    drop(outdated);
}

#[deprecated]
#[derive(Clone)]
struct Outdated;

#[cfg_attr(all(), get("^/übersicht/(?<größe>[0-9]+)$"))]
#[must_use]
async fn übersicht(größe: u64) -> String {
    größe.to_string()
}

/// Some operations exist under a condition.
#[service_client]
pub trait Match {
    /// Gone.
    #[cfg(any())]
    #[call("/gone")]
    async fn gone(&self, claims: Claims) -> Result<(), Problem>;

    /// Gone, too.
    #[cfg_attr(all(), cfg(any()))]
    #[call("/gone_too")]
    async fn gone_too(&self, claims: Claims) -> Result<(), Problem>;

    /// One of two operations of one name and path.
    #[cfg(any())]
    #[call("/one")]
    async fn one(&self) -> Result<Claims, Problem>;

    /// The other one.
    #[cfg(all())]
    #[call("/one")]
    async fn one(&self) -> Result<u8, Problem>;

    /// A deprecated operation.
    #[deprecated]
    #[call("/outdated/{größe}")]
    async fn outdated(
        &self,
        /// The size.
        größe: u8,
    ) -> Result<u8, Problem>;
}

struct Served;

impl Match for Served {
    async fn one(&self) -> Result<u8, Problem> {
        Ok(1)
    }
    async fn outdated(&self, größe: u8) -> Result<u8, Problem> {
        Ok(größe)
    }
}

const OPERATIONS: Routes<Served> = r#match::routes();
serves!(OPERATIONS => r#match);

const ROUTES: Routes<Site> = routes![old, old_call, typed, übersicht];

#[derive(Clone, AppState)]
struct Site {
    #[expect(deprecated)]
    outdated: Outdated,
}

fn main() {
    let names: Vec<_> = r#match::OPERATIONS.iter().map(|spec| spec.name).collect();
    assert_eq!(names, ["match::one", "match::outdated"]);
    assert_eq!((OPERATIONS.len(), ROUTES.len()), (2, 4));
    #[expect(deprecated)]
    let request: brubeck::ServiceRequest = old_call::request(5u32).into(5u8).0;
    let _ = request;
}
