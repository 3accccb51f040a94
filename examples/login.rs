//! A login: passwords hashed with argon2, a session in a signed cookie, and a page for members only.
//!
//! `cargo run --example login`, then log in as `dave` with the password `take five`.
//!
//! The forms need no tokens against cross-site request forgery. Browsers send the origin of a request. A request from another site
//! that has cookies is refused before a handler runs, unless its method is GET, HEAD, OPTIONS or TRACE.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use brubeck::prelude::*;
use brubeck::{CookieSecret, User};
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::Arc;

/// The members and the hashes of their passwords. A real application stores them in a database.
#[derive(Clone)]
pub struct Members(Arc<MemberHashes>);

struct MemberHashes {
    by_name: HashMap<String, String>,
    /// The hash of a random password, for names that do not exist.
    unknown: String,
}

impl Members {
    /// Creates members from names and passwords.
    ///
    /// # Errors
    ///
    /// Returns an error if the operating system provides no random numbers, or a password cannot be hashed.
    pub fn new(members: &[(&str, &str)]) -> brubeck::Result<Members> {
        let hashed = |(name, password): &(&str, &str)| Ok(((*name).to_owned(), hash(password)?));
        let by_name = members.iter().map(hashed).collect::<brubeck::Result<_>>()?;
        let unknown = hash(&random()?)?;
        Ok(Members(Arc::new(MemberHashes { by_name, unknown })))
    }

    /// Returns `true` if the member exists and the password is correct. This takes about 0.1 s.
    ///
    /// For a name that does not exist, the password is verified against another hash, so that the response time does not reveal
    /// which names exist.
    fn verify(&self, name: &str, password: &str) -> bool {
        let known = self.0.by_name.get(name);
        let hash = PasswordHash::new(known.unwrap_or(&self.0.unknown));
        let correct = hash.is_ok_and(|hash| {
            Argon2::default()
                .verify_password(password.as_bytes(), &hash)
                .is_ok()
        });
        correct && known.is_some()
    }
}

fn hash(password: &str) -> brubeck::Result<String> {
    match Argon2::default().hash_password(password.as_bytes()) {
        Ok(hash) => Ok(hash.to_string()),
        Err(error) => Err(brubeck::Error::new(format!("cannot hash the password: {error}"))),
    }
}

/// A member who is logged in.
pub struct Member {
    name: String,
}

impl User for Member {
    type State = Members;

    async fn find(id: &str, members: &Members) -> Option<Member> {
        let name = members.0.by_name.get_key_value(id)?.0.clone();
        Some(Member { name })
    }
}

#[derive(Template)]
#[template("login/home.html")]
struct Home {}

#[derive(Template)]
#[template("login/form.html")]
struct LoginPage {
    name: String,
    next: String,
    wrong: bool,
}

#[derive(Template)]
#[template("login/account.html")]
struct AccountPage {
    name: String,
    visits: u32,
}

#[get("^/$")]
async fn home() -> Page<Home> {
    Page(Home {})
}

#[get("^/login$")]
async fn login_page(next: Option<Arg<String>>) -> Page<LoginPage> {
    Page(LoginPage {
        name: String::new(),
        next: next.map_or_else(|| "/account".into(), |next| next.0),
        wrong: false,
    })
}

#[derive(Deserialize)]
struct Login {
    name: String,
    password: String,
    next: String,
}

#[post("^/login$")]
async fn log_in(
    form: Form<Login>,
    members: State<Members>,
    session: Session,
) -> Result<Redirect, (Status, Page<LoginPage>)> {
    let Login { name, password, next } = form.0;
    let members = members.0;
    let login_name = name.clone();
    // Hashing uses a lot of CPU time. On a worker thread of the runtime, it would delay all other requests.
    let verified = tokio::task::spawn_blocking(move || members.verify(&login_name, &password)).await;
    if verified.unwrap_or(false) {
        session.log_in(name);
        return Ok(Redirect::to_local(&next, "/account"));
    }
    let page = LoginPage {
        name,
        next,
        wrong: true,
    };
    Err((Status::new(401), Page(page)))
}

#[post("^/logout$")]
async fn log_out(session: Session) -> Redirect {
    session.log_out();
    Redirect::to("/")
}

#[get("^/account$")]
async fn account(member: CurrentUser<Member>, session: Session) -> Page<AccountPage> {
    let visits = session.get("visits").unwrap_or(0) + 1;
    session.set("visits", visits);
    Page(AccountPage {
        name: member.0.name,
        visits,
    })
}

const ROUTES: Routes<Members> = routes![home, login_page, log_in, log_out, account];

/// Creates the application. It limits concurrent logins, because each login needs 19 MiB of memory and about 0.1 s of CPU time.
pub fn app(members: Members, secret: impl Into<CookieSecret>) -> App<Members> {
    App::new(ROUTES, members)
        .cookie_secret(secret)
        .login_url("/login")
        .limit::<log_in>(Limits::new().body_limit(4096).concurrency(8))
}

#[tokio::main]
async fn main() -> brubeck::Result {
    let members = Members::new(&[("dave", "take five"), ("paul", "desmond blue")])?;
    // A random secret logs all members out when the process restarts.
    let secret = std::env::var("COOKIE_SECRET").or_else(|_| random())?;
    let app = app(members, secret);
    let port = std::env::args().nth(1).unwrap_or_else(|| "6767".into());
    let running = app.start(Http::bind(format!("127.0.0.1:{port}"))).await?;
    println!(
        "\n  Log in at {}/login as `dave`, with the password `take five`. Ctrl-C stops it.\n",
        running.address()
    );
    running.until_signal().await
}

/// Returns 32 random bytes as hexadecimal digits.
fn random() -> brubeck::Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| {
        brubeck::Error::new(format!(
            "the operating system provides no random numbers: {error}"
        ))
    })?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
