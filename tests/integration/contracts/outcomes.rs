//! How typed calls end: which handler runs, and what the caller learns if the two sides differ.

use crate::support::with_timeout;
use brubeck::prelude::*;
use brubeck::{Dialect, Service, ServiceAddress};
use std::future::IntoFuture;

const SECRET: &str = "my_shared_secret";

/// The contract as the service has it.
mod served {
    use super::*;

    #[service_client]
    pub trait Users {
        #[call("/user/me")]
        async fn me(&self) -> Result<String, Problem>;
        #[call("/user/{id}")]
        async fn user(&self, id: String) -> Result<String, Problem>;
        #[call("/users/count")]
        async fn count(&self, text: u8) -> Result<u64, Problem>;
        #[call("/users/moved", method = "get")]
        async fn moved(&self) -> Result<String, Problem>;
        #[call("/users/panics")]
        async fn panics(&self) -> Result<(), Problem>;
        #[call("/users/fails")]
        async fn fails(&self, code: i32) -> Result<(), Problem>;
        #[call("/pair/{a}/{b}")]
        async fn pair(&self, a: String, b: String) -> Result<(String, String), Problem>;
    }
}

/// The contract as a caller of another version has it.
mod called {
    use super::*;

    #[service_client]
    pub trait Users {
        #[call("/users/count")]
        async fn count(&self, text: String) -> Result<u64, Problem>;
        #[call("/users/moved/elsewhere")]
        async fn moved(&self) -> Result<String, Problem>;
        #[call("/user/me")]
        async fn me(&self) -> Result<Vec<String>, Problem>;
        #[call("/users/new")]
        async fn newer(&self) -> Result<(), Problem>;
        #[call("/users/plain")]
        async fn plain(&self) -> Result<String, Problem>;
    }
}

struct Site;

impl served::Users for Site {
    async fn me(&self) -> Result<String, Problem> {
        Ok("it is me".into())
    }

    async fn user(&self, id: String) -> Result<String, Problem> {
        Ok(format!("user {id}"))
    }

    async fn count(&self, text: u8) -> Result<u64, Problem> {
        Ok(text.into())
    }

    async fn moved(&self) -> Result<String, Problem> {
        Ok("found".into())
    }

    async fn panics(&self) -> Result<(), Problem> {
        panic!("on purpose")
    }

    async fn fails(&self, code: i32) -> Result<(), Problem> {
        Err(Problem::new(code, "no"))
    }

    async fn pair(&self, a: String, b: String) -> Result<(String, String), Problem> {
        Ok((a, b))
    }
}

/// Serves the path of an operation without the contract.
#[service_handler("/users/plain")]
async fn plain() -> Json<&'static str> {
    Json("plain")
}

const ROUTES: Routes<Site> = routes![..served::users::routes::<Site>(), plain];
serves!(ROUTES => served::users);

async fn start() -> (brubeck::Running, ServiceAddress) {
    let service = Service::bind("tcp://127.0.0.1:0", SECRET).dialects(SECRET);
    let running = App::new(ROUTES, Site).start(service).await.unwrap();
    let address = ServiceAddress::new(running.address(), SECRET);
    (running, address)
}

/// The arguments of a call, which a stranger may choose, do not decide which handler runs.
#[tokio::test]
async fn typed_call_reaches_the_handler_of_its_operation_whatever_its_arguments() {
    let (running, address) = start().await;
    let users = served::UsersClient::new(Client::connect(&address).unwrap());
    assert_eq!(with_timeout(users.me().into_future()).await.unwrap(), "it is me");
    for id in ["me", "", "a/b", "..", ".", "%2e", "?x=1", "é", "me/"] {
        let response = with_timeout(users.user(id.into()).into_future()).await.unwrap();
        assert_eq!(response, format!("user {id}"));
    }
    for (a, b) in [("1-2", "3"), ("", ""), ("-", "-"), ("/", "x")] {
        let response = with_timeout(users.pair(a.into(), b.into()).into_future())
            .await
            .unwrap();
        assert_eq!(response, (a.to_owned(), b.to_owned()));
    }
    running.stop().await.unwrap();
}

/// Each ending says which operation of which service it was, and whether the handler may have run.
#[tokio::test]
async fn typed_calls_of_another_version_end_with_the_variant_that_tells_why() {
    let (running, address) = start().await;
    let at = running.address().to_owned();
    let client = Client::connect(&address).unwrap();
    let (called, served) = (
        called::UsersClient::new(client.clone()),
        served::UsersClient::new(client),
    );
    let text = |error: CallError| error.to_string();

    let refused = with_timeout(called.count("hi".into()).into_future())
        .await
        .unwrap_err();
    assert!(matches!(refused, CallError::Refused(_)), "{refused:?}");
    for part in [&at, "`users::count`", "the argument `text` is not valid"] {
        assert!(text(refused.clone()).contains(part), "{refused}");
    }
    let refused = with_timeout(called.newer().into_future()).await.unwrap_err();
    assert!(matches!(refused, CallError::Refused(_)), "{refused:?}");
    for part in [&at, "does not serve the operation `users::newer`"] {
        assert!(text(refused.clone()).contains(part), "{refused}");
    }
    // Neither the path nor the method of an operation need be the same.
    assert_eq!(with_timeout(called.moved().into_future()).await.unwrap(), "found");
    // A service may serve the path of an operation without the contract.
    assert_eq!(with_timeout(called.plain().into_future()).await.unwrap(), "plain");

    let unreadable = with_timeout(called.me().into_future()).await.unwrap_err();
    assert!(matches!(unreadable, CallError::BadReply(_)), "{unreadable:?}");
    for part in [
        &at,
        "`users::me`",
        "invalid type: string \"it is me\", expected a sequence",
    ] {
        assert!(text(unreadable.clone()).contains(part), "{unreadable}");
    }
    let panicked = with_timeout(served.panics().into_future()).await.unwrap_err();
    assert!(matches!(panicked, CallError::Panicked(_)), "{panicked:?}");
    assert_eq!(panicked.status().code(), 502);
    for part in [&at, "`users::panics`"] {
        assert!(text(panicked.clone()).contains(part), "{panicked}");
    }
    // The outcome tells a failure from a success, whatever the status.
    for code in [200, 204, 299, 404, 500, -1] {
        match with_timeout(served.fails(code).into_future()).await.unwrap_err() {
            CallError::Failure { status, error, .. } => {
                assert_eq!((status.code(), error), (code, Problem::new(code, "no")))
            }
            other => panic!("{code}: {other:?}"),
        }
    }
    running.stop().await.unwrap();
}

/// A dialect has no operations, so the path decides there. A call with the path of another operation is not sent.
#[tokio::test]
async fn typed_calls_in_a_dialect_are_routed_by_their_path() {
    let (running, address) = start().await;
    let client = Client::connect(&address.dialect(Dialect::Branch)).unwrap();
    let users = served::UsersClient::new(client);
    assert_eq!(
        with_timeout(users.user("you".into()).into_future())
            .await
            .unwrap(),
        "user you"
    );
    let refused = with_timeout(users.user("me".into()).into_future())
        .await
        .unwrap_err();
    assert!(
        matches!(refused, CallError::Refused(_)) && refused.to_string().contains("`users::me`"),
        "{refused:?}"
    );
    assert_eq!(with_timeout(users.me().into_future()).await.unwrap(), "it is me");
    running.stop().await.unwrap();
}

#[response_handler(served::users::user)]
async fn on_user(response: ServiceResponse<String>) -> String {
    response.body
}

#[response_handler(served::users::me)]
async fn on_me(response: ServiceResponse<String>) -> usize {
    response.body.len()
}

#[get("/handled")]
async fn handled(address: State<ServiceAddress>, services: Services) -> Result<String, CallError> {
    let users = served::UsersClient::new(services.connect(&address)?);
    let (_, of_user) = users.user("me".into()).handled_by::<on_user>().await?;
    let (_, of_me) = users.me().handled_by::<on_me>().await?;
    Ok(format!("{of_user}, {of_me}"))
}

#[derive(Clone, AppState)]
struct Caller {
    address: ServiceAddress,
}

const CALLER: Routes<Caller> = routes![on_me, on_user, handled];

#[tokio::test]
async fn response_handlers_are_found_by_the_operation_of_the_call() {
    let (running, address) = start().await;
    let site = crate::support::ServedApp::http(App::new(CALLER, Caller { address })).await;
    assert_eq!(site.browser().await.get("/handled").await.text(), "user me, 8");
    site.stop().await;
    running.stop().await.unwrap();
}
