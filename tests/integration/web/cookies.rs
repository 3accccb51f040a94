//! Cookies, sessions, logins and cross-site requests.

use brubeck::prelude::*;
use brubeck::testing::TestClient;
use brubeck::{CookieSecret, SameSite, User};

const SECRET: &str = "a secret of the tests, 32 bytes long";

#[derive(Clone)]
struct Member {
    name: String,
}

impl User for Member {
    type State = ();

    async fn find(id: &str, _: &()) -> Option<Member> {
        (id == "7").then(|| Member { name: "Dave".into() })
    }
}

#[get("^/plain$")]
async fn plain(cookies: Cookies) -> String {
    let before = cookies.get("a").unwrap_or("none".into());
    cookies.set(Cookie::new("a", "x; y é"));
    format!("{before} {}", cookies.get("a").unwrap())
}

#[get("^/forget$")]
async fn forget(cookies: Cookies) {
    cookies.remove_all();
}

#[get("^/vote$")]
async fn vote(cookies: SignedCookies) -> String {
    let before = cookies.get("vote");
    cookies.set(Cookie::new("vote", "jazz"));
    format!("{before:?}")
}

#[get("^/account$")]
async fn account(member: CurrentUser<Member>) -> String {
    member.name.clone()
}

#[get("^/maybe$")]
async fn maybe(member: Option<CurrentUser<Member>>) -> String {
    member.map_or("anonymous".into(), |member| member.0.name)
}

#[post("^/login/(?<id>\\d+)$")]
async fn log_in(id: String, session: Session) -> Redirect {
    session.log_in(id);
    Redirect::to("/account")
}

#[post("^/logout$")]
async fn log_out(session: Session) {
    session.log_out();
}

const ROUTES: Routes<()> = routes![plain, forget, vote, account, maybe, log_in, log_out];

fn client() -> TestClient {
    TestClient::new(App::new(ROUTES, ()).cookie_secret(SECRET))
}

#[tokio::test]
async fn plain_cookies_are_read_set_and_removed() {
    let client = client();
    client.get("/plain").await.assert_text("none x; y é");
    client.get("/plain").await.assert_text("x; y é x; y é");
    client.get("/forget").await.assert_status(204);
    client.get("/plain").await.assert_text("none x; y é");
}

#[tokio::test]
async fn signed_cookies_reject_tampering_and_support_key_rotation() {
    let client = client();
    client.get("/vote").await.assert_text("None");
    client.get("/vote").await.assert_text("Some(\"jazz\")");
    let signed = client.cookie("vote").unwrap();
    client.keep_cookie("vote", &signed.replace("v1.", "v2."));
    client.get("/vote").await.assert_text("None");

    let rotated = App::new(ROUTES, ()).cookie_secret(CookieSecret::new([b'n'; 32]).previously(SECRET));
    let rotated = TestClient::new(rotated);
    rotated.keep_cookie("vote", &signed);
    rotated.get("/vote").await.assert_text("Some(\"jazz\")");
    assert_ne!(
        rotated.cookie("vote").unwrap().split('.').nth(1),
        signed.split('.').nth(1)
    );
}

#[tokio::test]
async fn signed_cookie_is_http_only_same_site_lax_and_secure_except_on_localhost() {
    let client = client();
    let public = client.get("/vote").header("host", "example.org").await;
    let line = public.header("set-cookie").unwrap();
    assert!(
        line.ends_with("; Path=/; Max-Age=1209600; HttpOnly; SameSite=Lax; Secure"),
        "{line}"
    );
    let local = client.get("/vote").header("host", "127.0.0.1:6767").await;
    assert!(!local.header("set-cookie").unwrap().contains("Secure"));
}

#[tokio::test]
async fn session_login_and_logout() {
    let client = client();
    client.get("/account").await.assert_status(401);
    client.get("/maybe").await.assert_text("anonymous");
    client.post("/login/7").await.assert_redirect("/account");
    client.get("/account").await.assert_text("Dave");
    client.get("/maybe").await.assert_text("Dave");
    client.post("/logout").await.assert_status(204);
    client.get("/account").await.assert_status(401);
    // There is no user 8.
    client.post("/login/8").await.assert_status(303);
    client.get("/account").await.assert_status(401);
}

#[tokio::test]
async fn unauthenticated_browser_is_redirected_to_the_login_page() {
    let app = || App::new(ROUTES, ()).cookie_secret(SECRET).login_url("/login");
    let client = TestClient::new(app());
    let response = client.get("/account?tab=1").accept("text/html").await;
    response
        .assert_status(303)
        .assert_redirect("/login?next=%2Faccount%3Ftab%3D1")
        .assert_header("cache-control", "no-store");
    client
        .get("/account")
        .accept("application/json")
        .await
        .assert_status(401);

    let guarded = TestClient::new(app().before(|_: CurrentUser<Member>| async {}));
    guarded.get("/plain").await.assert_status(401);
    guarded
        .get("/plain")
        .accept("text/html")
        .await
        .assert_redirect("/login?next=%2Fplain");
}

#[tokio::test]
async fn cookie_names_are_compared_as_sent() {
    #[get("^/sid$")]
    async fn sid(cookies: Cookies) -> String {
        format!("{:?}", cookies.get("__Host-sid"))
    }
    #[get("^/none$")]
    async fn none(cookies: Cookies) {
        cookies.remove_all();
    }
    #[get("^/set$")]
    async fn set(cookies: Cookies) {
        cookies.set(Cookie::new("a b", "1"));
        cookies.set(Cookie::new("__Host-sid", "1").insecure());
        cookies.set(Cookie::new("__Secure-x", "1"));
        cookies.set(Cookie::new("embed", "1").same_site(SameSite::None));
    }
    #[get("^/refused$")]
    async fn refused() -> Response {
        "x".into_reply().with_cookie(Cookie::new("a b", "1"))
    }
    const NAMES: Routes<()> = routes![sid, none, set, refused];
    let client = TestClient::new(App::new(NAMES, ()));
    for forged in [
        "%5F%5FHost-sid=evil; ",
        "__%48ost-sid=evil; ",
        "__host-sid=evil; ",
    ] {
        let line = format!("{forged}__Host-sid=good");
        client
            .get("/sid")
            .header("cookie", line)
            .await
            .assert_text("Some(\"good\")");
        client
            .get("/sid")
            .header("cookie", forged)
            .await
            .assert_text("None");
    }
    for name in ["user:id", "a@b", "a/b", "ü", "__Host-x"] {
        let removed = client.get("/none").header("cookie", format!("{name}=1")).await;
        let line = removed.headers()["set-cookie"].as_bytes();
        assert!(
            line.starts_with(format!("{name}=; Path=/; Max-Age=0").as_bytes()),
            "{name}"
        );
    }
    let set = client.get("/set").await;
    let lines: Vec<_> = set.headers().get_all("set-cookie").iter().collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(
        lines
            .iter()
            .all(|line| line.to_str().unwrap().ends_with("; Secure")),
        "{lines:?}"
    );
    assert_eq!(client.cookie("__Host-sid").as_deref(), Some("1"));
    client.get("/refused").await.assert_status(500);
}

#[tokio::test]
async fn signed_cookies_without_a_secret_are_500() {
    let client = TestClient::new(App::new(ROUTES, ()));
    client.get("/vote").await.assert_status(500);
    client.get("/account").await.assert_status(500);
}

#[tokio::test]
async fn login_url_is_a_path_or_a_url() {
    for invalid in ["login", "", "//accounts.example/login", "javascript:alert(1)"] {
        let app = App::new(ROUTES, ()).cookie_secret(SECRET).login_url(invalid);
        let error = app.into_service().unwrap_err().to_string();
        assert!(error.contains("expected a path such as `/login`"), "{error}");
    }
}

#[tokio::test]
async fn short_cookie_secret_is_an_error() {
    let error = App::new(ROUTES, ())
        .cookie_secret("short")
        .into_service()
        .unwrap_err();
    assert!(error.to_string().contains("5 bytes"), "{error}");
}

#[tokio::test]
async fn cross_site_posts_are_403() {
    let client = client();
    client.post("/login/7").await.assert_status(303);
    client
        .post("/logout")
        .header("sec-fetch-site", "cross-site")
        .await
        .assert_status(403);
    client
        .post("/logout")
        .header("origin", "https://evil.example")
        .await
        .assert_status(403);
    client
        .get("/account")
        .header("sec-fetch-site", "cross-site")
        .await
        .assert_text("Dave");
    client
        .post("/logout")
        .header("sec-fetch-site", "same-origin")
        .await
        .assert_status(204);
}

#[tokio::test]
async fn trusted_origin_may_send_cross_site_posts() {
    let open = TestClient::new(
        App::new(ROUTES, ())
            .cookie_secret(SECRET)
            .trust_origin("https://pay.example"),
    );
    // Requests without cookies are not checked.
    open.keep_cookie("a", "1");
    let from = |origin: &str| {
        open.post("/logout")
            .header("sec-fetch-site", "cross-site")
            .header("origin", origin)
    };
    from("https://pay.example").await.assert_status(204);
    from("https://evil.example").await.assert_status(403);
}

#[tokio::test]
async fn forgery_protection_can_be_disabled() {
    let unprotected = TestClient::new(
        App::new(ROUTES, ())
            .cookie_secret(SECRET)
            .without_forgery_protection(),
    );
    unprotected.keep_cookie("a", "1");
    unprotected
        .post("/logout")
        .header("sec-fetch-site", "cross-site")
        .await
        .assert_status(204);
}
