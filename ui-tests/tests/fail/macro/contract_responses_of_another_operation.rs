#![allow(unused)]
use brubeck::prelude::*;

#[service_client]
pub trait Users {
    #[call("/user/me")]
    async fn me(&self) -> Result<String, Problem>;
    #[call("/user/{id}")]
    async fn user(&self, id: String) -> Result<u64, Problem>;
}

#[response_handler(users::user)]
async fn on_user(response: ServiceResponse<u64>) {}

const ROUTES: Routes<()> = routes![on_user];
brubeck::answered!(ROUTES => users);

fn main() {}
