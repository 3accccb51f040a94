//! Of two operations, the one with fewer paths is tried first, wherever it is listed.
#![allow(unused)]
use brubeck::prelude::*;

#[service_client]
pub trait Users {
    #[call("/user/{id}")]
    async fn user(&self, id: String) -> Result<String, Problem>;
    #[call("/user/me")]
    async fn me(&self) -> Result<String, Problem>;
    #[call("/user/{*rest}")]
    async fn other(&self, rest: String) -> Result<String, Problem>;
}

struct Site;

impl Users for Site {
    async fn user(&self, id: String) -> Result<String, Problem> {
        Ok(id)
    }

    async fn me(&self) -> Result<String, Problem> {
        Ok("me".into())
    }

    async fn other(&self, rest: String) -> Result<String, Problem> {
        Ok(rest)
    }
}

const ROUTES: Routes<Site> = routes![..users::routes::<Site>()];
serves!(ROUTES => users);

#[response_handler(users::user)]
async fn on_user(response: ServiceResponse<String>) {}

#[response_handler(users::me)]
async fn on_me(response: ServiceResponse<String>) {}

#[response_handler(users::other)]
async fn on_other(response: ServiceResponse<String>) {}

const RESPONSES: Routes<()> = routes![on_other, on_user, on_me];
brubeck::answered!(RESPONSES => users);

fn main() {
    ROUTES.check().unwrap();
    RESPONSES.check().unwrap();
}
