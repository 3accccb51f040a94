//! Bodies that `TestClient` sends in pieces.

use brubeck::prelude::*;
use brubeck::testing::{TestClient, TestForm};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

type Seen = Arc<Mutex<Vec<String>>>;

/// Writes down what happens.
fn note(seen: &Seen, text: impl Into<String>) {
    seen.lock().expect("no panic").push(text.into());
}

#[post("^/chunks$")]
async fn chunks(mut upload: Upload, seen: State<Seen>) -> Result<String, UploadError> {
    let _guard = Guard(seen.0.clone());
    note(&seen, format!("{:?}", upload.length()));
    loop {
        match upload.chunk().await {
            Ok(Some(chunk)) => note(&seen, String::from_utf8_lossy(&chunk)),
            Ok(None) => return Ok(upload.received().to_string()),
            Err(error) => {
                note(&seen, "error");
                return Err(error);
            }
        }
    }
}

struct Guard(Seen);

impl Drop for Guard {
    fn drop(&mut self) {
        note(&self.0, "ended");
    }
}

#[post("^/early$")]
async fn early(upload: Upload) -> (Status, &'static str) {
    drop(upload);
    (Status::new(409), "no")
}

#[post("^/save$")]
async fn save(upload: Upload, folder: State<PathBuf>) -> Result<String, UploadError> {
    Ok(upload.save(folder.join("file")).await?.to_string())
}

#[post("^/form$")]
async fn form(form: Multipart, cookies: Cookies) -> String {
    cookies.set(Cookie::new("sent", "1"));
    form.text("title").unwrap_or_default().to_owned()
}

#[derive(AppState, Clone)]
struct Site {
    seen: Seen,
    folder: PathBuf,
}

const ROUTES: Routes<Site> = routes![chunks, early, save, form];

fn site() -> (TestClient, Seen, tempfile::TempDir) {
    let (seen, folder) = (Seen::default(), tempfile::tempdir().expect("a folder"));
    let state = Site {
        seen: seen.clone(),
        folder: folder.path().to_owned(),
    };
    (
        TestClient::new(App::new(ROUTES, state).body_limit(1000)),
        seen,
        folder,
    )
}

#[tokio::test(start_paused = true)]
async fn pieces_arrive_one_by_one() {
    let (client, seen, _folder) = site();
    let upload = client.post("/chunks").in_pieces();
    for piece in ["one", "two"] {
        upload.send(piece).await;
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert_eq!(
            seen.lock().expect("no panic").last().map(String::as_str),
            Some(piece)
        );
    }
    upload.finish().await.assert_status(200).assert_text("6");
    assert_eq!(*seen.lock().expect("no panic"), ["None", "one", "two", "ended"]);
}

#[tokio::test(start_paused = true)]
async fn body_that_breaks_off_is_an_error_of_the_upload() {
    let (client, seen, folder) = site();
    let upload = client.post("/chunks").header("content-length", "6").in_pieces();
    upload.send("one").await;
    upload.break_off().await.assert_status(400);
    assert_eq!(*seen.lock().expect("no panic"), ["None", "one", "error", "ended"]);
    let upload = client.post("/save").in_pieces();
    upload.send("half").await;
    upload.break_off().await.assert_status(400);
    assert!(!folder.path().join("file").exists());
}

#[tokio::test(start_paused = true)]
async fn dropped_upload_is_a_client_that_disconnects() {
    let (client, seen, _folder) = site();
    let upload = client.post("/chunks").in_pieces();
    upload.send("one").await;
    upload.send("two").await;
    drop(upload);
    tokio::task::yield_now().await;
    let seen = seen.lock().expect("no panic");
    assert_eq!(seen.first().map(String::as_str), Some("None"));
    assert_eq!(seen.last().map(String::as_str), Some("ended"));
    assert!(!seen.contains(&"error".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn limit_applies_to_the_sum_of_the_pieces() {
    let (client, _, _folder) = site();
    for (path, pieces, status) in [
        ("/chunks", 10, 200),
        ("/chunks", 11, 413),
        ("/save", 11, 413),
        ("/early", 1000, 409),
    ] {
        let upload = client.post(path).in_pieces();
        for _ in 0..pieces {
            upload.send(vec![b'x'; 100]).await;
        }
        upload.finish().await.assert_status(status);
    }
}

#[tokio::test(start_paused = true)]
async fn form_may_come_in_pieces_and_its_cookies_are_kept() {
    let (client, _, _folder) = site();
    let form = TestForm::new().text("title", "Sea");
    let (media_type, body) = (form.media_type(), form.into_bytes());
    let upload = client
        .post("/form")
        .header("content-type", media_type)
        .in_pieces();
    for byte in body {
        upload.send(vec![byte]).await;
    }
    upload.finish().await.assert_text("Sea");
    assert_eq!(client.cookie("sent").as_deref(), Some("1"));
}
