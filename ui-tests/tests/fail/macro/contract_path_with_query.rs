#![allow(unused)]
use brubeck::prelude::*;

#[service_client]
trait Contract {
    #[call("/service?id={id}")]
    async fn slow(&self, id: u64) -> Result<(), Problem>;
}

fn main() {}
