//! The catalogue of a shop: one of three crates whose routes form one table.

use brubeck::prelude::*;

/// The current offers.
#[get("^/offers$")]
pub async fn offers() -> &'static str {
    "offers"
}

/// A page of the shop by its section and its number: `/toys/12`, and also `/account/12`.
#[get(r"^/(?<section>[a-z]+)/(?<number>\d+)$")]
pub async fn page(section: String, number: u32) -> String {
    format!("{section} {number}")
}

/// The routes of this crate.
pub const ROUTES: Routes<()> = routes![offers, page];
