use brubeck::prelude::*;

#[service_client(timeout = "5s")]
trait Contract {
    #[call("/a", slots = 4)]
    async fn unknown(&self) -> Result<(), Problem>;
    #[call("/b", concurrency = 4)]
    async fn of_the_service(&self) -> Result<(), Problem>;
    #[call("/c", timeout = 5)]
    async fn without_unit(&self) -> Result<(), Problem>;
    #[call("/d", idempotent = "yes")]
    async fn with_value(&self) -> Result<(), Problem>;
}

fn main() {}
