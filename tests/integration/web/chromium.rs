//! Chromium as the client: the session, which cookies it keeps, compared with `TestClient`, and a login over HTTP/2.

use super::server::create_certificate;
use crate::support::{ServedApp, requirements, with_timeout};
use brubeck::prelude::*;
use brubeck::testing::TestClient;
use brubeck::{SameSite, User};
use std::collections::BTreeSet;
use tokio::sync::mpsc;

const SECRET: &str = "a secret of the tests, 32 bytes long";

/// What the server sends as `set-cookie` to `/set/0`, `/set/1`, and so on.
const ROWS: &[&str] = &[
    "a0=1; Path=/",
    "a1=1",
    "a2=1; Path=/adm",
    "a3=1; Path=/admin",
    "a4=1; Path=/; Domain=other.example",
    "a5=1; Path=/; Secure",
    "a6=1; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
    "a7=1; Path=/; Max-Age=0",
    "a8=1; Path=/; Max-Age=-1",
    "a9=1; Path=/; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
    "b0=1; Path=/; SameSite=None",
    "b1=1; Path=/; SameSite=None; Secure",
    "__Host-b2=1; Path=/",
    "__Host-b3=1; Path=/; Secure",
    "__Host-b4=1; Path=/adm; Secure",
    "__Host-b5=1; Path=/; Secure; Domain=localhost",
    "__Secure-b6=1; Path=/",
    "__Secure-b7=1; Path=/; Secure",
    "__host-b8=1; Path=/",
    "b9=1; Path=",
];

const PAGE: &str = "<!doctype html><script>
(async () => {
    const text = async path => (await fetch(path)).text();
    const counts = [await text('/count'), await text('/count')];
    document.cookie = 'name=J\u{fc}rgen';
    counts.push(await text('/count'));
    for (let row = 0; row < ROWS; row++) await text('/set/' + row);
    await text('/embed');
    const lines = [counts.join(' '), await text('/cookies'), await text('/adm/cookies')];
    await fetch('/result', { method: 'POST', body: lines.join('\\n') });
})();
</script>";

#[get("^/$")]
async fn page() -> Html<String> {
    Html(PAGE.replace("ROWS", &ROWS.len().to_string()))
}

#[get("^/count$")]
async fn count(session: Session) -> String {
    let n = session.get("n").unwrap_or(0) + 1;
    session.set("n", n);
    n.to_string()
}

#[get("^/set/(?<row>\\d+)$")]
async fn set(row: usize) -> Response {
    "".into_reply().with_header("set-cookie", ROWS[row])
}

#[get("^/embed$")]
async fn embed(cookies: Cookies) {
    cookies.set(Cookie::new("__Host-sid", "1"));
    cookies.set(Cookie::new("__Secure-x", "1"));
    cookies.set(Cookie::new("embed", "1").same_site(SameSite::None));
}

#[get("^/(?:adm/)?cookies$")]
async fn sent(cookies: Cookies) -> String {
    let names: Vec<&str> = cookies.sent().map(|(name, _)| name).collect();
    names.join(" ")
}

#[post("^/result$")]
async fn result(Text(text): Text, results: State<mpsc::UnboundedSender<String>>) {
    let _ = results.send(text);
}

const ROUTES: Routes<mpsc::UnboundedSender<String>> = routes![page, count, set, embed, sent, result];

/// Opens a page in Chromium, and returns the result that it posts.
async fn result_in_chromium(url: &str, results: &mut mpsc::UnboundedReceiver<String>) -> String {
    let profile = tempfile::tempdir().unwrap();
    let mut chromium = tokio::process::Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"])
        // The certificate of the test is self-signed.
        .arg("--ignore-certificate-errors")
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg("--remote-debugging-port=0")
        .arg(url)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let text = with_timeout(results.recv())
        .await
        .expect("the result of the page");
    chromium.kill().await.unwrap();
    text
}

fn names(line: &str) -> BTreeSet<&str> {
    line.split(' ').filter(|name| *name != "name").collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn test_client_keeps_the_cookies_that_chromium_keeps() {
    if !requirements::chromium() {
        return;
    }
    let (results, mut received) = mpsc::unbounded_channel();
    let app = || App::new(ROUTES, results.clone()).cookie_secret(SECRET);
    let site = ServedApp::http(app()).await;
    let text = result_in_chromium(
        &format!("http://localhost:{}/", site.address.port()),
        &mut received,
    )
    .await;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "1 2 3", "the session survives a foreign cookie");

    let client = TestClient::new(app());
    client.get("/count").await.assert_text("1");
    for row in 0..ROWS.len() {
        client.get(&format!("/set/{row}")).await.assert_status(200);
    }
    client.get("/embed").await.assert_status(204);
    let everywhere = client.get("/cookies").await;
    let below = client.get("/adm/cookies").await;
    assert_eq!(names(everywhere.text()), names(lines[1]));
    assert_eq!(names(below.text()), names(lines[2]));
    for kept in ["__Host-sid", "__Secure-x", "embed", "session"] {
        assert!(names(lines[1]).contains(kept), "{kept}: {}", lines[1]);
    }
    site.stop().await;
}

struct Member(String);

impl User for Member {
    type State = mpsc::UnboundedSender<String>;

    async fn find(id: &str, _: &Self::State) -> Option<Member> {
        (id == "J\u{fc}rgen").then(|| Member(id.to_owned()))
    }
}

#[derive(serde::Deserialize)]
struct Login {
    name: String,
}

const LOGIN_FORM: &str =
    "<!doctype html><form method=post action=/login><input name=name value='J\u{fc}rgen'></form>
<script>document.forms[0].submit();</script>";

const ACCOUNT: &str = "<!doctype html><script>
(async () => {
    const text = async (path, options) => {
        const response = await fetch(path, options);
        return response.status + ' ' + await response.text();
    };
    const lines = [await text('/me'), await text('/me', { credentials: 'omit' })];
    document.cookie = 'name=J\u{fc}rgen; Secure';
    document.cookie = 'other=\u{201c}x\u{201d}; Path=/';
    lines.push(await text('/me'));
    lines.push(await text('/caf\u{e9}'), await text('/hello world'), await text('/text/' + encodeURIComponent('a/\u{e9} %2F')));
    lines.push(await text('/change', { method: 'POST' }));
    // The server answers before it has read the body.
    const body = new Uint8Array(5000000);
    lines.push(await text('/change', { method: 'POST', body }), await text('/nowhere', { method: 'POST', body }));
    lines.push(document.cookie.includes('session') ? 'readable' : 'hidden');
    const entries = [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')];
    lines.push([...new Set(entries.map(entry => entry.nextHopProtocol))].join(' '));
    lines.push(await text('/logout', { method: 'POST' }), await text('/me'));
    await fetch('/result', { method: 'POST', body: lines.join('\\n') });
})();
</script>";

#[get("/")]
async fn login_form() -> Html<&'static str> {
    Html(LOGIN_FORM)
}

#[post("/login")]
async fn log_in(login: Form<Login>, session: Session) -> Redirect {
    session.log_in(login.0.name);
    Redirect::to("/account")
}

#[post("/logout")]
async fn log_out(session: Session) -> &'static str {
    session.log_out();
    "out"
}

#[get("/account")]
async fn account(_member: CurrentUser<Member>) -> Html<&'static str> {
    Html(ACCOUNT)
}

#[get("/me")]
async fn me(member: CurrentUser<Member>) -> String {
    member.0.0
}

#[get("/caf\u{e9}")]
async fn cafe() -> &'static str {
    "cafe"
}

#[get("/hello world")]
async fn hello_world() -> &'static str {
    "hello"
}

#[get("/text/{text}")]
async fn text(text: String) -> String {
    text
}

#[post("/change")]
async fn change(_member: CurrentUser<Member>, session: Session) -> &'static str {
    session.set("changed", true);
    "changed"
}

const LOGIN: Routes<mpsc::UnboundedSender<String>> = routes![
    login_form,
    log_in,
    log_out,
    account,
    me,
    cafe,
    hello_world,
    text,
    change,
    result
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chromium_logs_in_over_http_2() {
    let folder = tempfile::tempdir().unwrap();
    let (true, Some((certificate, key))) = (requirements::chromium(), create_certificate(&folder).await)
    else {
        return;
    };
    let (results, mut received) = mpsc::unbounded_channel();
    let app = App::new(LOGIN, results).cookie_secret(SECRET).development(false);
    let server = Http::bind("127.0.0.1:0").tls(&certificate, &key);
    let running = app.start(server).await.unwrap();
    let port = running.address().rsplit(':').next().unwrap();
    let text = result_in_chromium(&format!("https://localhost:{port}/"), &mut received).await;
    running.stop().await.unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let [me, anonymous, with_foreign_cookies, rest @ ..] = &lines[..] else {
        panic!("{text}");
    };
    assert_eq!(
        (*me, *with_foreign_cookies),
        ("200 J\u{fc}rgen", "200 J\u{fc}rgen"),
        "{text}"
    );
    assert!(anonymous.starts_with("401"), "{text}");
    assert_eq!(
        rest[..4],
        ["200 cafe", "200 hello", "200 a/\u{e9} %2F", "200 changed"],
        "{text}"
    );
    assert!(rest[4].starts_with("413") && rest[5].starts_with("404"), "{text}");
    assert_eq!(rest[6..9], ["hidden", "h2", "200 out"], "{text}");
    assert!(rest[9].starts_with("401"), "{text}");
}
