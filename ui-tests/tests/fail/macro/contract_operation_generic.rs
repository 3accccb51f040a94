#![allow(unused)]
use brubeck::prelude::*;

#[service_client]
trait Contract {
    #[call("/service/slow")]
    async fn slow<T>(&self, value: T) -> Result<(), Problem>;
}

fn main() {}
