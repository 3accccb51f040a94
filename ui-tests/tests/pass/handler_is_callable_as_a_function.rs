#![deny(warnings)]
use brubeck::prelude::*;

mod handlers {
    use super::*;

    /// Adds one.
    #[get(r"^/next/(?<number>\d+)$")]
    #[inline]
    pub async fn next(number: u64) -> String {
        (number + 1).to_string()
    }
}

// A single import for the function and its route.
use handlers::next;

const ROUTES: Routes<()> = routes![next];

#[tokio::main(flavor = "current_thread")]
async fn main() {
    assert_eq!(next(7).await, "8");
    assert_eq!(ROUTES.len(), 1);
}
