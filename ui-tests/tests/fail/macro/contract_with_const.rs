#![allow(unused)]
use brubeck::prelude::*;

#[service_client]
trait Contract {
    const N: u8;
    #[call("/service/slow")]
    async fn slow(&self) -> Result<(), Problem>;
}

fn main() {}
