//! Runs the command.

use brubeck::prelude::*;
use brubeck::{KeyPair, PeerKey, Service};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

fn brubeck(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_brubeck"));
    command.args(arguments).env_remove("BRUBECK_SECRET");
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn run(arguments: &[&str]) -> Output {
    brubeck(arguments).output().unwrap()
}

#[test]
fn keygen_prints_a_new_secret_each_time() {
    let secrets = [run(&["keygen"]), run(&["keygen"])].map(|output| {
        assert!(output.status.success());
        text(&output.stdout).trim().to_owned()
    });
    assert_ne!(secrets[0], secrets[1]);
    for secret in secrets {
        assert_eq!(secret.len(), 43);
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        assert!(secret.bytes().all(is_plain), "{secret}");
        assert!(PeerKey::from_secret(&secret).is_ok());
    }
}

#[test]
fn keygen_writes_the_key_of_a_secret() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.pem");
    let arguments = ["keygen", "--pem", path.to_str().unwrap()];
    let output = brubeck(&arguments)
        .env("BRUBECK_SECRET", "my_shared_secret")
        .output()
        .unwrap();
    assert_eq!(
        (output.status.success(), text(&output.stdout)),
        (true, String::new())
    );
    let key = PeerKey::from_secret("my_shared_secret").unwrap();
    let pem = std::fs::read_to_string(&path).unwrap();
    assert_eq!(pem, key.private_key_pem() + &key.certificate_pem());
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);

    let again = run(&arguments);
    assert!(!again.status.success());
    assert!(text(&again.stderr).contains("cannot write"), "{again:?}");
}

#[test]
fn keygen_writes_a_new_key_pair_and_prints_its_pin() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("service.pem");
    let path = path.to_str().unwrap();
    let created = run(&["keygen", "--key-pair", path]);
    assert!(created.status.success(), "{created:?}");
    let pem = std::fs::read_to_string(path).unwrap();
    let key = PeerKey::from_pem(&pem).unwrap();
    assert_eq!(text(&created.stdout), format!("{}\n", key.pin()));
    assert_eq!(
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert!(!run(&["keygen", "--key-pair", path]).status.success());

    let certificate = folder.path().join("certificate.pem");
    std::fs::write(&certificate, key.certificate_pem()).unwrap();
    for file in [path, certificate.to_str().unwrap()] {
        assert_eq!(run(&["keygen", "--pin", file]).stdout, created.stdout);
    }
    std::fs::write(&certificate, "nothing").unwrap();
    let nothing = run(&["keygen", "--pin", certificate.to_str().unwrap()]);
    assert!(!nothing.status.success());
    assert!(
        text(&nothing.stderr).contains("neither a private key nor a certificate"),
        "{nothing:?}"
    );
}

#[service_handler(path = "^/double$", method = "request")]
async fn double(number: Arg<u32>) -> Result<Json<u32>, Problem> {
    number
        .checked_mul(2)
        .map(Json)
        .ok_or_else(|| Problem::new(422, "too large"))
}

const ROUTES: Routes<()> = routes![double];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn call_prints_the_response_and_reports_failures() {
    const SECRET: &str = "a secret of this test";
    let running = App::new(ROUTES, ())
        .start(Service::bind("tcp://127.0.0.1:0", SECRET))
        .await
        .unwrap();
    let call = |secret: &str, path: &str, body: &str| {
        let arguments = ["call", running.address(), path, body];
        let mut command = brubeck(&arguments);
        command.env("BRUBECK_SECRET", secret);
        tokio::task::spawn_blocking(move || command.output().unwrap())
    };
    let output = call(SECRET, "/double", r#"{"number": 21}"#).await.unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        (text(&output.stdout), text(&output.stderr)),
        ("42\n".into(), "200 OK\n".into())
    );

    let missing = call(SECRET, "/elsewhere", "{}").await.unwrap();
    assert_eq!(missing.status.code(), Some(1));
    assert!(text(&missing.stderr).starts_with("404"), "{missing:?}");

    for (secret, reason) in [
        ("another secret than that", "configure the same one on both sides"),
        ("short", "`brubeck keygen`"),
    ] {
        let refused = call(secret, "/double", "{}").await.unwrap();
        assert_eq!(refused.status.code(), Some(1));
        assert!(text(&refused.stderr).contains(reason), "{refused:?}");
    }
    let invalid = call(SECRET, "/double", "{").await.unwrap();
    assert_eq!(invalid.status.code(), Some(2), "{invalid:?}");
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn call_uses_a_key_pair() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("caller.pem");
    let path = path.to_str().unwrap().to_owned();
    let pin = text(&run(&["keygen", "--key-pair", &path]).stdout);
    let service = PeerKey::generate().unwrap();
    let key_pair = KeyPair::pem(service.private_key_pem()).accept(pin);
    let running = App::new(ROUTES, ())
        .start(Service::bind("tcp://127.0.0.1:0", key_pair))
        .await
        .unwrap();
    let call = |accepted: String| {
        let mut command = brubeck(&["call", running.address(), "/double", r#"{"number": 21}"#]);
        command.args(["--key", &path, "--accept", &accepted]);
        tokio::task::spawn_blocking(move || command.output().unwrap())
    };
    let output = call(service.pin().to_string()).await.unwrap();
    assert_eq!(
        (text(&output.stdout), text(&output.stderr)),
        ("42\n".into(), "200 OK\n".into())
    );
    let other = PeerKey::generate().unwrap().pin().to_string();
    for (accepted, reason) in [(other, "is not accepted here"), ("c0ffee".into(), "has 3 bytes")] {
        let refused = call(accepted).await.unwrap();
        assert_eq!(refused.status.code(), Some(1));
        assert!(text(&refused.stderr).contains(reason), "{refused:?}");
    }
    let without_credentials = run(&["call", running.address(), "/double"]);
    assert_eq!(without_credentials.status.code(), Some(2));
    running.stop().await.unwrap();
}
