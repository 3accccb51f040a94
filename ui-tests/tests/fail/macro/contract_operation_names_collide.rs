use brubeck::prelude::*;

#[service_client]
trait Contract {
    #[call("/new")]
    async fn new(&self) -> Result<(), Fault>;
    #[call("/at")]
    async fn at(&self, position: u32) -> Result<(), Fault>;
    #[call("/twice")]
    async fn twice(&self) -> Result<(), Fault>;
    #[call("/again")]
    async fn twice(&self) -> Result<u32, Fault>;
    #[call("/std")]
    async fn std(&self) -> Result<std::string::String, Fault>;
    #[call("/u64")]
    async fn u64(&self, number: u64) -> Result<(), Fault>;
    #[call("/reserved")]
    async fn __S(&self) -> Result<(), Fault>;
}

fn main() {}
