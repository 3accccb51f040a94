//! Contracts and request builders, with client and service connected in memory.

use crate::support::application;
use brubeck::prelude::*;
use brubeck::{Args, CallError, Method, Payload, Running, ServiceRequest};
use brubeck_runtime::{Application, Link, Origin, PendingResponse};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Echoed {
    text: String,
}

/// The error type of an operation.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Broken {
    why: String,
}

#[service_client]
trait SlowEcho {
    /// Returns the text, repeated.
    #[call("/service/slow")]
    async fn echo(&self, text: String, times: Option<u32>) -> Result<Echoed, Problem>;

    #[call("/service/user/{name}/{id}", method = "get", timeout = "5s")]
    async fn user(&self, id: u64, name: String) -> Result<String, Broken>;

    #[call("/service/ping")]
    async fn ping(&self) -> Result<(), Problem>;
}

mod by_functions {
    use super::*;

    #[service_handler(slow_echo::echo)]
    pub(crate) async fn echo(Args(ask): Args<slow_echo::echo>) -> Result<Echoed, Problem> {
        match ask.times {
            Some(0) => Err(Problem::new(422, "times must not be 0")),
            times => Ok(Echoed {
                text: ask.text.repeat(times.unwrap_or(1) as usize),
            }),
        }
    }

    #[service_handler(slow_echo::user)]
    pub(crate) async fn user(id: Arg<u64>, ask: Args<slow_echo::user>) -> Result<String, Broken> {
        let _ = id;
        Ok(ask.0.name)
    }

    #[service_handler(path = r"^/service/(?<name>[^/]+)/(?<id>\d+)$", method = "post")]
    pub(crate) async fn old(name: String, id: u64, text: Arg<String>, Json(body): Json<Vec<u8>>) -> Reply {
        Reply::empty().field("received", format!("{name} {id} {} {body:?}", text.0))
    }
}

/// Serves the contract by implementing its trait.
struct Slow;

impl SlowEcho for Slow {
    async fn echo(&self, text: String, _times: Option<u32>) -> Result<Echoed, Problem> {
        Ok(Echoed { text })
    }

    async fn user(&self, id: u64, name: String) -> Result<String, Broken> {
        match id {
            0 => Err(Broken {
                why: format!("no user {name}"),
            }),
            id => Ok(format!("{name} is {id}")),
        }
    }

    async fn ping(&self) -> Result<(), Problem> {
        Ok(())
    }
}

const SERVICE: Routes<Slow> = routes![..slow_echo::routes::<Slow>(), by_functions::old];
serves!(SERVICE => slow_echo);

const FUNCTIONS: Routes<()> = routes![by_functions::echo, by_functions::user];

#[response_handler(slow_echo::echo)]
async fn on_echo(reply: ServiceResponse<Echoed>) -> usize {
    reply.body.text.len()
}

#[response_handler(slow_echo::ping)]
async fn on_ping() -> &'static str {
    "handled"
}

#[derive(Clone, AppState)]
struct Caller {
    slow: SlowEchoClient,
}

#[get("^/echo")]
async fn call_echo(slow: SlowEchoClient) -> Result<String, Problem> {
    let (reply, length) = slow.echo("hi".into(), Some(3)).handled_by::<on_echo>().await?;
    Ok(format!("{} of {length}", reply.body.text))
}

#[get("^/ping")]
async fn call_ping(slow: SlowEchoClient) -> Result<String, Problem> {
    match slow.ping().handled_by::<on_ping>().await {
        Err(CallError::BadReply(reason)) => Ok(reason.to_string()),
        other => Ok(format!("{other:?}")),
    }
}

const CALLER: Routes<Caller> = routes![on_echo, call_echo, call_ping];

async fn start<S: Send + Sync + 'static>(routes: Routes<S>, state: S) -> (Running, Arc<dyn Application>) {
    application::start(App::new(routes, state)).await
}

/// Returns the body of a response to a browser.
async fn page(response: Response) -> String {
    match response.into_parts().2 {
        Payload::Stream(body) => {
            let text = body.collect(4096).await.unwrap();
            String::from_utf8(text.to_vec()).unwrap()
        }
        other => panic!("{other:?}"),
    }
}

/// A link to an application in this process.
struct InProcess(Arc<dyn Application>);

impl Link for InProcess {
    fn call(&self, request: ServiceRequest, _: Option<Origin>, _: Instant) -> PendingResponse {
        let arguments = serde_json::to_vec(request.arguments()).unwrap();
        let message = Message::service(request.method(), request.path())
            .with_arguments(arguments)
            .with_body(request.body_text().clone());
        let response = self.0.clone().answer(message);
        Box::pin(async move {
            let (status, _, payload) = response.await.into_parts();
            let text = match payload {
                Payload::Json(text) => text,
                _ => Bytes::new(),
            };
            Ok(ServiceResponse::new(status, text.into()))
        })
    }

    fn address(&self) -> &str {
        "memory"
    }
}

async fn service() -> (Running, Client) {
    let (running, application) = start(SERVICE, Slow).await;
    (running, Client::over(Arc::new(InProcess(application))))
}

#[tokio::test]
async fn arguments_and_responses_round_trip() {
    let (_running, client) = service().await;
    let slow = SlowEchoClient::new(client);
    assert_eq!(slow.echo("hi".into(), None).await.unwrap().text, "hi");
    assert_eq!(slow.user(7, "a/b é".into()).await.unwrap(), "a/b é is 7");
    slow.ping().await.unwrap();
}

#[tokio::test]
async fn call_error_carries_the_error_type_of_the_contract() {
    let (_running, client) = service().await;
    match SlowEchoClient::new(client).user(0, "bob".into()).await {
        Err(CallError::Failure { status, error, .. }) => {
            assert_eq!((status.code(), error.why.as_str()), (400, "no user bob"));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn problem_keeps_its_status() {
    let (_running, application) = start(FUNCTIONS, ()).await;
    let slow = SlowEchoClient::new(Client::over(Arc::new(InProcess(application))));
    match slow.echo("hi".into(), Some(0)).await {
        Err(CallError::Failure { status, error, .. }) => {
            assert_eq!(
                (status.code(), error),
                (422, Problem::new(422, "times must not be 0"))
            );
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn error_status_of_a_link_without_outcomes_is_a_failure() {
    let (_running, application) = start(FUNCTIONS, ()).await;
    let slow = SlowEchoClient::new(Client::over(Arc::new(InProcess(application))));
    let response = slow.ping().await;
    assert!(
        matches!(&response, Err(CallError::Failure { status, .. }) if status.code() == 404),
        "{response:?}"
    );
}

#[tokio::test]
async fn handled_by_returns_the_value_of_the_response_handler() {
    let (_service, application) = start(FUNCTIONS, ()).await;
    let slow = SlowEchoClient::new(Client::over(Arc::new(InProcess(application))));
    let (_caller, application) = start(CALLER, Caller { slow }).await;
    let text = |path| {
        let response = application.clone().answer(Message::web(Method::Get, path));
        async move { page(response.await).await }
    };
    assert_eq!(text("/echo").await, "hihihi of 6");
}

#[tokio::test]
async fn handled_by_an_unlisted_response_handler_is_a_call_error() {
    let (_service, client) = service().await;
    let (_caller, application) = start(
        CALLER,
        Caller {
            slow: SlowEchoClient::new(client),
        },
    )
    .await;
    let response = application.answer(Message::web(Method::Get, "/ping")).await;
    let text = page(response).await;
    assert!(
        text.contains("no response handler is listed for /service/ping"),
        "{text:?}"
    );
}

#[tokio::test]
async fn request_builder_of_a_handler_sets_path_arguments_and_body() {
    let (_running, client) = service().await;
    let request = by_functions::old::request("a b".to_owned(), 7u64)
        .text("hello")
        .body(vec![1u8, 2]);
    let request: ServiceRequest = request.into();
    assert_eq!(
        (request.path(), request.method()),
        ("/service/a%20b/7", Method::Post)
    );
    let reply = client.send(request).await.unwrap();
    assert_eq!(reply.body["received"], "a b 7 hello [1, 2]");
}

#[tokio::test]
async fn invalid_arguments_are_400_and_invalid_path_arguments_404() {
    let (_running, application) = start(SERVICE, Slow).await;
    let status = |path: &str, arguments: &str| {
        let message = Message::service(Method::Request, path).with_arguments(arguments.to_owned());
        let response = application.clone().answer(message);
        async move { response.await.status().to_string() }
    };
    assert_eq!(
        status("/service/slow", "{}").await,
        "400 the argument `text` is missing"
    );
    assert!(
        status("/service/slow", r#"{"text":1}"#)
            .await
            .starts_with("400 the argument `text` is not valid")
    );
    // Names may be escaped.
    assert_eq!(status("/service/slow", r#"{"te\u0078t":"hi"}"#).await, "200 OK");
    assert_eq!(
        status("/service/slow", "[1").await,
        "400 the argument `text` is missing"
    );
    let message = Message::service(Method::Get, "/service/user/bob/x");
    assert_eq!(application.clone().answer(message).await.status().code(), 404);
}

#[test]
fn into_request_exposes_path_arguments_and_headers() {
    struct Unavailable;
    impl Link for Unavailable {
        fn call(&self, _: ServiceRequest, _: Option<Origin>, _: Instant) -> PendingResponse {
            Box::pin(async { Err(CallError::NoWorkers("nowhere".into())) })
        }
        fn address(&self) -> &str {
            "nowhere"
        }
    }
    let slow = SlowEchoClient::new(Client::over(Arc::new(Unavailable)));
    let request = slow.echo("hi".into(), None).header("x-trace", "7").into_request();
    assert_eq!(
        (request.path(), request.method()),
        ("/service/slow", Method::Request)
    );
    assert_eq!(
        serde_json::to_string(request.arguments()).unwrap(),
        r#"{"text":"hi","times":null}"#
    );
    assert_eq!(request.headers()["x-trace"], "7");
    let request = slow
        .user(7, "bob".into())
        .timeout(Duration::from_secs(1))
        .into_request();
    assert_eq!(
        (request.path(), request.method()),
        ("/service/user/bob/7", Method::Get)
    );
    assert!(request.arguments().is_empty());
}

#[test]
fn contract_routes_pass_their_checks() {
    SERVICE.check().unwrap();
    FUNCTIONS.check().unwrap();
    CALLER.check().unwrap();
    let names: Vec<_> = SERVICE.specs().map(|spec| (spec.name, spec.example)).collect();
    assert_eq!(
        names,
        [
            ("slow_echo::echo", "/service/slow"),
            ("slow_echo::user", "/service/user/a/a"),
            ("slow_echo::ping", "/service/ping"),
            ("old", "/service/a/1")
        ]
    );
}
