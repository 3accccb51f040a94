#![allow(unused)]
use brubeck::prelude::*;

#[service_client]
trait Contract {
    #[call("/service/slow", method = "reqest")]
    async fn slow(&self) -> Result<(), Problem>;
}

fn main() {}
