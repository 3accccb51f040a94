//! Sockets that the parent process passes, as systemd does it: descriptors from 3 on, and environment variables with their number
//! and names.

use crate::support::{child, with_timeout};
use brubeck::prelude::*;
use brubeck::{Client, Service, ServiceAddress};
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Child;

const SECRET: &str = "TLSd2TQ0DdOZ2JsHyFBq";

#[service_handler("^/process$")]
async fn process() -> Json<u32> {
    Json(std::process::id())
}

#[get("^/page$")]
async fn page() -> String {
    std::process::id().to_string()
}

const ROUTES: Routes<()> = routes![process, page];

/// The child process of the tests below.
#[tokio::test]
async fn child_with_two_sockets() {
    if !child::is_child(child_with_two_sockets) {
        return;
    }
    let app = || App::new(ROUTES, ());
    let unknown = app().start(Service::inherited_named("other", SECRET)).await;
    let text = format!("{:?}", unknown.err().expect("there is no such socket"));
    assert!(text.contains("web, calls"), "{text}");
    // A failed start leaves both sockets for the next one.
    let failing = app()
        .also(Service::inherited_named("calls", SECRET))
        .also(Service::inherited_named("other", SECRET));
    assert!(failing.start(Http::inherited_named("web")).await.is_err());
    let app = app().also(Service::inherited_named("calls", SECRET));
    app.serve(Http::inherited_named("web"))
        .await
        .expect("two sockets");
}

fn start(web: &std::net::TcpListener, calls: &OwnedFd) -> Child {
    let script = "export LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=web:calls; exec \"$@\" 3<&0 4<&1 </dev/null >/dev/null";
    child::command_after(script, child_with_two_sockets)
        .stdin(OwnedFd::from(web.try_clone().expect("a socket")))
        .stdout(Stdio::from(calls.try_clone().expect("a socket")))
        .spawn()
        .expect("a shell")
}

async fn fetch(address: std::net::SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).await.expect("a socket");
    let request = b"GET /page HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.expect("a connection");
    let mut response = String::new();
    stream.read_to_string(&mut response).await.expect("a response");
    response.rsplit("\r\n").next().unwrap_or_default().to_owned()
}

async fn serves_at_inherited(calls: OwnedFd, address: &str) {
    let web = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let client = Client::connect(&ServiceAddress::new(address, SECRET)).expect("an address");
    // Twice: the connections wait in the sockets until the next process is there.
    for _ in 0..2 {
        let mut process = start(&web, &calls);
        let id = process.id().expect("a running program").to_string();
        let answer = async {
            loop {
                // The link to the process before this one may not be closed yet.
                let answer = client.request("/process").timeout(Duration::from_secs(20)).await;
                if let Ok(answer) = answer {
                    return answer.body.to_string();
                }
            }
        };
        assert_eq!(with_timeout(answer).await, id, "{address}");
        let page = with_timeout(fetch(web.local_addr().expect("an address"))).await;
        assert_eq!(page, id, "{address}");
        process.kill().await.expect("a running program");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn service_and_server_use_inherited_sockets_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("socket");
    let unix = std::os::unix::net::UnixListener::bind(&path).expect("a socket");
    serves_at_inherited(unix.into(), &format!("ipc://{}", path.display())).await;
    assert!(path.exists(), "the file belongs to the parent process");
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("tcp://{}", tcp.local_addr().expect("an address"));
    serves_at_inherited(tcp.into(), &address).await;
}

#[tokio::test]
async fn service_without_an_inherited_socket_does_not_start() {
    let error = App::new(ROUTES, ()).start(Service::inherited(SECRET)).await.err();
    let text = format!("{:?}", error.expect("no socket was inherited"));
    assert!(
        text.contains("systemd") && text.contains("the inherited socket"),
        "{text}"
    );
}
