//! Multipart forms as clients send them: in memory, as a stream, and as arguments.

use crate::support::served_app::ServedApp;
use crate::support::with_timeout;
use brubeck::prelude::*;
use brubeck::testing::{TestClient, TestForm};
use serde_json::{Value, json};
use std::process::Command;

#[post("^/photo$")]
async fn photo(form: Multipart) -> Result<String, Rejection> {
    let photo = form.file("photo")?;
    Ok(format!(
        "{:?} of {} bytes",
        photo.file_name().unwrap_or_default(),
        photo.bytes().len()
    ))
}

/// Describes all parts.
#[post("^/parts$")]
async fn parts(form: Multipart) -> Json<Value> {
    let parts = form.parts().iter().map(|part| {
        json!([
            part.name(),
            part.file_name(),
            part.media_type(),
            String::from_utf8_lossy(part.bytes())
        ])
    });
    Json(parts.collect())
}

/// Describes all parts, as [`parts`] does.
#[post("^/stream$")]
async fn stream(mut form: MultipartStream) -> Result<Json<Value>, UploadError> {
    let mut parts = Vec::new();
    while let Some(mut part) = form.next_part().await? {
        let bytes = part.bytes().await?;
        parts.push(json!([
            part.name(),
            part.file_name(),
            part.media_type(),
            String::from_utf8_lossy(&bytes)
        ]));
    }
    Ok(Json(parts.into()))
}

/// Reads the first byte of the files only.
#[post("^/first$")]
async fn first(mut form: MultipartStream) -> Result<String, UploadError> {
    let mut firsts = String::new();
    while let Some(mut part) = form.next_part().await? {
        if part.is_file()
            && let Some(chunk) = part.chunk().await?
        {
            firsts.push(chunk.first().map_or(' ', |byte| char::from(*byte)));
        }
    }
    Ok(firsts)
}

#[post("^/save$")]
async fn save(folder: State<std::path::PathBuf>, mut form: MultipartStream) -> Result<String, UploadError> {
    let mut sizes = Vec::new();
    while let Some(mut part) = form.next_part().await? {
        sizes.push(part.save(folder.join(part.name())).await?);
    }
    Ok(format!("{sizes:?}"))
}

#[post("^/title$")]
async fn title(title: Arg<String>, tag: Option<Arg<Vec<String>>>, form: Multipart) -> String {
    format!("{} {:?} {}", *title, tag.map(|tag| tag.0), form.parts().len())
}

const ROUTES: Routes<std::path::PathBuf> = routes![photo, parts, stream, first, save, title];

fn app() -> App<std::path::PathBuf> {
    App::new(ROUTES, std::env::temp_dir())
}

async fn send(client: &TestClient, path: &str, body: &[u8]) -> brubeck::testing::TestResponse {
    let request = client
        .post(path)
        .header("content-type", "multipart/form-data; boundary=XX");
    request.body(body.to_vec()).await
}

/// Returns a form of parts with these dispositions. Each has its number as its content, or none if it ends in `!`.
fn form(dispositions: &[&[u8]]) -> Vec<u8> {
    let mut form = Vec::new();
    for (i, disposition) in dispositions.iter().enumerate() {
        form.extend_from_slice(b"--XX\r\nContent-Disposition: form-data; ");
        form.extend_from_slice(disposition.strip_suffix(b"!").unwrap_or(disposition));
        form.extend_from_slice(b"\r\n\r\n");
        if !disposition.ends_with(b"!") {
            form.extend_from_slice(i.to_string().as_bytes());
        }
        form.extend_from_slice(b"\r\n");
    }
    form.extend_from_slice(b"--XX--\r\n");
    form
}

#[tokio::test]
async fn file_is_a_part_with_a_file_name_and_nothing_else() {
    let client = TestClient::new(app());
    for (dispositions, status, text) in [
        // A browser sends this if no file was chosen.
        (
            &[&b"name=\"photo\"; filename=\"\"!"[..]][..],
            422,
            "the file `photo` is missing",
        ),
        (
            &[
                b"name=\"photo\"; filename=\"\"!",
                b"name=\"photo\"; filename=\"a.png\"",
            ],
            200,
            "\"a.png\" of 1 bytes",
        ),
        (&[b"name=\"photo\"; filename=\"\""], 200, "\"\" of 1 bytes"),
        (
            &[b"name=\"photo\"; filename=\"na\xefve.txt\""],
            200,
            "\"na\u{fffd}ve.txt\" of 1 bytes",
        ),
        (
            &[b"name=\"photo\"; filename*=UTF-8''na%C3%AFve.txt"],
            200,
            "\"naïve.txt\" of 1 bytes",
        ),
        (
            &[b"name=photo; filename=\"x\"; filename*=utf-8''%e2%82%ac"],
            200,
            "\"€\" of 1 bytes",
        ),
        (
            &[b"name=\"photo\\\"; filename=\"a.bin\""],
            422,
            "the file `photo` is missing",
        ),
        (&[b"name=\"photo\""], 422, "the file `photo` is missing"),
        (
            &[b"filename=\"../../a/b.txt\"; NAME=\"photo\""],
            200,
            "\"b.txt\" of 1 bytes",
        ),
    ] {
        let response = send(&client, "/photo", &form(dispositions)).await;
        response.assert_status(status);
        assert!(response.text().contains(text), "{} {text}", response.text());
    }
}

#[tokio::test]
async fn stream_has_the_parts_of_the_form_in_memory() {
    let client = TestClient::new(app());
    let forms: &[&[&[u8]]] = &[
        &[],
        &[b"name=\"dir\\\"; filename=\"a.bin\"", b"name=\"a%22b\""],
        &[
            b"name=\"a\"; filename=\"\"!",
            b"name=\"a\"; filename=\"\"",
            b"name=b!",
        ],
        &[b"", b"filename=x"],
        &[b"name=\"a\"\r\nContent-Type: text/plain; charset=utf-8"],
    ];
    for dispositions in forms {
        let body = form(dispositions);
        let whole = send(&client, "/parts", &body).await;
        let streamed = send(&client, "/stream", &body).await;
        assert_eq!(
            whole.assert_status(200).text(),
            streamed.assert_status(200).text()
        );
    }
    let body = form(&[b"name=a; filename=a", b"name=b", b"name=c; filename=c"]);
    send(&client, "/first", &body).await.assert_text("02");
    for truncated in ["", "--XX\r\n", "--XX\r\na: b\r\n\r\nx", "--XX\r\nx\r\n\r\n--XX--"] {
        for path in ["/parts", "/stream", "/first"] {
            send(&client, path, truncated.as_bytes()).await.assert_status(400);
        }
    }
    let untyped = client.post("/stream").body("--XX--").await;
    untyped.assert_status(415);
}

#[tokio::test]
async fn fields_are_arguments() {
    let client = TestClient::new(app());
    let fields = TestForm::new()
        .text("title", "Dave")
        .text("tag", "a")
        .file("file", "f", "text/plain", "x")
        .text("tag", "b");
    let response = client.post("/title?title=query").multipart(fields).await;
    response.assert_text("Dave Some([\"a\", \"b\"]) 4");
    // A file is no text, so the query has the title.
    let file = TestForm::new().file("title", "f", "text/plain", "x");
    client
        .post("/title?title=query")
        .multipart(file)
        .await
        .assert_text("query None 1");
    client
        .post("/title")
        .multipart(TestForm::new())
        .await
        .assert_status(400);
}

#[tokio::test]
async fn number_and_size_of_parts_can_be_set() {
    let limits = || Limits::new().parts(150).part_limit(10);
    let client = TestClient::new(app().limit::<parts>(limits()).limit::<stream>(limits()));
    let with_parts = |count: usize| (0..count).fold(TestForm::new(), |form, n| form.text(&n.to_string(), ""));
    let with_size = |size: usize| TestForm::new().text("a", "x").text("b", &"x".repeat(size));
    for path in ["/parts", "/stream"] {
        client
            .post(path)
            .multipart(with_parts(150))
            .await
            .assert_status(200);
        client
            .post(path)
            .multipart(with_parts(151))
            .await
            .assert_status(413);
        client
            .post(path)
            .multipart(with_size(10))
            .await
            .assert_status(200);
        client
            .post(path)
            .multipart(with_size(11))
            .await
            .assert_status(413);
    }
    client
        .post("/first")
        .multipart(with_parts(100))
        .await
        .assert_status(200);
    client
        .post("/first")
        .multipart(with_parts(101))
        .await
        .assert_status(413);
}

#[tokio::test]
async fn size_of_skipped_parts_is_limited() {
    let client = TestClient::new(app().limit::<first>(Limits::new().body_limit(8 << 20).part_limit(1 << 20)));
    for (size, status) in [(1 << 20, 200), ((1 << 20) + 1, 413), (3 << 20, 413)] {
        let form = TestForm::new()
            .text("skipped", &"x".repeat(size))
            .text("last", "");
        client.post("/first").multipart(form).await.assert_status(status);
    }
}

#[tokio::test]
async fn parts_are_saved_to_new_files() {
    let folder = tempfile::tempdir().unwrap();
    let client = TestClient::new(
        App::new(ROUTES, folder.path().to_owned()).limit::<save>(Limits::new().part_limit(1 << 20)),
    );
    let form = TestForm::new()
        .file("a", "a", "text/plain", "hello")
        .text("b", "");
    client.post("/save").multipart(form).await.assert_text("[5, 0]");
    assert_eq!(std::fs::read(folder.path().join("a")).unwrap(), b"hello");
    // A file that exists is not replaced, and an incomplete one is removed.
    client
        .post("/save")
        .multipart(TestForm::new().text("a", "x"))
        .await
        .assert_status(500);
    let large = TestForm::new().text("c", &"x".repeat((1 << 20) + 1));
    client.post("/save").multipart(large).await.assert_status(413);
    assert!(!folder.path().join("c").exists());
    assert_eq!(std::fs::read(folder.path().join("a")).unwrap(), b"hello");
}

/// The bytes of chromium, curl and urllib3 are recorded. Those of .NET, which sends `filename*`, are written by hand.
#[tokio::test]
async fn forms_of_clients_have_the_fields_and_files_that_were_sent() {
    let client = TestClient::new(app());
    let octets = "application/octet-stream";
    let forms = [
        (
            "chromium_fetch",
            json!([
                ["title", null, null, "Döner\r\n\"x\""],
                ["photo", ".txt", "text/plain", "1"],
                ["photo", "a\r\nb;c=d\".txt", octets, "2"],
                ["dir\\", "empty.bin", octets, ""],
                ["blob", "blob", octets, "3"],
            ]),
        ),
        // No file was chosen.
        (
            "chromium_form",
            json!([["a\"b\\c", null, null, "x \"y\" é"], ["line", null, null, "12"]]),
        ),
        (
            "chromium_latin_1",
            json!([["n\u{fffd}", null, null, "na\u{fffd}ve \u{fffd}"]]),
        ),
        (
            "curl",
            json!([
                ["title", null, null, "Dö \"x\""],
                ["photo", "na\"ïve.txt", "text/plain", "x"],
                ["photo", "s;c=d.txt", "text/plain", "y"],
                ["a\"b", null, null, "1"],
            ]),
        ),
        // The first quote ends the name, which does not make a field of the file.
        (
            "curl_form_escape",
            json!([["title", null, null, "1"], ["photo", "", "text/plain", "x"]]),
        ),
        (
            "urllib3",
            json!([
                ["title", null, null, "Dö"],
                ["photo", "naïve\"\n.txt", "text/plain", "1"]
            ]),
        ),
        (
            "urllib3_1",
            json!([
                ["title", null, null, "Dö"],
                ["photo", "naïve.txt", "text/plain", "1"]
            ]),
        ),
        (
            "dotnet",
            json!([
                ["title", null, "text/plain; charset=utf-8", "Dö"],
                ["photo", "naïve.txt", null, "1"]
            ]),
        ),
    ];
    for (name, expected) in forms {
        let file = format!(
            "{}/tests/fixtures/multipart/{name}.http",
            env!("CARGO_MANIFEST_DIR")
        );
        let recorded = std::fs::read(file).unwrap();
        let end = recorded
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .unwrap();
        let media_type = String::from_utf8(recorded[..end].to_vec()).unwrap();
        for path in ["/parts", "/stream"] {
            let request = client
                .post(path)
                .header("content-type", media_type.strip_prefix("content-type: ").unwrap());
            request
                .body(recorded[end + 4..].to_vec())
                .await
                .assert_json(expected.clone());
        }
    }
}

#[tokio::test]
async fn form_of_curl_arrives_over_a_connection() {
    if Command::new("curl").arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "curl is missing");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let names = ["naïve.txt", "a b;c=d.txt", "back\\slash.txt"];
    for name in names {
        std::fs::write(folder.path().join(name), name).unwrap();
    }
    let site = ServedApp::http(app()).await;
    for path in ["parts", "stream"] {
        let mut curl = tokio::process::Command::new("curl");
        curl.current_dir(folder.path())
            .args(["-s", "-F", "title=Döner & \"Co\""]);
        for name in names {
            curl.args([
                "-F",
                &format!("file=@\"{}\";type=text/plain", name.replace('\\', "\\\\")),
            ]);
        }
        curl.arg(format!("http://{}/{path}", site.address));
        let output = with_timeout(curl.output()).await.unwrap();
        let parts: Value = serde_json::from_slice(&output.stdout).unwrap();
        let mut expected = vec![json!(["title", null, null, "Döner & \"Co\""])];
        // The folders of a name are removed, also those of Windows.
        expected.extend(names.map(|name| json!(["file", name.rsplit('\\').next(), "text/plain", name])));
        assert_eq!(parts, Value::from(expected), "{path}");
    }
    site.stop().await;
}
