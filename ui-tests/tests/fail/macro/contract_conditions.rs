#![allow(unused)]
use brubeck::prelude::*;

#[service_client]
trait Contract {
    #[cfg_attr(unix, call("/unix"))]
    #[cfg_attr(not(unix), call("/other"))]
    async fn conditional(&self) -> Result<(), Problem>;
    #[call("/argument")]
    async fn argument(&self, #[cfg(unix)] id: u32, text: String) -> Result<(), Problem>;
}

fn main() {}
