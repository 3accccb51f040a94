#![allow(unused)]
use brubeck::prelude::*;

#[service_client]
trait Contract {
    #[call("/service/slow", timout = "5s")]
    async fn slow(&self) -> Result<(), Problem>;
}

fn main() {}
