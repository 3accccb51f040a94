//! The embedded server: invalid requests, timeouts, connection limits, listeners, HTTP/2 and TLS.

use crate::support::child;
use brubeck::prelude::*;
use brubeck::{Body, Running};
use futures_util::stream;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

#[get("^/$")]
async fn index(from: Option<RemoteAddr>) -> String {
    from.map_or("unix".into(), |from| from.to_string())
}

#[post("^/echo$")]
async fn echo(body: bytes::Bytes) -> bytes::Bytes {
    body
}

#[get("^/endless$")]
async fn endless() -> Body {
    Body::from_stream(stream::repeat_with(|| {
        Ok::<_, std::io::Error>(vec![b'x'; 64 << 10])
    }))
}

#[get("^/parts$")]
async fn parts() -> Body {
    Body::from_stream(stream::iter(["hel", "lo"].map(Ok::<_, std::io::Error>)))
}

const ROUTES: Routes<()> = routes![index, echo, endless, parts];

async fn start(http: Http) -> Running {
    App::new(ROUTES, ())
        .body_limit(1000)
        .start(http)
        .await
        .expect("a running server")
}

fn http() -> Http {
    Http::bind("127.0.0.1:0")
}

async fn connect(running: &Running) -> TcpStream {
    TcpStream::connect(running.address().trim_start_matches("http://"))
        .await
        .expect("a connection")
}

/// Sends a request and returns everything until the connection is closed. Panics if it stays open for 20 seconds.
async fn send_and_read_to_close<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, request: &[u8]) -> String {
    stream.write_all(request).await.expect("an open connection");
    let mut response = Vec::new();
    let read = timeout(Duration::from_secs(20), stream.read_to_end(&mut response)).await;
    // A reset is a close, too: the server did not read everything that was sent.
    let closed = read.is_ok();
    let response = String::from_utf8_lossy(&response).into_owned();
    let request = String::from_utf8_lossy(request);
    assert!(
        closed,
        "the connection stayed open after {request:?} and {response:?}"
    );
    response
}

/// Returns the status codes of all responses in the text.
fn statuses(response: &str) -> Vec<&str> {
    response
        .split("HTTP/1.")
        .skip(1)
        .filter_map(|part| part.get(2..5).filter(|code| code.parse::<u16>().is_ok()))
        .collect()
}

#[tokio::test]
async fn invalid_and_smuggled_requests_are_rejected() {
    // A body with this text contains a second request, which must not be answered.
    let hidden = "GET /hidden HTTP/1.1\r\nhost: a\r\n\r\n";
    let chunked = format!("{:x}\r\n{hidden}\r\n0\r\n\r\n", hidden.len());
    let cases: &[(&str, String, &[&str])] = &[
        ("no Host", "GET / HTTP/1.1\r\nconnection: close\r\n\r\n".into(), &["400"]),
        ("two Hosts", "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n".into(), &["400"]),
        ("two equal Hosts", "GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n".into(), &["400"]),
        ("two Hosts in HTTP/1.0", "GET / HTTP/1.0\r\nhost: a\r\nhost: b\r\n\r\n".into(), &["400"]),
        (
            "chunked twice",
            format!("POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n{chunked}"),
            &["400"],
        ),
        ("chunked, chunked", format!("POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, chunked\r\n\r\n{chunked}"), &["400"]),
        ("xchunked", format!("POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: xchunked\r\n\r\n{chunked}"), &["400"]),
        ("chunked, identity", format!("POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, identity\r\n\r\n{chunked}"), &["400"]),
        ("two lengths", format!("POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: 0\r\n\r\n{hidden}"), &["400"]),
        // The same length twice is that length, as RFC 9110 allows.
        ("equal lengths", "POST /echo HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 5\r\ncontent-length: 5\r\n\r\nhello".into(), &["200"]),
        ("a list of lengths", "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 5, 5\r\n\r\nhello".into(), &["400"]),
        ("a length with a sign", "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: +5\r\n\r\nhello".into(), &["400"]),
        ("a length in hexadecimal", "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 0x5\r\n\r\nhello".into(), &["400"]),
        ("a negative length", "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n".into(), &["400"]),
        ("a space before the colon", "GET / HTTP/1.1\r\nhost : a\r\n\r\n".into(), &["400"]),
        ("a folded header", "GET / HTTP/1.1\r\nhost: a\r\nx-a: b\r\n c\r\n\r\n".into(), &["400"]),
        ("a NUL in a value", "GET / HTTP/1.1\r\nhost: a\r\nx-a: b\0c\r\n\r\n".into(), &["400"]),
        ("a bare CR in a value", "GET / HTTP/1.1\r\nhost: a\r\nx-a: b\rc\r\n\r\n".into(), &["400"]),
        ("chunked in HTTP/1.0", format!("POST /echo HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{chunked}"), &["400"]),
        ("no version", "GET /\r\n\r\n".into(), &["400"]),
        ("a chunk size that overflows", "POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\nx\r\n0\r\n\r\n".into(), &["400"]),
        ("a chunk size with a sign", "POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n".into(), &["400"]),
        ("a chunk without an end", "POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhelloX0\r\n\r\n".into(), &["400"]),
        // With both, hyper uses the transfer coding and closes the connection, as RFC 9112 allows.
        ("a length and chunked", format!("POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n{chunked}{hidden}"), &["200"]),
        // The unread body of a rejected request is not parsed as the next request.
        ("the body of a 404", format!("POST /none HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{hidden}", hidden.len()), &["404"]),
    ];
    let checked = check_requests(cases).await;
    println!("request smuggling: {checked} cases, none succeeded");
}

#[tokio::test]
async fn requests_over_a_size_limit_are_431_414_or_413() {
    let cases: &[(&str, String, &[&str])] = &[
        (
            "101 headers",
            format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(101)),
            &["431"],
        ),
        (
            "17,000 bytes of headers",
            format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(17_000)),
            &["431"],
        ),
        (
            "a long target",
            format!(
                "GET /{} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
                "y".repeat(8200)
            ),
            &["414"],
        ),
        (
            "a body that is too large",
            format!(
                "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 1001\r\n\r\n{}",
                "x".repeat(1001)
            ),
            &["413"],
        ),
        (
            "chunks that are too large",
            format!(
                "POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3e9\r\n{}\r\n0\r\n\r\n",
                "x".repeat(1001)
            ),
            &["413"],
        ),
    ];
    check_requests(cases).await;
}

/// Sends each request on a connection of its own, which the server must close, and compares the status codes of the
/// responses. A case has a name, a request and the expected codes. Returns the number of cases.
async fn check_requests(cases: &[(&str, String, &[&str])]) -> usize {
    let running = start(http()).await;
    let mut failed = Vec::new();
    for (name, request, expected) in cases {
        let response = send_and_read_to_close(connect(&running).await, request.as_bytes()).await;
        if statuses(&response) != *expected {
            failed.push(format!("{name}: expected {expected:?}, got {response:?}"));
        }
    }
    assert!(
        failed.is_empty(),
        "{} of {} cases failed:\n{}",
        failed.len(),
        cases.len(),
        failed.join("\n")
    );
    running.stop().await.unwrap();
    cases.len()
}

#[tokio::test]
async fn streams_are_chunked_in_http_1_1_and_end_with_the_connection_in_http_1_0() {
    let running = start(http()).await;
    let response = send_and_read_to_close(
        connect(&running).await,
        b"GET /parts HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    )
    .await;
    assert!(
        response.contains("transfer-encoding: chunked")
            && response.ends_with("3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"),
        "{response}"
    );
    let response = send_and_read_to_close(connect(&running).await, b"GET /parts HTTP/1.0\r\n\r\n").await;
    assert!(response.ends_with("\r\n\r\nhello"), "{response}");
}

#[tokio::test]
async fn idle_header_and_body_timeouts_close_connections() {
    let short = Duration::from_millis(200);
    let long = Duration::from_secs(60);
    let cases = [
        (
            "no request",
            http().idle_timeout(short).header_timeout(long),
            &b""[..],
            vec![],
        ),
        ("half a head", http().header_timeout(short), b"GET / HTT", vec![]),
        (
            "half a head after a request",
            http().header_timeout(short).idle_timeout(short),
            b"GET / HTTP/1.1\r\nhost: a\r\n\r\nGET /",
            vec!["200"],
        ),
        (
            "idle after a request",
            http().idle_timeout(short).header_timeout(long),
            b"GET / HTTP/1.1\r\nhost: a\r\n\r\n",
            vec!["200"],
        ),
        (
            "half a body",
            http().body_timeout(short),
            b"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nhalf",
            vec!["408"],
        ),
    ];
    for (name, http, request, expected) in cases {
        let running = start(http).await;
        let response = send_and_read_to_close(connect(&running).await, request).await;
        assert_eq!(statuses(&response), expected, "{name}: {response:?}");
    }
}

#[tokio::test]
async fn write_timeout_closes_a_client_that_never_reads() {
    let running = start(http().write_timeout(Duration::from_millis(200))).await;
    let mut stream = connect(&running).await;
    stream
        .write_all(b"GET /endless HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    // The client reads nothing, so the buffers fill up and the write timeout closes the connection. Then no request
    // is left to drain.
    timeout(Duration::from_secs(20), running.stop())
        .await
        .expect("a shutdown in time")
        .expect("no request was aborted");
    drop(stream);
}

#[tokio::test]
async fn connection_limit_per_address_is_enforced() {
    let running = start(http().max_connections_per_address(2)).await;
    let (first, second) = (connect(&running).await, connect(&running).await);
    let request = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let mut third = connect(&running).await;
    let mut byte = [0];
    let read = timeout(Duration::from_secs(20), third.read(&mut byte))
        .await
        .expect("a close");
    assert!(matches!(read, Ok(0) | Err(_)));
    assert_eq!(statuses(&send_and_read_to_close(first, request).await), ["200"]);
    drop(second);
    let again = async {
        loop {
            let mut stream = connect(&running).await;
            let mut response = Vec::new();
            let sent = stream.write_all(request).await;
            if sent.is_ok() && stream.read_to_end(&mut response).await.is_ok() && !response.is_empty() {
                return String::from_utf8(response).unwrap();
            }
        }
    };
    assert_eq!(
        statuses(
            &timeout(Duration::from_secs(20), again)
                .await
                .expect("a free connection")
        ),
        ["200"]
    );
}

#[tokio::test]
async fn serves_on_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("web.sock");
    // A process that was killed leaves its socket file, which is replaced.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let running = App::new(ROUTES, ())
        .trusted_proxies(["unix"])
        .start(Http::unix(&path))
        .await
        .unwrap();
    let request = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    assert!(
        send_and_read_to_close(UnixStream::connect(&path).await.unwrap(), request)
            .await
            .ends_with("unix")
    );
    // A trusted proxy names the address of its client in a header.
    let request = b"GET / HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 203.0.113.9\r\nconnection: close\r\n\r\n";
    assert!(
        send_and_read_to_close(UnixStream::connect(&path).await.unwrap(), request)
            .await
            .ends_with("203.0.113.9")
    );
    let error = App::new(ROUTES, ())
        .start(Http::unix(&path))
        .await
        .err()
        .expect("the path is in use");
    assert!(error.to_string().contains("in use by this process"), "{error}");
    running.stop().await.unwrap();
    assert!(!path.exists());
}

#[tokio::test]
async fn serves_http_2_without_tls() {
    let running = start(http()).await;
    let address = running.address().trim_start_matches("http://").to_owned();
    let target = format!("http://{address}/echo");
    let arguments = [
        "--silent",
        "--http2-prior-knowledge",
        "--max-time",
        "10",
        "--write-out",
        " HTTP/%{http_version}",
        "--data",
        "hello",
        &target,
    ];
    if let Some(response) = run("curl", &arguments).await {
        assert_eq!(response, "hello HTTP/2");
    }
}

/// Runs a program and returns its standard output, whatever its exit status. If the program cannot be started, returns
/// `None`, or panics if `CI` is set.
pub(super) async fn run(program: &str, arguments: &[&str]) -> Option<String> {
    match tokio::process::Command::new(program)
        .args(arguments)
        .output()
        .await
    {
        Ok(output) => Some(String::from_utf8_lossy(&output.stdout).into_owned()),
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "cannot run {program}: {error}");
            println!("skipped: cannot run {program}: {error}");
            None
        }
    }
}

/// Creates a self-signed certificate for `localhost`, and returns the paths of the certificate and its key. If OpenSSL is
/// not installed, returns `None` or panics, like [`run`].
pub(super) async fn create_certificate(folder: &tempfile::TempDir) -> Option<(String, String)> {
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (certificate, key) = (path("certificate.pem"), path("key.pem"));
    let arguments = [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=DNS:localhost",
        "-addext",
        "basicConstraints=critical,CA:FALSE",
        "-keyout",
        &key,
        "-out",
        &certificate,
    ];
    run("openssl", &arguments).await?;
    Some((certificate, key))
}

#[tokio::test]
async fn serves_http_1_and_2_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let Some((certificate, key)) = create_certificate(&folder).await else {
        return;
    };
    let running = start(http().tls(&certificate, &key)).await;
    let port = running.address().rsplit(':').next().unwrap().to_owned();
    assert!(running.address().starts_with("https://"), "{}", running.address());
    let target = format!("https://localhost:{port}/echo");
    let resolve = format!("localhost:{port}:127.0.0.1");
    for (version, expected) in [("--http1.1", "hello HTTP/1.1"), ("--http2", "hello HTTP/2")] {
        let arguments = [
            "--silent",
            "--show-error",
            "--max-time",
            "10",
            "--cacert",
            &certificate,
            "--resolve",
            &resolve,
            version,
            "--write-out",
            " HTTP/%{http_version}",
            "--data",
            "hello",
            &target,
        ];
        match run("curl", &arguments).await {
            Some(response) => assert_eq!(response, expected),
            None => return,
        }
    }
    // A client without TLS gets no HTTP response.
    let plain = TcpStream::connect(("127.0.0.1", port.parse::<u16>().unwrap()))
        .await
        .unwrap();
    assert!(
        !send_and_read_to_close(plain, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            .await
            .contains("HTTP/1.1")
    );
    running.stop().await.unwrap();
}

#[tokio::test]
async fn swapped_tls_files_are_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let Some((certificate, key)) = create_certificate(&folder).await else {
        return;
    };
    let error = App::new(ROUTES, ()).start(http().tls(&key, &certificate)).await;
    let error = error.err().expect("the key is not a certificate").to_string();
    assert!(error.contains("contains no certificate"), "{error}");
}

/// The child process of [`serves_on_a_socket_inherited_from_systemd`].
#[tokio::test]
async fn child_with_inherited_socket() {
    if !child::is_child(child_with_inherited_socket) {
        return;
    }
    #[get("^/$")]
    async fn process() -> String {
        std::process::id().to_string()
    }
    let served = App::new(routes![process], ()).serve(Http::inherited());
    served.await.expect("an inherited socket");
}

/// As systemd does it: the socket is descriptor 3, and two environment variables name the process and the number of
/// sockets.
#[tokio::test]
async fn serves_on_a_socket_inherited_from_systemd() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("socket");
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = tcp.local_addr().expect("an address");
    let unix = std::os::unix::net::UnixListener::bind(&path).expect("a socket");
    for (is_tcp, socket) in [(true, std::os::fd::OwnedFd::from(tcp)), (false, unix.into())] {
        // The connection waits in the backlog of the socket until the program starts.
        let send = async |request: &'static [u8]| {
            if is_tcp {
                let stream = TcpStream::connect(address).await.expect("a socket");
                send_and_read_to_close(stream, request).await
            } else {
                let stream = UnixStream::connect(&path).await.expect("a socket");
                send_and_read_to_close(stream, request).await
            }
        };
        let early = send(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        let started = async {
            let script = "export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$@\" 3<&0 </dev/null";
            child::command_after(script, child_with_inherited_socket)
                .stdin(socket)
                .stdout(std::process::Stdio::null())
                .spawn()
                .expect("a shell")
        };
        let (response, mut child) = tokio::join!(early, started);
        let id = child.id().expect("a running program").to_string();
        assert!(
            response.starts_with("HTTP/1.1 200 OK\r\n") && response.ends_with(&id),
            "{response}"
        );
        child.kill().await.expect("a running program");
    }
}

#[tokio::test]
async fn inherited_without_a_socket_is_an_error() {
    let error = App::new(ROUTES, ()).start(Http::inherited()).await.err();
    let text = format!("{:?}", error.expect("no socket was inherited"));
    assert!(text.contains("systemd"), "{text}");
}
