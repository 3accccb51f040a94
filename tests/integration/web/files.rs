//! Static files and file replies: names, ranges and conditional requests, with one table for both.

use brubeck::Files;
use brubeck::prelude::*;
use brubeck::testing::{TestClient, TestRequest, TestResponse};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The folder of the handler.
#[derive(Clone)]
struct Folder(PathBuf);

#[get(r"^/reply/(?<name>[a-z.]+)$")]
async fn file_reply(name: String, folder: State<Folder>) -> File {
    File::new(folder.0.0.join(name))
}

#[get(r"^/tagged/(?<name>[a-z.]+)$")]
async fn tagged(name: String, folder: State<Folder>) -> ([(&'static str, &'static str); 3], File) {
    let headers = [
        ("etag", "\"v7\""),
        ("content-type", "text/html; charset=iso-8859-1"),
        ("content-length", "3"),
    ];
    (headers, File::new(folder.0.0.join(name)))
}

const ROUTES: Routes<Folder> = routes![file_reply, tagged];

/// Creates a folder to serve, in a folder that also contains a secret.
fn site() -> (TempDir, PathBuf) {
    let parent = tempfile::tempdir().expect("a temporary folder");
    let public = parent.path().join("pub");
    let write = |name: &str, text: &[u8]| {
        let path = public.join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    };
    write(
        "data.bin",
        &(0..1000u32).map(|n| (n % 251) as u8).collect::<Vec<_>>(),
    );
    write(
        "large.bin",
        &(0..1_000_003u32).map(|n| (n % 251) as u8).collect::<Vec<_>>(),
    );
    write("empty.txt", b"");
    write("u.txt", "über".as_bytes());
    write("index.html", b"<h1>top</h1>");
    write("sub/index.html", b"<h1>sub</h1>");
    write("sub/a b.css", b"body {}");
    write("a:b/index.html", b"colon");
    write("é/index.html", b"accent");
    write("bare/file.txt", b"bare");
    write(".env", b"SECRET=1");
    write(".git/config", b"[core]");
    write("sub/.hidden/x", b"x");
    write(".well-known/security.txt", b"Contact: x");
    write(".well-known/.secret", b"x");
    std::fs::write(parent.path().join("secret.txt"), "secret").expect("a file");
    for (target, link) in [
        ("../secret.txt", "out"),
        ("/etc/passwd", "link"),
        ("/etc", "etc"),
        ("sub/index.html", "in"),
        ("loop", "loop"),
        ("..", "sub/up"),
    ] {
        symlink(target, public.join(link)).expect("a link");
    }
    (parent, public)
}

fn client(public: &Path) -> TestClient {
    let app = App::new(ROUTES, Folder(public.to_owned()))
        .files("/static", public)
        .files("/s/t/", public)
        .files("/all", Files::new(public).hidden(true));
    TestClient::new(app)
}

/// The fields of a request, and the status, the length of the content and the range that are expected.
type Case<'a> = (&'a [(&'a str, &'a str)], u16, usize, Option<&'a str>);

fn with_fields<'c>(request: TestRequest<'c>, fields: &[(&str, &str)]) -> TestRequest<'c> {
    fields
        .iter()
        .fold(request, |request, (name, value)| request.header(name, value))
}

#[tokio::test]
async fn ranges_and_conditions_are_those_of_rfc_9110() {
    let (_parent, public) = site();
    let client = client(&public);
    for path in ["/static/data.bin", "/reply/data.bin"] {
        let whole = client.get(path).await;
        whole.assert_status(200).assert_header("accept-ranges", "bytes");
        let content = whole.bytes().clone();
        let tag = whole.header("etag").expect("a tag").to_owned();
        let weak = format!("W/{tag}");
        let date = whole.header("last-modified").expect("a date").to_owned();
        let lists = [format!("\"a\", {tag}"), format!("\"a\",{weak}")];
        let (early, late) = ("Thu, 01 Jan 1970 00:00:01 GMT", "Fri, 01 Jan 2100 00:00:00 GMT");
        assert!(tag.starts_with('"'), "{tag} is strong");
        let range = "bytes=0-9";
        let part = Some("bytes 0-9/1000");
        let cases: &[Case<'_>] = &[
            // Ranges (sections 14.1 and 14.2).
            (&[("range", range)], 206, 10, part),
            (&[("range", "bytes=0-0")], 206, 1, Some("bytes 0-0/1000")),
            (&[("range", "bytes=990-")], 206, 10, Some("bytes 990-999/1000")),
            (&[("range", "bytes=-10")], 206, 10, Some("bytes 990-999/1000")),
            (&[("range", "bytes=-5000")], 206, 1000, Some("bytes 0-999/1000")),
            (&[("range", "bytes=5-5000")], 206, 995, Some("bytes 5-999/1000")),
            (&[("range", "Bytes=0-9")], 206, 10, part),
            (&[("range", "bytes=0-9,2000-")], 206, 10, part),
            (&[("range", "bytes=1000-")], 416, 0, Some("bytes */1000")),
            (&[("range", "bytes=-0")], 416, 0, Some("bytes */1000")),
            (&[("range", "bytes=9-0")], 200, 1000, None),
            (&[("range", "bytes=x")], 200, 1000, None),
            (&[("range", "lines=1-2")], 200, 1000, None),
            (&[("range", "bytes=0-999,0-999")], 200, 1000, None),
            (&[("range", range), ("range", range)], 200, 1000, None),
            // `if-range` (section 13.1.5).
            (&[("range", range), ("if-range", &tag)], 206, 10, part),
            (&[("range", range), ("if-range", &weak)], 200, 1000, None),
            (&[("range", range), ("if-range", "\"stale\"")], 200, 1000, None),
            (&[("range", range), ("if-range", &date)], 206, 10, part),
            (&[("range", range), ("if-range", early)], 200, 1000, None),
            (&[("range", range), ("if-range", late)], 200, 1000, None),
            (&[("range", range), ("if-range", "junk")], 200, 1000, None),
            (
                &[("range", "bytes=1000-"), ("if-range", "\"stale\"")],
                200,
                1000,
                None,
            ),
            (&[("if-range", "\"stale\"")], 200, 1000, None),
            // Conditions (sections 13.1.1 to 13.1.4), and their order (section 13.2.2).
            (&[("if-none-match", &tag)], 304, 0, None),
            (&[("if-none-match", &weak)], 304, 0, None),
            (&[("if-none-match", &lists[1])], 304, 0, None),
            (&[("if-none-match", "*")], 304, 0, None),
            (&[("if-none-match", "\"a\"")], 200, 1000, None),
            (
                &[("if-none-match", "\"a\""), ("if-none-match", &tag)],
                304,
                0,
                None,
            ),
            (
                &[("if-none-match", "\"a\""), ("if-modified-since", late)],
                200,
                1000,
                None,
            ),
            (&[("if-modified-since", &date)], 304, 0, None),
            (&[("if-modified-since", late)], 304, 0, None),
            (&[("if-modified-since", early)], 200, 1000, None),
            (&[("if-modified-since", "never")], 200, 1000, None),
            (&[("if-match", &tag)], 200, 1000, None),
            (&[("if-match", &lists[0])], 200, 1000, None),
            (&[("if-match", "*")], 200, 1000, None),
            (&[("if-match", &weak)], 412, 0, None),
            (&[("if-match", "\"a\"")], 412, 0, None),
            (
                &[("if-match", &tag), ("if-unmodified-since", early)],
                200,
                1000,
                None,
            ),
            (&[("if-unmodified-since", &date)], 200, 1000, None),
            (&[("if-unmodified-since", early)], 412, 0, None),
            (&[("if-unmodified-since", "never")], 200, 1000, None),
            (&[("if-match", "\"a\""), ("if-none-match", &tag)], 412, 0, None),
            (&[("if-none-match", &tag), ("range", range)], 304, 0, None),
            (&[("if-match", "\"a\""), ("range", range)], 412, 0, None),
            (
                &[("if-match", &tag), ("range", range), ("if-range", &tag)],
                206,
                10,
                part,
            ),
        ];
        for (fields, status, length, content_range) in cases {
            let got = with_fields(client.get(path), fields).await;
            let what = format!("{path} {fields:?}: {got:?}");
            assert_eq!(got.status(), *status, "{what}");
            assert_eq!(got.header("content-range"), *content_range, "{what}");
            if *status < 300 {
                assert_eq!(got.bytes().len(), *length, "{what}");
                assert_eq!(got.header("content-length"), Some(&*length.to_string()), "{what}");
                assert_eq!(got.header("etag"), Some(&*tag), "{what}");
            }
            if let Some((first, last)) =
                content_range.and_then(|range| range[6..].split('/').next()?.split_once('-'))
            {
                let (first, last): (usize, usize) =
                    (first.parse().expect("a number"), last.parse().expect("a number"));
                assert_eq!(got.bytes(), &content[first..=last], "{what}");
            }
            if *status == 304 {
                assert_eq!(got.header("etag"), Some(&*tag), "{what}");
                assert_eq!(got.header("content-type"), None, "{what}");
            }
            // HEAD has no ranges (section 14.2). Otherwise it is like GET.
            let head = with_fields(client.head(path), fields).await;
            let expected = if matches!(status, 206 | 416) { 200 } else { *status };
            assert_eq!(head.status(), expected, "HEAD {what}: {head:?}");
            assert_eq!(head.bytes().len(), 0, "HEAD {what}");
            if expected == 200 {
                assert_eq!(head.header("content-length"), Some("1000"), "HEAD {what}");
            }
        }
    }
}

/// Returns the parts of a multipart response: their `content-range` and their content.
fn parts(response: &TestResponse) -> Vec<(String, Vec<u8>)> {
    let media_type = response.header("content-type").expect("a media type");
    let boundary = media_type
        .strip_prefix("multipart/byteranges; boundary=")
        .expect("a boundary");
    let delimiter = format!("\r\n--{boundary}");
    let mut rest = &response.bytes()[..];
    let mut parts = Vec::new();
    loop {
        rest = rest.strip_prefix(delimiter.as_bytes()).expect("a delimiter");
        if rest == b"--\r\n" {
            return parts;
        }
        rest = rest.strip_prefix(b"\r\n").expect("a line break");
        let end = rest
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .expect("a head")
            + 4;
        let (head, content) = rest.split_at(end);
        let head = std::str::from_utf8(head).expect("text");
        assert!(
            head.contains("content-type: application/octet-stream\r\n"),
            "{head}"
        );
        let range = head
            .split("content-range: ")
            .nth(1)
            .and_then(|rest| rest.lines().next())
            .expect("a range");
        let (first, last) = range[6..]
            .split('/')
            .next()
            .and_then(|range| range.split_once('-'))
            .expect("two ends");
        let (first, last): (usize, usize) =
            (first.parse().expect("a number"), last.parse().expect("a number"));
        let (content, after) = content.split_at(last - first + 1);
        parts.push((range.to_owned(), content.to_vec()));
        rest = after;
    }
}

#[tokio::test]
async fn several_ranges_are_multipart_byteranges() {
    let (_parent, public) = site();
    let client = client(&public);
    for (file, ranges, expected) in [
        ("data.bin", "bytes=0-1,3-4", vec![(0, 2), (3, 5)]),
        (
            "data.bin",
            "bytes=-1, 0-0 ,5000-,500-509",
            vec![(999, 1000), (0, 1), (500, 510)],
        ),
        (
            "large.bin",
            "bytes=0-299999,700000-999999",
            vec![(0, 300_000), (700_000, 1_000_000)],
        ),
    ] {
        for path in [format!("/static/{file}"), format!("/reply/{file}")] {
            let content = std::fs::read(public.join(file)).expect("a file");
            let got = client.get(&path).header("range", ranges).await;
            got.assert_status(206)
                .assert_header("content-length", &got.bytes().len().to_string());
            let expected: Vec<_> = expected
                .iter()
                .map(|&(start, end)| {
                    (
                        format!("bytes {start}-{}/{}", end - 1, content.len()),
                        content[start..end].to_vec(),
                    )
                })
                .collect();
            assert_eq!(parts(&got), expected, "{path} {ranges}");
            assert_eq!(got.header("content-range"), None);
        }
    }
}

#[tokio::test]
async fn large_file_is_streamed_whole_and_in_part() {
    let (_parent, public) = site();
    let client = client(&public);
    let content = std::fs::read(public.join("large.bin")).expect("a file");
    client
        .get("/static/large.bin")
        .await
        .assert_status(200)
        .assert_header("content-length", "1000003");
    assert_eq!(client.get("/static/large.bin").await.bytes(), &content);
    let part = client
        .get("/static/large.bin")
        .header("range", "bytes=100001-")
        .await;
    assert_eq!(part.bytes(), &content[100_001..]);
    client
        .head("/static/large.bin")
        .await
        .assert_status(200)
        .assert_header("content-length", "1000003");
}

#[tokio::test]
async fn empty_file_is_sent_whole() {
    let (_parent, public) = site();
    let client = client(&public);
    for path in ["/static/empty.txt", "/reply/empty.txt"] {
        client
            .get(path)
            .await
            .assert_status(200)
            .assert_header("content-length", "0");
        client
            .get(path)
            .header("range", "bytes=0-")
            .await
            .assert_status(200);
        client
            .get(path)
            .header("range", "bytes=-1")
            .await
            .assert_status(200)
            .assert_text("");
    }
}

#[tokio::test]
async fn headers_of_a_handler_replace_those_of_the_file() {
    let (_parent, public) = site();
    let client = client(&public);
    let page = client.get("/tagged/u.txt").await;
    page.assert_status(200)
        .assert_header("content-type", "text/html; charset=iso-8859-1")
        .assert_header("content-length", "5");
    assert_eq!(page.headers().get_all("etag").iter().count(), 1);
    client
        .get("/tagged/u.txt")
        .header("if-none-match", "\"v7\"")
        .await
        .assert_status(304);
    client
        .get("/tagged/u.txt")
        .header("range", "bytes=0-0")
        .header("if-range", "\"v7\"")
        .await
        .assert_status(206);
}

#[tokio::test]
async fn text_is_declared_as_utf_8() {
    let (_parent, public) = site();
    let client = client(&public);
    for (path, media_type) in [
        ("/static/u.txt", "text/plain; charset=utf-8"),
        ("/reply/u.txt", "text/plain; charset=utf-8"),
        ("/static/", "text/html; charset=utf-8"),
        ("/static/sub/a%20b.css", "text/css; charset=utf-8"),
        ("/static/data.bin", "application/octet-stream"),
    ] {
        client
            .get(path)
            .await
            .assert_status(200)
            .assert_header("content-type", media_type);
    }
}

#[tokio::test]
async fn modification_times_that_http_cannot_express_are_left_out() {
    let (_parent, public) = site();
    let client = client(&public);
    let file = std::fs::File::open(public.join("u.txt")).expect("a file");
    let epoch = std::time::SystemTime::UNIX_EPOCH;
    let year = std::time::Duration::from_secs(31_557_600);
    for (modified, has_date) in [
        (epoch - 10 * year, false),
        (epoch + year, true),
        (epoch + 200 * year, true),
    ] {
        file.set_modified(modified).expect("a modification time");
        let got = client.get("/static/u.txt").await;
        got.assert_status(200).assert_text("über");
        assert_eq!(got.header("last-modified").is_some(), has_date, "{got:?}");
        let tag = got.header("etag").expect("a tag");
        client
            .get("/static/u.txt")
            .header("if-none-match", tag)
            .await
            .assert_status(304);
    }
    // A time in the future is not sent (section 8.8.2.1).
    let got = client.get("/static/u.txt").await;
    assert!(
        !got.header("last-modified").expect("a date").contains("2169"),
        "{got:?}"
    );
}

#[tokio::test]
async fn folders_redirect_below_their_prefix() {
    let (_parent, public) = site();
    let client = client(&public);
    for (path, location, page) in [
        ("/static/sub", "./sub/", "/static/sub/"),
        ("/static/sub?x=1", "./sub/?x=1", "/static/sub/?x=1"),
        ("/s/t/sub", "./sub/", "/s/t/sub/"),
        ("/static", "./static/", "/static/"),
        ("/static?a=b", "./static/?a=b", "/static/?a=b"),
        ("/s/t", "./t/", "/s/t/"),
        ("/static/a:b", "./a%3Ab/", "/static/a%3Ab/"),
        ("/static/%C3%A9", "./%C3%A9/", "/static/%C3%A9/"),
        ("/static/s%75b", "./sub/", "/static/sub/"),
    ] {
        client
            .get(path)
            .await
            .assert_status(307)
            .assert_header("location", location);
        client.head(path).await.assert_status(307);
        client
            .get(page)
            .await
            .assert_status(200)
            .assert_header("content-type", "text/html; charset=utf-8");
    }
    // A folder without a page has no redirect, which would tell its name.
    for path in [
        "/static/bare",
        "/static/bare/",
        "/static//sub",
        "/static/sub//",
        "/static/sub/index.html/",
    ] {
        client.get(path).await.assert_status(404);
    }
}

#[tokio::test]
async fn redirects_never_lead_to_another_host() {
    let (_parent, public) = site();
    let client = client(&public);
    for start in ["/static", "/s/t", "/all"] {
        for middle in [
            "",
            "/",
            "//",
            "/\\",
            "/%5c",
            "/%2f",
            "/./",
            "/%2e%2e/",
            "//evil.example/..",
            "/evil.example/%2e%2e",
        ] {
            for end in ["/sub", "/a:b", "sub"] {
                let path = format!("{start}{middle}{end}");
                if path.parse::<http::Uri>().is_err() {
                    continue;
                }
                let got = client.get(&path).await;
                assert!(got.status() < 500, "{path}: {got:?}");
                if let Some(location) = got.header("location") {
                    assert!(
                        location.starts_with("./") && !location.contains("//"),
                        "{path}: {location}"
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn what_is_no_name_is_404() {
    let (_parent, public) = site();
    let client = client(&public);
    let long = format!("/static/{}", "a".repeat(300));
    let deep = format!("/static/{}", "abc/".repeat(1500));
    for path in [
        "/static/none",
        "/static/u.txt/",
        "/static/u.txt/x",
        "/static/u.txt/index.html",
        "/static/..%2fsecret.txt",
        "/static/%2e%2e/secret.txt",
        "/static/sub%2findex.html",
        "/static/sub%5cindex.html",
        "/static/out",
        "/static/link",
        "/static/etc",
        "/static/etc/",
        "/static/etc/passwd",
        "/static//etc/passwd",
        "/static/loop",
        "/static/loop/x",
        "/static/sub/up/secret.txt",
        "/static/.env",
        "/static/%2eenv",
        "/static/.git/config",
        "/static/.git",
        "/static/sub/.hidden/x",
        "/static/.well-known/.secret",
        &long,
        &deep,
    ] {
        for method in [http::Method::GET, http::Method::HEAD, http::Method::POST] {
            let got = client.request(method.clone(), path).await;
            assert_eq!(got.status(), 404, "{method} {path}: {got:?}");
        }
    }
    // No path of an application can contain these.
    for path in ["/static/u%00.txt", "/static/%ff"] {
        client.get(path).await.assert_status(400);
    }
    // Dot segments are removed first.
    client.get("/static/.").await.assert_status(200);
    client.get("/static/sub/../u.txt").await.assert_status(200);
    client.get("/static/..").await.assert_status(404);
    // Links within the folder, and `.well-known`.
    client
        .get("/static/in")
        .await
        .assert_status(200)
        .assert_text("<h1>sub</h1>");
    client.get("/static/sub/up/u.txt").await.assert_status(200);
    client
        .get("/static/.well-known/security.txt")
        .await
        .assert_status(200);
    // On request.
    for (path, text) in [
        ("/all/.env", "SECRET=1"),
        ("/all/.git/config", "[core]"),
        ("/all/sub/.hidden/x", "x"),
    ] {
        client.get(path).await.assert_status(200).assert_text(text);
    }
    client.get("/all/etc/passwd").await.assert_status(404);
}

#[tokio::test]
async fn pipe_is_404_and_does_not_block() {
    let (_parent, public) = site();
    let pipe = public.join("pipe");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .expect("mkfifo")
            .success()
    );
    let client = client(&public);
    client.get("/static/pipe").await.assert_status(404);
    client.get("/reply/pipe").await.assert_status(404);
    client.get("/reply/sub").await.assert_status(404);
}

#[tokio::test]
async fn other_methods_are_405_with_allow() {
    let (_parent, public) = site();
    let client = client(&public);
    for path in ["/static/u.txt", "/static/", "/static/sub"] {
        client
            .post(path)
            .await
            .assert_status(405)
            .assert_header("allow", "GET, HEAD, OPTIONS");
        client
            .request(http::Method::OPTIONS, path)
            .await
            .assert_status(204)
            .assert_header("allow", "GET, HEAD, OPTIONS");
    }
}

#[tokio::test]
async fn errors_have_the_pages_of_the_application() {
    async fn lost() -> Html<&'static str> {
        Html("<h1>lost</h1>")
    }
    let (_parent, public) = site();
    let app = App::new(ROUTES, Folder(public.clone()))
        .files("/", &public)
        .catch(404, lost);
    let client = TestClient::new(app);
    client
        .get("/none.css")
        .await
        .assert_status(404)
        .assert_text("<h1>lost</h1>");
    client
        .get("/")
        .await
        .assert_status(200)
        .assert_text("<h1>top</h1>");
    client
        .get("/sub")
        .await
        .assert_status(307)
        .assert_header("location", "./sub/");
    client.get("/reply/u.txt").await.assert_status(200);
    client
        .get("/u.txt")
        .accept("application/json")
        .header("if-match", "\"x\"")
        .await
        .assert_status(412)
        .assert_header("content-type", "application/problem+json");
}

#[tokio::test]
async fn precompressed_variants_are_negotiated() {
    let (_parent, public) = site();
    std::fs::write(public.join("a.css"), "plain").expect("a file");
    std::fs::write(public.join("a.css.gz"), "as gzip").expect("a file");
    std::fs::write(public.join("a.css.br"), "as brotli").expect("a file");
    std::fs::write(public.join("index.html.gz"), "index as gzip").expect("a file");
    let folder = Folder(public.clone());
    let app = App::new(ROUTES, folder)
        .files("/on", Files::new(&public).precompressed(true))
        .files("/off", &public);
    let client = TestClient::new(app);
    let mut tags = Vec::new();
    for (path, accepted, text, coding) in [
        ("/on/a.css", "gzip, br", "as brotli", Some("br")),
        ("/on/a.css", "br;q=0.5, gzip", "as gzip", Some("gzip")),
        ("/on/a.css", "identity", "plain", None),
        ("/on/a.css", "br;q=0, gzip;q=0", "plain", None),
        ("/on/", "br, gzip", "index as gzip", Some("gzip")),
        ("/on/u.txt", "br, gzip", "über", None),
        ("/off/a.css", "br, gzip", "plain", None),
    ] {
        let got = client.get(path).header("accept-encoding", accepted).await;
        got.assert_status(200).assert_text(text);
        assert_eq!(got.header("content-encoding"), coding, "{path} {accepted}");
        let vary = path.starts_with("/on").then_some("accept-encoding");
        assert_eq!(got.header("vary"), vary, "{path} {accepted}");
        let tag = got.header("etag").expect("a tag").to_owned();
        let again = client
            .get(path)
            .header("accept-encoding", accepted)
            .header("if-none-match", &tag)
            .await;
        again.assert_status(304);
        assert_eq!(again.header("vary"), vary);
        if path.ends_with(".css") {
            got.assert_header("content-type", "text/css; charset=utf-8");
            if path == "/on/a.css" {
                tags.push(tag);
            }
        }
    }
    tags.dedup();
    assert_eq!(tags.len(), 3, "each variant has a tag of its own: {tags:?}");
    // A range is one of the variant.
    let part = client
        .get("/on/a.css")
        .header("accept-encoding", "br")
        .header("range", "bytes=3-")
        .await;
    part.assert_status(206)
        .assert_text("brotli")
        .assert_header("content-encoding", "br");
}
