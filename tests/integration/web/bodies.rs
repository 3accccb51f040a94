//! Every way to read a body has the limit of its route, however the body is framed.

use crate::support::test_bed::{Configure, TestBed};
use crate::support::{child, http2, with_timeout};
use brubeck::prelude::*;
use brubeck::testing::TestClient;
use brubeck::{Body, BodyError, Mongrel2, Mongrel2Config};
use futures_util::stream;
use http_body_util::BodyExt;

const WAYS: [&str; 8] = [
    "chunk",
    "bytes",
    "save",
    "into_body",
    "frames",
    "chunk_then_into_body",
    "extractor",
    "axum",
];

/// The limit of the routes, in bytes: more than fits into one message of Mongrel2 in `in_files` and `in_parts`.
const LIMIT: usize = 300_000;

/// Reads an upload in one of several ways, and returns its size.
#[post("^/read/(?<way>[a-z_]+)$")]
async fn read(way: String, mut upload: Upload) -> Result<String, UploadError> {
    let typed = |error: BodyError| match error {
        BodyError::TooLarge => UploadError::TooLarge,
        BodyError::TimedOut => UploadError::TimedOut,
        other => UploadError::Broken(other.into()),
    };
    let size = match &*way {
        "chunk" => {
            let mut size = 0;
            while let Some(chunk) = upload.chunk().await? {
                size += chunk.len();
            }
            size
        }
        "bytes" => upload.bytes().await?.len(),
        "save" => {
            let folder = tempfile::tempdir()?;
            usize::try_from(upload.save(folder.path().join("saved")).await?).expect("a size")
        }
        "into_body" => upload.into_body().collect(usize::MAX).await.map_err(typed)?.len(),
        "frames" => {
            // As another crate reads it. The error has a type.
            let collected = BodyExt::collect(upload.into_body()).await;
            let collected =
                collected.map_err(|error| typed(*error.downcast::<BodyError>().expect("a BodyError")))?;
            collected.to_bytes().len()
        }
        "chunk_then_into_body" => {
            let first = upload.chunk().await?.map_or(0, |chunk| chunk.len());
            first + upload.into_body().collect(usize::MAX).await.map_err(typed)?.len()
        }
        other => panic!("no way {other}"),
    };
    Ok(size.to_string())
}

#[post("^/whole/extractor$")]
async fn extractor(body: bytes::Bytes) -> String {
    body.len().to_string()
}

#[post("^/whole/axum$")]
async fn axum_body(body: AxumBody<axum::body::Bytes>) -> String {
    body.len().to_string()
}

const ROUTES: Routes<()> = routes![read, extractor, axum_body];

fn app(limit: usize) -> App<()> {
    let limits = || Limits::new().body_limit(limit);
    App::new(ROUTES, ())
        .limit::<read>(limits())
        .limit::<extractor>(limits())
        .limit::<axum_body>(limits())
}

fn path(way: &str) -> String {
    match way {
        "extractor" | "axum" => format!("/whole/{way}"),
        _ => format!("/read/{way}"),
    }
}

fn in_message(config: Mongrel2Config, link: Mongrel2, _: &str) -> (Mongrel2Config, Mongrel2) {
    (config.body_limit(2 * LIMIT), link)
}

fn in_parts(config: Mongrel2Config, link: Mongrel2, _: &str) -> (Mongrel2Config, Mongrel2) {
    (config.body_limit(20_480).stream_uploads(), link)
}

fn in_files(config: Mongrel2Config, link: Mongrel2, folder: &str) -> (Mongrel2Config, Mongrel2) {
    let template = format!("{folder}/up.XXXXXX");
    (
        config.body_limit(20_480).uploads(&template),
        link.uploads(&template),
    )
}

/// Sends bodies of the limit and of one byte more, with their length or in chunks. Unless `send_refused` is set, only the head of the
/// larger one is sent: Mongrel2 may close the connection while the body is sent, which resets it.
async fn check(test_bed: &TestBed, framings: &[bool], send_refused: bool) {
    for way in WAYS {
        for &is_chunked in framings {
            for (size, expected) in [(0, 200), (LIMIT, 200), (LIMIT + 1, 413)] {
                let body = vec![b'x'; size];
                let mut request = format!("POST {} HTTP/1.1\r\nhost: a\r\n", path(way)).into_bytes();
                if is_chunked {
                    request.extend(b"transfer-encoding: chunked\r\n\r\n");
                    for chunk in body.chunks(50_000) {
                        request.extend(format!("{:x}\r\n", chunk.len()).bytes());
                        request.extend(chunk);
                        request.extend(b"\r\n");
                    }
                    request.extend(b"0\r\n\r\n");
                } else {
                    request.extend(format!("content-length: {size}\r\n\r\n").bytes());
                    if expected == 200 || send_refused {
                        request.extend(body);
                    }
                }
                let mut browser = test_bed.browser().await;
                // A front end may refuse the body while it is sent.
                let _ = with_timeout(browser.try_send(request)).await;
                let response = browser.read_response().await;
                let what = format!("{way}, chunked: {is_chunked}, {size} bytes: {response:?}");
                assert_eq!(response.status, expected, "{what}");
                if expected == 200 {
                    assert_eq!(response.text(), size.to_string(), "{what}");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limit_applies_to_every_way_on_the_embedded_server() {
    let test_bed = TestBed::embedded(app(LIMIT)).await;
    check(&test_bed, &[false, true], true).await;
    test_bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limit_applies_to_every_way_over_http_2() {
    // Within the initial window of a stream.
    const SMALL: usize = 50_000;
    let test_bed = TestBed::embedded(app(SMALL)).await;
    for way in WAYS {
        for size in [0, SMALL, SMALL + 1] {
            let response = http2::post(test_bed.address, &path(way), vec![b'x'; size], true).await;
            let text = String::from_utf8_lossy(&response.body);
            if size > SMALL {
                assert_eq!(response.status, None, "{way} {size}: {text}");
                assert!(text.contains("exceeds the"), "{way} {size}: {text}");
            } else {
                assert_eq!(
                    (response.status, &*text),
                    (Some(200), &*size.to_string()),
                    "{way} {size}"
                );
            }
        }
    }
    test_bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limit_applies_to_every_way_behind_mongrel2() {
    let cases: [(Configure, bool); 3] = [(in_message, true), (in_parts, false), (in_files, false)];
    for (configure, send_refused) in cases {
        let Some(test_bed) = TestBed::mongrel2(app(LIMIT), configure).await else {
            return;
        };
        check(&test_bed, &[false], send_refused).await;
        test_bed.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mounted_router_has_the_limit_of_the_application() {
    let router = axum::Router::new().route(
        "/len",
        axum::routing::post(|body: axum::body::Bytes| async move { body.len().to_string() }),
    );
    let size = 3 << 20;
    let client = TestClient::new(App::new(routes![], ()).body_limit(size).mount("/axum", router));
    client
        .post("/axum/len")
        .body(vec![0; size])
        .await
        .assert_status(200)
        .assert_text("3145728");
    client
        .post("/axum/len")
        .body(vec![0; size + 1])
        .await
        .assert_status(413);
}

#[tokio::test]
async fn axum_body_above_two_megabytes_is_read_up_to_the_limit() {
    #[post("^/own$")]
    async fn own(body: bytes::Bytes) -> String {
        body.len().to_string()
    }
    #[post("^/bytes$")]
    async fn bytes_of(body: AxumBody<axum::body::Bytes>) -> String {
        body.len().to_string()
    }
    #[post("^/text$")]
    async fn text_of(body: AxumBody<String>) -> String {
        body.len().to_string()
    }
    #[post("^/json$")]
    async fn json_of(body: AxumBody<axum::Json<String>>) -> String {
        (body.len() + 2).to_string()
    }
    type Fields = Vec<(String, String)>;
    #[post("^/form$")]
    async fn form_of(body: AxumBody<axum::Form<Fields>>) -> String {
        (body[0].1.len() + 2).to_string()
    }
    let routes: Routes<()> = routes![own, bytes_of, text_of, json_of, form_of];
    let client = TestClient::new(App::new(routes, ()).body_limit(5 << 20));
    for (path, media_type, around) in [
        ("/own", "text/plain", ["", ""]),
        ("/bytes", "text/plain", ["", ""]),
        ("/text", "text/plain", ["", ""]),
        ("/json", "application/json", ["\"", "\""]),
        ("/form", "application/x-www-form-urlencoded", ["a=", ""]),
    ] {
        for (size, expected) in [
            (1 << 20, 200),
            (3 << 20, 200),
            (5 << 20, 200),
            ((5 << 20) + 1, 413),
        ] {
            let content = "x".repeat(size - around.concat().len());
            let body = around.join(&content);
            let got = client
                .post(path)
                .header("content-type", media_type)
                .accept("application/json")
                .body(body)
                .await;
            got.assert_status(expected);
            if expected == 200 {
                got.assert_text(&size.to_string());
            } else {
                got.assert_header("content-type", "application/problem+json");
            }
        }
    }
    // What an extractor of axum refuses has the form of all refusals.
    let refused = client.post("/json").accept("application/json").body("{").await;
    refused
        .assert_status(415)
        .assert_header("content-type", "application/problem+json")
        .assert_contains("application/json");
}

#[tokio::test]
async fn body_that_breaks_off_is_an_error_of_every_way() {
    let client = TestClient::new(app(LIMIT));
    for way in &WAYS[..6] {
        let broken = stream::iter([Ok("hello"), Err(std::io::Error::other("cut"))]);
        let got = client.post(&path(way)).body(Body::from_stream(broken)).await;
        got.assert_status(400);
    }
}

/// The peak of the memory of this process, in bytes.
fn peak_memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("the status of this process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    1024 * kilobytes
        .and_then(|number| number.parse::<usize>().ok())
        .expect("a number of kilobytes")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn body_far_over_the_limit_takes_no_memory() {
    if !child::isolated(body_far_over_the_limit_takes_no_memory).await {
        return;
    }
    const BODY: usize = 64 << 20;
    let test_bed = TestBed::embedded(app(LIMIT)).await;
    // Afterwards the buffers of the process have their size.
    check(&test_bed, &[true], true).await;
    let chunk = [&b"10000\r\n"[..], &[b'x'; 0x10000], b"\r\n"].concat();
    let before = peak_memory();
    for way in WAYS {
        let mut browser = test_bed.browser().await;
        let head = format!(
            "POST {} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n",
            path(way)
        );
        browser.send(head).await;
        for _ in 0..BODY / 0x10000 {
            if with_timeout(browser.try_send(&chunk)).await.is_err() {
                break;
            }
        }
        let _ = browser.try_send("0\r\n\r\n").await;
        let response = with_timeout(browser.try_read_response(false)).await;
        if let Ok(response) = response {
            assert_eq!(response.status, 413, "{way}");
        }
    }
    let grown = peak_memory() - before;
    println!("{} bodies of {BODY} bytes: {grown} bytes more", WAYS.len());
    assert!(grown < 8 << 20, "{grown} bytes");
    test_bed.stop().await;
}
