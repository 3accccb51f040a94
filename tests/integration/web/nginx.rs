//! The same requests for files to brubeck and to nginx. Each difference is listed with its reason.

use crate::support::{Nginx, ServedApp, requirements, with_timeout};
use brubeck::Files;
use brubeck::prelude::*;
use std::collections::HashMap;
use std::os::unix::fs::symlink;
use std::path::Path;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

/// What is expected of a request, whose target and header lines come first.
enum Expected {
    Same,
    /// The statuses of nginx and of brubeck, and the reason.
    Differs(u16, u16, &'static str),
}

use Expected::{Differs, Same};

const EARLY: &str = "Thu, 01 Jan 1970 00:00:01 GMT";
const LATE: &str = "Fri, 01 Jan 2100 00:00:00 GMT";

const MALFORMED: &str = "a malformed range may be ignored or refused (14.2); brubeck sends the whole file";
const EXACT: &str = "nginx compares `if-modified-since` for equality; a later date is one at which the file was the same (13.1.3)";
const HEAD_RANGE: &str = "ranges are defined for GET only (14.2)";
const HIDDEN: &str = "brubeck serves hidden files on request only";
const OUTSIDE: &str = "brubeck serves nothing outside of the folder";
const NO_LISTING: &str = "a folder without an index is no resource, so it is 404 and has no redirect";
const EMPTY_PART: &str = "nginx merges slashes; brubeck has one path for each file";
const REDIRECT: &str = "brubeck does not let browsers store a redirect for ever";
const NOT_UTF8: &str = "brubeck refuses every path that is not UTF-8";

/// Returns the requests: method, path, header lines, and what is expected. `{tag}` and `{date}` are the validators of `/data.bin`.
fn requests() -> Vec<(&'static str, &'static str, Vec<String>, Expected)> {
    let get = |path, header: &str, expected| ("GET", path, vec![header.to_owned()], expected);
    let data = |header: &str| get("/data.bin", header, Same);
    let ranged = |range: &str, condition: &str| {
        let headers = vec![format!("range: {range}"), condition.to_owned()];
        ("GET", "/data.bin", headers, Same)
    };
    let plain = |path, expected| ("GET", path, Vec::new(), expected);
    let mut requests = vec![
        plain("/data.bin", Same),
        plain("/u.txt", Same),
        plain("/index.html", Same),
        plain("/", Same),
        plain("/sub/", Same),
        plain("/sub/a%20b.css", Same),
        plain("/empty.txt", Same),
        plain("/none", Same),
        plain("/u.txt/", Same),
        plain("/u.txt/x", Same),
        plain("/%ff", Differs(404, 400, NOT_UTF8)),
        plain("/sub/../u.txt", Same),
        plain("/sub/%2e%2e/u.txt", Same),
        plain(
            "/..%2fsecret.txt",
            Differs(400, 404, "no name is `..`, so there is no such file"),
        ),
        plain(
            "/sub%2findex.html",
            Differs(
                200,
                404,
                "an encoded slash is a character of a name, and no name contains one",
            ),
        ),
        plain("/sub%5cindex.html", Same),
        plain("/in", Same),
        plain(
            "/loop",
            Differs(403, 404, "a name that resolves to nothing names no file"),
        ),
        plain("/u%00.txt", Same),
        plain("/.env", Differs(200, 404, HIDDEN)),
        plain("/.git/config", Differs(200, 404, HIDDEN)),
        plain("/.well-known/security.txt", Same),
        plain("/out", Differs(200, 404, OUTSIDE)),
        plain("/etc/passwd", Differs(200, 404, OUTSIDE)),
        plain("/sub", Differs(301, 307, REDIRECT)),
        plain("/sub?x=1", Differs(301, 307, REDIRECT)),
        plain("//sub/", Differs(200, 404, EMPTY_PART)),
        plain("/sub//index.html", Differs(200, 404, EMPTY_PART)),
        plain("/bare/", Differs(403, 404, NO_LISTING)),
        plain("/bare", Differs(301, 404, NO_LISTING)),
        ("HEAD", "/data.bin", Vec::new(), Same),
        ("HEAD", "/none", Vec::new(), Same),
        ("HEAD", "/data.bin", vec!["if-none-match: {tag}".into()], Same),
        (
            "HEAD",
            "/data.bin",
            vec!["range: bytes=0-9".into()],
            Differs(206, 200, HEAD_RANGE),
        ),
        ("POST", "/data.bin", vec!["content-length: 0".into()], Same),
        ("POST", "/none", vec!["content-length: 0".into()], Same),
        ("DELETE", "/data.bin", Vec::new(), Same),
        data("range: bytes=0-9"),
        data("range: bytes=0-0"),
        data("range: bytes=990-"),
        data("range: bytes=-10"),
        data("range: bytes=-5000"),
        data("range: bytes=5-5000"),
        data("range: bytes=0-"),
        data("range: Bytes=0-9"),
        data("range: bytes=0-1,3-4"),
        data("range: bytes=0-1 , -1"),
        data("range: bytes=0-1,2000-"),
        data("range: bytes=0-999,0-999"),
        data("range: bytes=1000-"),
        data("range: bytes=-0"),
        data("range: bytes=2000-3000"),
        data("range: lines=1-2"),
        data("range: bytes"),
        get("/data.bin", "range: bytes=x", Differs(416, 200, MALFORMED)),
        get("/data.bin", "range: bytes=9-0", Differs(416, 200, MALFORMED)),
        data("range: bytes="),
        get("/data.bin", "range: bytes=0-1,x", Differs(416, 200, MALFORMED)),
        get("/empty.txt", "range: bytes=0-", Same),
        get("/empty.txt", "range: bytes=-1", Same),
        get("/large.bin", "range: bytes=100000-900000", Same),
        get("/large.bin", "range: bytes=0-99999,900000-", Same),
        ranged("bytes=0-9", "if-range: {tag}"),
        ranged("bytes=0-9", "if-range: W/{tag}"),
        ranged("bytes=0-9", "if-range: \"stale\""),
        ranged("bytes=0-9", "if-range: {date}"),
        ranged("bytes=0-9", &format!("if-range: {EARLY}")),
        ranged("bytes=0-9", &format!("if-range: {LATE}")),
        ranged("bytes=0-9", "if-range: junk"),
        ranged("bytes=2000-", "if-range: \"stale\""),
        ranged("bytes=0-9", "if-none-match: {tag}"),
        ranged("bytes=0-9", "if-match: \"x\""),
        data("if-none-match: {tag}"),
        data("if-none-match: W/{tag}"),
        data("if-none-match: \"a\", {tag}"),
        data("if-none-match: *"),
        data("if-none-match: \"a\""),
        data("if-modified-since: {date}"),
        data(&format!("if-modified-since: {EARLY}")),
        get(
            "/data.bin",
            &format!("if-modified-since: {LATE}"),
            Differs(200, 304, EXACT),
        ),
        data("if-modified-since: never"),
        data("if-match: {tag}"),
        data("if-match: W/{tag}"),
        data("if-match: \"a\", {tag}"),
        data("if-match: *"),
        data("if-match: \"a\""),
        data("if-unmodified-since: {date}"),
        data(&format!("if-unmodified-since: {EARLY}")),
        data(&format!("if-unmodified-since: {LATE}")),
    ];
    for (accepted, path) in [
        ("gzip", "/a.css"),
        ("identity", "/a.css"),
        ("gzip;q=0", "/a.css"),
        ("gzip", "/u.txt"),
    ] {
        requests.push(("GET", path, vec![format!("accept-encoding: {accepted}")], Same));
    }
    requests
}

fn write_site(folder: &Path) {
    let public = folder.join("pub");
    let write = |name: &str, text: &[u8]| {
        let path = public.join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    };
    let pattern = |size: u32| (0..size).map(|n| (n % 251) as u8).collect::<Vec<_>>();
    write("data.bin", &pattern(1000));
    write("large.bin", &pattern(1_000_003));
    write("empty.txt", b"");
    write("u.txt", "über".as_bytes());
    write("index.html", b"<h1>top</h1>");
    write("sub/index.html", b"<h1>sub</h1>");
    write("sub/a b.css", b"body {}");
    write("bare/file.txt", b"bare");
    write("a.css", b"plain");
    write("a.css.gz", b"as gzip");
    write(".env", b"SECRET=1");
    write(".git/config", b"[core]");
    write(".well-known/security.txt", b"Contact: x");
    std::fs::write(folder.join("secret.txt"), "secret").expect("a file");
    for (target, link) in [
        ("../secret.txt", "out"),
        ("/etc", "etc"),
        ("sub/index.html", "in"),
        ("loop", "loop"),
    ] {
        symlink(target, public.join(link)).expect("a link");
    }
}

/// Returns the directives of an nginx that serves `pub` on a Unix socket, both in `folder`.
fn directives(folder: &Path) -> String {
    let path = folder.display();
    format!(
        "types {{ text/html html; text/plain txt; text/css css; application/octet-stream bin; }}\n\
         default_type application/octet-stream; charset utf-8; charset_types text/plain text/css;\n\
         gzip_static on; gzip_vary on;\n\
         server {{ listen unix:{path}/socket; root {path}/pub; absolute_redirect off; }}"
    )
}

/// A response, with the headers that both servers are expected to have in common.
struct SeenResponse {
    status: u16,
    headers: HashMap<String, String>,
    body: Vec<u8>,
}

async fn send(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> SeenResponse {
    let mut response = Vec::new();
    stream
        .write_all(request.as_bytes())
        .await
        .expect("an open connection");
    with_timeout(stream.read_to_end(&mut response))
        .await
        .expect("a response");
    let end = response
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .expect("a head");
    let head = std::str::from_utf8(&response[..end]).expect("text");
    let headers = head.lines().skip(1).filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    });
    SeenResponse {
        status: head[9..12].parse().expect("a status"),
        headers: headers.collect(),
        body: response[end + 4..].to_vec(),
    }
}

impl SeenResponse {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// Returns the body, with the boundary of a multipart body replaced.
    fn content(&self) -> Vec<u8> {
        let boundary = self
            .header("content-type")
            .and_then(|value| value.split_once("boundary="));
        match boundary {
            Some((_, boundary)) => {
                let text: String = self.body.iter().map(|byte| char::from(*byte)).collect();
                text.replace(boundary, "x").to_ascii_lowercase().into_bytes()
            }
            None => self.body.clone(),
        }
    }
}

/// Returns what differs in status, content and headers, which are not compared for errors.
fn differences(theirs: &SeenResponse, ours: &SeenResponse) -> Vec<String> {
    let mut found = Vec::new();
    if theirs.status != ours.status {
        found.push(format!("status {} and {}", theirs.status, ours.status));
    }
    let names: &[&str] = match ours.status {
        // A `multipart/byteranges` of nginx has no `accept-ranges`.
        206 => &[
            "content-range",
            "content-length",
            "last-modified",
            "content-encoding",
        ],
        200 => &[
            "content-length",
            "last-modified",
            "accept-ranges",
            "content-encoding",
        ],
        416 => &["content-range"],
        304 => &["last-modified"],
        _ => &[],
    };
    for name in names {
        // nginx has no ranges of compressed files.
        if *name == "accept-ranges" && ours.header("content-encoding").is_some() {
            continue;
        }
        let values = [theirs, ours].map(|response| response.header(name));
        // The boundaries of the two have different lengths.
        let is_multipart = ours
            .header("content-type")
            .is_some_and(|value| value.contains("boundary"));
        if values[0] != values[1] && !(is_multipart && *name == "content-length") {
            found.push(format!("{name} {values:?}"));
        }
    }
    if ours.status < 300 {
        let essence = |response: &SeenResponse| {
            let value = response.header("content-type")?;
            Some(value.split("; boundary").next()?.to_owned())
        };
        if essence(theirs) != essence(ours) {
            found.push(format!("content-type {:?}", [essence(theirs), essence(ours)]));
        }
        if theirs.content() != ours.content() {
            found.push("content".to_owned());
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_served_as_nginx_serves_them() {
    if !requirements::nginx() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    write_site(folder.path());
    let _nginx = Nginx::start(folder.path(), &directives(folder.path()))
        .await
        .expect("a running nginx");
    let files = Files::new(folder.path().join("pub")).precompressed(true);
    let site = ServedApp::http(App::new(routes![], ()).files("/", files)).await;
    let (mut same, mut different, mut wrong) = (0, 0, Vec::new());
    let mut validators = [[String::new(), String::new()], [String::new(), String::new()]];
    for (method, path, headers, expected) in requests() {
        let request = |[tag, date]: &[String; 2]| {
            let mut text = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n");
            for header in &headers {
                text += &header.replace("{tag}", tag).replace("{date}", date);
                text += "\r\n";
            }
            text + "\r\n"
        };
        let stream = UnixStream::connect(folder.path().join("socket"))
            .await
            .expect("a running nginx");
        let theirs = send(stream, &request(&validators[0])).await;
        let stream = TcpStream::connect(site.address).await.expect("a running server");
        let ours = send(stream, &request(&validators[1])).await;
        let what = format!("{method} {path} {headers:?}");
        if path == "/data.bin" && [theirs.status, ours.status] == [200; 2] && method == "GET" {
            for (known, response) in validators.iter_mut().zip([&theirs, &ours]) {
                *known = ["etag", "last-modified"]
                    .map(|name| response.header(name).expect("a validator").to_owned());
            }
        }
        let found = differences(&theirs, &ours);
        match expected {
            Same if found.is_empty() => same += 1,
            Same => wrong.push(format!("{what}: {}", found.join(", "))),
            Differs(status, own, _) if (theirs.status, ours.status) == (status, own) => different += 1,
            Differs(_, _, reason) => {
                wrong.push(format!(
                    "{what}: {} and {}, but {reason}",
                    theirs.status, ours.status
                ));
            }
        }
        if let (Some(location), Some(own)) = (theirs.header("location"), ours.header("location")) {
            // Theirs is absolute, and ours relative to a path of one part.
            assert_eq!(location, own.trim_start_matches('.'), "{what}");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    println!(
        "{} requests, {same} equal, {different} listed differences",
        same + different
    );
    site.stop().await;
}
