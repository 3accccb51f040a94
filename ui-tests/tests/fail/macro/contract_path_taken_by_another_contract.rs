#![allow(unused)]
use brubeck::prelude::*;

#[service_client]
pub trait Users {
    #[call("/user/{id}")]
    async fn user(&self, id: String) -> Result<String, Problem>;
}

#[service_client]
pub trait Own {
    #[call("/user/me")]
    async fn me(&self) -> Result<String, Problem>;
}

#[service_handler(users::user)]
async fn user(args: Args<users::user>) -> Result<String, Problem> {
    Ok(args.id.clone())
}

#[service_handler(own::me)]
async fn me() -> Result<String, Problem> {
    Ok("me".into())
}

const ROUTES: Routes<()> = routes![user, me];
serves!(ROUTES => users);

fn main() {}
