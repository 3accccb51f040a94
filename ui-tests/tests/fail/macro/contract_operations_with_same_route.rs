#![allow(unused)]
use brubeck::prelude::*;

#[service_client]
trait Contract {
    #[call("/service/slow")]
    async fn slow(&self) -> Result<(), Fault>;
    #[call("/service/slow")]
    async fn slower(&self) -> Result<(), Fault>;
}

fn main() {}
