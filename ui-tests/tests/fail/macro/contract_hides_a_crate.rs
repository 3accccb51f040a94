#![allow(unused)]
use brubeck::prelude::*;

#[service_client]
trait Std {
    #[call("/a")]
    async fn operation(&self) -> Result<(), Problem>;
}

#[service_client]
trait Brubeck {
    #[call("/a")]
    async fn operation(&self) -> Result<(), Problem>;
}

#[service_client]
trait Tokio {
    #[call("/a")]
    async fn operation(&self, id: tokio::task::Id) -> Result<(), Problem>;
}

#[service_client]
trait 名前 {
    #[call("/a")]
    async fn operation(&self) -> Result<(), Problem>;
}

fn main() {}
