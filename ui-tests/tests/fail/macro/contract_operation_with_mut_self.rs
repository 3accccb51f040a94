#![allow(unused)]
use brubeck::prelude::*;

#[service_client]
trait Contract {
    #[call("/service/slow")]
    async fn slow(&mut self) -> Result<(), Problem>;
}

fn main() {}
