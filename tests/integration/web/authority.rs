//! Which host a request is for, on every front end.

use super::server::{create_certificate, run};
use crate::support::served_app::Protocol;
use crate::support::{Nginx, ServedApp, requirements};
use brubeck::prelude::*;
use brubeck::testing::TestClient;
use brubeck::{Authority, Scheme};

const SECRET: &str = "a secret of the tests, 32 bytes long";

#[get("^/host$")]
async fn host(headers: Headers, uri: http::Uri, scheme: Scheme, authority: Option<Authority>) -> String {
    let authority = authority.map_or("-".to_owned(), |authority| authority.to_string());
    format!(
        "{} {uri} {scheme} {authority}",
        headers.text("host").unwrap_or("-")
    )
}

#[post("^/change$")]
async fn change(session: Session) -> &'static str {
    session.set("changed", 1);
    "changed"
}

#[websocket("^/socket$")]
async fn socket(mut socket: WebSocket) {
    let _ = socket.send("hello").await;
    while socket.recv().await.is_some() {}
}

const ROUTES: Routes<()> = routes![host, change, socket];

fn app() -> App<()> {
    let axum = axum::Router::new().route(
        "/host",
        axum::routing::get(|headers: http::HeaderMap, uri: http::Uri| async move {
            let host = headers.get("host").map_or("-", |host| host.to_str().unwrap());
            format!("{host} {uri}")
        }),
    );
    App::new(ROUTES, ()).cookie_secret(SECRET).mount("/axum", axum)
}

/// A request to each front end, and its response: the status, the body, and whether it sets a `Secure` cookie.
struct Case {
    method: &'static str,
    path: &'static str,
    host: &'static str,
    headers: &'static [(&'static str, &'static str)],
    response: (u16, &'static str, bool),
}

const fn case(
    method: &'static str,
    path: &'static str,
    host: &'static str,
    headers: &'static [(&'static str, &'static str)],
    response: (u16, &'static str, bool),
) -> Case {
    Case {
        method,
        path,
        host,
        headers,
        response,
    }
}

const COOKIE: (&str, &str) = ("cookie", "session=x");
const FORBIDDEN: &str = "this request was started by another site";

const CASES: &[Case] = &[
    case(
        "GET",
        "/host",
        "shop.example",
        &[],
        (200, "shop.example /host http shop.example", false),
    ),
    case(
        "GET",
        "/host?a=1",
        "Shop.example:8080",
        &[],
        (200, "shop.example:8080 /host?a=1 http shop.example:8080", false),
    ),
    case(
        "GET",
        "/host",
        "[2001:DB8::1]:80",
        &[],
        (200, "[2001:db8::1]:80 /host http [2001:db8::1]:80", false),
    ),
    case(
        "GET",
        "/axum/host?a=1",
        "shop.example:81",
        &[],
        (200, "shop.example:81 /host?a=1", false),
    ),
    case(
        "POST",
        "/change",
        "shop.example",
        &[COOKIE],
        (200, "changed", true),
    ),
    case(
        "POST",
        "/change",
        "shop.example",
        &[COOKIE, ("origin", "http://shop.example")],
        (200, "changed", true),
    ),
    case(
        "POST",
        "/change",
        "shop.example:80",
        &[COOKIE, ("origin", "http://shop.example")],
        (200, "changed", true),
    ),
    case(
        "POST",
        "/change",
        "shop.example",
        &[COOKIE, ("origin", "http://shop.example:80")],
        (200, "changed", true),
    ),
    case(
        "POST",
        "/change",
        "shop.example:443",
        &[COOKIE, ("origin", "https://shop.example")],
        (200, "changed", true),
    ),
    case(
        "POST",
        "/change",
        "shop.example",
        &[COOKIE, ("origin", "https://shop.example")],
        (403, FORBIDDEN, false),
    ),
    case(
        "POST",
        "/change",
        "shop.example",
        &[COOKIE, ("origin", "http://shop.example:81")],
        (403, FORBIDDEN, false),
    ),
    case(
        "POST",
        "/change",
        "shop.example",
        &[COOKIE, ("origin", "http://evil.example")],
        (403, FORBIDDEN, false),
    ),
];

/// Sends a request over HTTP/1.1.
async fn ask_http_1(site: &ServedApp, target: &str, case: &Case) -> (u16, String, bool) {
    let headers: String = case
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let mut browser = site.browser().await;
    browser
        .send(format!(
            "{} {target} HTTP/1.1\r\nhost: {}\r\naccept: text/plain\r\n{headers}content-length: 0\r\n\r\n",
            case.method, case.host
        ))
        .await;
    let response = browser.read_response().await;
    let is_secure = response
        .header("set-cookie")
        .is_some_and(|cookie| cookie.contains("; Secure"));
    (response.status, response.text().to_owned(), is_secure)
}

/// Sends a request over HTTP/2. Returns `None` if curl is not installed.
async fn ask_http_2(site: &ServedApp, case: &Case) -> Option<(u16, String, bool)> {
    // Curl takes the authority from the URL, and connects to the address of the application.
    let (method, port) = (case.method, case.host.rsplit_once(':'));
    let port = port
        .filter(|(_, port)| !port.ends_with(']'))
        .map_or("80", |(_, port)| port);
    let name = case.host.strip_suffix(&format!(":{port}")).unwrap_or(case.host);
    let mut arguments = vec![
        "--silent".to_owned(),
        "--http2-prior-knowledge".to_owned(),
        "--max-time".to_owned(),
        "10".to_owned(),
        "--noproxy".to_owned(),
        "*".to_owned(),
        "--connect-to".to_owned(),
        format!("{name}:{port}:{}", site.address),
        "--write-out".to_owned(),
        "\n%{http_code} %header{set-cookie}".to_owned(),
        "--request".to_owned(),
        method.to_owned(),
        "--header".to_owned(),
        "accept: text/plain".to_owned(),
    ];
    if port == "80" && case.host.ends_with(":80") || port == "443" {
        // Curl leaves a default port out.
        arguments.extend(["--header".to_owned(), format!("host: {}", case.host)]);
    }
    for (name, value) in case.headers {
        arguments.extend(["--header".to_owned(), format!("{name}: {value}")]);
    }
    arguments.push(format!("http://{}{}", case.host, case.path));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let output = run("curl", &arguments).await?;
    let (body, head) = output.rsplit_once('\n')?;
    let (status, cookie) = head.split_once(' ')?;
    Some((status.parse().ok()?, body.to_owned(), cookie.contains("; Secure")))
}

async fn ask_test_client(client: &TestClient, case: &Case) -> (u16, String, bool) {
    client.forget_cookies();
    let method = case.method.parse().unwrap();
    let request = client.request(method, &format!("http://{}{}", case.host, case.path));
    let request = case
        .headers
        .iter()
        .fold(request, |request, (name, value)| request.header(name, value));
    let response = request.accept("text/plain").await;
    let is_secure = response
        .header("set-cookie")
        .is_some_and(|cookie| cookie.contains("; Secure"));
    (response.status(), response.text().to_owned(), is_secure)
}

#[tokio::test]
async fn every_front_end_decides_the_same_authority() {
    let mut sites = vec![ServedApp::http(app()).await];
    if requirements::mongrel2() {
        sites.push(ServedApp::mongrel2(app(), Protocol::Json).await);
    }
    let client = TestClient::new(app());
    for case in CASES {
        let (status, text, is_secure) = case.response;
        let expected = (status, text.to_owned(), is_secure);
        let request = format!("{} {} {} {:?}", case.method, case.path, case.host, case.headers);
        for (position, site) in sites.iter().enumerate() {
            assert_eq!(
                ask_http_1(site, case.path, case).await,
                expected,
                "{position} {request}"
            );
        }
        if let Some(response) = ask_http_2(&sites[0], case).await {
            assert_eq!(response, expected, "HTTP/2 {request}");
        }
        assert_eq!(ask_test_client(&client, case).await, expected, "{request}");
    }
    for site in sites {
        site.stop().await;
    }
}

#[tokio::test]
async fn authority_of_an_absolute_target_takes_precedence_over_host() {
    let mut sites = vec![ServedApp::http(app()).await];
    if requirements::mongrel2() {
        sites.push(ServedApp::mongrel2(app(), Protocol::Json).await);
    }
    for site in &sites {
        let ask = async |method, target, headers| {
            let case = case(method, "", "other.example", headers, (0, "", false));
            ask_http_1(site, target, &case).await
        };
        let (status, text, _) = ask("GET", "http://Real.example/host?a=1", &[]).await;
        assert_eq!(
            (status, &*text),
            (200, "real.example /host?a=1 http real.example")
        );
        let own: &[_] = &[COOKIE, ("origin", "http://real.example")];
        assert_eq!(ask("POST", "http://real.example/change", own).await.0, 200);
        let other: &[_] = &[COOKIE, ("origin", "http://other.example")];
        assert_eq!(ask("POST", "http://real.example/change", other).await.0, 403);
        assert_eq!(ask("GET", "http://u:p@real.example/host", &[]).await.0, 400);
    }
    for site in sites {
        site.stop().await;
    }
}

#[tokio::test]
async fn invalid_host_is_400() {
    let mut sites = vec![ServedApp::http(app()).await];
    if requirements::mongrel2() {
        sites.push(ServedApp::mongrel2(app(), Protocol::Json).await);
    }
    for site in &sites {
        for (host, status) in [
            (&b"a b"[..], 400),
            (b"a/b", 400),
            (b"a@b", 400),
            (b"http://a", 400),
            (b"<script>", 400),
            (b"x\xe9", 400),
            (b"a:b", 400),
            (b":80", 400),
            (b"[::1", 400),
            (b"a,b", 200),
            (b"a:", 200),
            (b"", 200),
            (b"[::1]:80", 200),
            (b"1.2.3.4", 200),
            (b"xn--bcher-kva.example:65535", 200),
            (b"a%20b", 200),
        ] {
            let mut browser = site.browser().await;
            browser
                .send([&b"GET /host HTTP/1.1\r\nhost: "[..], host, b"\r\n\r\n"].concat())
                .await;
            let response = browser.read_response().await;
            assert_eq!(response.status, status, "{}", host.escape_ascii());
        }
        for hosts in ["", "host: a\r\nhost: a\r\n"] {
            let mut browser = site.browser().await;
            browser.send(format!("GET /host HTTP/1.1\r\n{hosts}\r\n")).await;
            assert_eq!(browser.read_response().await.status, 400, "{hosts}");
        }
    }
    for site in sites {
        site.stop().await;
    }
}

#[tokio::test]
async fn other_hosts_are_421_before_layers_and_mounted_services() {
    let client = TestClient::new(app().hosts(["shop.example", "*.shop.example:8080", "localhost:6767"]));
    for (target, status) in [
        ("http://shop.example/host", 200),
        ("https://SHOP.example:8443/host", 200),
        ("http://www.shop.example:8080/axum/host", 200),
        ("http://localhost:6767/host", 200),
        ("http://www.shop.example/host", 421),
        ("http://evil.example/host", 421),
        ("http://evil.example/axum/host", 421),
        ("/host", 421),
    ] {
        client.get(target).await.assert_status(status);
    }
    for invalid in ["https://shop.example", "shop.example/", "*", ""] {
        let error = app().hosts([invalid]).into_service().unwrap_err().to_string();
        assert!(
            error.contains("`App::hosts`") && error.contains("expected `example.org`"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn trusted_proxy_forwards_scheme_and_host() {
    let client = TestClient::new(app().trusted_proxies(["10.0.0.1"]));
    let ask = async |peer: [u8; 4], headers: &[(&str, &str)]| {
        let request = client.get("http://127.0.0.1:6767/host").from(peer.into());
        let request = headers
            .iter()
            .fold(request, |request, (name, value)| request.header(name, value));
        let response = request.await;
        (response.status(), response.text().to_owned())
    };
    let standard = [("forwarded", "for=9.9.9.9;host=\"shop.example\";proto=https")];
    let common = [
        ("x-forwarded-for", "9.9.9.9"),
        ("x-forwarded-host", "shop.example"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-port", "443"),
    ];
    for headers in [&standard[..], &common[..]] {
        let forwarded = (200, "shop.example /host https shop.example".to_owned());
        assert_eq!(ask([10, 0, 0, 1], headers).await, forwarded);
        let direct = (200, "127.0.0.1:6767 /host http 127.0.0.1:6767".to_owned());
        assert_eq!(ask([10, 0, 0, 2], headers).await, direct, "not from the proxy");

        client.forget_cookies();
        let change = |origin: &str| {
            let request = client
                .post("http://127.0.0.1:6767/change")
                .from([10, 0, 0, 1].into());
            let request = headers
                .iter()
                .fold(request, |request, (name, value)| request.header(name, value));
            request.header("cookie", "a=b").header("origin", origin)
        };
        let response = change("https://shop.example").await;
        response.assert_status(200);
        assert!(response.header("set-cookie").unwrap().ends_with("; Secure"));
        change("http://shop.example").await.assert_status(403);
        change("http://127.0.0.1:6767").await.assert_status(403);
    }
    let port = [("x-forwarded-host", "shop.example"), ("x-forwarded-port", "8443")];
    assert_eq!(
        ask([10, 0, 0, 1], &port).await.1,
        "shop.example:8443 /host http shop.example:8443"
    );
    for (name, invalid) in [
        ("x-forwarded-host", "a b"),
        ("x-forwarded-proto", "x"),
        ("forwarded", "host=\"a/b\""),
    ] {
        assert_eq!(ask([10, 0, 0, 1], &[(name, invalid)]).await.0, 400, "{name}");
    }
}

#[tokio::test]
async fn trusted_origin_is_parsed_at_the_start() {
    for origin in ["https://pay.example.org", "https://PAY.example.org:443"] {
        let client = TestClient::new(app().trust_origin(origin));
        let request = client.post("/change").header("cookie", "a=b");
        let request = request.header("origin", "https://pay.example.org");
        request
            .header("sec-fetch-site", "cross-site")
            .await
            .assert_status(200);
    }
    for (invalid, hint) in [
        ("https://pay.example.org/", "write `https://pay.example.org`"),
        ("pay.example.org", "write `https://pay.example.org`"),
        ("not an origin", "expected `https://example.org`"),
    ] {
        let error = app()
            .trust_origin(invalid)
            .into_service()
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("`App::trust_origin`") && error.contains(hint),
            "{error}"
        );
    }
}

#[tokio::test]
async fn websocket_checks_scheme_host_and_port_of_the_origin() {
    let mut sites = vec![ServedApp::http(app()).await];
    if requirements::mongrel2() {
        sites.push(ServedApp::mongrel2(app(), Protocol::Json).await);
    }
    for site in &sites {
        for (host, origin, status) in [
            ("x.test", "http://x.test", 101),
            ("x.test", "http://x.test:80", 101),
            ("x.test:80", "http://X.test", 101),
            ("x.test:443", "https://x.test", 101),
            ("x.test", "https://x.test", 403),
            ("x.test", "http://x.test:81", 403),
            ("x.test", "http://y.test", 403),
            ("x.test", "null", 403),
        ] {
            let mut browser = site.browser().await;
            browser
                .send(format!(
                    "GET /socket HTTP/1.1\r\nhost: {host}\r\norigin: {origin}\r\nconnection: upgrade\r\n\
                     upgrade: websocket\r\nsec-websocket-version: 13\r\n\
                     sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
                ))
                .await;
            let response = browser.read_head_response().await;
            assert_eq!(response.status, status, "{host} {origin}");
        }
    }
    for site in sites {
        site.stop().await;
    }
}

#[tokio::test]
async fn documented_nginx_configuration_gives_secure_cookies_and_accepted_forms() {
    let folder = tempfile::tempdir().unwrap();
    let (true, Some((certificate, key))) = (requirements::nginx(), create_certificate(&folder).await) else {
        return;
    };
    let site = ServedApp::http(app().trusted_proxies(["127.0.0.1"]).hosts(["shop.example"])).await;
    // Another process may take the port before nginx does; then nginx ends, and the next one is tried.
    let mut port = 0;
    let mut nginx = None;
    for _ in 0..10 {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        port = free.local_addr().unwrap().port();
        drop(free);
        let application = site.address;
        let server = format!(
            "server {{\n\
               listen 127.0.0.1:{port} ssl; ssl_certificate {certificate}; ssl_certificate_key {key};\n\
               location / {{\n\
                 proxy_pass http://{application};\n\
                 proxy_set_header Forwarded 'for=\"$remote_addr\";host=\"$http_host\";proto=$scheme';\n\
               }}\n\
             }}"
        );
        nginx = Nginx::start(folder.path(), &server).await;
        if nginx.is_some() {
            break;
        }
    }
    assert!(nginx.is_some(), "nginx does not start");
    let ask = async |arguments: &[&str], path: &str| {
        let (to, url) = (
            format!("::127.0.0.1:{port}"),
            format!("https://shop.example:{port}{path}"),
        );
        let fixed = [
            "--silent",
            "--insecure",
            "--max-time",
            "10",
            "--noproxy",
            "*",
            "--connect-to",
            &to,
        ];
        run("curl", &[&fixed[..], arguments, &[&url]].concat())
            .await
            .unwrap_or_default()
    };
    let host = format!("shop.example:{port}");
    // The client may send such headers, too, and cannot forge anything with them.
    for forged in ["x-forwarded-host: evil.example", "x-forwarded-proto: http"] {
        assert_ne!(
            ask(&["--header", forged], "/host").await,
            format!("{host} /host https {host}")
        );
    }
    assert_eq!(
        ask(&["--header", "forwarded: host=evil.example"], "/host").await,
        format!("{host} /host https {host}")
    );
    let origin = format!("origin: https://{host}");
    let form = [
        "--include",
        "--request",
        "POST",
        "--header",
        "cookie: a=b",
        "--header",
        &origin,
    ];
    let response = ask(&form, "/change").await;
    assert!(response.ends_with("\r\n\r\nchanged"), "{response}");
    assert!(
        response.contains("set-cookie: ") && response.contains("; Secure\r\n"),
        "{response}"
    );
    site.stop().await;
}
