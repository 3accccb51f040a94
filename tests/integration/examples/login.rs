//! The login example: valid logins and attacks.

#[allow(dead_code, unreachable_pub)]
#[path = "../../../examples/login.rs"]
mod example;

use brubeck::testing::TestClient;
use example::Members;

fn client() -> TestClient {
    let members = Members::new(&[("dave", "take five"), ("<b>", "desmond")]).unwrap();
    TestClient::new(example::app(members, "a secret of the tests, 32 bytes long"))
}

fn form<'a>(name: &'a str, password: &'a str, next: &'a str) -> [(&'static str, &'a str); 3] {
    [("name", name), ("password", password), ("next", next)]
}

#[tokio::test]
async fn member_logs_in_returns_and_logs_out() {
    let client = client();
    client.get("/").await.assert_status(200);
    let response = client.get("/account").accept("text/html").await;
    response.assert_redirect("/login?next=%2Faccount");
    client
        .get("/login?next=%2Faccount%3Fa%3D1")
        .await
        .assert_contains("value=\"&#x2f;account?a=1\"");
    let response = client
        .post("/login")
        .form(form("dave", "take five", "/account?a=1"));
    response.await.assert_redirect("/account?a=1");
    client
        .get("/account")
        .await
        .assert_contains("Hello, dave.")
        .assert_contains("1 time since");
    client.get("/account").await.assert_contains("2 times since");
    client.post("/logout").await.assert_redirect("/");
    client.get("/account").await.assert_status(401);
}

#[tokio::test]
async fn wrong_credentials_are_401() {
    let client = client();
    let attempts = [
        ("dave", "wrong"),
        ("dave", ""),
        ("dave", "take five\0"),
        ("Dave", "take five"),
        ("nobody", "take five"),
        ("", ""),
    ];
    for (name, password) in attempts {
        let refused = client.post("/login").form(form(name, password, "/account")).await;
        refused.assert_status(401).assert_contains("is wrong");
        assert!(client.cookie("session").is_none(), "{name} {password}");
    }
}

#[tokio::test]
async fn large_login_form_is_413_and_incomplete_one_is_422() {
    let client = client();
    let large = client.post("/login").form(form("dave", &"x".repeat(5000), "/"));
    large.await.assert_status(413);
    let response = client.post("/login").form([("name", "dave")]);
    response
        .await
        .assert_status(422)
        .assert_contains("`password`: the field is missing");
}

#[tokio::test]
async fn login_rejects_open_redirects_markup_and_forged_requests() {
    let client = client();
    for next in [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "evil",
        "",
    ] {
        let response = client.post("/login").form(form("dave", "take five", next));
        response.await.assert_redirect("/account");
    }
    let response = client
        .post("/login")
        .form(form("\"><script>", "x", "\"><script>"))
        .await;
    response.assert_status(401).assert_lacks("<script>");
    let response = client.post("/login").form(form("<b>", "desmond", "/"));
    response.await.assert_status(303);
    client.get("/account").await.assert_contains("Hello, &lt;b&gt;.");
    let forged = client
        .post("/logout")
        .header("sec-fetch-site", "cross-site")
        .await;
    forged.assert_status(403);
    client.get("/account").await.assert_status(200);
}
