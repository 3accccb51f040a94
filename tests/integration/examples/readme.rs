//! The programs of the README, run in an empty folder.

use crate::support::requirements::example;
use crate::support::served_app::{socket_address, socket_folder};
use crate::support::{Browser, with_timeout};
use brubeck::Client;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};

fn start(name: &str, arguments: &[&str], folder: &Path) -> Child {
    Command::new(example(name))
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("a running program")
}

/// Connects, retrying until the program listens. Panics if the program exits.
async fn connect(program: &mut Child, address: SocketAddr) -> Browser {
    loop {
        if let Some(status) = program.try_wait().expect("a child") {
            panic!("the program exited early: {status}; is {address} in use?");
        }
        if let Ok(browser) = Browser::try_connect(address).await {
            return browser;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn readme_program_equals_the_readme_example() {
    let readme = include_str!("../../../README.md");
    let (_, rest) = readme.split_once("```rust,no_run\n").expect("a program");
    let (program, _) = rest.split_once("```").expect("its end");
    let (_, example) = include_str!("../../../examples/readme.rs")
        .split_once("\n\n")
        .expect("a comment, and then the program");
    assert_eq!(example, program);
}

#[test]
fn readme_lists_the_dependencies_of_its_program() {
    let readme = include_str!("../../../README.md");
    let (_, rest) = readme
        .split_once("```toml\n[dependencies]\n")
        .expect("dependencies");
    let (dependencies, _) = rest.split_once("```").expect("their end");
    let [major, minor] = [env!("CARGO_PKG_VERSION_MAJOR"), env!("CARGO_PKG_VERSION_MINOR")];
    let own = format!(r#"brubeck = {{ package = "brubeck-rs", version = "{major}.{minor}" }}"#);
    assert!(dependencies.lines().any(|line| line == own), "{dependencies}");
    let program = include_str!("../../../examples/readme.rs");
    for name in ["tokio", "tracing", "tracing_subscriber", "serde"] {
        let is_listed = dependencies.contains(&format!("\n{} = ", name.replace('_', "-")));
        assert!(
            is_listed || !program.contains(&format!("{name}::")),
            "{name} is missing in {dependencies}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readme_example_runs_in_an_empty_folder() {
    let folder = socket_folder();
    let mut program = start("readme", &[], folder.path());
    let mut browser = with_timeout(connect(&mut program, SocketAddr::from(([127, 0, 0, 1], 6767)))).await;

    let nowait = browser.get("/async").await;
    assert_eq!((nowait.status, nowait.text()), (200, "on its way"));
    let user = browser.get("/user/7/posts").await;
    assert_eq!((user.status, user.text()), (200, r#"[7,"posts"]"#));
    assert_eq!(browser.get("/user/me").await.status, 404);
    let sync = browser.get("/sync").await;
    assert_eq!((sync.status, sync.text()), (200, r#""hello""#));

    assert!(
        folder.path().join("run/slow").exists(),
        "the socket of the service is missing"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn demo_service_runs_in_an_empty_folder() {
    let folder = socket_folder();
    let mut service = start("demo_service", &["--delay", "10ms"], folder.path());
    let address = socket_address(&folder, "run/slow");
    let client =
        Client::connect(&brubeck::ServiceAddress::new(&address, "my_shared_secret")).expect("an address");
    let called = with_timeout(
        client
            .request("/service/slow")
            .argument("RETURN_DATA", "hello")
            .into_future(),
    );
    let response = tokio::select! {
        response = called => response.expect("a response"),
        ended = service.wait() => panic!("the service exited early: {ended:?}"),
    };
    assert_eq!(response.body["RETURN_DATA"], "hello");
}
