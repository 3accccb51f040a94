//! What a client is sent, how fast, and in what order.

use crate::support::laboratory::{Laboratory, Setting, plain, until};
use crate::support::{Browser, Gate, behaviour, within};
use brubeck::prelude::*;
use bytes::Bytes;
use futures_util::stream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PIECE: usize = 64 << 10;
const PIECES: usize = 640;

#[derive(AppState)]
struct Shop {
    gate: Gate,
    made: Arc<AtomicUsize>,
}

/// Tells that a response is no longer made.
struct Making(Gate);

impl Drop for Making {
    fn drop(&mut self) {
        self.0.knock();
    }
}

/// Without an end; tells when nobody makes it any more.
#[get("^/endless$")]
async fn endless(made: State<Arc<AtomicUsize>>, gate: State<Gate>) -> Response {
    let (made, making) = (made.0.clone(), Making(gate.0.clone()));
    let pieces = stream::repeat_with(move || {
        let _ = &making;
        made.fetch_add(1, SeqCst);
        Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; PIECE]))
    });
    Response::stream(Status::OK, "application/octet-stream", Body::from_stream(pieces))
}

/// 40 MiB, made as they are wanted.
#[get("^/large$")]
async fn large(made: State<Arc<AtomicUsize>>) -> Response {
    let made = made.0.clone();
    let pieces = stream::unfold(0, move |n| {
        let made = made.clone();
        async move {
            (n < PIECES).then(|| {
                made.fetch_add(1, SeqCst);
                (Ok::<_, std::io::Error>(Bytes::from(vec![n as u8; PIECE])), n + 1)
            })
        }
    });
    Response::stream(Status::OK, "application/octet-stream", Body::from_stream(pieces))
}

/// Many small pieces at once: more than Mongrel2 takes for one client.
#[get("^/small$")]
async fn small() -> Response {
    let pieces = stream::iter((0..300).map(|n| Ok::<_, std::io::Error>(format!("{n}\n"))));
    Response::stream(Status::OK, "text/plain", Body::from_stream(pieces))
}

#[get("^/breaks$")]
async fn breaks() -> Response {
    let pieces = stream::iter([Ok("begun"), Err(std::io::Error::other("as the test wants it"))]);
    Response::stream(Status::OK, "text/plain", Body::from_stream(pieces))
}

#[get("^/split$")]
async fn split() -> Response {
    Response::text(Status::OK, "split").with_header("x-a", "1\r\nx-b: 2")
}

#[get("^/slow$")]
async fn slow(gate: State<Gate>) -> &'static str {
    gate.pass().await;
    "slow"
}

#[get("^/cookies$")]
async fn cookies(headers: Headers) -> String {
    let all: Vec<_> = headers
        .get_all("cookie")
        .iter()
        .map(|value| value.to_str().unwrap_or("?"))
        .collect();
    all.join("|")
}

const ROUTES: Routes<Shop> = routes![large, endless, small, breaks, split, slow, cookies];

async fn shop(set: Setting) -> Option<(Laboratory, Gate, Arc<AtomicUsize>)> {
    let (gate, made) = (Gate::new(), Arc::new(AtomicUsize::new(0)));
    let app = App::new(
        ROUTES,
        Shop {
            gate: gate.clone(),
            made: made.clone(),
        },
    );
    Some((Laboratory::new(app, set).await?, gate, made))
}

/// The body of a response in chunks, after its head was read.
async fn dechunked(stream: &mut TcpStream) -> Vec<u8> {
    let mut text = Vec::new();
    let mut piece = vec![0; 256 << 10];
    while !text.ends_with(b"\r\n0\r\n\r\n") {
        match within(stream.read(&mut piece)).await.expect("an open connection") {
            0 => break,
            many => text.extend_from_slice(&piece[..many]),
        }
    }
    let head = text
        .windows(4)
        .position(|end| end == b"\r\n\r\n")
        .expect("a head")
        + 4;
    assert!(
        text[..head]
            .to_ascii_lowercase()
            .windows(7)
            .any(|word| word == b"chunked")
    );
    let (mut rest, mut body) = (&text[head..], Vec::new());
    loop {
        let end = rest.iter().position(|byte| *byte == b'\r').expect("a size");
        let size =
            usize::from_str_radix(std::str::from_utf8(&rest[..end]).expect("a size"), 16).expect("a size");
        if size == 0 {
            return body;
        }
        body.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 4 + size..];
    }
}

async fn a_client_is_sent_no_more_than_it_reads(set: Setting) {
    let Some((laboratory, _, made)) = shop(set).await else {
        return;
    };
    let mut reader = TcpStream::connect(laboratory.address).await.expect("a server");
    within(reader.write_all(behaviour::request("/large").as_bytes()))
        .await
        .expect("an open connection");
    until(|| made.load(SeqCst) > 4).await;
    // Others are served meanwhile, and that takes a while.
    for _ in 0..20 {
        let mut other = laboratory.browser().await;
        for _ in 0..20 {
            assert_eq!(other.get("/cookies").await.status, 200);
        }
    }
    let ahead = made.load(SeqCst) * PIECE;
    assert!(
        ahead < 24 << 20,
        "{ahead} bytes were made for a client that reads nothing"
    );
    let body = dechunked(&mut reader).await;
    assert_eq!(body.len(), PIECES * PIECE);
    assert!(
        body.chunks(PIECE)
            .enumerate()
            .all(|(n, piece)| piece.iter().all(|byte| *byte == n as u8))
    );
    assert_eq!(laboratory.counts.cut(), 0);
    laboratory.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credits_apply_backpressure_to_a_slow_reader() {
    a_client_is_sent_no_more_than_it_reads(|config, link, _| (config.flow_control(), link)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_port_applies_backpressure_to_a_slow_reader() {
    a_client_is_sent_no_more_than_it_reads(|config, link, folder| {
        (config, link.control(format!("ipc://{folder}/control")))
    })
    .await;
}

/// Where nobody says what a client has read: it is sent a megabyte in a second, until Mongrel2, for which that is 17
/// messages too many, drops it, and says so when it is sent another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_that_never_reads_is_dropped() {
    let Some((laboratory, gate, made)) = shop(plain).await else {
        return;
    };
    let mut reader = TcpStream::connect(laboratory.address).await.expect("a server");
    within(reader.write_all(behaviour::request("/endless").as_bytes()))
        .await
        .expect("an open connection");
    let began = Instant::now();
    let ended = gate.arrived(1);
    // Others are served as fast as ever.
    let mut slowest = Duration::ZERO;
    let others = async {
        let mut other = laboratory.browser().await;
        loop {
            let asked = Instant::now();
            assert_eq!(other.get("/cookies").await.status, 200);
            slowest = slowest.max(asked.elapsed());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        () = ended => {}
        () = others => {}
    }
    let (took, ahead) = (began.elapsed(), made.load(SeqCst) * PIECE);
    println!(
        "a client that reads nothing: {ahead} bytes were made in {took:?}; others waited {slowest:?} at most"
    );
    assert!(
        ahead < 24 << 20,
        "{ahead} bytes were made for a client that reads nothing"
    );
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    // It finds what was on its way, and then an end.
    let mut rest = vec![0; 256 << 10];
    while within(reader.read(&mut rest)).await.is_ok_and(|many| many > 0) {}
    laboratory.stop().await;
}

/// Mongrel2 drops a client for which 17 messages wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_small_chunks_do_not_overflow_the_send_queue_of_mongrel2() {
    let Some((laboratory, _, _)) = shop(plain).await else {
        return;
    };
    let all: String = (0..300).map(|n| format!("{n}\n")).collect();
    for _ in 0..10 {
        let mut reader = TcpStream::connect(laboratory.address).await.expect("a server");
        within(reader.write_all(behaviour::request("/small").as_bytes()))
            .await
            .expect("an open connection");
        assert_eq!(
            String::from_utf8(dechunked(&mut reader).await).expect("UTF-8"),
            all
        );
    }
    laboratory.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_1_0_client_reads_to_the_close() {
    let Some((laboratory, _, _)) = shop(plain).await else {
        return;
    };
    let mut browser = laboratory.browser().await;
    browser
        .send("GET /small HTTP/1.0\r\nconnection: keep-alive\r\n\r\n")
        .await;
    let answer = browser.answer().await;
    assert_eq!(
        (answer.header("connection"), answer.header("transfer-encoding")),
        (Some("close"), None)
    );
    assert_eq!(answer.text().lines().count(), 300);
    // A response that breaks off is cut, so that it is not taken for whole.
    let mut browser = laboratory.browser().await;
    browser.send(behaviour::request("/breaks")).await;
    let rest = String::from_utf8(browser.rest().await).expect("UTF-8");
    assert!(rest.ends_with("5\r\nbegun\r\n"), "{rest}");
    // And nobody adds a header by a line end.
    let answer = laboratory.browser().await.get("/split").await;
    assert!(answer.header("x-b").is_none(), "{answer:?}");
    let mut browser = laboratory.browser().await;
    browser
        .send("GET /cookies HTTP/1.1\r\nhost: a\r\ncookie: a=1\r\ncookie: b=2\r\ncookie: c=3\r\n\r\n")
        .await;
    assert_eq!(browser.answer().await.text(), "a=1|b=2|c=3");
    laboratory.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ready_responses_are_batched_into_few_messages() {
    let Some((laboratory, gate, _)) = shop(plain).await else {
        return;
    };
    let mut browser: Browser = laboratory.browser().await;
    let requests = std::iter::once("/slow")
        .chain([("/cookies"); 40])
        .map(behaviour::request);
    browser.send(requests.collect::<String>()).await;
    gate.arrived(1).await;
    until(|| laboratory.counts.requests() == 41).await;
    let before = laboratory.counts.messages();
    gate.open(1);
    assert_eq!(browser.answer().await.text(), "slow");
    for _ in 0..40 {
        assert_eq!(browser.answer().await.status, 200);
    }
    let used = laboratory.counts.messages() - before;
    assert!(used <= 10, "41 answers took {used} messages");
    laboratory.stop().await;
}
