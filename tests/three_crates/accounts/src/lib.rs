//! The accounts of a shop: one of three crates whose routes form one table.

use brubeck::prelude::*;

/// One account.
#[get(r"^/account/(?<id>\d+)$")]
pub async fn account(id: u64) -> String {
    format!("account {id}")
}

/// All accounts.
#[get("^/account/?$")]
pub async fn accounts() -> &'static str {
    "accounts"
}

/// The routes of this crate.
pub const ROUTES: Routes<()> = routes![account, accounts];
