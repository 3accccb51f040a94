use super::*;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use tokio::time::timeout;

const TEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Starts a Mongrel2 whose handler does not respond. Returns `None` if Mongrel2 is not installed.
async fn start_server() -> Option<(Mongrel2Server, tempfile::TempDir)> {
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
    let server = timeout(TEST_TIMEOUT, config.start())
        .await
        .expect("timed out")
        .unwrap();
    Some((server, sockets))
}

/// Returns `true` if Mongrel2 accepts connections. It answers a malformed request without a handler.
fn is_running(address: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect(address) else {
        return false;
    };
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.write_all(b"malformed\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => true,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn starts_restarts_and_removes_its_directory() {
    let Some((server, _sockets)) = start_server().await else {
        return;
    };
    let address = server.address();
    assert!(is_running(address));
    let first = server.pid().unwrap();

    timeout(TEST_TIMEOUT, server.restart())
        .await
        .expect("timed out")
        .unwrap();
    assert_ne!(server.pid().unwrap(), first);
    assert!(is_running(address));

    let directory = std::fs::read_link(format!("/proc/{}/cwd", server.pid().unwrap())).unwrap();
    timeout(TEST_TIMEOUT, server.stop())
        .await
        .expect("timed out")
        .unwrap();
    assert!(TcpStream::connect(address).is_err());
    assert!(!directory.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarts_after_it_was_killed() {
    let Some((mut server, _sockets)) = start_server().await else {
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
    let restarted = server.pid.wait_for(|pid| pid.is_some_and(|pid| pid != first));
    timeout(TEST_TIMEOUT, restarted)
        .await
        .expect("timed out")
        .unwrap();
    assert!(is_running(server.address()));
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn error_names_the_port_in_use() {
    let Some((server, sockets)) = start_server().await else {
        return;
    };
    let spec = |name: &str| format!("ipc://{}/{name}", sockets.path().display());
    let handler = Mongrel2Handler::new(spec("s2"), spec("r2"));
    let config = Mongrel2Config::bind(server.address().to_string()).handler("/", handler);
    let error = timeout(TEST_TIMEOUT, config.start())
        .await
        .expect("timed out")
        .unwrap_err();
    assert!(
        error.to_string().contains(&server.address().to_string()),
        "{error:?}"
    );
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn error_contains_the_output_of_m2sh() {
    let Some((server, _sockets)) = start_server().await else {
        return;
    };
    server.stop().await.unwrap();
    let directory = ServerDirectory::create().unwrap();
    let error = server_process::load(&directory, "servers = [undefined]\n")
        .await
        .unwrap_err();
    assert!(format!("{error:?}").contains("undefined"), "{error:?}");
}
