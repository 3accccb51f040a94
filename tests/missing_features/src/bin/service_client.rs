use brubeck::prelude::*;

#[service_client]
pub trait Slow {
    #[call("/slow")]
    async fn slow(&self) -> Result<String, Problem>;
}

fn main() {}
