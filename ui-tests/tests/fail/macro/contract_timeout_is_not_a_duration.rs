#![allow(unused)]
use brubeck::prelude::*;

#[service_client]
trait Contract {
    #[call("/service/slow", timeout = "soon")]
    async fn slow(&self) -> Result<(), Problem>;
}

fn main() {}
