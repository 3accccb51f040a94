//! Contract clients that connect at their first call.

use crate::support::served_app::{socket_address, socket_folder};
use brubeck::Service;
use brubeck::prelude::*;

#[service_client]
trait Doubler {
    #[call("/double")]
    async fn double(&self, number: u32) -> Result<u32, Problem>;
}

#[service_handler(doubler::double)]
async fn double(args: Args<doubler::double>) -> Result<u32, Problem> {
    Ok(args.number * 2)
}

const ROUTES: Routes<()> = routes![double];

#[test]
fn lazy_client_needs_no_runtime_before_its_first_call() {
    let folder = socket_folder();
    let address = socket_address(&folder, "double");
    let client = DoublerClient::at(&address, "my_shared_secret");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let running = App::new(ROUTES, ())
            .start(Service::bind(&address, "my_shared_secret"))
            .await
            .unwrap();
        assert_eq!(client.double(21).await.unwrap(), 42);
        assert_eq!(client.double(4).await.unwrap(), 8);
        running.stop().await.unwrap();
    });
}

#[tokio::test]
async fn lazy_client_with_invalid_address_fails_at_its_first_call() {
    let client = DoublerClient::at("nowhere", "my_shared_secret");
    let error = client.double(21).await.unwrap_err();
    assert!(matches!(error, CallError::Refused(_)), "{error:?}");
    assert!(error.to_string().contains("nowhere"), "{error}");
}
