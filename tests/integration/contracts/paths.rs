//! Arguments in paths: what a client sends is what the operation receives, or the call is refused before it is sent.

use crate::support::served_app::{socket_address, socket_folder};
use brubeck::prelude::*;
use brubeck::{Dialect, Running, Service, ServiceAddress};
use proptest::prelude::*;
use tempfile::TempDir;

const SECRET: &str = "my_shared_secret";

#[service_client]
trait Keys {
    #[call("/key/{name}")]
    async fn get(&self, name: String) -> Result<String, Problem>;
    #[call("/key/me")]
    async fn own(&self) -> Result<String, Problem>;
    #[call("/key/{name}/all")]
    async fn all(&self, name: String) -> Result<String, Problem>;
    #[call("/file/v{version}.txt")]
    async fn version(&self, version: String) -> Result<String, Problem>;
    #[call("/.{name}")]
    async fn hidden(&self, name: String) -> Result<String, Problem>;
    #[call("/pair/{first}/{second}")]
    async fn pair(&self, first: String, second: i64) -> Result<(String, i64), Problem>;
    #[call("/tree/{*rest}")]
    async fn rest(&self, rest: String) -> Result<String, Problem>;
    #[call("/letter/{letter}")]
    async fn letter(&self, letter: char) -> Result<char, Problem>;
}

struct Site;

impl Keys for Site {
    async fn get(&self, name: String) -> Result<String, Problem> {
        Ok(name)
    }

    async fn own(&self) -> Result<String, Problem> {
        Ok("the own key".into())
    }

    async fn all(&self, name: String) -> Result<String, Problem> {
        Ok(name)
    }

    async fn version(&self, version: String) -> Result<String, Problem> {
        Ok(version)
    }

    async fn hidden(&self, name: String) -> Result<String, Problem> {
        Ok(name)
    }

    async fn pair(&self, first: String, second: i64) -> Result<(String, i64), Problem> {
        Ok((first, second))
    }

    async fn rest(&self, rest: String) -> Result<String, Problem> {
        Ok(rest)
    }

    async fn letter(&self, letter: char) -> Result<char, Problem> {
        Ok(letter)
    }
}

const ROUTES: Routes<Site> = routes![..keys::routes::<Site>()];
serves!(ROUTES => keys);

/// A service on a socket, with a client of brubeck's protocol, whose calls carry the name of their operation, and one of a dialect, whose
/// calls are routed by path.
struct Peers {
    _running: Running,
    _folder: TempDir,
    own_protocol: KeysClient,
    dialect: KeysClient,
}

async fn start() -> Peers {
    let folder = socket_folder();
    let address = socket_address(&folder, "keys");
    let running = App::new(ROUTES, Site)
        .start(Service::bind(&address, SECRET).dialects(SECRET))
        .await
        .unwrap();
    let client = |service: ServiceAddress| KeysClient::new(Client::connect(&service).unwrap());
    Peers {
        own_protocol: client(ServiceAddress::new(&address, SECRET)),
        dialect: client(ServiceAddress::new(&address, SECRET).dialect(Dialect::Branch)),
        _running: running,
        _folder: folder,
    }
}

/// Asserts that the argument has arrived as it was. A call by path may also have been refused, with the name of the operation.
#[track_caller]
fn assert_same<T: PartialEq + std::fmt::Debug>(sent: &T, is_by_path: bool, result: Result<T, CallError>) {
    match result {
        Ok(received) => assert_eq!(&received, sent),
        Err(CallError::Refused(reason)) if is_by_path => {
            assert!(
                reason.to_string().contains("cannot be called by its path"),
                "{reason}"
            );
        }
        Err(other) => panic!("{sent:?}: {other:?}"),
    }
}

async fn check(keys: &KeysClient, text: &str, number: i64, is_by_path: bool) {
    let sent = text.to_owned();
    assert_same(&sent, is_by_path, keys.get(sent.clone()).await);
    assert_same(&sent, is_by_path, keys.all(sent.clone()).await);
    assert_same(&sent, is_by_path, keys.version(sent.clone()).await);
    assert_same(&sent, is_by_path, keys.hidden(sent.clone()).await);
    assert_same(&sent, is_by_path, keys.rest(sent.clone()).await);
    let pair = (sent.clone(), number);
    assert_same(&pair, is_by_path, keys.pair(sent, number).await);
    if let Some(letter) = text.chars().next() {
        assert_same(&letter, is_by_path, keys.letter(letter).await);
    }
}

#[tokio::test]
async fn argument_that_makes_the_path_of_another_operation_is_refused_by_path_only() {
    let peers = start().await;
    let error = peers.dialect.get("me".into()).await.unwrap_err();
    let text = error.to_string();
    assert!(
        matches!(error, CallError::Refused(_))
            && text.contains("`keys::get`")
            && text.contains("`keys::own`"),
        "{text}"
    );
    assert_eq!(peers.dialect.own().await.unwrap(), "the own key");
    assert_eq!(peers.dialect.get("you".into()).await.unwrap(), "you");
    let error = peers.dialect.get(String::new()).await.unwrap_err();
    let text = error.to_string();
    assert!(
        matches!(error, CallError::Refused(_)) && text.contains("`name` is \"\""),
        "{text}"
    );
    assert_eq!(peers.own_protocol.get("me".into()).await.unwrap(), "me");
    assert_eq!(peers.own_protocol.get(String::new()).await.unwrap(), "");
}

/// Shrinking is bounded, because a call that is lost takes its whole timeout.
fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        max_shrink_iters: 16,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

#[test]
fn client_and_service_are_inverse_for_all_arguments_in_paths() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let peers = runtime.block_on(start());
    let special = prop::sample::select(vec![
        "", ".", "..", "/", "//", "a/b", "/a", "a/", "%2F", "%", "%25", "?", "#", "\0", "me", "all", "a/all",
        ".txt", "v1.txt", "ÿ", "\u{ff}", "+", " ", "{name}", "./", "../..", "\u{7f}", "😀",
    ]);
    let texts = prop_oneof![special.prop_map(str::to_owned), any::<String>()];
    proptest!(config(96), |(text in texts, number in any::<i64>())| {
        runtime.block_on(async {
            check(&peers.own_protocol, &text, number, false).await;
            check(&peers.dialect, &text, number, true).await;
        });
    });
}
