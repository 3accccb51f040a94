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
    #[call("/std")]
    async fn std(&self) -> Result<std::string::String, Problem>;
    #[call("/u64")]
    async fn u64(&self, number: u64) -> Result<(), Problem>;
    #[call("/reserved")]
    async fn __S(&self) -> Result<(), Problem>;
}

fn main() {}
