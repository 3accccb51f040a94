use brubeck::ServiceAddress;
use brubeck::prelude::*;

#[tokio::main(flavor = "current_thread")]
async fn main() -> brubeck::Result {
    let slow = Client::connect(&ServiceAddress::new("ipc://run/slow", "my_shared_secret"))?;
    let _ = slow.request("/slow").argument("text", "hello").await;
    Ok(())
}
