//! Answers that are given before the body of the request was read: a client that sends its whole body first must get them.
//!
//! `BRUBECK_EARLY_ROUNDS` sets how often each request is sent (default 1).

use crate::support::{Browser, ServedApp, env_number, http2, python, requirements, with_timeout};
use brubeck::prelude::*;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The size of a body, in bytes: more than the sockets of both sides buffer.
const BODY: usize = 20 << 20;

/// Responds without reading the body.
#[post(r"^/status/(?<code>\d+)$")]
async fn early(code: u16, _upload: Upload) -> Status {
    Status::from(code)
}

#[post("^/whole$")]
async fn whole(body: bytes::Bytes) -> String {
    body.len().to_string()
}

/// Never responds. It admits one request, which holds the place.
#[post("^/busy$")]
async fn busy(_upload: Upload) {
    std::future::pending::<()>().await;
}

#[get("^/get$")]
async fn get_only() {}

const ROUTES: Routes<()> = routes![early, whole, busy, get_only];

fn app() -> App<()> {
    App::new(ROUTES, ())
        .limit::<early>(Limits::new().body_limit(1 << 30))
        .limit::<busy>(Limits::new().body_limit(1 << 30).concurrency(1))
}

/// Paths, headers, and the status that is given before the body is read.
const REQUESTS: [(&str, &str, u16); 11] = [
    ("/none", "", 404),
    ("/get", "", 405),
    ("/status/401", "", 401),
    ("/status/403", "", 403),
    ("/whole", "cookie: a=1\r\nsec-fetch-site: cross-site\r\n", 403),
    ("/whole", "", 413),
    ("/status/415", "", 415),
    ("/status/417", "", 417),
    ("/busy", "", 503),
    ("/status/503", "", 503),
    ("/status/200", "", 200),
];

/// Takes the only place of `/busy` until the result is dropped.
async fn hold_place(address: SocketAddr) -> Vec<Browser> {
    let head = "POST /busy HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n";
    let mut held = Vec::new();
    with_timeout(async {
        // One of two requests at once gets the place, and the other is refused.
        for _ in 0..2 {
            let mut browser = Browser::connect(address).await;
            browser.send(head).await;
            held.push(browser);
        }
        let (first, second) = held.split_at_mut(1);
        tokio::select! {
            _ = first[0].try_read_line() => {}
            _ = second[0].try_read_line() => {}
        }
    })
    .await;
    held
}

/// Sends the whole request before it reads, and returns the response.
fn send_then_read(address: SocketAddr, request: &[u8]) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.write_all(request)?;
    let mut response = Vec::new();
    stream.read_to_end(&mut response)?;
    Ok(String::from_utf8_lossy(&response).into_owned())
}

fn request(path: &str, headers: &str, is_chunked: bool) -> Vec<u8> {
    let framing = if is_chunked {
        "transfer-encoding: chunked".to_owned()
    } else {
        format!("content-length: {BODY}")
    };
    let mut request =
        format!("POST {path} HTTP/1.1\r\nhost: localhost\r\n{headers}{framing}\r\n\r\n").into_bytes();
    let body = vec![b'x'; BODY];
    if is_chunked {
        for chunk in body.chunks(1 << 20) {
            request.extend(format!("{:x}\r\n", chunk.len()).bytes());
            request.extend(chunk);
            request.extend(b"\r\n");
        }
        request.extend(b"0\r\n\r\n");
    } else {
        request.extend(body);
    }
    request
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_that_sends_first_gets_the_answer() {
    let site = ServedApp::http(app()).await;
    let address = site.address;
    let held = hold_place(address).await;
    let rounds: usize = env_number("BRUBECK_EARLY_ROUNDS", 1);
    let sending = tokio::task::spawn_blocking(move || {
        for (path, headers, status) in REQUESTS {
            for is_chunked in [false, true] {
                let request = request(path, headers, is_chunked);
                for round in 0..rounds {
                    let what = format!("{path}, chunked: {is_chunked}, round {round}");
                    let response = send_then_read(address, &request);
                    let response = response.unwrap_or_else(|error| panic!("{what}: {error}"));
                    assert!(
                        response.starts_with(&format!("HTTP/1.1 {status} ")),
                        "{what}: {response}"
                    );
                }
            }
        }
    });
    sending.await.expect("no panic");
    drop(held);
    site.stop().await;
}

/// hyper refuses this request before the application sees it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_with_a_malformed_head_gets_the_answer() {
    let site = ServedApp::http(app()).await;
    let address = site.address;
    let request = [
        b"POST / HTTP/1.1\r\nhost: localhost\r\nno colon\r\n\r\n".as_slice(),
        &vec![b'x'; BODY],
    ]
    .concat();
    let sending = tokio::task::spawn_blocking(move || send_then_read(address, &request));
    let response = with_timeout(sending)
        .await
        .expect("no panic")
        .expect("a response");
    assert!(response.starts_with("HTTP/1.1 400 "), "{response}");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_that_never_stops_is_cut() {
    let site = ServedApp::http(app()).await;
    let address = site.address;
    let sending = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).expect("a connection");
        stream
            .write_all(b"POST /none HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
            .expect("an open connection");
        let chunk = [b"100000\r\n".as_slice(), &vec![b'x'; 1 << 20], b"\r\n"].concat();
        loop {
            if let Err(error) = stream.write_all(&chunk) {
                return error.kind();
            }
        }
    });
    let error = tokio::time::timeout(Duration::from_secs(60), sending).await;
    let error = error.expect("the connection is cut").expect("no panic");
    assert!(
        matches!(error, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset),
        "{error}"
    );
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_that_sends_first_over_tls_gets_the_answer() {
    let folder = tempfile::tempdir().expect("a folder");
    let (Some(python), Some((certificate, key))) = (
        requirements::python(),
        super::server::create_certificate(&folder).await,
    ) else {
        return;
    };
    let server = Http::bind("127.0.0.1:0").tls(&certificate, &key);
    let running = app().start(server).await.expect("a running server");
    let port = running.address().rsplit(':').next().expect("a port").to_owned();
    let rounds = env_number("BRUBECK_EARLY_ROUNDS", 1_usize).to_string();
    let output = tokio::process::Command::new(python)
        .arg("-B")
        .arg(python::file("early_answers.py"))
        .args([&port, &certificate, &rounds])
        .args(
            REQUESTS
                .iter()
                .filter(|(path, ..)| *path != "/busy")
                .map(|(path, headers, status)| format!("{status}\n{path}\n{headers}")),
        )
        .output();
    let output = output.await.expect("a running python");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    running.stop().await.expect("a clean shutdown");
}

/// With HTTP/2 the client gets the answer, and the stream is reset without an error (RFC 9113, section 8.1).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_2_stream_is_reset_without_an_error() {
    let site = ServedApp::http(app()).await;
    for _ in 0..env_number("BRUBECK_EARLY_ROUNDS", 1) {
        let response = http2::post(site.address, "/none", vec![b'x'; http2::INITIAL_WINDOW], false).await;
        assert_eq!(
            (response.status, response.reset),
            (Some(404), Some(0)),
            "{response:?}"
        );
        assert_eq!(response.body, b"Not Found");
    }
    site.stop().await;
}
