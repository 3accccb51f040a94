use super::*;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(30);

/// A Mongrel2 with one handler, that nobody answers for; `None` where it is not installed.
async fn server() -> Option<(Mongrel2Server, tempfile::TempDir)> {
    if !Mongrel2Server::is_installed() {
        assert!(
            std::env::var_os("CI").is_none(),
            "mongrel2 is missing: apt-get install mongrel2-core"
        );
        eprintln!("skipped: mongrel2 is missing; apt-get install mongrel2-core");
        return None;
    }
    let sockets = tempfile::Builder::new().prefix("bru").tempdir().unwrap();
    let spec = |name: &str| format!("ipc://{}/{name}", sockets.path().display());
    let config =
        Mongrel2Config::bind("127.0.0.1:0").handler("/", Mongrel2Handler::new(spec("send"), spec("recv")));
    let server = timeout(LIMIT, config.start()).await.expect("in time").unwrap();
    Some((server, sockets))
}

/// It answers bad requests itself, so no handler is needed to see that it runs.
fn answers(address: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect(address) else {
        return false;
    };
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.write_all(b"nonsense\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => true,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_starts_restarts_and_leaves_nothing_behind() {
    let Some((server, _sockets)) = server().await else {
        return;
    };
    let address = server.address();
    assert!(answers(address));
    let first = server.pid().unwrap();

    timeout(LIMIT, server.restart()).await.expect("in time").unwrap();
    assert_ne!(server.pid().unwrap(), first);
    assert!(answers(address));

    let folder = std::fs::read_link(format!("/proc/{}/cwd", server.pid().unwrap())).unwrap();
    timeout(LIMIT, server.stop()).await.expect("in time").unwrap();
    assert!(TcpStream::connect(address).is_err());
    assert!(!folder.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_was_killed_is_started_again() {
    let Some((mut server, _sockets)) = server().await else {
        return;
    };
    let first = server.pid().unwrap();
    assert!(
        std::process::Command::new("sh")
            .args(["-c", &format!("kill -s KILL {first}")])
            .status()
            .unwrap()
            .success()
    );
    let again = server.pid.wait_for(|pid| pid.is_some_and(|pid| pid != first));
    timeout(LIMIT, again).await.expect("in time").unwrap();
    assert!(answers(server.address()));
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_that_is_taken_is_named() {
    let Some((server, sockets)) = server().await else {
        return;
    };
    let spec = |name: &str| format!("ipc://{}/{name}", sockets.path().display());
    let handler = Mongrel2Handler::new(spec("s2"), spec("r2"));
    let config = Mongrel2Config::bind(server.address().to_string()).handler("/", handler);
    let error = timeout(LIMIT, config.start())
        .await
        .expect("in time")
        .unwrap_err();
    assert!(
        error.to_string().contains(&server.address().to_string()),
        "{error:?}"
    );
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_m2sh_refuses_is_shown() {
    let Some((server, _sockets)) = server().await else {
        return;
    };
    server.stop().await.unwrap();
    let folder = ServerDirectory::create().unwrap();
    let error = server_process::load(&folder, "servers = [nobody]\n")
        .await
        .unwrap_err();
    assert!(format!("{error:?}").contains("nobody"), "{error:?}");
}
