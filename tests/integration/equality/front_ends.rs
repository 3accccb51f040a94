//! The front ends that are compared.

use super::requests::TestRequest;
use crate::support::served_app::{Protocol, socket_address, socket_folder};
use crate::support::{Browser, ServedApp, with_timeout};
use brubeck::testing::TestClient;
use brubeck::{App, Mongrel2, Running};
use brubeck_runtime::wire::mongrel2::{self as wire, Mongrel2Request};
use bytes::Bytes;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::thread::JoinHandle;
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot};
use zeromq::{PushSocket, Socket, SocketRecv, SocketSend, SubSocket, ZmqMessage};

/// A response without the headers that depend on the front end (`date`, `connection` and `transfer-encoding`), and with
/// a decoded body.
#[derive(Clone, PartialEq, Eq)]
pub struct ComparableResponse {
    pub status: u16,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl std::fmt::Debug for ComparableResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.status)?;
        for (name, value) in &self.headers {
            writeln!(f, "{name}: {}", value.escape_ascii())?;
        }
        write!(f, "\n{}", self.body.escape_ascii())
    }
}

impl ComparableResponse {
    /// Removes the headers that depend on the front end and sorts the others by name. Values of one name keep their
    /// order, because it is significant.
    fn new(
        status: u16,
        headers: impl IntoIterator<Item = (String, Vec<u8>)>,
        body: &[u8],
    ) -> ComparableResponse {
        let is_comparable = |(name, _): &(String, Vec<u8>)| {
            !["date", "connection", "transfer-encoding"].contains(&name.as_str())
        };
        let mut headers: Vec<_> = headers.into_iter().filter(is_comparable).collect();
        headers.sort_by(|a, b| a.0.cmp(&b.0));
        ComparableResponse {
            status,
            headers,
            body: body.to_vec(),
        }
    }
}

/// A front end of the application.
pub trait FrontEnd {
    /// Sends the requests and returns their responses in the same order.
    async fn responses(&mut self, requests: &[TestRequest]) -> Vec<ComparableResponse>;
}

/// The application without a socket.
pub struct InMemory(TestClient);

impl InMemory {
    pub fn new(app: App<()>) -> InMemory {
        InMemory(TestClient::new(app))
    }
}

impl FrontEnd for InMemory {
    async fn responses(&mut self, requests: &[TestRequest]) -> Vec<ComparableResponse> {
        let mut responses = Vec::new();
        for test_request in requests {
            let method = test_request.method.parse().expect("a method");
            let mut request = self
                .0
                .request(method, &test_request.target)
                .from(IpAddr::V4(Ipv4Addr::LOCALHOST));
            for (name, value) in &test_request.headers {
                request = request.header(name, value);
            }
            let response = request.body(test_request.body.clone()).await;
            // A request sends only the cookies in its own headers, not those of earlier responses.
            self.0.forget_cookies();
            let headers = response
                .headers()
                .iter()
                .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()));
            responses.push(ComparableResponse::new(
                response.status(),
                headers,
                response.bytes(),
            ));
        }
        responses
    }
}

/// An HTTP server: the embedded one or Mongrel2. The client keeps a connection until the server closes it.
pub struct HttpServer {
    site: ServedApp,
    browser: Option<Browser>,
    accepts_chunks: bool,
}

impl HttpServer {
    pub async fn start(app: App<()>) -> HttpServer {
        let site = ServedApp::http(app).await;
        HttpServer {
            site,
            browser: None,
            accepts_chunks: true,
        }
    }

    pub async fn behind_mongrel2(app: App<()>) -> HttpServer {
        let site = ServedApp::mongrel2(app, Protocol::Json).await;
        HttpServer {
            site,
            browser: None,
            accepts_chunks: false,
        }
    }

    pub async fn stop(self) {
        drop(self.browser);
        self.site.stop().await;
    }

    fn encode(&self, test_request: &TestRequest) -> Vec<u8> {
        let mut text = format!(
            "{} {} HTTP/1.1\r\nhost: localhost\r\n",
            test_request.method, test_request.target
        )
        .into_bytes();
        for (name, value) in &test_request.headers {
            text.extend_from_slice(format!("{name}: ").as_bytes());
            text.extend_from_slice(value);
            text.extend_from_slice(b"\r\n");
        }
        match test_request
            .chunks
            .filter(|_| self.accepts_chunks && !test_request.body.is_empty())
        {
            Some(size) => {
                text.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
                for chunk in test_request.body.chunks(size) {
                    text.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                    text.extend_from_slice(chunk);
                    text.extend_from_slice(b"\r\n");
                }
                text.extend_from_slice(b"0\r\n\r\n");
            }
            None => {
                if !test_request.body.is_empty() || matches!(test_request.method, "POST" | "PUT" | "PATCH") {
                    text.extend_from_slice(
                        format!("content-length: {}\r\n", test_request.body.len()).as_bytes(),
                    );
                }
                text.extend_from_slice(b"\r\n");
                text.extend_from_slice(&test_request.body);
            }
        }
        text
    }
}

impl FrontEnd for HttpServer {
    async fn responses(&mut self, requests: &[TestRequest]) -> Vec<ComparableResponse> {
        let mut responses = Vec::new();
        for test_request in requests {
            let mut browser = match self.browser.take() {
                Some(open) => open,
                None => self.site.browser().await,
            };
            // Head and body in one write: a server that refuses the body may close the connection, and a second write
            // would fail.
            browser.send(self.encode(test_request)).await;
            let response = with_timeout(browser.try_read_response(test_request.method == "HEAD")).await;
            let response = response.unwrap_or_else(|error| panic!("no response to {test_request}: {error}"));
            if response.header("connection") != Some("close") {
                self.browser = Some(browser);
            }
            responses.push(ComparableResponse::new(
                response.status,
                response.headers,
                &response.body,
            ));
        }
        responses
    }
}

const IDENT: &str = "fake-mongrel2";

/// A fake Mongrel2 that speaks the protocol of the real one over real sockets.
pub struct FakeMongrel2 {
    requests: mpsc::UnboundedSender<Bytes>,
    replies: mpsc::UnboundedReceiver<Bytes>,
    running: Running,
    thread: JoinHandle<()>,
    _sockets: TempDir,
    next_conn_id: u32,
}

impl FakeMongrel2 {
    pub async fn start(app: App<()>) -> FakeMongrel2 {
        let folder = socket_folder();
        let (send, recv) = (socket_address(&folder, "send"), socket_address(&folder, "recv"));
        let (requests, to_send) = mpsc::unbounded_channel();
        let (reply_sender, replies) = mpsc::unbounded_channel();
        let (bound, is_bound) = oneshot::channel();
        let specs = (send.clone(), recv.clone());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime
                .expect("a runtime")
                .block_on(forward(specs, bound, to_send, reply_sender));
        });
        with_timeout(is_bound).await.expect("bound sockets");
        let running = with_timeout(app.start(Mongrel2::new(send, recv)))
            .await
            .expect("valid endpoints");
        FakeMongrel2 {
            requests,
            replies,
            running,
            thread,
            _sockets: folder,
            next_conn_id: 0,
        }
    }

    pub async fn stop(self) {
        with_timeout(self.running.stop()).await.expect("a clean shutdown");
        drop(self.requests);
        self.thread.join().expect("no panic");
    }
}

/// Sends requests to the application and collects its replies, until the test ends.
async fn forward(
    (send, recv): (String, String),
    bound: oneshot::Sender<()>,
    mut requests: mpsc::UnboundedReceiver<Bytes>,
    replies: mpsc::UnboundedSender<Bytes>,
) {
    let (mut push, mut sub) = (PushSocket::new(), SubSocket::new());
    push.bind(&send).await.expect("a socket for requests");
    sub.bind(&recv).await.expect("a socket for replies");
    sub.subscribe(IDENT).await.expect("a subscription");
    bound.send(()).expect("a receiver");
    loop {
        tokio::select! {
            request = requests.recv() => {
                let Some(request) = request else { return };
                let mut message = ZmqMessage::from(request);
                // Sending fails until the application has connected.
                while let Err(error) = push.send(message).await {
                    match error {
                        zeromq::ZmqError::ReturnToSender { message: back, .. } => message = back,
                        error => panic!("a request cannot be sent: {error}"),
                    }
                    tokio::task::yield_now().await;
                }
            }
            reply = sub.recv() => {
                let frames = reply.expect("a reply").into_vec();
                // The receiver is dropped at the end of the test.
                if replies.send(frames.concat().into()).is_err() {
                    return;
                }
            }
        }
    }
}

fn encode_message(test_request: &TestRequest, conn_id: u32) -> Bytes {
    let (path, query) = match test_request.target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (test_request.target.as_str(), None),
    };
    let mut headers: Vec<(Bytes, Bytes)> = vec![
        ("PATH".into(), path.to_owned().into()),
        ("METHOD".into(), test_request.method.into()),
        ("VERSION".into(), "HTTP/1.1".into()),
        ("URI".into(), test_request.target.clone().into()),
        ("REMOTE_ADDR".into(), "127.0.0.1".into()),
        ("host".into(), "localhost".into()),
    ];
    headers.extend(query.map(|query| ("QUERY".into(), query.to_owned().into())));
    let sent = test_request.headers.iter();
    // Mongrel2 converts the names of client headers to lower case.
    headers.extend(sent.map(|(name, value)| (name.to_ascii_lowercase().into(), value.clone().into())));
    let body = test_request.body.clone();
    if !body.is_empty() {
        headers.push(("content-length".into(), body.len().to_string().into()));
    }
    let protocol = match conn_id % 2 {
        0 => wire::Protocol::Json,
        _ => wire::Protocol::Tnetstring,
    };
    let headers = headers.into_iter().collect();
    Mongrel2Request::new(IDENT, conn_id.to_string(), path.to_owned(), headers, body).encode(protocol)
}

impl FrontEnd for FakeMongrel2 {
    async fn responses(&mut self, requests: &[TestRequest]) -> Vec<ComparableResponse> {
        let first = self.next_conn_id;
        for test_request in requests {
            self.requests
                .send(encode_message(test_request, self.next_conn_id))
                .expect("a running fake");
            self.next_conn_id += 1;
        }
        let mut received: HashMap<u32, Vec<u8>> = HashMap::new();
        let mut responses = HashMap::new();
        while responses.len() < requests.len() {
            let frame = with_timeout(self.replies.recv()).await.expect("a running fake");
            let reply = wire::decode_reply(&frame).expect("a reply that Mongrel2 can read");
            // Control messages and the empty reply that closes a connection are not part of a response.
            if reply.extended || reply.payload.is_empty() {
                continue;
            }
            let [conn_id] = &reply.ids[..] else {
                panic!("a reply to {:?}", reply.ids)
            };
            let conn_id: u32 = std::str::from_utf8(conn_id)
                .expect("digits")
                .parse()
                .expect("a number");
            let test_request = &requests[(conn_id - first) as usize];
            // A response may arrive in several replies, whose payloads Mongrel2 would forward unchanged.
            let text = received.entry(conn_id).or_default();
            text.extend_from_slice(&reply.payload);
            if let Some(seen) = parse_response(text, test_request.method == "HEAD") {
                assert!(
                    responses.insert(conn_id, seen).is_none(),
                    "more than one response to {test_request}"
                );
            }
        }
        (first..self.next_conn_id)
            .map(|conn_id| responses.remove(&conn_id).expect("a response to each request"))
            .collect()
    }
}

/// Parses an HTTP response. Returns `None` if it is incomplete. Panics if it is invalid.
fn parse_response(text: &[u8], head: bool) -> Option<ComparableResponse> {
    let end = text.windows(4).position(|four| four == b"\r\n\r\n")?;
    let mut lines = text[..end]
        .split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let status = lines.next().and_then(|line| line.get(9..12)).expect("a status");
    let status: u16 = std::str::from_utf8(status)
        .expect("digits")
        .parse()
        .expect("a status");
    let headers: Vec<(String, Vec<u8>)> = lines
        .map(|line| {
            let colon = line.iter().position(|byte| *byte == b':').expect("a header");
            let name = String::from_utf8_lossy(&line[..colon]).to_ascii_lowercase();
            (name, line[colon + 1..].trim_ascii().to_vec())
        })
        .collect();
    let is_chunked = headers.iter().any(|(name, _)| name == "transfer-encoding");
    if is_chunked && !head {
        let body = decode_chunks(&text[end + 4..])?;
        return Some(ComparableResponse::new(status, headers, &body));
    }
    let length = if head || matches!(status, 204 | 304) {
        0
    } else {
        let header = headers.iter().find(|(name, _)| name == "content-length");
        let (_, value) = header.expect("content-length, or the client waits for ever");
        std::str::from_utf8(value)
            .expect("digits")
            .parse()
            .expect("a number")
    };
    let body = &text[end + 4..];
    assert!(body.len() <= length, "more bytes than content-length");
    (body.len() == length).then(|| ComparableResponse::new(status, headers, body))
}

/// Decodes a chunked body. Returns `None` if it is incomplete. Panics if it is invalid.
fn decode_chunks(mut text: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = text.windows(2).position(|two| two == b"\r\n")?;
        let size = std::str::from_utf8(&text[..end]).expect("digits");
        let size = usize::from_str_radix(size, 16).expect("a size");
        let chunk = text.get(end + 2..end + 4 + size)?;
        let (chunk, line_end) = chunk.split_at(size);
        assert_eq!(line_end, b"\r\n", "a chunk is longer than its size");
        text = &text[end + 4 + size..];
        if size == 0 {
            assert!(text.is_empty(), "bytes after the last chunk");
            return Some(body);
        }
        body.extend_from_slice(chunk);
    }
}
