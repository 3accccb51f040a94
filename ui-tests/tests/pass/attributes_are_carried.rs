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

/// A deprecated contract: its client warns.
#[service_client]
#[deprecated = "use `Match`"]
#[doc(hidden)]
pub trait Older {
    /// Text.
    #[call("/older")]
    #[cfg_attr(all(), deprecated = "use `one`")]
    async fn older(&self, text: String) -> Result<u8, Problem>;

    /// Lints that the user allows.
    #[call("/lints")]
    #[expect(clippy::too_many_arguments)]
    #[allow(non_snake_case)]
    #[must_use = "the response counts"]
    #[doc(alias = "lint")]
    async fn Lints(
        &self,
        #[allow(non_snake_case)] firstArgument: u8,
        #[expect(non_snake_case)] secondArgument: u8,
        b: u8,
        c: u8,
        d: u8,
        e: u8,
        f: u8,
    ) -> Result<u8, Problem>;

    /// Under a condition that holds.
    #[call("/condition")]
    #[cfg_attr(any(), cfg(any()))]
    async fn condition(&self) -> Result<u8, Problem>;
}

#[service_handler(older::older)]
async fn serves_a_deprecated_operation(args: Args<older::older>) -> Result<u8, Problem> {
    Ok(u8::try_from(args.text.len()).unwrap_or(0))
}

#[response_handler(older::older)]
async fn takes_responses_of_a_deprecated_operation(response: ServiceResponse<u8>) {
    let _ = response.body;
}

#[expect(deprecated)]
fn calls_a_deprecated_client(older: &OlderClient) -> brubeck::ServiceRequest {
    older.Lints(1, 2, 3, 4, 5, 6, 7).into_request()
}

fn calls_a_deprecated_operation(client: &MatchClient) -> brubeck::ServiceRequest {
    #[expect(deprecated)]
    client.outdated(1).into_request()
}

const OLDER: Routes<()> = routes![serves_a_deprecated_operation];

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
    assert_eq!((OPERATIONS.len(), ROUTES.len(), OLDER.len(), older::OPERATIONS.len()), (2, 4, 1, 3));
    let _ = (calls_a_deprecated_client, calls_a_deprecated_operation, takes_responses_of_a_deprecated_operation);
    #[expect(deprecated)]
    let request: brubeck::ServiceRequest = old_call::request(5u32).into(5u8).0;
    let _ = request;
}
