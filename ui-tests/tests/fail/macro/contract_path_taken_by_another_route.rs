#![allow(unused)]
use brubeck::prelude::*;

#[service_client]
pub trait Users {
    #[call("/user/{id}")]
    async fn user(&self, id: String) -> Result<String, Problem>;
}

#[service_handler("^/user/me$")]
async fn me() -> &'static str {
    "me"
}

#[service_handler(users::user)]
async fn user(args: Args<users::user>) -> Result<String, Problem> {
    Ok(args.id.clone())
}

const ROUTES: Routes<()> = routes![me, user];
serves!(ROUTES => users);

fn main() {}
