#![allow(unused)]
use brubeck::prelude::*;

#[service_client]
trait Contract {
    #[call("/service/{usr}")]
    async fn slow(&self, user: u64) -> Result<(), Problem>;
}

fn main() {}
