#![allow(unused)]
use brubeck::prelude::*;

#[service_client]
trait Users {
    #[call("/users")]
    async fn list(&self) -> Result<(), Problem>;
}

#[service_handler(users::list)]
async fn users() -> Result<(), Problem> {
    Ok(())
}

fn main() {}
