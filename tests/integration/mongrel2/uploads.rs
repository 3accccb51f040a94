//! Uploads: behind Mongrel2 in one message, in parts and through files, on the embedded server, and with forged headers.

use crate::support::served_app::socket_folder;
use crate::support::test_bed::{TestBed, default_settings, wait_until};
use crate::support::{Browser, Gate, ServedApp, with_timeout};
use brubeck::prelude::*;
use brubeck::{Mongrel2, Mongrel2Config};
use std::path::PathBuf;

#[derive(AppState)]
struct UploadState {
    gate: Gate,
    folder: PathBuf,
}

/// Returns the size and a checksum of the upload.
#[post("^/sum$")]
async fn sum(mut upload: Upload) -> Result<String, UploadError> {
    let (mut size, mut sum) = (0_u64, 0_u64);
    while let Some(piece) = upload.chunk().await? {
        size += piece.len() as u64;
        sum = piece.iter().fold(sum, |sum, byte| {
            sum.wrapping_mul(31).wrapping_add(u64::from(*byte))
        });
    }
    Ok(format!("{size} {sum}"))
}

#[post("^/save$")]
async fn save(upload: Upload, folder: State<PathBuf>) -> Result<String, UploadError> {
    Ok(upload.save(folder.join("saved")).await?.to_string())
}

/// Responds without reading the body.
#[post("^/refuse$")]
async fn refuse(_upload: Upload) -> Status {
    Status::FORBIDDEN
}

/// Starts before the body is complete, and waits at the gate unless the body fails.
#[post("^/watched$")]
async fn watched(upload: Upload, gate: State<Gate>) {
    gate.signal_arrival();
    let result = upload.bytes().await;
    if matches!(result, Err(UploadError::Broken(_))) {
        gate.open(1);
    }
    gate.pass().await;
}

/// Returns the body, which is collected in memory.
#[post("^/whole$")]
async fn whole(body: bytes::Bytes) -> bytes::Bytes {
    body
}

/// Returns whether a header of the request contains `mongrel2` in its name, and the length of the body.
#[get("^/forged$")]
async fn forged(headers: Headers, message: Message) -> String {
    let has_upload_header = headers.iter().any(|(name, _)| name.as_str().contains("mongrel2"));
    format!("{has_upload_header} {}", message.body().len())
}

const ROUTES: Routes<UploadState> = routes![sum, save, refuse, watched, whole, forged];

fn app(gate: &Gate, folder: PathBuf) -> App<UploadState> {
    App::new(
        ROUTES,
        UploadState {
            gate: gate.clone(),
            folder,
        },
    )
    .body_limit(2 << 20)
    .limit::<sum>(Limits::new().body_limit(8 << 20))
    .limit::<save>(Limits::new().body_limit(8 << 20))
}

/// Mongrel2 writes bodies of more than 64 KiB to files: [`Mongrel2Config`] raises the smaller body limit to that minimum.
fn in_files(config: Mongrel2Config, link: Mongrel2, folder: &str) -> (Mongrel2Config, Mongrel2) {
    let template = format!("{folder}/up.XXXXXX");
    (
        config.body_limit(20_480).uploads(&template),
        link.uploads(&template),
    )
}

/// Mongrel2 sends bodies of more than 64 KiB in parts, see [`in_files`].
fn in_parts(config: Mongrel2Config, link: Mongrel2, _: &str) -> (Mongrel2Config, Mongrel2) {
    (config.body_limit(20_480).stream_uploads(), link)
}

fn bytes(size: u32) -> Vec<u8> {
    (0..size).map(|n| (n % 251) as u8).collect()
}

fn checksum(body: &[u8]) -> String {
    let sum = body.iter().fold(0_u64, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(u64::from(*byte))
    });
    format!("{} {sum}", body.len())
}

/// Sends the body in chunks of 10,000 bytes, and returns the status and text of the response.
async fn chunked(browser: &mut Browser, path: &str, body: &[u8]) -> (u16, String) {
    browser
        .send(format!(
            "POST {path} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
        ))
        .await;
    for chunk in body.chunks(10_000) {
        browser.send(format!("{:x}\r\n", chunk.len())).await;
        browser.send(chunk).await;
        browser.send("\r\n").await;
    }
    browser.send("0\r\n\r\n").await;
    let response = browser.read_response().await;
    (response.status, response.text().to_owned())
}

async fn check_bodies(test_bed: &TestBed) {
    for size in [0, 1, 65_536, 65_537, 300_000, 3_000_000] {
        let body = bytes(size);
        let response = test_bed.browser().await.post("/sum", &body).await;
        assert_eq!(
            (response.status, response.text()),
            (200, &*checksum(&body)),
            "{size} bytes"
        );
    }
    for size in [0, 9_999, 200_000] {
        let body = bytes(size);
        let response = chunked(&mut test_bed.browser().await, "/sum", &body).await;
        assert_eq!(response, (200, checksum(&body)), "{size} bytes in chunks");
    }
    let response = test_bed.browser().await.post("/whole", &bytes(1_000_000)).await;
    assert_eq!((response.status, response.body == bytes(1_000_000)), (200, true));
    // Over the limit of the route, and over that of the application.
    for (path, size) in [("/sum", (8 << 20) + 1), ("/whole", (2 << 20) + 1)] {
        let mut browser = test_bed.browser().await;
        browser
            .send(format!(
                "POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: {size}\r\n\r\n"
            ))
            .await;
        assert_eq!(browser.read_response().await.status, 413, "{path}");
    }
    let mut browser = test_bed.browser().await;
    browser
        .send("POST /refuse HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n")
        .await;
    assert_eq!(browser.read_response().await.status, 403);
    assert_eq!(browser.read_to_close().await, b"");
}

/// Disconnects in the middle of an upload, after its handler has started.
async fn check_disconnect(test_bed: &TestBed, gate: &Gate) {
    let mut browser = test_bed.browser().await;
    browser
        .send("POST /watched HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n")
        .await;
    browser.send(bytes(1000)).await;
    gate.wait_for_arrivals(1).await;
    drop(browser);
}

/// Bytes after the declared length are not part of the body, even if Mongrel2 includes them.
async fn check_pipelined_request(test_bed: &TestBed) {
    let body = bytes(90_000);
    let mut browser = test_bed.browser().await;
    let head = "POST /sum HTTP/1.1\r\nhost: a\r\ncontent-length: 90000\r\n\r\n";
    browser
        .send([head.as_bytes(), &body, b"GET /forged HTTP/1.1\r\nhost: a\r\n\r\n"].concat())
        .await;
    let response = browser.read_response().await;
    assert_eq!((response.status, response.text()), (200, &*checksum(&body)));
}

/// Returns the number of upload files that exist.
fn files(test_bed: &TestBed) -> usize {
    let names = std::fs::read_dir(test_bed.folder.path()).expect("a folder");
    names
        .filter(|name| {
            name.as_ref()
                .is_ok_and(|name| name.file_name().to_string_lossy().starts_with("up."))
        })
        .count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_through_files_arrive_and_remove_their_files() {
    let (gate, folder) = (Gate::new(), socket_folder());
    let app = app(&gate, folder.path().to_owned());
    let Some(test_bed) = TestBed::mongrel2(app, in_files).await else {
        return;
    };
    check_bodies(&test_bed).await;
    check_disconnect(&test_bed, &gate).await;
    check_pipelined_request(&test_bed).await;
    let body = bytes(500_000);
    let response = test_bed.browser().await.post("/save", &body).await;
    assert_eq!((response.status, response.text()), (200, "500000"));
    assert!(std::fs::read(folder.path().join("saved")).expect("a file") == body);
    // An existing file is not overwritten.
    assert_eq!(test_bed.browser().await.post("/save", &body).await.status, 500);
    wait_until(|| files(&test_bed) == 0).await;
    test_bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streamed_uploads_arrive() {
    let (gate, folder) = (Gate::new(), socket_folder());
    let app = app(&gate, folder.path().to_owned());
    let Some(test_bed) = TestBed::mongrel2(app, in_parts).await else {
        return;
    };
    check_bodies(&test_bed).await;
    check_disconnect(&test_bed, &gate).await;
    check_pipelined_request(&test_bed).await;
    let response = test_bed.browser().await.post("/save", &bytes(500_000)).await;
    assert_eq!((response.status, response.text()), (200, "500000"));
    test_bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_within_one_message_arrive() {
    let gate = Gate::new();
    let app = app(&gate, PathBuf::new());
    let configure = |config: Mongrel2Config, link, _: &str| (config.body_limit(9 << 20), link);
    let Some(test_bed) = TestBed::mongrel2(app, configure).await else {
        return;
    };
    let body = bytes(3_000_000);
    let response = test_bed.browser().await.post("/sum", &body).await;
    assert_eq!((response.status, response.text()), (200, &*checksum(&body)));
    let response = test_bed
        .browser()
        .await
        .post("/whole", &bytes((2 << 20) + 1))
        .await;
    assert_eq!(response.status, 413);
    test_bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_on_the_embedded_server_arrive() {
    let (gate, folder) = (Gate::new(), socket_folder());
    let site = ServedApp::http(app(&gate, folder.path().to_owned())).await;
    let body = bytes(3_000_000);
    let response = site.browser().await.post("/sum", &body).await;
    assert_eq!((response.status, response.text()), (200, &*checksum(&body)));
    assert_eq!(
        chunked(&mut site.browser().await, "/sum", &body).await,
        (200, checksum(&body))
    );
    assert_eq!(site.browser().await.post("/save", &body).await.text(), "3000000");
    site.stop().await;
}

/// A client that forges the upload headers of Mongrel2 must not make the application read or remove a file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_upload_headers_are_ignored() {
    let gate = Gate::new();
    let Some(test_bed) = TestBed::mongrel2(app(&gate, PathBuf::new()), in_files).await else {
        return;
    };
    let victim = test_bed.folder.path().join("up.secret");
    std::fs::write(&victim, "secret").expect("a folder");
    let name = victim.display();
    let forged_headers = format!("x-mongrel2-upload-start: {name}\r\nx-mongrel2-upload-done: {name}\r\n");
    let mut browser = test_bed.browser().await;
    browser
        .send(format!("GET /forged HTTP/1.1\r\nhost: a\r\n{forged_headers}\r\n"))
        .await;
    assert_eq!(browser.read_response().await.text(), "false 0");
    for (more, body) in [
        ("content-length: 99999999999\r\n", &b""[..]),
        ("content-length: 6\r\n", b"client"),
        ("content-length: 0\r\n", b""),
        ("content-length: 5x\r\n", b"hello"),
        ("transfer-encoding: Chunked\r\n", b""),
    ] {
        let mut browser = test_bed.browser().await;
        browser
            .send(format!(
                "POST /sum HTTP/1.1\r\nhost: a\r\n{more}{forged_headers}\r\n"
            ))
            .await;
        let _ = browser.try_send(body).await;
        let response = browser.read_response().await;
        assert!(
            !response.text().contains(&checksum(b"secret")),
            "{more}: {response:?}"
        );
    }
    // For a real upload Mongrel2 adds its own headers to the forged ones.
    let mut browser = test_bed.browser().await;
    browser
        .send(format!(
            "POST /sum HTTP/1.1\r\nhost: a\r\ncontent-length: 90000\r\n{forged_headers}\r\n"
        ))
        .await;
    browser.send(bytes(90_000)).await;
    assert_eq!(browser.read_response().await.text(), checksum(&bytes(90_000)));
    assert_eq!(std::fs::read(&victim).expect("an existing file"), b"secret");
    wait_until(|| files(&test_bed) == 1).await;
    test_bed.stop().await;
}

/// The limit of the route is 8 MiB, but Mongrel2 accepts only 1 MiB without an upload folder.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_upload_without_an_upload_folder_is_413() {
    let Some(test_bed) = TestBed::mongrel2(app(&Gate::new(), PathBuf::new()), default_settings).await else {
        return;
    };
    let mut browser = test_bed.browser().await;
    with_timeout(browser.try_send("POST /sum HTTP/1.1\r\nhost: a\r\ncontent-length: 5000000\r\n\r\n"))
        .await
        .expect("an open connection");
    assert_eq!(browser.read_response().await.status, 413);
    test_bed.stop().await;
}
