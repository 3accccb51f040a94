#![allow(unused)]
use brubeck::prelude::*;

#[service_client]
pub trait Users {
    #[call("/user/{id}/name")]
    async fn name(&self, id: String) -> Result<String, Problem>;
    #[call("/user/me/{field}")]
    async fn own(&self, field: String) -> Result<String, Problem>;
}

struct Site;

impl Users for Site {
    async fn name(&self, id: String) -> Result<String, Problem> {
        Ok(id)
    }

    async fn own(&self, field: String) -> Result<String, Problem> {
        Ok(field)
    }
}

const ROUTES: Routes<Site> = routes![..users::routes::<Site>()];

fn main() {}
