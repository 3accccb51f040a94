//! Uploads, event streams and sessions at the same time, with clients that stall, break off and repeat, on every front end.

use crate::support::served_app::socket_folder;
use crate::support::test_bed::{Configure, TestBed, default_settings, wait_until};
use crate::support::{Browser, Gate, with_timeout};
use brubeck::prelude::*;
use brubeck::testing::TestClient;
use brubeck::{MemoryStore, Mongrel2, Mongrel2Config, SessionRecord, SessionStore};
use futures_util::stream;
use std::collections::BTreeMap;
use std::future::pending;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const SECRET: &str = "a secret of the tests, 32 bytes long";
const LIMIT: usize = 300_000;

#[derive(AppState)]
struct Site {
    /// A gate for each of the requests that run at the same time.
    gates: [Gate; 3],
    open: Open,
    folder: PathBuf,
}

/// The number of uploads and streams that are open.
#[derive(Clone, Default)]
struct Open(Arc<AtomicUsize>);

impl Open {
    fn begin(&self) -> OpenGuard {
        self.0.fetch_add(1, Ordering::SeqCst);
        OpenGuard(self.clone())
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

struct OpenGuard(Open);

impl Drop for OpenGuard {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[post("^/upload$")]
async fn upload(upload: Upload, open: State<Open>) -> Result<String, UploadError> {
    let _guard = open.begin();
    Ok(upload.bytes().await?.len().to_string())
}

#[post("^/save$")]
async fn save(upload: Upload, open: State<Open>, folder: State<PathBuf>) -> Result<String, UploadError> {
    let _guard = open.begin();
    static LAST: AtomicUsize = AtomicUsize::new(0);
    let path = folder.join(format!("saved-{}", LAST.fetch_add(1, Ordering::SeqCst)));
    let size = upload.save(&path).await?;
    std::fs::remove_file(&path)?;
    Ok(size.to_string())
}

#[post("^/form$")]
async fn form(form: Multipart) -> Result<String, Rejection> {
    Ok(form.file("file")?.bytes().len().to_string())
}

#[get("^/events$")]
async fn events(open: State<Open>) -> Events {
    let guard = open.begin();
    Events::new(stream::unfold((0, guard), |(n, guard)| async move {
        if n == 3 {
            pending::<()>().await;
        }
        Some((Event::data("x".repeat(100)), (n + 1, guard)))
    }))
}

/// Changes the session after its gate.
#[post("^/(?<gate>[0-2])/(?<change>[a-z]+)$")]
async fn change(gate: usize, change: String, session: Session, gates: State<[Gate; 3]>) -> String {
    gates[gate].pass().await;
    match &*change {
        "logout" => session.log_out(),
        name => session.set(name, "changed"),
    }
    change
}

#[post("^/login$")]
async fn login(session: Session) -> &'static str {
    session.log_in(7);
    "in"
}

#[get("^/user$")]
async fn user(session: Session) -> String {
    session.user_id().unwrap_or("-".to_owned())
}

#[post("^/logout$")]
async fn logout(session: Session) -> &'static str {
    session.log_out();
    "out"
}

#[get("^/values$")]
async fn values(session: Session) -> String {
    let value = |name: &str| session.get::<String>(name).unwrap_or("-".to_owned());
    format!("{} {}", value("cart"), value("theme"))
}

#[get("^/ok$")]
async fn ok() -> &'static str {
    "ok"
}

const ROUTES: Routes<Site> = routes![
    upload, save, form, events, login, logout, user, values, ok, change
];

fn in_message(config: Mongrel2Config, link: Mongrel2, _: &str) -> (Mongrel2Config, Mongrel2) {
    (config.body_limit(2 * LIMIT), link)
}

fn in_parts(config: Mongrel2Config, link: Mongrel2, _: &str) -> (Mongrel2Config, Mongrel2) {
    (config.body_limit(20_480).stream_uploads(), link)
}

fn in_files(config: Mongrel2Config, link: Mongrel2, folder: &str) -> (Mongrel2Config, Mongrel2) {
    let template = format!("{folder}/up.XXXXXX");
    (
        config.body_limit(20_480).uploads(&template),
        link.uploads(&template),
    )
}

/// The front ends: the embedded server, and Mongrel2 with bodies in one message, in parts and in files.
const FRONT_ENDS: [Option<Configure>; 4] = [None, Some(in_message), Some(in_parts), Some(in_files)];

struct Setup {
    test_bed: TestBed,
    gates: [Gate; 3],
    open: Open,
    folder: tempfile::TempDir,
}

async fn setup(front_end: Option<Configure>, store: Option<MemoryStore>) -> Option<Setup> {
    let (gates, open, folder) = (
        std::array::from_fn(|_| Gate::new()),
        Open::default(),
        socket_folder(),
    );
    let site = Site {
        gates: gates.clone(),
        open: open.clone(),
        folder: folder.path().to_owned(),
    };
    let mut app = App::new(ROUTES, site)
        .cookie_secret(SECRET)
        .body_limit(LIMIT)
        .plain_http();
    if let Some(store) = store {
        app = app.sessions(store);
    }
    let test_bed = match front_end {
        Some(configure) => TestBed::mongrel2(app, configure).await?,
        None => TestBed::embedded(app).await,
    };
    Some(Setup {
        test_bed,
        gates,
        open,
        folder,
    })
}

impl Setup {
    /// The server answers. Mongrel2 closes the descriptor of some connections twice (`Register_disconnect`). A new connection can have the
    /// same number by then, so the request is repeated behind Mongrel2.
    async fn assert_alive(&self) {
        let attempts = if self.test_bed.server.is_some() { 5 } else { 1 };
        for _ in 0..attempts {
            let mut browser = self.test_bed.browser().await;
            let _ = browser
                .try_send("GET /ok HTTP/1.1\r\nhost: localhost\r\n\r\n")
                .await;
            if let Ok(response) = with_timeout(browser.try_read_response(false)).await {
                return assert_eq!(response.text(), "ok");
            }
        }
        panic!("no response in {attempts} attempts");
    }

    /// Everything that broken requests have used is free, and the server answers.
    async fn assert_clean(self) {
        wait_until(|| self.open.count() == 0).await;
        self.assert_alive().await;
        let files = || {
            let folders = [self.folder.path(), self.test_bed.folder.path()];
            let entries = folders
                .iter()
                .flat_map(|folder| std::fs::read_dir(folder).expect("a folder").flatten());
            let is_upload = |name: &str| name.starts_with("up.") || name.starts_with("saved-");
            entries
                .map(|entry| entry.file_name().to_string_lossy().into_owned())
                .filter(|name| is_upload(name))
                .collect::<Vec<_>>()
        };
        wait_until(|| files().is_empty()).await;
        self.test_bed.stop().await;
    }
}

fn head(path: &str, framing: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: localhost\r\n{framing}\r\n\r\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_uploads_do_not_delay_other_requests() {
    const SLOW: usize = 20;
    for front_end in FRONT_ENDS {
        let Some(setup) = setup(front_end, None).await else {
            return;
        };
        let body = vec![b'x'; 100_000];
        let mut slow = Vec::new();
        for n in 0..SLOW {
            let mut browser = setup.test_bed.browser().await;
            let path = ["/upload", "/save"][n % 2];
            browser
                .send(head(path, &format!("content-length: {}", body.len())))
                .await;
            browser.send(&body[..70_000]).await;
            slow.push(browser);
        }
        for _ in 0..10 {
            assert_eq!(setup.test_bed.browser().await.get("/ok").await.text(), "ok");
        }
        for byte in [70_000..70_001, 70_001..70_002, 70_002..100_000] {
            for browser in &mut slow {
                browser.send(&body[byte.clone()]).await;
            }
        }
        for mut browser in slow {
            assert_eq!(browser.read_response().await.text(), "100000");
        }
        setup.assert_clean().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_that_break_off_leave_nothing() {
    let chunk = format!("{:x}\r\n{}\r\n", 50_000, "x".repeat(50_000));
    let multipart = "content-type: multipart/form-data; boundary=b\r\ncontent-length: 200000";
    let part = "--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n";
    let cuts = [
        ("/upload", "content-length: 200000", "x".repeat(100_000)),
        ("/save", "content-length: 200000", "x".repeat(100_000)),
        ("/save", "content-length: 200000", String::new()),
        ("/upload", "transfer-encoding: chunked", chunk.repeat(2)),
        ("/save", "transfer-encoding: chunked", chunk[..30_000].to_owned()),
        ("/save", "transfer-encoding: chunked", "c35".to_owned()),
        ("/form", multipart, part[..20].to_owned()),
        ("/form", multipart, format!("{part}{}", "x".repeat(100_000))),
        ("/form", multipart, format!("{part}{}\r\n--b", "x".repeat(90_000))),
    ];
    for front_end in FRONT_ENDS {
        let Some(setup) = setup(front_end, None).await else {
            return;
        };
        for round in 0..3 {
            let mut browsers = Vec::new();
            for (path, framing, body) in &cuts {
                let mut browser = setup.test_bed.browser().await;
                // Mongrel2 without settings for uploads refuses a body in chunks.
                let _ = with_timeout(browser.try_send(head(path, framing))).await;
                let _ = with_timeout(browser.try_send(body)).await;
                browsers.push(browser);
            }
            if round > 0 {
                // The handlers have begun, as far as there is something for them.
                setup.assert_alive().await;
            }
            drop(browsers);
        }
        setup.assert_clean().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_over_the_limit_in_chunks_are_refused_and_leave_nothing() {
    for front_end in FRONT_ENDS {
        let Some(setup) = setup(front_end, None).await else {
            return;
        };
        for path in ["/upload", "/save", "/form"] {
            for chunk in [1_000, 70_000, 2 * LIMIT] {
                let mut browser = setup.test_bed.browser().await;
                let mut request = head(path, "transfer-encoding: chunked").into_bytes();
                for _ in 0..2 * LIMIT / chunk {
                    request.extend(format!("{chunk:x}\r\n").bytes());
                    request.resize(request.len() + chunk, b'x');
                    request.extend(b"\r\n");
                }
                request.extend(b"0\r\n\r\n");
                // A front end may close the connection while the body is sent.
                let _ = with_timeout(browser.try_send(request)).await;
                let response = with_timeout(browser.try_read_response(false)).await;
                if let Ok(response) = response {
                    // The form is refused for its type before it is read.
                    assert!(
                        matches!(response.status, 413 | 415),
                        "{path} {chunk} {response:?}"
                    );
                }
            }
        }
        setup.assert_clean().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_streams_end_when_their_clients_leave() {
    for front_end in [None, Some(default_settings as Configure)] {
        let Some(setup) = setup(front_end, None).await else {
            return;
        };
        let mut browsers = Vec::new();
        for n in 0..60 {
            let mut browser = setup.test_bed.browser().await;
            browser
                .send("GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n")
                .await;
            if n % 3 > 0 {
                let line = with_timeout(browser.try_read_line()).await.expect("a response");
                assert!(line.contains("200"), "{line}");
            }
            browsers.push(browser);
        }
        wait_until(|| setup.open.count() == 60).await;
        // Some leave, and the others stay.
        browsers.truncate(20);
        wait_until(|| setup.open.count() == 20).await;
        drop(browsers);
        setup.assert_clean().await;
    }
}

/// The cookies of one browser, which several connections share.
#[derive(Clone, Debug, Default)]
struct Jar(BTreeMap<String, String>);

impl Jar {
    fn request(&self, method: &str, path: &str) -> String {
        let cookies = Vec::from_iter(self.0.iter().map(|(name, value)| format!("{name}={value}")));
        format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\ncookie: {}\r\n\r\n",
            cookies.join("; ")
        )
    }

    async fn receive(&mut self, browser: &mut Browser) -> String {
        let response = browser.read_response().await;
        assert_eq!(response.status, 200, "{response:?}");
        for (name, value) in &response.headers {
            let value = String::from_utf8_lossy(value);
            if name == "set-cookie"
                && let Some((pair, attributes)) = value.split_once(';')
                && let Some((name, value)) = pair.split_once('=')
            {
                if attributes.contains("Max-Age=0") {
                    self.0.remove(name);
                } else {
                    self.0.insert(name.to_owned(), value.to_owned());
                }
            }
        }
        response.text().to_owned()
    }

    async fn send(&mut self, test_bed: &TestBed, method: &str, path: &str) -> String {
        let mut browser = test_bed.browser().await;
        browser.send(self.request(method, path)).await;
        self.receive(&mut browser).await
    }
}

/// Two requests change the session, and a third one logs out. They are answered in each order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logout_beside_two_changes_lasts_on_every_front_end() {
    const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    for front_end in [None, Some(default_settings as Configure)] {
        for has_store in [false, true] {
            let Some(setup) = setup(front_end, has_store.then(MemoryStore::default)).await else {
                return;
            };
            for order in ORDERS {
                let mut jar = Jar::default();
                jar.send(&setup.test_bed, "POST", "/login").await;
                assert_eq!(jar.send(&setup.test_bed, "GET", "/user").await, "7");
                let stolen = jar.clone();
                let mut browsers = Vec::new();
                for (gate, change) in ["cart", "theme", "logout"].iter().enumerate() {
                    let mut browser = setup.test_bed.browser().await;
                    browser
                        .send(jar.request("POST", &format!("/{gate}/{change}")))
                        .await;
                    setup.gates[gate].wait_for_arrivals(1).await;
                    browsers.push(browser);
                }
                for index in order {
                    setup.gates[index].open(1);
                    jar.receive(&mut browsers[index]).await;
                }
                let what = format!("{order:?}, store: {has_store}");
                assert_eq!(jar.send(&setup.test_bed, "GET", "/user").await, "-", "{what}");
                assert_eq!(jar.send(&setup.test_bed, "GET", "/values").await, "- -", "{what}");
                // The cookie of the session that has ended: together with the newer cookies, and alone.
                let mut replayed = jar.clone();
                replayed.0.extend(stolen.0.clone());
                let user = replayed.send(&setup.test_bed, "GET", "/user").await;
                assert_eq!(user, "-", "{what}");
                let user = stolen.clone().send(&setup.test_bed, "GET", "/user").await;
                // Without a store, a copy of the cookie is valid until it expires: the documentation of `Session` says so.
                assert_eq!(user, if has_store { "-" } else { "7" }, "{what}");
                // A replayed cookie cannot be renewed by a change.
                jar.send(&setup.test_bed, "POST", "/login").await;
                assert_eq!(jar.send(&setup.test_bed, "GET", "/user").await, "7", "{what}");
                jar.send(&setup.test_bed, "POST", "/logout").await;
                assert_eq!(jar.send(&setup.test_bed, "GET", "/user").await, "-", "{what}");
            }
            setup.test_bed.stop().await;
        }
    }
}

/// A store in which one of the operations fails, panics or never ends.
struct Faulty {
    store: MemoryStore,
    operations: Arc<AtomicUsize>,
    fault: (usize, Fault),
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    Error,
    Panic,
    Hang,
}

impl Faulty {
    async fn check(&self) -> brubeck::Result {
        if self.operations.fetch_add(1, Ordering::SeqCst) != self.fault.0 {
            return Ok(());
        }
        match self.fault.1 {
            Fault::Error => Err(brubeck::Error::new("the database is down")),
            Fault::Panic => panic!("the driver of the database panics"),
            Fault::Hang => pending().await,
        }
    }
}

impl SessionStore for Faulty {
    async fn load(&self, id: &str) -> brubeck::Result<Option<SessionRecord>> {
        self.check().await?;
        self.store.load(id).await
    }

    async fn save(&self, id: &str, record: SessionRecord) -> brubeck::Result<bool> {
        self.check().await?;
        self.store.save(id, record).await
    }

    async fn remove(&self, id: &str) -> brubeck::Result<()> {
        self.check().await?;
        self.store.remove(id).await
    }

    async fn remove_user(&self, user: &str) -> brubeck::Result<()> {
        self.check().await?;
        self.store.remove_user(user).await
    }
}

/// Whichever operation of the store fails: every request has an answer, the application goes on, and a logout that was answered lasts in this
/// browser.
#[tokio::test(start_paused = true)]
async fn any_failure_of_a_store_is_answered_and_a_logout_lasts() {
    for fault in [Fault::Error, Fault::Panic, Fault::Hang] {
        for at in 0..20 {
            let operations = Arc::new(AtomicUsize::new(0));
            let store = Faulty {
                store: MemoryStore::default(),
                operations: operations.clone(),
                fault: (at, fault),
            };
            let gates: [Gate; 3] = std::array::from_fn(|_| Gate::new());
            gates.iter().for_each(|gate| gate.open(100));
            let site = Site {
                gates,
                open: Open::default(),
                folder: PathBuf::new(),
            };
            let client = TestClient::new(App::new(ROUTES, site).cookie_secret(SECRET).sessions(store));
            let what = format!("{fault:?} at {at}");
            for path in ["/login", "/0/cart", "/login", "/1/theme", "/2/logout"] {
                let status = client.post(path).await.status();
                assert!(matches!(status, 200 | 500 | 503 | 504), "{what}: {path} {status}");
                if path == "/2/logout" && status == 200 {
                    client.get("/user").await.assert_text("-");
                }
            }
            if operations.load(Ordering::SeqCst) <= at {
                assert!(at > 5, "{what}");
                break;
            }
            // The store works again.
            client.post("/login").await.assert_status(200);
            client.post("/logout").await.assert_status(200);
            let after = client.get("/user").await;
            assert_eq!(after.text(), "-", "{what}");
            client.post("/login").await.assert_status(200);
            client.get("/user").await.assert_text("7");
        }
    }
}
