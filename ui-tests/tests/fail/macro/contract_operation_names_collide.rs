use brubeck::prelude::*;

#[service_client]
trait Contract {
    #[call("/new")]
    async fn new(&self) -> Result<(), Problem>;
    #[call("/at")]
    async fn at(&self, position: u32) -> Result<(), Problem>;
    #[call("/twice")]
    async fn twice(&self) -> Result<(), Problem>;
    #[call("/again")]
    async fn twice(&self) -> Result<u32, Problem>;
    #[call("/reserved")]
    async fn __S(&self) -> Result<(), Problem>;
}

fn main() {}
