#![allow(unused)]
use brubeck::prelude::*;

#[service_client]
trait Contract {
    #[call("^/service/slow")]
    async fn caret(&self, text: String) -> Result<String, Problem>;
    #[call("/service/user/{id}")]
    async fn param(&self, ident: u32) -> Result<String, Problem>;
    #[call("/service/x")]
    async fn infallible(&self) -> String;
    async fn no_path(&self) -> Result<String, Problem>;
    #[call("/service/y")]
    fn not_async(&self) -> Result<String, Problem>;
    #[call("/service/good")]
    async fn good(&self) -> Result<String, Problem>;
}

async fn call(client: ContractClient) {
    let _ = client.good().await;
}

fn main() {}
