//! Generates requests of every kind, reproducibly from a seed.

use super::site::BODY_LIMIT;
use std::fmt;

/// A request, independent of the front end.
#[derive(Clone, Debug, Default)]
pub struct TestRequest {
    pub method: &'static str,
    pub target: String,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
    /// The size of the chunks in which the body is sent, if the front end accepts chunks.
    pub chunks: Option<usize>,
}

impl fmt::Display for TestRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {} (chunks: {:?})", self.method, self.target, self.chunks)?;
        for (name, value) in &self.headers {
            writeln!(f, "{name}: {}", value.escape_ascii())?;
        }
        write!(f, "\n{}", self.body.escape_ascii())
    }
}

/// An endless iterator of requests.
pub struct RequestGenerator {
    state: u64,
    /// Includes requests that Mongrel2 rejects before they reach an application.
    malformed: bool,
}

impl RequestGenerator {
    pub fn new(seed: usize, malformed: bool) -> RequestGenerator {
        let state = 0x9e37_79b9_7f4a_7c15 ^ seed as u64;
        RequestGenerator { state, malformed }
    }

    fn below(&mut self, limit: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        usize::try_from(self.state % limit as u64).expect("a small number")
    }

    /// Returns `true` with a probability of 1 in `of`.
    fn chance(&mut self, of: usize) -> bool {
        self.below(of) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn joined(&mut self, parts: &[&str], max: usize) -> String {
        (0..self.below(max + 1)).map(|_| self.pick(parts)).collect()
    }

    /// Returns a part of a path, percent-encoded in places.
    fn encoded(&mut self) -> String {
        const PARTS: &[&str] = &[
            "a",
            "B",
            "7",
            "-",
            "_",
            "~",
            ".",
            "..",
            "%20",
            "%C3%A9",
            "%2F",
            "%2e%2e",
            "%00",
            "%FF",
            "%0D%0A",
            "%3Cscript%3E",
            "+",
            ",",
            ";",
            ":",
            "@",
            "!",
            "$",
            "'",
            "(",
            ")",
            "*",
            "/",
            "//",
        ];
        const MALFORMED: &[&str] = &["%", "%zz", "|", "^"];
        let text = self.joined(PARTS, 5);
        if self.malformed && self.chance(20) {
            text + self.pick(MALFORMED)
        } else {
            text
        }
    }

    fn query(&mut self) -> String {
        const NAMES: &[&str] = &["dish", "count", "extra", "name", "to", "x%20y", ""];
        const VALUES: &[&str] = &[
            "soup",
            "7",
            "300",
            "",
            "caf%C3%A9",
            "a+b",
            "%26",
            "%FF",
            "-1",
            "/x",
            "//evil.example",
            "%0D%0Aset-cookie:x",
        ];
        let pairs: Vec<String> = (0..self.below(5))
            .map(|_| match self.below(8) {
                0 => self.pick(NAMES).to_owned(),
                _ => format!("{}={}", self.pick(NAMES), self.pick(VALUES)),
            })
            .collect();
        pairs.join("&")
    }

    fn target(&mut self) -> String {
        const PATHS: &[&str] = &[
            "/query",
            "/form",
            "/json",
            "/text",
            "/argument",
            "/upload",
            "/header",
            "/cookies",
            "/nothing",
            "/redirect",
            "/headers",
            "/page",
            "/problem",
            "/file",
            "/stream/0",
            "/stream/1",
            "/stream/7",
            "/stream/known",
            "/stream/none",
            "/events",
            "/none",
            "/axum/uri",
            "/axum/echo",
            "/axum/none",
            "/static/demo/success.html",
            "/static/demo",
            "/static/none",
            "/",
        ];
        let path = match self.below(6) {
            0 => "/echo".to_owned(),
            1 => format!("/echo/{}", self.encoded()),
            2 => format!(
                "/status/{}",
                self.pick(&[200, 201, 204, 205, 304, 400, 404, 418, 500, 599])
            ),
            3 if self.chance(8) => {
                let path = self.encoded();
                // Mongrel2 parses an authority after `//`, and responds with 400 itself if it is invalid.
                if self.malformed {
                    format!("/{path}")
                } else {
                    format!("/{}", path.trim_start_matches('/'))
                }
            }
            _ => self.pick(PATHS).to_owned(),
        };
        if self.chance(2) {
            format!("{path}?{}", self.query())
        } else {
            path
        }
    }

    fn header(&mut self) -> (String, Vec<u8>) {
        const NAMES: &[&str] = &[
            "x-a",
            "X-Count",
            "x-b",
            "user-agent",
            "accept-language",
            "x-mongrel",
            "referer",
        ];
        const VALUES: &[&str] = &[
            "1",
            "7",
            "-1",
            "x",
            "a b",
            "a, b",
            "\"q\"",
            "a;b=c",
            "{\"a\":1}",
            "\\",
            "é",
            "0123456789abcdef",
        ];
        let value = if self.chance(12) {
            // Not UTF-8.
            vec![b'x', 0xe9, b'y']
        } else {
            self.pick(VALUES).as_bytes().to_vec()
        };
        match self.below(12) {
            0 | 1 => (
                "accept".into(),
                self.pick(&[
                    "text/html",
                    "application/json",
                    "*/*",
                    "text/html;q=0.1, application/json",
                ])
                .into(),
            ),
            2 | 3 => (
                "cookie".into(),
                self.pick(&["a=1", "a=1; b=%C3%A9", "invalid", "=; ;a", "session=v1.a.b.c"])
                    .into(),
            ),
            4 => (
                "sec-fetch-site".into(),
                self.pick(&["cross-site", "same-origin", "none"]).into(),
            ),
            5 => (
                "origin".into(),
                self.pick(&["https://evil.example", "http://localhost"]).into(),
            ),
            6 => (
                "range".into(),
                self.pick(&["bytes=0-9", "bytes=-5", "bytes=99999-", "bytes=x", "lines=1"])
                    .into(),
            ),
            7 => (
                "if-none-match".into(),
                self.pick(&["*", "\"x\"", "W/\"x\""]).into(),
            ),
            8 => (
                "if-modified-since".into(),
                self.pick(&[
                    "Fri, 01 Jan 2100 00:00:00 GMT",
                    "Thu, 01 Jan 1970 00:00:00 GMT",
                    "never",
                ])
                .into(),
            ),
            _ => (self.pick(NAMES).into(), value),
        }
    }

    /// Returns a media type, if any, and a body. The body does not always match the media type.
    fn body(&mut self) -> (Option<String>, Vec<u8>) {
        const JSON: &[&str] = &[
            "{\"items\":[{\"price\":3}]}",
            "{\"items\":[{\"price\":-3}]}",
            "{\"items\":[]}",
            "{\"items\":",
            "[]",
            "null",
            "7 7",
        ];
        const MULTIPART: &str = "--x\r\ncontent-disposition: form-data; name=\"title\"\r\n\r\nhello\r\n--x\r\ncontent-disposition: \
            form-data; name=\"file\"; filename=\"../a.txt\"\r\ncontent-type: text/plain\r\n\r\nabc\r\n--x--\r\n";
        let mut media_type = self.pick(&[
            "application/json",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
        ]);
        let body: Vec<u8> = match media_type {
            "application/json" => self.pick(JSON).into(),
            "application/x-www-form-urlencoded" => self.query().into(),
            _ if self.chance(3) => MULTIPART[..self.below(MULTIPART.len())].into(),
            _ => MULTIPART.into(),
        };
        let body = match self.below(12) {
            0 => (0..self.below(64)).map(|_| self.below(256) as u8).collect(),
            1 => vec![b'x'; BODY_LIMIT - 1 + self.below(3)],
            2 => Vec::new(),
            _ => body,
        };
        if self.chance(6) {
            media_type = self.pick(&[
                "text/plain",
                "Application/JSON; charset=utf-8",
                "application/vnd.a+json",
                "invalid",
                "multipart/form-data",
            ]);
        }
        ((!self.chance(15)).then(|| media_type.to_owned()), body)
    }
}

impl Iterator for RequestGenerator {
    type Item = TestRequest;

    fn next(&mut self) -> Option<TestRequest> {
        let mut request = TestRequest {
            method: self.pick(&[
                "GET", "GET", "GET", "POST", "POST", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS",
            ]),
            target: self.target(),
            ..TestRequest::default()
        };
        let path = request.target.split('?').next().unwrap_or_default();
        // In most cases a method that the path supports.
        if !self.chance(5) && !path.starts_with("/echo") {
            let posted = [
                "/form",
                "/json",
                "/text",
                "/argument",
                "/upload",
                "/nothing",
                "/stream/known",
                "/axum/echo",
            ]
            .contains(&path);
            request.method = if posted {
                "POST"
            } else {
                self.pick(&["GET", "GET", "GET", "HEAD"])
            };
        }
        if self.chance(60) {
            request.method = self.pick(&["BREW", "PROPFIND", "TRACE"]);
        }
        for _ in 0..self.below(4) {
            let (name, value) = self.header();
            request.headers.push((name, value));
        }
        if matches!(request.method, "POST" | "PUT" | "PATCH") {
            let (media_type, body) = self.body();
            request
                .headers
                .extend(media_type.map(|name| ("content-type".to_owned(), name.into())));
            request.body = body;
            request.chunks = self.chance(4).then(|| 1 + self.below(500));
            // In half of the cases the target has a handler for the media type. All unknown types go to `/upload`.
            if self.chance(2) {
                request.target = match request.headers.last().map(|(_, value)| &value[..]) {
                    Some(b"application/json") => "/json".into(),
                    Some(b"application/x-www-form-urlencoded") => self.pick(&["/form", "/argument"]).into(),
                    Some(_) => "/upload".into(),
                    None => "/text".into(),
                };
            }
        }
        Some(request)
    }
}
