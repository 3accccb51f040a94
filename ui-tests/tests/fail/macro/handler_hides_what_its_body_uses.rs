#![allow(unused)]
use brubeck::prelude::*;

#[get("^/tokio$")]
async fn tokio() -> &'static str {
    tokio::task::yield_now().await;
    "on"
}

#[service_handler("^/serde$", blocking)]
fn serde(value: Arg<u8>) -> Json<u8> {
    fn check<T: serde::Serialize>(value: T) -> T {
        value
    }
    Json(check(value.0))
}

// These paths lead to other things, so the handlers compile.
#[get("^/accounts$")]
async fn accounts() -> String {
    let accounts = std::env::args();
    format!("{}", ::tokio::runtime::Handle::try_current().is_ok())
}

#[service_handler("^/again$")]
async fn again() -> String {
    let request: brubeck::ServiceRequest = again::request().into();
    request.path().to_owned()
}

const ROUTES: Routes<()> = routes![tokio, accounts, again];

fn main() {}
