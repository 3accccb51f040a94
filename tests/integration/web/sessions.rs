//! Sessions in cookies and in stores: requests at the same time, logouts, revocation, and the attributes of their cookies.

use crate::support::Gate;
use brubeck::prelude::*;
use brubeck::testing::TestClient;
use brubeck::{MemoryStore, SessionRecord, SessionStore, Sessions};
use proptest::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const SECRET: &str = "a secret of the tests, 32 bytes long";

/// Changes the session, at once or when the gate is open.
#[post("^/(?<change>[a-z]+)$")]
async fn change(change: String, session: Session, hold: Option<Arg<String>>, gate: State<Gate>) -> String {
    if hold.is_some() {
        gate.pass().await;
    }
    match &*change {
        "login" => session.log_in(7),
        "logout" => session.log_out(),
        "set" => session.set("seen", 1),
        "cart" => session.set("cart", "book"),
        "theme" => session.set("theme", "dark"),
        "remove" => session.remove("kept"),
        "clear" => session.clear(),
        "renew" => session.renew(),
        other => panic!("{other}"),
    }
    change
}

#[get("^/user$")]
async fn user(session: Session) -> String {
    session.user_id().unwrap_or("-".to_owned())
}

#[get("^/values$")]
async fn values(session: Session) -> String {
    let value = |name: &str| session.get::<String>(name).unwrap_or("-".to_owned());
    format!("{} {}", value("cart"), value("theme"))
}

#[get("^/count$")]
async fn count(session: Session) -> String {
    let n = session.get("n").unwrap_or(0) + 1;
    session.set("n", n);
    n.to_string()
}

#[post("^/revoke/(?<id>\\d+)$")]
async fn revoke(id: String, sessions: Sessions) -> Result<(), Status> {
    sessions.revoke(id).await.map_err(|_| Status::SERVICE_UNAVAILABLE)
}

#[post("^/again$")]
async fn again(session: Session) {
    session.log_out();
    session.set("flash", "bye");
}

#[get("^/flash$")]
async fn flash(session: Session) -> String {
    session.get("flash").unwrap_or("-".to_owned())
}

const ROUTES: Routes<Gate> = routes![user, values, count, flash, revoke, again, change];

fn app(gate: &Gate) -> App<Gate> {
    App::new(ROUTES, gate.clone()).cookie_secret(SECRET)
}

/// Applications whose sessions are in cookies, and in a store.
fn apps(gate: &Gate) -> [App<Gate>; 2] {
    [app(gate), app(gate).sessions(MemoryStore::default())]
}

async fn post(client: &TestClient, path: &str) {
    client.post(path).await.assert_status(200);
}

#[tokio::test]
async fn logout_lasts_whatever_other_request_is_on_its_way() {
    const CHANGES: &[&str] = &["login", "logout", "set", "remove", "clear", "renew"];
    for change in CHANGES {
        for is_logged_in in [true, false] {
            // Asked first and answered last: the other request, then the logout.
            for (slow, fast) in [(*change, "logout"), ("logout", *change)] {
                let gate = Gate::new();
                for app in apps(&gate) {
                    let client = TestClient::new(app);
                    if is_logged_in {
                        post(&client, "/login").await;
                        post(&client, "/cart").await;
                    }
                    let path = format!("/{slow}?hold=yes");
                    let quick = async {
                        gate.wait_for_arrivals(1).await;
                        post(&client, &format!("/{fast}")).await;
                        gate.open(1);
                    };
                    tokio::join!(post(&client, &path), quick);
                    let user = client.get("/user").await;
                    assert_eq!(user.text(), "-", "{slow} {fast} {is_logged_in}");
                    client.get("/values").await.assert_text("- -");
                    // A login that is sent later is valid.
                    post(&client, "/login").await;
                    client.get("/user").await.assert_text("7");
                    post(&client, "/set").await;
                    client.get("/user").await.assert_text("7");
                    post(&client, "/logout").await;
                    client.get("/user").await.assert_text("-");
                }
            }
        }
    }
}

#[tokio::test]
async fn store_keeps_different_values_of_requests_at_the_same_time() {
    let gate = Gate::new();
    let client = TestClient::new(app(&gate).sessions(MemoryStore::default()));
    post(&client, "/login").await;
    let quick = async {
        gate.wait_for_arrivals(1).await;
        post(&client, "/theme").await;
        gate.open(1);
    };
    tokio::join!(post(&client, "/cart?hold=yes"), quick);
    client.get("/values").await.assert_text("book dark");
    client.get("/user").await.assert_text("7");
}

#[tokio::test]
async fn login_and_renewal_change_the_id_in_the_store() {
    let gate = Gate::new();
    let client = TestClient::new(app(&gate).sessions(MemoryStore::default()));
    post(&client, "/cart").await;
    let planted = client.cookie("session").unwrap();
    post(&client, "/login").await;
    client.get("/values").await.assert_text("- -");
    post(&client, "/theme").await;
    let before = client.cookie("session").unwrap();
    post(&client, "/renew").await;
    let after = client.cookie("session").unwrap();
    client.get("/values").await.assert_text("- dark");
    for old in [planted, before] {
        client.keep_cookie("session", &old);
        client.get("/user").await.assert_text("-");
    }
    client.keep_cookie("session", &after);
    client.get("/user").await.assert_text("7");
    // A logout ends the session for every copy of its cookie.
    post(&client, "/logout").await;
    client.forget_cookies();
    client.keep_cookie("session", &after);
    client.get("/user").await.assert_text("-");
}

#[tokio::test]
async fn values_after_a_logout_are_kept() {
    let gate = Gate::new();
    for app in apps(&gate) {
        let client = TestClient::new(app);
        post(&client, "/login").await;
        client.post("/again").await.assert_status(204);
        client.get("/user").await.assert_text("-");
        client.get("/flash").await.assert_text("bye");
    }
}

#[tokio::test]
async fn revocation_ends_all_sessions_of_a_user() {
    let gate = Gate::new();
    for app in apps(&gate) {
        let one = TestClient::new(app);
        post(&one, "/login").await;
        let stolen = one.cookie("session").unwrap();
        one.post("/revoke/8").await.assert_status(204);
        one.get("/user").await.assert_text("7");
        let quick = async {
            gate.wait_for_arrivals(1).await;
            one.post("/revoke/7").await.assert_status(204);
            gate.open(1);
        };
        tokio::join!(post(&one, "/set?hold=yes"), quick);
        one.get("/user").await.assert_text("-");
        one.forget_cookies();
        one.keep_cookie("session", &stolen);
        one.get("/user").await.assert_text("-");
        one.forget_cookies();
        post(&one, "/login").await;
        one.get("/user").await.assert_text("7");
    }
}

/// A store that can fail.
struct Unreliable {
    store: MemoryStore,
    fails: Arc<AtomicBool>,
}

impl Unreliable {
    fn check(&self) -> brubeck::Result {
        match self.fails.load(Ordering::Relaxed) {
            true => Err(brubeck::Error::new("the database is down")),
            false => Ok(()),
        }
    }
}

impl SessionStore for Unreliable {
    async fn load(&self, id: &str) -> brubeck::Result<Option<SessionRecord>> {
        self.check()?;
        self.store.load(id).await
    }

    async fn save(&self, id: &str, record: SessionRecord) -> brubeck::Result<bool> {
        self.check()?;
        self.store.save(id, record).await
    }

    async fn remove(&self, id: &str) -> brubeck::Result<()> {
        self.check()?;
        self.store.remove(id).await
    }

    async fn remove_user(&self, user: &str) -> brubeck::Result<()> {
        self.check()?;
        self.store.remove_user(user).await
    }
}

#[tokio::test]
async fn failure_of_the_store_does_not_log_the_user_out() {
    let (gate, fails) = (Gate::new(), Arc::new(AtomicBool::new(false)));
    let store = Unreliable {
        store: MemoryStore::default(),
        fails: fails.clone(),
    };
    let client = TestClient::new(app(&gate).sessions(store));
    post(&client, "/login").await;
    fails.store(true, Ordering::Relaxed);
    client.get("/user").await.assert_text("-");
    post(&client, "/set").await;
    client.post("/revoke/7").await.assert_status(503);
    fails.store(false, Ordering::Relaxed);
    client.get("/user").await.assert_text("-");
    post(&client, "/login").await;
    fails.store(true, Ordering::Relaxed);
    client.get("/count").await.assert_text("1");
    fails.store(false, Ordering::Relaxed);
    client.get("/user").await.assert_text("7");
}

#[tokio::test]
async fn session_is_secure_unless_the_application_says_otherwise() {
    let gate = Gate::new();
    let cookie_of = async |app: App<Gate>, target: &str| {
        let client = TestClient::new(app);
        let response = client.get(&format!("{target}/count")).await;
        let line = response.header("set-cookie").unwrap().to_owned();
        let name = line.split('=').next().unwrap().to_owned();
        (name, line.ends_with("; Secure"))
    };
    let secure = ("__Host-session".to_owned(), true);
    let plain = ("session".to_owned(), false);
    let production = || app(&gate).development(false);
    let development = || app(&gate).development(true);
    for (app, target, expected) in [
        (production(), "http://localhost", &secure),
        (production(), "http://127.0.0.1:6767", &secure),
        (production(), "http://a.example", &secure),
        (production(), "https://a.example", &secure),
        (production().plain_http(), "http://a.example", &plain),
        (production().plain_http(), "https://a.example", &secure),
        (development(), "http://localhost:6767", &plain),
        (development(), "http://[::1]", &plain),
        (development(), "http://a.example", &secure),
        (development(), "https://localhost", &secure),
    ] {
        assert_eq!(cookie_of(app, target).await, *expected, "{target}");
    }
}

#[tokio::test]
async fn session_survives_foreign_cookies_of_any_bytes() {
    let gate = Gate::new();
    let client = TestClient::new(app(&gate));
    client.get("/count").await.assert_text("1");
    let session = client.cookie("session").unwrap();
    for foreign in [
        "q=“x”",
        "name=Jürgen",
        "ß=1",
        "=",
        ";;",
        "a",
        "%73ession=x",
        "session-x=\u{fffd}",
        // The same name, as another path or domain has set it.
        "session=",
        "session=garbage",
        "session=v1.AAAA.1.e30.AAAA",
        "session=a; session=b; session",
    ] {
        for line in [
            format!("session={session}; {foreign}"),
            format!("{foreign}; session={session}"),
        ] {
            let response = client.get("/count").header("cookie", &line).await;
            response.assert_text("2");
        }
    }
    let latin_1 = [format!("session={session}; q=").as_bytes(), b"\xe9\xff"].concat();
    client
        .get("/count")
        .header("cookie", latin_1)
        .await
        .assert_text("2");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn session_is_read_beside_arbitrary_pairs(
        before in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..30),
            "(session=[ -~]{0,9}; ){0,3}".prop_map(String::into_bytes),
        ],
        after in proptest::collection::vec(any::<u8>(), 0..30),
    ) {
        let line = [&before[..], b"; session=SIGNED; ", &after[..]].concat();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let text = runtime.block_on(async {
            let client = TestClient::new(app(&Gate::new()));
            client.get("/count").await.assert_text("1");
            let session = client.cookie("session").unwrap();
            let at = before.len() + "; session=".len();
            let line = [&line[..at], session.as_bytes(), &line[at + "SIGNED".len()..]].concat();
            if http::HeaderValue::from_bytes(&line).is_err() {
                return "2".to_owned();
            }
            client.get("/count").header("cookie", line).await.text().to_owned()
        });
        prop_assert_eq!(text, "2");
    }
}
