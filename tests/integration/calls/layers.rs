//! Layers of tower around the calls of a client, and around those that a service serves.

use crate::support::served_app::{socket_address, socket_folder};
use brubeck::prelude::*;
use brubeck::testing::TestSiteHandle;
use brubeck::{
    BoxError, CallService, ClientService, Dialect, IntoReply, Message, Phase, ResponseBody, Service,
    ServiceAddress, ServiceRequest, TestSite,
};
use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;
use tower::layer::layer_fn;
use tower::{ServiceExt, service_fn};

const ADDRESS: &str = "ipc://run/greeter";
const SECRET: &str = "the-secret-of-greeter";

#[service_client]
trait Greeter {
    #[call("/greet/{name}")]
    async fn greet(&self, name: String) -> Result<String, Problem>;
}

/// The runs of the handler.
#[derive(Clone, Default)]
struct Runs(Arc<AtomicUsize>);

impl Runs {
    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Greets in the manner of the caller: his headers are in the response.
#[service_handler(greeter::greet)]
async fn greet(args: Args<greeter::greet>, headers: Headers, runs: State<Runs>) -> Result<String, Problem> {
    runs.0.0.fetch_add(1, Ordering::Relaxed);
    let layers = headers
        .get("x-layers")
        .map_or("no layer", |names| names.to_str().unwrap());
    match args.name.as_str() {
        "nobody" => Err(Problem::new(422, "nobody is greeted")),
        name => Ok(format!("{name} by {layers}")),
    }
}

const GREETER: Routes<Runs> = routes![greet];
const NO_ROUTES: Routes<()> = routes![];

fn address() -> ServiceAddress {
    ServiceAddress::new(ADDRESS, SECRET)
}

async fn start(app: App<Runs>) -> (TestSiteHandle, Client) {
    let site = TestSite::new(NO_ROUTES, ())
        .service(Service::bind(ADDRESS, SECRET), app)
        .start()
        .await
        .unwrap();
    let client = site.client(&address()).unwrap();
    (site, client)
}

/// Wraps the calls of a client in a function, which gets the calls and the request.
macro_rules! around {
    ($client:expr, |$calls:ident, $request:ident| $body:expr) => {
        $client.layer(layer_fn(move |calls: ClientService| {
            service_fn(move |$request: ServiceRequest| {
                let $calls = calls.clone();
                async move { $body }
            })
        }))
    };
}

fn named(request: ServiceRequest, name: &str) -> ServiceRequest {
    let names = match request.headers().get("x-layers") {
        Some(names) => format!("{} {name}", names.as_str().unwrap_or_default()),
        None => name.to_owned(),
    };
    request.header("x-layers", names)
}

#[tokio::test(start_paused = true)]
async fn layers_see_requests_and_responses_and_the_last_is_outermost() {
    let (_site, client) = start(App::new(GREETER, Runs::default())).await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let seen_by_layer = seen.clone();
    let layered = around!(client.clone(), |calls, request| calls
        .oneshot(named(request, "inner"))
        .await);
    let layered = layered.layer(layer_fn(move |calls: ClientService| {
        let seen = seen_by_layer.clone();
        service_fn(move |request: ServiceRequest| {
            let (calls, seen) = (calls.clone(), seen.clone());
            async move {
                let operation = request.operation();
                let response = calls.oneshot(named(request, "outer")).await?;
                let line = format!(
                    "{operation:?}: {} {:?}",
                    response.status.code(),
                    response.body.json()
                );
                seen.lock().unwrap().push(line);
                Ok::<_, CallError>(response)
            }
        })
    }));
    let greeter = GreeterClient::new(layered.clone());
    assert_eq!(greeter.greet("Ann".into()).await.unwrap(), "Ann by outer inner");
    let error = greeter.greet("nobody".into()).await.unwrap_err();
    assert!(matches!(error, CallError::Failure { .. }), "{error:?}");
    let response = layered.request("/greet/Ben").await.unwrap();
    assert_eq!(response.body, "Ben by outer inner");
    // The client as it was has no layer.
    assert_eq!(
        client.request("/greet/Ben").await.unwrap().body,
        "Ben by no layer"
    );
    let seen = seen.lock().unwrap();
    assert_eq!(
        seen[0],
        r#"Some("greeter::greet"): 200 b"\"Ann by outer inner\"""#
    );
    assert!(
        seen[1].contains("422") && seen[1].contains("nobody is greeted"),
        "{seen:?}"
    );
    assert!(seen[2].starts_with("None: 200"), "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn layer_can_respond_itself_and_repeat_a_call() {
    let runs = Runs::default();
    let (_site, client) = start(App::new(GREETER, runs.clone())).await;
    let cached = around!(client.clone(), |calls, request| {
        if request.path() == "/greet/Ann" {
            let body = ResponseBody::new(&"Ann from the cache").unwrap();
            return Ok(ServiceResponse::new(Status::OK, body));
        }
        calls.oneshot(request).await
    });
    let cached = GreeterClient::new(cached);
    assert_eq!(cached.greet("Ann".into()).await.unwrap(), "Ann from the cache");
    assert_eq!(runs.count(), 0);
    assert_eq!(cached.greet("Ben".into()).await.unwrap(), "Ben by no layer");
    let repeating = around!(client, |calls, request| {
        calls.clone().oneshot(request.clone()).await?;
        calls.oneshot(named(request, "the second time")).await
    });
    let greeter = GreeterClient::new(repeating);
    assert_eq!(
        greeter.greet("Cid".into()).await.unwrap(),
        "Cid by the second time"
    );
    assert_eq!(runs.count(), 3);
}

#[tokio::test(start_paused = true)]
async fn errors_of_layers_say_whether_the_call_was_sent() {
    let runs = Runs::default();
    let (_site, client) = start(App::new(GREETER, runs.clone())).await;
    let before = around!(client.clone(), |_calls, request| {
        Err::<ServiceResponse<ResponseBody>, BoxError>(format!("no {}", request.path()).into())
    });
    let error = GreeterClient::new(before).greet("Ann".into()).await.unwrap_err();
    assert!(
        matches!(&error, CallError::Refused(_)) && !error.may_have_run(),
        "{error:?}"
    );
    for part in [
        "`greeter::greet`",
        ADDRESS,
        "has not sent the call: no /greet/Ann",
    ] {
        assert!(error.to_string().contains(part), "{part}: {error}");
    }
    let after = around!(client.clone(), |calls, request| {
        calls.oneshot(request).await?;
        Err::<ServiceResponse<ResponseBody>, BoxError>("the response is too old".into())
    });
    let error = GreeterClient::new(after).greet("Ann".into()).await.unwrap_err();
    assert!(
        matches!(&error, CallError::BadReply(_)) && error.may_have_run(),
        "{error:?}"
    );
    assert!(error.to_string().contains("the response is too old"), "{error}");
    assert_eq!(runs.count(), 1);
    // An error of the call passes through.
    let passing = around!(client.clone(), |calls, request| calls
        .oneshot(request.header("a b", "c"))
        .await);
    let error = GreeterClient::new(passing).greet("Ann".into()).await.unwrap_err();
    assert!(matches!(&error, CallError::Refused(_)), "{error:?}");
    assert!(error.to_string().contains("`a b: ..`"), "{error}");
    assert_eq!(runs.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn call_ends_by_its_deadline_whatever_its_layer_does() {
    let (_site, client) = start(App::new(GREETER, Runs::default())).await;
    let before = around!(client.clone(), |_calls, _request| {
        pending::<Result<ServiceResponse<ResponseBody>, CallError>>().await
    });
    let after = around!(client, |calls, request| {
        calls.oneshot(request).await?;
        pending::<Result<ServiceResponse<ResponseBody>, CallError>>().await
    });
    for (client, expected) in [(before, Phase::Waiting), (after, Phase::Running)] {
        let started = tokio::time::Instant::now();
        let call = GreeterClient::new(client).greet("Ann".into());
        match call.timeout(Duration::from_secs(2)).await {
            Err(CallError::Deadline { phase, .. }) => assert_eq!(phase, expected),
            other => panic!("{other:?}"),
        }
        let elapsed = started.elapsed();
        assert!(
            elapsed >= Duration::from_secs(2) && elapsed < Duration::from_millis(2100),
            "{elapsed:?}"
        );
    }
}

/// A web application whose client has a layer that numbers the calls.
#[derive(Clone, AppState)]
struct Site {
    greeter: GreeterClient,
    ends: mpsc::UnboundedSender<String>,
}

#[get("/{name}")]
async fn page(name: String, greeter: GreeterClient) -> Result<String, CallError> {
    greeter.greet(name).await
}

#[post("/{name}")]
async fn job(name: String, greeter: GreeterClient) -> Result<String, CallError> {
    Ok(greeter.greet(name).nowait().await?.to_string())
}

#[response_handler(greeter::greet)]
async fn greeted(response: ServiceResponse<String>, id: CallId, ends: State<mpsc::UnboundedSender<String>>) {
    ends.0.send(format!("{id}: {}", response.body)).unwrap();
}

const SITE: Routes<Site> = routes![greeted, page, job];

#[tokio::test(start_paused = true)]
async fn layer_of_a_lazy_client_lasts_in_a_test_site_and_passes_jobs() {
    let counter = Arc::new(AtomicUsize::new(0));
    let counts = layer_fn(move |calls: ClientService| {
        let counter = counter.clone();
        calls.map_request(move |request: ServiceRequest| {
            let number = counter.fetch_add(1, Ordering::Relaxed) + 1;
            named(request, &format!("layer, call {number}"))
        })
    });
    let (ends, mut ended) = mpsc::unbounded_channel();
    let greeter = GreeterClient::new(Client::lazy(address()).layer(counts));
    let site = TestSite::new(SITE, Site { greeter, ends })
        .service(Service::bind(ADDRESS, SECRET), App::new(GREETER, Runs::default()))
        .start()
        .await
        .unwrap();
    let browser = site.browser();
    browser.get("/Ann").await.assert_text("Ann by layer, call 1");
    browser.get("/Ben").await.assert_text("Ben by layer, call 2");
    let id = browser.post("/Cid").await.text().to_owned();
    assert_eq!(ended.recv().await.unwrap(), format!("{id}: Cid by layer, call 3"));
}

/// Refuses calls without a tenant, and fails or panics if the tenant says so.
fn only_for_tenants(app: App<Runs>) -> App<Runs> {
    app.call_layer(layer_fn(|calls: CallService| {
        service_fn(move |call: Message| {
            let calls = calls.clone();
            async move {
                let tenant = call
                    .headers()
                    .get("x-tenant")
                    .map(|tenant| tenant.as_bytes().to_owned());
                match tenant.as_deref() {
                    None => Ok(Status::FORBIDDEN.message("the call has no tenant").into_reply()),
                    Some(b"fails") => Err(BoxError::from("the layer fails")),
                    Some(b"fails late") => {
                        calls.oneshot(call).await?;
                        Err(BoxError::from("the layer fails late"))
                    }
                    Some(b"panics") => panic!("the layer panics"),
                    Some(_) => Ok(calls
                        .oneshot(call)
                        .await?
                        .with_header("x-served", "within the layer")),
                }
            }
        })
    }))
}

async fn assert_served_within_layers(client: Client, runs: &Runs) {
    let before = runs.count();
    let greeter = GreeterClient::new(client.clone());
    let error = greeter.greet("Ann".into()).await.unwrap_err();
    let CallError::Refused(reason) = &error else {
        panic!("{error:?}");
    };
    assert_eq!(reason.status().unwrap().code(), 403);
    assert!(error.to_string().contains("the call has no tenant"), "{error}");
    let error = greeter
        .greet("Ann".into())
        .header("x-tenant", "fails")
        .await
        .unwrap_err();
    assert!(matches!(&error, CallError::Refused(_)), "{error:?}");
    assert_eq!(runs.count(), before);
    let error = greeter
        .greet("Ann".into())
        .header("x-tenant", "fails late")
        .await
        .unwrap_err();
    assert!(
        !matches!(&error, CallError::Refused(_)) && error.status().code() == 503,
        "{error:?}"
    );
    let error = greeter
        .greet("Ann".into())
        .header("x-tenant", "panics")
        .await
        .unwrap_err();
    assert!(matches!(&error, CallError::Panicked(_)), "{error:?}");
    assert_eq!(runs.count(), before + 1);
    let response = greeter
        .greet("Ann".into())
        .header("x-tenant", "blue")
        .response()
        .await
        .unwrap();
    assert_eq!(response.body, "Ann by no layer");
    assert_eq!(response.headers["x-served"], "within the layer");
    assert_eq!(runs.count(), before + 2);
    // A path that no handler has.
    let response = client
        .request("/nothing")
        .header("x-tenant", "blue")
        .await
        .unwrap();
    assert_eq!(response.status.code(), 404);
}

#[tokio::test(start_paused = true)]
async fn calls_of_a_service_pass_its_layers_in_memory() {
    let runs = Runs::default();
    let (_site, client) = start(only_for_tenants(App::new(GREETER, runs.clone()))).await;
    assert_served_within_layers(client, &runs).await;
}

#[tokio::test]
async fn calls_of_a_service_pass_its_layers_over_sockets_and_in_dialects() {
    let (folder, runs) = (socket_folder(), Runs::default());
    let address = socket_address(&folder, "greeter");
    let running = only_for_tenants(App::new(GREETER, runs.clone()))
        .start(Service::bind(&address, SECRET).dialects(SECRET))
        .await
        .unwrap();
    let client = Client::connect(&ServiceAddress::new(&address, SECRET)).unwrap();
    assert_served_within_layers(client, &runs).await;
    let before = runs.count();
    let seed = ServiceAddress::new(&address, SECRET).dialect(Dialect::Seed);
    let response = Client::connect(&seed)
        .unwrap()
        .request("/greet/Ann")
        .await
        .unwrap();
    assert_eq!(response.status.code(), 403);
    assert_eq!(runs.count(), before);
    running.stop().await.unwrap();
}
