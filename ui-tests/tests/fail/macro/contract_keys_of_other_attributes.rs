use brubeck::prelude::*;

#[service_client(timeout = "5s")]
trait Contract {
    #[call("/a", slots = 4)]
    async fn unknown(&self) -> Result<(), Fault>;
    #[call("/b", concurrency = 4)]
    async fn of_the_service(&self) -> Result<(), Fault>;
    #[call("/c", timeout = 5)]
    async fn without_unit(&self) -> Result<(), Fault>;
    #[call("/d", idempotent = "yes")]
    async fn with_value(&self) -> Result<(), Fault>;
}

fn main() {}
