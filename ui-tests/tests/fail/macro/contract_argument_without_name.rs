#![allow(unused)]
use brubeck::prelude::*;

#[service_client]
trait Contract {
    #[call("/service/slow")]
    async fn slow(&self, (a, b): (u8, u8)) -> Result<(), Problem>;
}

fn main() {}
