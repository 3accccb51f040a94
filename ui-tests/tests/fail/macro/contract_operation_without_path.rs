#![allow(unused)]
use brubeck::prelude::*;

#[service_client]
trait Contract {
    async fn slow(&self) -> Result<(), Problem>;
}

fn main() {}
