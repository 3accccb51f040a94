//! Paths of operations: the client builds the path that the service takes apart.

use brubeck::prelude::*;
use brubeck::{Client, Service, ServiceAddress, ServiceRequest, TestSite, TestSiteHandle};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

const SECRET: &str = "my_shared_secret";
const ADDRESS: &str = "ipc://run/paths";

#[service_client]
pub trait Paths {
    #[call("/café 100%/{name}/page.{format}/{*rest}")]
    async fn show(&self, rest: String, name: String, format: String) -> Result<[String; 3], Problem>;
}

#[service_handler(paths::show)]
async fn show(args: Args<paths::show>) -> Result<[String; 3], Problem> {
    Ok([args.name.clone(), args.format.clone(), args.rest.clone()])
}

#[service_handler(path = "/untyped/{name}/{*rest}")]
async fn untyped(name: String, rest: String) -> Json<[String; 2]> {
    Json([name, rest])
}

#[service_handler(path = r"^/doc/(?<name>[^/.]+)$")]
async fn doc(name: String) -> Json<String> {
    Json(name)
}

const ROUTES: Routes<()> = routes![show, untyped, doc];
serves!(ROUTES => paths);

async fn site() -> (TestSiteHandle, Client) {
    let site = TestSite::new(routes![], ())
        .service(Service::bind(ADDRESS, SECRET), App::new(ROUTES, ()))
        .start()
        .await
        .unwrap();
    let client = site.client(&ServiceAddress::new(ADDRESS, SECRET)).unwrap();
    (site, client)
}

fn text() -> impl Strategy<Value = String> {
    let special = prop::sample::select(vec![
        "/", "%", "%2F", "..", ".", " ", "\0", "é", "?", "{", "+", "\u{ff}", "//",
    ]);
    let part = prop_oneof![
        special.prop_map(str::to_owned),
        "\\PC{1,3}".prop_map(String::from)
    ];
    prop::collection::vec(part, 1..5).prop_map(|parts| parts.concat())
}

#[test]
fn service_gets_the_texts_that_the_client_has_sent() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (site, untyped_client) = runtime.block_on(site());
    let client = PathsClient::new(untyped_client.clone());
    let config = Config {
        cases: 500,
        failure_persistence: None,
        ..Config::default()
    };
    let result = TestRunner::new(config).run(&(text(), text(), text()), |(name, format, rest)| {
        let response = runtime
            .block_on(
                client
                    .show(rest.clone(), name.clone(), format.clone())
                    .into_future(),
            )
            .unwrap();
        prop_assert_eq!(response, [name.clone(), format, rest.clone()]);
        let request: ServiceRequest = untyped::request(name.clone(), rest.clone()).into();
        let response = runtime
            .block_on(untyped_client.send(request).into_future())
            .unwrap();
        prop_assert_eq!(response.body, serde_json::json!([name, rest]));
        Ok(())
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
    runtime.block_on(site.stop());
}

#[tokio::test]
async fn capture_of_a_call_matches_its_group() {
    let (site, client) = site().await;
    for (path, code, name) in [
        ("/doc/plain", 200, Some("plain")),
        ("/doc/a%20b", 200, Some("a b")),
        ("/doc/100%", 200, Some("100%")),
        ("/doc/%2e%2e%2fsecret", 404, None),
        ("/doc/%2e%2e", 404, None),
        ("/doc/..", 404, None),
    ] {
        let response = client.request(path).await.unwrap();
        assert_eq!(response.status.code(), code, "{path}");
        assert_eq!(response.body.as_str(), name, "{path}");
    }
    site.stop().await;
}
