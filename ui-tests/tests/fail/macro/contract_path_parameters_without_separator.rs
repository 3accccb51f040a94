#![allow(unused)]
use brubeck::prelude::*;

#[service_client]
trait Contract {
    #[call("/service/{id}{tab}")]
    async fn slow(&self, id: u64, tab: String) -> Result<(), Problem>;
}

fn main() {}
