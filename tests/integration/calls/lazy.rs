//! Contract clients that connect at their first call.

use crate::support::served_app::{socket_address, socket_folder};
use brubeck::prelude::*;
use brubeck::testing::TestClient;
use brubeck::{Service, ServiceAddress, TestSite};
use std::time::Duration;

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

/// The state of a web application and of a service, which both call the doubling service.
#[derive(Clone, AppState)]
struct Callers {
    doubler: DoublerClient,
}

impl Callers {
    fn new() -> Callers {
        Callers {
            doubler: DoublerClient::at("ipc://run/double", "my_shared_secret"),
        }
    }
}

#[service_client]
trait Quadrupler {
    #[call("/quadruple")]
    async fn quadruple(&self, number: u32) -> Result<u32, Problem>;
}

#[service_handler(quadrupler::quadruple)]
async fn quadruple(args: Args<quadrupler::quadruple>, doubler: DoublerClient) -> Result<u32, Problem> {
    let double = doubler.double(args.number).await?;
    Ok(doubler.double(double).await?)
}

#[get("/double/{number}")]
async fn double_page(number: u32, doubler: DoublerClient) -> String {
    match doubler.double(number).await {
        Ok(double) => double.to_string(),
        Err(error) => error.to_string(),
    }
}

const QUADRUPLER: Routes<Callers> = routes![quadruple];
const WEB: Routes<Callers> = routes![double_page];

#[tokio::test(start_paused = true)]
async fn lazy_clients_of_states_use_the_network_of_the_test_site() {
    for _ in 0..2 {
        let site = TestSite::new(WEB, Callers::new())
            .service(
                Service::bind("ipc://run/double", "my_shared_secret"),
                App::new(ROUTES, ()),
            )
            .service(
                Service::bind("ipc://run/quadruple", "my_shared_secret"),
                App::new(QUADRUPLER, Callers::new()),
            )
            .start()
            .await
            .unwrap();
        let page = site.browser().get("/double/21").await;
        page.assert_status(200).assert_text("42");
        let quadrupler = ServiceAddress::new("ipc://run/quadruple", "my_shared_secret");
        let quadrupler = QuadruplerClient::new(site.client(&quadrupler).unwrap());
        assert_eq!(quadrupler.quadruple(4).await.unwrap(), 16);
        site.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn lazy_client_without_a_site_is_refused_at_once() {
    let started = tokio::time::Instant::now();
    let page = TestClient::new(App::new(WEB, Callers::new()))
        .get("/double/21")
        .await;
    assert_eq!(started.elapsed(), Duration::ZERO);
    for part in ["`doubler::double`", "ipc://run/double", "use a `TestSite`"] {
        assert!(page.text().contains(part), "{part}: {}", page.text());
    }
}
