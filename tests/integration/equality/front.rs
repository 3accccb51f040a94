//! The front ends: each takes requests and gives what the client sees.

use super::requests::Asked;
use crate::support::site::{Protocol, socket, sockets};
use crate::support::{Browser, Site, within};
use brubeck::testing::TestClient;
use brubeck::wire::mongrel2::{self as wire, Mongrel2Request};
use brubeck::{App, Mongrel2, Running};
use bytes::Bytes;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::thread::JoinHandle;
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot};
use zeromq::{PushSocket, Socket, SocketRecv, SocketSend, SubSocket, ZmqMessage};

/// What a client sees of an answer. `date`, `connection` and whether a stream comes in chunks belong to the front end.
#[derive(Clone, PartialEq, Eq)]
pub struct Seen {
    pub status: u16,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl std::fmt::Debug for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.status)?;
        for (name, value) in &self.headers {
            writeln!(f, "{name}: {}", value.escape_ascii())?;
        }
        write!(f, "\n{}", self.body.escape_ascii())
    }
}

impl Seen {
    /// The order of headers of different names means nothing; that of headers of one name is kept.
    fn new(status: u16, headers: impl IntoIterator<Item = (String, Vec<u8>)>, body: &[u8]) -> Seen {
        let said = |(name, _): &(String, Vec<u8>)| {
            !["date", "connection", "transfer-encoding"].contains(&name.as_str())
        };
        let mut headers: Vec<_> = headers.into_iter().filter(said).collect();
        headers.sort_by(|a, b| a.0.cmp(&b.0));
        Seen {
            status,
            headers,
            body: body.to_vec(),
        }
    }
}

/// A way to the application.
pub trait Front {
    /// The answers to these requests, in their order.
    async fn answers(&mut self, asked: &[Asked]) -> Vec<Seen>;
}

/// No socket at all.
pub struct Without(TestClient);

impl Without {
    pub fn new(app: App<()>) -> Without {
        Without(TestClient::new(app))
    }
}

impl Front for Without {
    async fn answers(&mut self, asked: &[Asked]) -> Vec<Seen> {
        let mut answers = Vec::new();
        for asked in asked {
            let method = asked.method.parse().expect("a method");
            let mut request = self
                .0
                .request(method, &asked.target)
                .from(IpAddr::V4(Ipv4Addr::LOCALHOST));
            for (name, value) in &asked.headers {
                request = request.header(name, value);
            }
            let answer = request.body(asked.body.clone()).await;
            // Every request says itself what cookies it brings.
            self.0.forget_cookies();
            let headers = answer
                .headers()
                .iter()
                .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()));
            answers.push(Seen::new(answer.status(), headers, answer.bytes()));
        }
        answers
    }
}

/// The embedded server, or whatever else speaks HTTP; connections are kept as long as it wants.
pub struct Embedded {
    site: Site,
    browser: Option<Browser>,
    knows_chunks: bool,
}

impl Embedded {
    pub async fn start(app: App<()>) -> Embedded {
        let site = Site::http(app).await;
        Embedded {
            site,
            browser: None,
            knows_chunks: true,
        }
    }

    pub async fn behind_mongrel2(app: App<()>) -> Embedded {
        let site = Site::mongrel2(app, Protocol::Json).await;
        Embedded {
            site,
            browser: None,
            knows_chunks: false,
        }
    }

    pub async fn stop(self) {
        drop(self.browser);
        self.site.stop().await;
    }

    fn text(&self, asked: &Asked) -> Vec<u8> {
        let mut text = format!(
            "{} {} HTTP/1.1\r\nhost: localhost\r\n",
            asked.method, asked.target
        )
        .into_bytes();
        for (name, value) in &asked.headers {
            text.extend_from_slice(format!("{name}: ").as_bytes());
            text.extend_from_slice(value);
            text.extend_from_slice(b"\r\n");
        }
        match asked
            .chunks
            .filter(|_| self.knows_chunks && !asked.body.is_empty())
        {
            Some(size) => {
                text.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
                for chunk in asked.body.chunks(size) {
                    text.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                    text.extend_from_slice(chunk);
                    text.extend_from_slice(b"\r\n");
                }
                text.extend_from_slice(b"0\r\n\r\n");
            }
            None => {
                if !asked.body.is_empty() || matches!(asked.method, "POST" | "PUT" | "PATCH") {
                    text.extend_from_slice(format!("content-length: {}\r\n", asked.body.len()).as_bytes());
                }
                text.extend_from_slice(b"\r\n");
                text.extend_from_slice(&asked.body);
            }
        }
        text
    }
}

impl Front for Embedded {
    async fn answers(&mut self, asked: &[Asked]) -> Vec<Seen> {
        let mut answers = Vec::new();
        for asked in asked {
            let mut browser = match self.browser.take() {
                Some(open) => open,
                None => self.site.browser().await,
            };
            // Head and body at once, so that nothing is left unread where the server does not want the body.
            browser.send(self.text(asked)).await;
            let answer = within(browser.try_answer(asked.method == "HEAD")).await;
            let answer = answer.unwrap_or_else(|error| panic!("no answer ({error}) to {asked}"));
            if answer.header("connection") != Some("close") {
                self.browser = Some(browser);
            }
            answers.push(Seen::new(answer.status, answer.headers, &answer.body));
        }
        answers
    }
}

const IDENT: &str = "stand-in";

/// A stand-in for Mongrel2: what it sends and takes are the messages of Mongrel2, through real sockets.
pub struct StandIn {
    requests: mpsc::UnboundedSender<Bytes>,
    replies: mpsc::UnboundedReceiver<Bytes>,
    running: Running,
    thread: JoinHandle<()>,
    _sockets: TempDir,
    next: u32,
}

impl StandIn {
    pub async fn start(app: App<()>) -> StandIn {
        let folder = sockets();
        let (send, recv) = (socket(&folder, "send"), socket(&folder, "recv"));
        let (requests, to_send) = mpsc::unbounded_channel();
        let (taken, replies) = mpsc::unbounded_channel();
        let (bound, is_bound) = oneshot::channel();
        let specs = (send.clone(), recv.clone());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime
                .expect("a runtime")
                .block_on(carry(specs, bound, to_send, taken));
        });
        within(is_bound).await.expect("sockets that are bound");
        let running = within(app.start(Mongrel2::new(send, recv)))
            .await
            .expect("endpoints that are some");
        StandIn {
            requests,
            replies,
            running,
            thread,
            _sockets: folder,
            next: 0,
        }
    }

    pub async fn stop(self) {
        within(self.running.stop()).await.expect("an end");
        drop(self.requests);
        self.thread.join().expect("a stand-in that did not fail");
    }
}

async fn carry(
    (send, recv): (String, String),
    bound: oneshot::Sender<()>,
    mut requests: mpsc::UnboundedReceiver<Bytes>,
    replies: mpsc::UnboundedSender<Bytes>,
) {
    let (mut push, mut sub) = (PushSocket::new(), SubSocket::new());
    push.bind(&send).await.expect("a socket for requests");
    sub.bind(&recv).await.expect("a socket for replies");
    sub.subscribe(IDENT).await.expect("a subscription");
    bound.send(()).expect("somebody who waits");
    loop {
        tokio::select! {
            request = requests.recv() => {
                let Some(request) = request else { return };
                let mut message = ZmqMessage::from(request);
                // Until the application has connected there is nobody to send to.
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
                // The application is told apart from the test only by its end.
                if replies.send(frames.concat().into()).is_err() {
                    return;
                }
            }
        }
    }
}

fn message(asked: &Asked, conn_id: u32) -> Bytes {
    let (path, query) = match asked.target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (asked.target.as_str(), None),
    };
    let mut headers: Vec<(Bytes, Bytes)> = vec![
        ("PATH".into(), path.to_owned().into()),
        ("METHOD".into(), asked.method.into()),
        ("VERSION".into(), "HTTP/1.1".into()),
        ("URI".into(), asked.target.clone().into()),
        ("REMOTE_ADDR".into(), "127.0.0.1".into()),
        ("host".into(), "localhost".into()),
    ];
    headers.extend(query.map(|query| ("QUERY".into(), query.to_owned().into())));
    let sent = asked.headers.iter();
    // Mongrel2 writes the names of client headers small.
    headers.extend(sent.map(|(name, value)| (name.to_ascii_lowercase().into(), value.clone().into())));
    let body = asked.body.clone();
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

impl Front for StandIn {
    async fn answers(&mut self, asked: &[Asked]) -> Vec<Seen> {
        let first = self.next;
        for asked in asked {
            self.requests
                .send(message(asked, self.next))
                .expect("a stand-in that runs");
            self.next += 1;
        }
        let mut coming: HashMap<u32, Vec<u8>> = HashMap::new();
        let mut answers = HashMap::new();
        while answers.len() < asked.len() {
            let frame = within(self.replies.recv()).await.expect("a stand-in that runs");
            let reply = wire::decode_reply(&frame).expect("a reply that Mongrel2 can read");
            // An empty one closes the connection.
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
            let asked = &asked[(conn_id - first) as usize];
            // Answers may come in pieces, which Mongrel2 passes on as they are.
            let text = coming.entry(conn_id).or_default();
            text.extend_from_slice(&reply.payload);
            if let Some(seen) = read(text, asked.method == "HEAD") {
                assert!(
                    answers.insert(conn_id, seen).is_none(),
                    "more than an answer to {asked}"
                );
            }
        }
        (first..self.next)
            .map(|conn_id| answers.remove(&conn_id).expect("an answer to each"))
            .collect()
    }
}

/// Reads the HTTP of an answer; `None` while a part of it is still to come.
fn read(text: &[u8], head: bool) -> Option<Seen> {
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
        let body = dechunked(&text[end + 4..])?;
        return Some(Seen::new(status, headers, &body));
    }
    let length = match head || matches!(status, 204 | 304) {
        true => 0,
        false => {
            let told = headers.iter().find(|(name, _)| name == "content-length");
            let (_, told) = told.expect("a length, or the client waits for ever");
            std::str::from_utf8(told)
                .expect("digits")
                .parse()
                .expect("a number")
        }
    };
    let body = &text[end + 4..];
    assert!(body.len() <= length, "more than was told");
    (body.len() == length).then(|| Seen::new(status, headers, body))
}

/// What came in chunks; `None` while the last is still to come.
fn dechunked(mut text: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = text.windows(2).position(|two| two == b"\r\n")?;
        let size = std::str::from_utf8(&text[..end]).expect("digits");
        let size = usize::from_str_radix(size, 16).expect("a size");
        let chunk = text.get(end + 2..end + 4 + size)?;
        let (chunk, line_end) = chunk.split_at(size);
        assert_eq!(line_end, b"\r\n", "a chunk is longer than it says");
        text = &text[end + 4 + size..];
        if size == 0 {
            assert!(text.is_empty(), "something behind the last chunk");
            return Some(body);
        }
        body.extend_from_slice(chunk);
    }
}
