#![allow(unused)]
use brubeck::prelude::*;

struct Plain;

#[service_client]
trait Contract {
    #[call("/service/slow")]
    async fn slow(&self, body: Plain) -> Result<(), Problem>;
}

fn main() {}
