#![deny(warnings)]
use brubeck::prelude::*;

#[get("^/a")]
#[cfg(any())]
async fn gone(claims: Claims) {}

#[cfg(any())]
#[service_handler("^/b")]
async fn gone_too(claims: Claims) {}

#[get("^/a")]
#[cfg(all())]
async fn here() {}

#[service_client]
#[cfg(any())]
trait Gone {
    #[call("/a")]
    async fn a(&self, claims: Claims) -> Result<(), Problem>;
}

#[cfg(all())]
const ROUTES: Routes<()> = routes![here];
#[cfg(any())]
const ROUTES: Routes<()> = routes![here, gone];

fn main() {
    assert_eq!(ROUTES.len(), 1);
}
