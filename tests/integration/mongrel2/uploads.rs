//! Bodies too large for a message: in parts and in files, behind one type; and what clients forge.

use crate::support::laboratory::{Laboratory, plain, until};
use crate::support::site::sockets;
use crate::support::{Browser, Gate, Site, within};
use brubeck::prelude::*;
use brubeck::{Mongrel2, Mongrel2Config};
use std::path::PathBuf;

#[derive(AppState)]
struct Desk {
    gate: Gate,
    folder: PathBuf,
}

/// The size and a sum of what came.
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

/// Answers without reading.
#[post("^/refuse$")]
async fn refuse(_upload: Upload) -> Status {
    Status::FORBIDDEN
}

/// Runs before the body is there, and sees it break off.
#[post("^/watched$")]
async fn watched(upload: Upload, gate: State<Gate>) {
    gate.knock();
    let broken = upload.bytes().await;
    if matches!(broken, Err(UploadError::Broken(_))) {
        gate.open(1);
    }
    gate.pass().await;
}

/// Bodies in memory come by the same ways.
#[post("^/whole$")]
async fn whole(body: bytes::Bytes) -> bytes::Bytes {
    body
}

#[get("^/forged$")]
async fn forged(headers: Headers, message: Message) -> String {
    let told = headers.iter().any(|(name, _)| name.as_str().contains("mongrel2"));
    format!("{told} {}", message.body().len())
}

const ROUTES: Routes<Desk> = routes![sum, save, refuse, watched, whole, forged];

fn app(gate: &Gate, folder: PathBuf) -> App<Desk> {
    App::new(
        ROUTES,
        Desk {
            gate: gate.clone(),
            folder,
        },
    )
    .body_limit(2 << 20)
    .limit::<sum>(Limits::new().body_limit(8 << 20))
    .limit::<save>(Limits::new().body_limit(8 << 20))
}

fn in_files(config: Mongrel2Config, link: Mongrel2, folder: &str) -> (Mongrel2Config, Mongrel2) {
    let template = format!("{folder}/up.XXXXXX");
    (
        config.body_limit(20_480).uploads(&template),
        link.uploads(&template),
    )
}

fn in_parts(config: Mongrel2Config, link: Mongrel2, _: &str) -> (Mongrel2Config, Mongrel2) {
    (config.body_limit(20_480).stream_uploads(), link)
}

fn bytes(size: u32) -> Vec<u8> {
    (0..size).map(|n| (n % 251) as u8).collect()
}

fn summed(body: &[u8]) -> String {
    let sum = body.iter().fold(0_u64, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(u64::from(*byte))
    });
    format!("{} {sum}", body.len())
}

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
    let answer = browser.answer().await;
    (answer.status, answer.text().to_owned())
}

async fn bodies_come_whole(laboratory: &Laboratory) {
    for size in [0, 1, 65_536, 65_537, 300_000, 3_000_000] {
        let body = bytes(size);
        let answer = laboratory.browser().await.post("/sum", &body).await;
        assert_eq!(
            (answer.status, answer.text()),
            (200, &*summed(&body)),
            "{size} bytes"
        );
    }
    for size in [0, 9_999, 200_000] {
        let body = bytes(size);
        let answer = chunked(&mut laboratory.browser().await, "/sum", &body).await;
        assert_eq!(answer, (200, summed(&body)), "{size} bytes in chunks");
    }
    let answer = laboratory.browser().await.post("/whole", &bytes(1_000_000)).await;
    assert_eq!((answer.status, answer.body == bytes(1_000_000)), (200, true));
    // Beyond the limit of the route, and of the application.
    for (path, size) in [("/sum", (8 << 20) + 1), ("/whole", (2 << 20) + 1)] {
        let mut browser = laboratory.browser().await;
        browser
            .send(format!(
                "POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: {size}\r\n\r\n"
            ))
            .await;
        assert_eq!(browser.answer().await.status, 413, "{path}");
    }
    let mut browser = laboratory.browser().await;
    browser
        .send("POST /refuse HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n")
        .await;
    assert_eq!(browser.answer().await.status, 403);
    assert_eq!(browser.rest().await, b"");
}

async fn a_client_that_leaves_breaks_it_off(laboratory: &Laboratory, gate: &Gate) {
    let mut browser = laboratory.browser().await;
    browser
        .send("POST /watched HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n")
        .await;
    browser.send(bytes(1000)).await;
    gate.arrived(1).await;
    drop(browser);
}

/// What a client sends behind its body is no part of it, even where Mongrel2 takes it for one.
async fn the_next_request_is_no_body(laboratory: &Laboratory) {
    let body = bytes(90_000);
    let mut browser = laboratory.browser().await;
    let head = "POST /sum HTTP/1.1\r\nhost: a\r\ncontent-length: 90000\r\n\r\n";
    browser
        .send([head.as_bytes(), &body, b"GET /forged HTTP/1.1\r\nhost: a\r\n\r\n"].concat())
        .await;
    let answer = browser.answer().await;
    assert_eq!((answer.status, answer.text()), (200, &*summed(&body)));
}

fn files(laboratory: &Laboratory) -> usize {
    let names = std::fs::read_dir(laboratory.folder.path()).expect("a folder");
    names
        .filter(|name| {
            name.as_ref()
                .is_ok_and(|name| name.file_name().to_string_lossy().starts_with("up."))
        })
        .count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_through_files_remove_their_files() {
    let (gate, folder) = (Gate::new(), sockets());
    let app = app(&gate, folder.path().to_owned());
    let Some(laboratory) = Laboratory::new(app, in_files).await else {
        return;
    };
    bodies_come_whole(&laboratory).await;
    a_client_that_leaves_breaks_it_off(&laboratory, &gate).await;
    the_next_request_is_no_body(&laboratory).await;
    let body = bytes(500_000);
    let answer = laboratory.browser().await.post("/save", &body).await;
    assert_eq!((answer.status, answer.text()), (200, "500000"));
    assert!(std::fs::read(folder.path().join("saved")).expect("a file") == body);
    // What is there already is not overwritten.
    assert_eq!(laboratory.browser().await.post("/save", &body).await.status, 500);
    until(|| files(&laboratory) == 0).await;
    laboratory.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streamed_uploads_apply_backpressure() {
    let (gate, folder) = (Gate::new(), sockets());
    let app = app(&gate, folder.path().to_owned());
    let Some(laboratory) = Laboratory::new(app, in_parts).await else {
        return;
    };
    bodies_come_whole(&laboratory).await;
    a_client_that_leaves_breaks_it_off(&laboratory, &gate).await;
    the_next_request_is_no_body(&laboratory).await;
    let answer = laboratory.browser().await.post("/save", &bytes(500_000)).await;
    assert_eq!((answer.status, answer.text()), (200, "500000"));
    laboratory.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_within_one_message() {
    let gate = Gate::new();
    let app = app(&gate, PathBuf::new());
    let set = |config: Mongrel2Config, link, _: &str| (config.body_limit(9 << 20), link);
    let Some(laboratory) = Laboratory::new(app, set).await else {
        return;
    };
    let body = bytes(3_000_000);
    let answer = laboratory.browser().await.post("/sum", &body).await;
    assert_eq!((answer.status, answer.text()), (200, &*summed(&body)));
    let answer = laboratory
        .browser()
        .await
        .post("/whole", &bytes((2 << 20) + 1))
        .await;
    assert_eq!(answer.status, 413);
    laboratory.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_on_the_embedded_server() {
    let (gate, folder) = (Gate::new(), sockets());
    let site = Site::http(app(&gate, folder.path().to_owned())).await;
    let body = bytes(3_000_000);
    let answer = site.browser().await.post("/sum", &body).await;
    assert_eq!((answer.status, answer.text()), (200, &*summed(&body)));
    assert_eq!(
        chunked(&mut site.browser().await, "/sum", &body).await,
        (200, summed(&body))
    );
    assert_eq!(site.browser().await.post("/save", &body).await.text(), "3000000");
    site.stop().await;
}

/// A client may send the headers by which Mongrel2 announces files; it must not make anybody read or remove one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_upload_headers_are_ignored() {
    let gate = Gate::new();
    let Some(laboratory) = Laboratory::new(app(&gate, PathBuf::new()), in_files).await else {
        return;
    };
    let victim = laboratory.folder.path().join("up.secret");
    std::fs::write(&victim, "secret").expect("a folder");
    let name = victim.display();
    let both = format!("x-mongrel2-upload-start: {name}\r\nx-mongrel2-upload-done: {name}\r\n");
    let mut browser = laboratory.browser().await;
    browser
        .send(format!("GET /forged HTTP/1.1\r\nhost: a\r\n{both}\r\n"))
        .await;
    assert_eq!(browser.answer().await.text(), "false 0");
    for (more, body) in [
        ("content-length: 99999999999\r\n", &b""[..]),
        ("content-length: 6\r\n", b"client"),
        ("content-length: 0\r\n", b""),
        ("content-length: 5x\r\n", b"hello"),
        ("transfer-encoding: Chunked\r\n", b""),
    ] {
        let mut browser = laboratory.browser().await;
        browser
            .send(format!("POST /sum HTTP/1.1\r\nhost: a\r\n{more}{both}\r\n"))
            .await;
        let _ = browser.try_send(body).await;
        let answer = browser.answer().await;
        assert!(!answer.text().contains(&summed(b"secret")), "{more}: {answer:?}");
    }
    // Mongrel2 writes a file and its own headers, whatever the client says.
    let mut browser = laboratory.browser().await;
    browser
        .send(format!(
            "POST /sum HTTP/1.1\r\nhost: a\r\ncontent-length: 90000\r\n{both}\r\n"
        ))
        .await;
    browser.send(bytes(90_000)).await;
    assert_eq!(browser.answer().await.text(), summed(&bytes(90_000)));
    assert_eq!(std::fs::read(&victim).expect("it is there"), b"secret");
    until(|| files(&laboratory) == 1).await;
    laboratory.stop().await;
}

/// Where uploads have no place, they are refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_without_an_upload_folder_are_413() {
    let Some(laboratory) = Laboratory::new(app(&Gate::new(), PathBuf::new()), plain).await else {
        return;
    };
    let mut browser = laboratory.browser().await;
    within(browser.try_send("POST /sum HTTP/1.1\r\nhost: a\r\ncontent-length: 5000000\r\n\r\n"))
        .await
        .expect("open");
    assert_eq!(browser.answer().await.status, 413);
    laboratory.stop().await;
}
