use brubeck::prelude::*;

#[service_client]
#[allow(non_camel_case_types)]
trait contract {
    #[call("/a")]
    async fn operation(&self) -> Result<(), Fault>;
}

#[service_client]
trait Crate {
    #[call("/a")]
    async fn operation(&self) -> Result<(), Fault>;
}

fn main() {}
