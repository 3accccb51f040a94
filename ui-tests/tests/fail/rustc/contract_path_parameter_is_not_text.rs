#![allow(unused)]
use brubeck::prelude::*;

#[derive(serde::Serialize, serde::Deserialize)]
struct Id(u64);

#[service_client]
trait Contract {
    #[call("/service/{id}")]
    async fn slow(&self, id: Id) -> Result<(), Problem>;
}

fn main() {}
