use brubeck::prelude::*;

#[service_client]
#[allow(non_camel_case_types)]
trait contract {
    #[call("/a")]
    async fn operation(&self) -> Result<(), Problem>;
}

#[service_client]
trait Crate {
    #[call("/a")]
    async fn operation(&self) -> Result<(), Problem>;
}

fn main() {}
