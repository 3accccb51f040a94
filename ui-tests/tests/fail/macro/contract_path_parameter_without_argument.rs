#![allow(unused)]
use brubeck::prelude::*;

#[service_client]
trait Contract {
    #[call("/service/{id}")]
    async fn slow(&self, ident: u64) -> Result<(), Problem>;
}

fn main() {}
