//! The addresses of an application: what is removed when it ends, and when the next start can have them.

use super::process::own_address;
use crate::support::{child, env_number, with_timeout};
use brubeck::prelude::*;
use brubeck::{Client, Connection, Dialect, Service, ServiceAddress};
use brubeck_runtime::{Application, OpenConnection};
use futures_util::future::BoxFuture;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const SECRET: &str = "TLSd2TQ0DdOZ2JsHyFBq";

#[service_handler("^/ping$")]
async fn ping() -> Json<u32> {
    Json(std::process::id())
}

const ROUTES: Routes<()> = routes![ping];

fn app() -> App<()> {
    App::new(ROUTES, ())
}

fn ipc(path: &Path) -> String {
    format!("ipc://{}", path.display())
}

/// The owners of a socket file.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Owner {
    Service,
    Http,
    /// A caller of the dialects that its services connect to.
    Hub,
}

/// The ways in which an owner ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Stop,
    Drop,
    /// Another connection of the application cannot be opened.
    FailedStart,
}

/// What happens to the file while it is bound.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Change {
    None,
    Removed,
    ReplacedBySocket,
    ReplacedByFile,
    ReplacedByLink,
    /// The path is relative, and another folder with a file of that name becomes the working directory.
    WorkingDirectory,
}

/// The folders of one case.
struct Case {
    folder: tempfile::TempDir,
    change: Change,
    live: Option<UnixListener>,
}

impl Case {
    fn new(change: Change) -> Case {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("first")).unwrap();
        std::fs::create_dir(folder.path().join("second")).unwrap();
        std::fs::write(folder.path().join("second/socket"), "data").unwrap();
        std::env::set_current_dir(folder.path().join("first")).unwrap();
        Case {
            folder,
            change,
            live: None,
        }
    }

    /// Returns the path as it is given to the owner.
    fn given(&self) -> PathBuf {
        match self.change {
            Change::WorkingDirectory => "socket".into(),
            _ => self.path(),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("first/socket")
    }

    fn apply(&mut self) {
        let path = self.path();
        assert!(path.exists(), "the socket is bound");
        match self.change {
            Change::None => {}
            Change::Removed => std::fs::remove_file(&path).unwrap(),
            Change::ReplacedBySocket => {
                std::fs::remove_file(&path).unwrap();
                let live = UnixListener::bind(&path).unwrap();
                live.set_nonblocking(true).unwrap();
                self.live = Some(live);
            }
            Change::ReplacedByFile => {
                std::fs::remove_file(&path).unwrap();
                std::fs::write(&path, "data").unwrap();
            }
            Change::ReplacedByLink => {
                std::fs::remove_file(&path).unwrap();
                std::os::unix::fs::symlink("../second/socket", &path).unwrap();
            }
            Change::WorkingDirectory => {
                std::env::set_current_dir(self.folder.path().join("second")).unwrap();
            }
        }
    }

    /// Checks that only the own file was removed.
    fn check(&self, name: &str) {
        let other = std::fs::read_to_string(self.folder.path().join("second/socket"));
        assert_eq!(other.ok().as_deref(), Some("data"), "{name}");
        let path = self.path();
        let exists = std::fs::symlink_metadata(&path).is_ok();
        match self.change {
            Change::None | Change::Removed | Change::WorkingDirectory => assert!(!exists, "{name}"),
            Change::ReplacedBySocket => _ = UnixStream::connect(&path).expect(name),
            Change::ReplacedByFile | Change::ReplacedByLink => {
                assert_eq!(std::fs::read_to_string(&path).expect(name), "data", "{name}");
            }
        }
    }
}

/// Changes the file of the connection that was opened before it, and then cannot be opened.
struct FailingConnection(Case, Arc<std::sync::Mutex<Option<Case>>>);

impl Connection for FailingConnection {
    fn open(
        mut self: Box<Self>,
        _: Arc<dyn Application>,
    ) -> BoxFuture<'static, brubeck::Result<OpenConnection>> {
        self.0.apply();
        let FailingConnection(case, returned) = *self;
        *returned.lock().unwrap() = Some(case);
        Box::pin(std::future::ready(Err(brubeck::Error::new("on purpose"))))
    }
}

/// Returns `app` with a connection of this owner.
async fn start(owner: Owner, app: App<()>, path: &Path) -> brubeck::Result<brubeck::Running> {
    match owner {
        Owner::Http => app.start(Http::unix(path)).await,
        _ => app.start(Service::bind(ipc(path), SECRET)).await,
    }
}

fn hub(requests: &Path, responses: &Path) -> brubeck::Result<Client> {
    let address = ServiceAddress::new(ipc(requests), SECRET)
        .dialect(Dialect::Pypi)
        .responses_at(ipc(responses));
    Client::connect(&address)
}

async fn run_case(owner: Owner, end: End, change: Change) {
    let name = format!("{owner:?} {end:?} {change:?}");
    let mut case = Case::new(change);
    let path = case.given();
    match (owner, end) {
        (Owner::Hub, End::FailedStart) => {
            // The second address is bound after the first one, and the first one is bound again after that.
            std::fs::write(case.folder.path().join("taken"), "data").unwrap();
            assert!(hub(&path, &case.folder.path().join("taken")).is_err(), "{name}");
            assert!(!case.path().exists(), "{name}");
            return;
        }
        (Owner::Hub, _) => {
            let responses = case.folder.path().join("responses");
            let client = hub(&path, &responses).expect(&name);
            case.apply();
            drop(client);
            assert!(!responses.exists(), "{name}");
        }
        (_, End::FailedStart) => {
            let returned = Arc::default();
            let failing = FailingConnection(case, Arc::clone(&returned));
            let started = start(owner, app().also(failing), &path).await;
            assert!(started.is_err(), "{name}");
            let changed = returned.lock().unwrap().take();
            case = changed.expect("the connection was opened");
        }
        (_, End::Stop) => {
            let running = start(owner, app(), &path).await.expect(&name);
            case.apply();
            running.stop().await.expect(&name);
        }
        (_, End::Drop) => {
            let running = start(owner, app(), &path).await.expect(&name);
            case.apply();
            drop(running);
        }
    }
    case.check(&name);
}

/// Changes the working directory, so it runs alone.
#[tokio::test]
async fn only_the_own_socket_file_is_removed() {
    if !child::isolated(only_the_own_socket_file_is_removed).await {
        return;
    }
    for owner in [Owner::Service, Owner::Http, Owner::Hub] {
        for end in [End::Stop, End::Drop, End::FailedStart] {
            for change in [
                Change::None,
                Change::Removed,
                Change::ReplacedBySocket,
                Change::ReplacedByFile,
                Change::ReplacedByLink,
                Change::WorkingDirectory,
            ] {
                with_timeout(run_case(owner, end, change)).await;
            }
        }
    }
}

/// Repeats failed starts and drops, each followed at once by a start that must succeed.
async fn starts_again_at_once(
    count: usize,
    start: impl AsyncFn(App<()>) -> brubeck::Result<brubeck::Running>,
) {
    for round in 0..count {
        // The address has a host that this machine does not have.
        let failing = app().also(Service::bind("tcp://192.0.2.1:9000", SECRET));
        let failed = start(failing).await;
        assert!(failed.is_err(), "round {round}");
        let running = start(app())
            .await
            .unwrap_or_else(|error| panic!("round {round}: {error:?}"));
        drop(running);
        let running = start(app())
            .await
            .unwrap_or_else(|error| panic!("round {round}: {error:?}"));
        running.stop().await.unwrap();
    }
}

fn start_rounds() -> usize {
    env_number("BRUBECK_STARTS", 50)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn service_starts_again_at_once_after_a_failed_start_and_a_drop() {
    // In a process of its own: a child of another test holds the closed listener until it has started its program.
    if !child::isolated(service_starts_again_at_once_after_a_failed_start_and_a_drop).await {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = ipc(&folder.path().join("socket"));
    starts_again_at_once(start_rounds(), async |app| {
        app.start(Service::bind(&path, SECRET)).await
    })
    .await;
    let port = format!("tcp://{}", own_address("127.0.14.1"));
    starts_again_at_once(start_rounds(), async |app| {
        app.start(Service::bind(&port, SECRET)).await
    })
    .await;
}

#[tokio::test]
async fn http_starts_again_at_once_after_a_failed_start_and_a_drop() {
    // In a process of its own: a child of another test holds the closed listener until it has started its program.
    if !child::isolated(http_starts_again_at_once_after_a_failed_start_and_a_drop).await {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    starts_again_at_once(start_rounds(), async |app| app.start(Http::unix(&path)).await).await;
    let port = own_address("127.0.14.2");
    starts_again_at_once(start_rounds(), async |app| app.start(Http::bind(&port)).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hub_binds_again_at_once_after_a_failed_bind_and_a_drop() {
    let folder = tempfile::tempdir().unwrap();
    let [requests, responses, taken] =
        ["requests", "responses", "taken"].map(|name| folder.path().join(name));
    std::fs::write(&taken, "data").unwrap();
    for _ in 0..start_rounds() {
        assert!(hub(&requests, &taken).is_err());
        drop(hub(&requests, &responses).unwrap());
    }
}

#[tokio::test]
async fn refused_address_names_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let error = async |started: brubeck::Result<brubeck::Running>| match started {
        Ok(_) => panic!("the application started"),
        Err(error) => format!("{error:?}"),
    };
    let running = app().start(Service::bind(ipc(&path), SECRET)).await.unwrap();
    for started in [
        app().start(Service::bind(ipc(&path), SECRET)).await,
        app().start(Http::unix(&path)).await,
    ] {
        let text = error(started).await;
        assert!(text.contains("in use by this process"), "{text}");
    }
    running.stop().await.unwrap();

    std::fs::write(&path, "data").unwrap();
    for started in [
        app().start(Service::bind(ipc(&path), SECRET)).await,
        app().start(Http::unix(&path)).await,
    ] {
        let text = error(started).await;
        assert!(text.contains("not a socket file"), "{text}");
    }

    let running = app().start(Http::bind("127.0.14.3:0")).await.unwrap();
    let taken = running.address().trim_start_matches("http://").to_owned();
    let text = error(app().start(Http::bind(&taken)).await).await;
    assert!(text.contains("this process uses the port"), "{text}");
    let text = error(app().start(Service::bind(format!("tcp://{taken}"), SECRET)).await).await;
    assert!(text.contains("in use by this process"), "{text}");
    running.stop().await.unwrap();
    let _other = std::net::TcpListener::bind(&taken).unwrap();
    let text = error(app().start(Service::bind(format!("tcp://{taken}"), SECRET)).await).await;
    assert!(text.contains("in use by another process"), "{text}");
}

/// Changes the working directory, so it runs alone.
#[tokio::test]
async fn relative_address_means_the_folder_in_which_it_was_given() {
    if !child::isolated(relative_address_means_the_folder_in_which_it_was_given).await {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = ["first", "second"].map(|name| folder.path().join(name));
    std::fs::create_dir(&first).unwrap();
    std::fs::create_dir(&second).unwrap();
    std::env::set_current_dir(&first).unwrap();
    let [service, http] = [first.join("service"), first.join("http")];
    let bound = (Service::bind("ipc://service", SECRET), Http::unix("http"));
    let address = ServiceAddress::new("ipc://service", SECRET);
    std::env::set_current_dir(&second).unwrap();

    let running = app().also(bound.1).start(bound.0).await.unwrap();
    assert_eq!(running.address(), "ipc://service");
    assert!(service.exists() && http.exists());
    let client = Client::connect(&address).unwrap();
    with_timeout(client.request("/ping").into_future()).await.unwrap();
    running.stop().await.unwrap();
    assert!(!service.exists() && !http.exists());

    // The client connects again.
    let running = app().start(Service::bind(ipc(&service), SECRET)).await.unwrap();
    with_timeout(client.request("/ping").into_future()).await.unwrap();
    running.stop().await.unwrap();
}
