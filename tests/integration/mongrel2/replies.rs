//! Replies to clients: backpressure, batching and streams.

use crate::support::test_bed::{Configure, TestBed, default_settings, wait_until};
use crate::support::{Browser, Gate, behaviour, with_timeout};
use brubeck::prelude::*;
use bytes::Bytes;
use futures_util::stream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const CHUNK_SIZE: usize = 64 << 10;
const CHUNKS: usize = 640;

#[derive(AppState)]
struct Shop {
    gate: Gate,
    generated: Arc<AtomicUsize>,
}

/// Signals to the test when it is dropped, together with the response stream that owns it.
struct DropSignal(Gate);

impl Drop for DropSignal {
    fn drop(&mut self) {
        self.0.signal_arrival();
    }
}

/// Streams without an end, and signals when the stream is dropped.
#[get("^/endless$")]
async fn endless(generated: State<Arc<AtomicUsize>>, gate: State<Gate>) -> Response {
    let (generated, drop_signal) = (generated.0.clone(), DropSignal(gate.0.clone()));
    let chunks = stream::repeat_with(move || {
        let _ = &drop_signal;
        generated.fetch_add(1, SeqCst);
        Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; CHUNK_SIZE]))
    });
    Response::stream(Status::OK, "application/octet-stream", Body::from_stream(chunks))
}

/// Streams 40 MiB, generated on demand.
#[get("^/large$")]
async fn large(generated: State<Arc<AtomicUsize>>) -> Response {
    let generated = generated.0.clone();
    let chunks = stream::unfold(0, move |n| {
        let generated = generated.clone();
        async move {
            (n < CHUNKS).then(|| {
                generated.fetch_add(1, SeqCst);
                (
                    Ok::<_, std::io::Error>(Bytes::from(vec![n as u8; CHUNK_SIZE])),
                    n + 1,
                )
            })
        }
    });
    Response::stream(Status::OK, "application/octet-stream", Body::from_stream(chunks))
}

/// Streams many small chunks, more than Mongrel2 queues for one client.
#[get("^/small$")]
async fn small() -> Response {
    let chunks = stream::iter((0..300).map(|n| Ok::<_, std::io::Error>(format!("{n}\n"))));
    Response::stream(Status::OK, "text/plain", Body::from_stream(chunks))
}

#[get("^/breaks$")]
async fn breaks() -> Response {
    let chunks = stream::iter([Ok("begun"), Err(std::io::Error::other("on purpose"))]);
    Response::stream(Status::OK, "text/plain", Body::from_stream(chunks))
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

async fn shop(configure: Configure) -> Option<(TestBed, Gate, Arc<AtomicUsize>)> {
    let (gate, generated) = (Gate::new(), Arc::new(AtomicUsize::new(0)));
    let app = App::new(
        ROUTES,
        Shop {
            gate: gate.clone(),
            generated: generated.clone(),
        },
    );
    Some((TestBed::mongrel2(app, configure).await?, gate, generated))
}

/// Reads a chunked response and returns its decoded body.
async fn read_chunked(stream: &mut TcpStream) -> Vec<u8> {
    let mut text = Vec::new();
    let mut chunk = vec![0; 256 << 10];
    while !text.ends_with(b"\r\n0\r\n\r\n") {
        match with_timeout(stream.read(&mut chunk))
            .await
            .expect("an open connection")
        {
            0 => break,
            length => text.extend_from_slice(&chunk[..length]),
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

/// Checks that a large response is generated only as fast as its client reads, and that other clients are served
/// meanwhile.
async fn assert_backpressure(configure: Configure) {
    let Some((test_bed, _, generated)) = shop(configure).await else {
        return;
    };
    let mut reader = TcpStream::connect(test_bed.address).await.expect("a server");
    with_timeout(reader.write_all(behaviour::request("/large").as_bytes()))
        .await
        .expect("an open connection");
    wait_until(|| generated.load(SeqCst) > 4).await;
    // The client does not read yet. Other clients are served.
    for _ in 0..20 {
        let mut other = test_bed.browser().await;
        for _ in 0..20 {
            assert_eq!(other.get("/cookies").await.status, 200);
        }
    }
    let ahead = generated.load(SeqCst) * CHUNK_SIZE;
    assert!(
        ahead < 24 << 20,
        "{ahead} bytes were generated for a client that reads nothing"
    );
    let body = read_chunked(&mut reader).await;
    assert_eq!(body.len(), CHUNKS * CHUNK_SIZE);
    assert!(
        body.chunks(CHUNK_SIZE)
            .enumerate()
            .all(|(n, chunk)| chunk.iter().all(|byte| *byte == n as u8))
    );
    assert_eq!(test_bed.counts.slow_clients(), 0);
    test_bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credits_apply_backpressure_to_a_slow_reader() {
    assert_backpressure(|config, link, _| (config.flow_control(), link)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_port_applies_backpressure_to_a_slow_reader() {
    assert_backpressure(|config, link, folder| (config, link.control(format!("ipc://{folder}/control"))))
        .await;
}

/// Without credits or a control port, the application sends at most a mebibyte per second to a client. If the client
/// reads nothing, its queue of 16 messages in Mongrel2 overflows. Mongrel2 then drops the client, and reports that at
/// the next message.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_that_never_reads_is_dropped() {
    let Some((test_bed, gate, generated)) = shop(default_settings).await else {
        return;
    };
    let mut reader = TcpStream::connect(test_bed.address).await.expect("a server");
    with_timeout(reader.write_all(behaviour::request("/endless").as_bytes()))
        .await
        .expect("an open connection");
    let began = Instant::now();
    let ended = gate.wait_for_arrivals(1);
    // Other clients are not slowed down.
    let mut slowest = Duration::ZERO;
    let others = async {
        let mut other = test_bed.browser().await;
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
    let (took, ahead) = (began.elapsed(), generated.load(SeqCst) * CHUNK_SIZE);
    println!(
        "a client that reads nothing: {ahead} bytes generated in {took:?}; max latency of others {slowest:?}"
    );
    assert!(
        ahead < 24 << 20,
        "{ahead} bytes were generated for a client that reads nothing"
    );
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    // The client can still read the bytes in flight, then the end of the connection.
    let mut rest = vec![0; 256 << 10];
    while with_timeout(reader.read(&mut rest))
        .await
        .is_ok_and(|length| length > 0)
    {}
    test_bed.stop().await;
}

/// Mongrel2 drops a client if 17 messages are queued for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_small_chunks_do_not_overflow_the_send_queue_of_mongrel2() {
    let Some((test_bed, _, _)) = shop(default_settings).await else {
        return;
    };
    let all: String = (0..300).map(|n| format!("{n}\n")).collect();
    for _ in 0..10 {
        let mut reader = TcpStream::connect(test_bed.address).await.expect("a server");
        with_timeout(reader.write_all(behaviour::request("/small").as_bytes()))
            .await
            .expect("an open connection");
        assert_eq!(
            String::from_utf8(read_chunked(&mut reader).await).expect("UTF-8"),
            all
        );
    }
    test_bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_1_0_client_reads_to_the_close() {
    let Some((test_bed, _, _)) = shop(default_settings).await else {
        return;
    };
    let mut browser = test_bed.browser().await;
    browser
        .send("GET /small HTTP/1.0\r\nconnection: keep-alive\r\n\r\n")
        .await;
    let response = browser.read_response().await;
    assert_eq!(
        (
            response.header("connection"),
            response.header("transfer-encoding")
        ),
        (Some("close"), None)
    );
    assert_eq!(response.text().lines().count(), 300);
    test_bed.stop().await;
}

/// Without the last chunk, the client detects that the body is incomplete.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_body_closes_the_connection_without_the_last_chunk() {
    let Some((test_bed, _, _)) = shop(default_settings).await else {
        return;
    };
    let mut browser = test_bed.browser().await;
    browser.send(behaviour::request("/breaks")).await;
    let rest = String::from_utf8(browser.read_to_close().await).expect("UTF-8");
    assert!(rest.ends_with("5\r\nbegun\r\n"), "{rest}");
    test_bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn line_end_in_a_header_value_adds_no_header() {
    let Some((test_bed, _, _)) = shop(default_settings).await else {
        return;
    };
    let response = test_bed.browser().await.get("/split").await;
    assert!(response.header("x-b").is_none(), "{response:?}");
    test_bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeated_request_headers_are_kept_in_order() {
    let Some((test_bed, _, _)) = shop(default_settings).await else {
        return;
    };
    let mut browser = test_bed.browser().await;
    browser
        .send("GET /cookies HTTP/1.1\r\nhost: a\r\ncookie: a=1\r\ncookie: b=2\r\ncookie: c=3\r\n\r\n")
        .await;
    assert_eq!(browser.read_response().await.text(), "a=1|b=2|c=3");
    test_bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ready_responses_are_batched_into_few_messages() {
    let Some((test_bed, gate, _)) = shop(default_settings).await else {
        return;
    };
    let mut browser: Browser = test_bed.browser().await;
    let requests = std::iter::once("/slow")
        .chain([("/cookies"); 40])
        .map(behaviour::request);
    browser.send(requests.collect::<String>()).await;
    gate.wait_for_arrivals(1).await;
    wait_until(|| test_bed.counts.requests() == 41).await;
    let before = test_bed.counts.messages();
    gate.open(1);
    assert_eq!(browser.read_response().await.text(), "slow");
    for _ in 0..40 {
        assert_eq!(browser.read_response().await.status, 200);
    }
    let used = test_bed.counts.messages() - before;
    assert!(used <= 10, "41 responses took {used} messages");
    test_bed.stop().await;
}
