//! Secrets that are wrong, short or changed, and the protection of connections that depends on them.

use crate::support::child;
use crate::support::logs::CapturedLogs;
use crate::support::served_app::{socket_address, socket_folder};
use crate::support::with_timeout;
use brubeck::prelude::*;
use brubeck::{Dialect, PeerKey, Running, Service, ServiceAddress, TestSite, legacy};
use std::fs::{self, Permissions};
use std::future::IntoFuture;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, sink};
use tokio::net::{TcpListener, TcpStream};

const SECRET: &str = "my_shared_secret";
const OTHER_SECRET: &str = "another secret, longer than 16";

#[service_handler(path = "^/where$", method = "request")]
async fn here() -> &'static str {
    "here, says the service"
}

const ROUTES: Routes<()> = routes![here];

async fn call(client: &Client) -> Result<String, CallError> {
    let response = with_timeout(client.request("/where").into_future()).await?;
    Ok(response.body.to_string())
}

async fn error_of(client: &Client) -> CallError {
    call(client).await.unwrap_err()
}

async fn start(service: Service) -> Running {
    App::new(ROUTES, ()).start(service).await.unwrap()
}

fn assert_answers(result: Result<String, CallError>) {
    assert_eq!(result.unwrap(), "\"here, says the service\"");
}

#[tokio::test]
async fn wrong_secret_over_sockets_is_the_reason_of_failed_calls_and_logged_once_on_both_sides() {
    let logs = CapturedLogs::start(tracing::Level::WARN);
    let folder = socket_folder();
    for address in ["tcp://127.0.0.1:0", &socket_address(&folder, "a")] {
        let before = logs.lines(" WARN ").len();
        let running = start(Service::bind(address, SECRET)).await;
        let client = Client::connect(&ServiceAddress::new(running.address(), OTHER_SECRET)).unwrap();
        for _ in 0..3 {
            let error = error_of(&client).await;
            assert!(
                matches!(&error, CallError::NoWorkers(reason) if reason.contains("configure the same one on both sides")),
                "{error:?}"
            );
        }
        let warnings = logs.lines(" WARN ").split_off(before);
        let of_service = warnings
            .iter()
            .filter(|line| line.contains("refused a caller"))
            .count();
        assert_eq!((of_service, warnings.len()), (1, 2), "{warnings:#?}");
        assert!(
            warnings
                .iter()
                .all(|line| line.contains("configure the same one on both sides")),
            "{warnings:#?}"
        );
        // The service still serves callers with its secret.
        let client = Client::connect(&ServiceAddress::new(running.address(), SECRET)).unwrap();
        assert_answers(call(&client).await);
        running.stop().await.unwrap();
    }
}

#[tokio::test]
async fn empty_or_short_secret_is_an_error_of_every_constructor() {
    let folder = socket_folder();
    let address = socket_address(&folder, "a");
    for (secret, problem) in [
        ("", "the secret is empty"),
        ("x", "the secret has 1 character"),
        ("fifteen letters", "the secret has 15 characters"),
    ] {
        let plain = ServiceAddress::new(&address, secret);
        let second = |service: ServiceAddress| service.also_accept(secret);
        let mut errors = vec![
            App::new(ROUTES, ())
                .start(Service::bind(&address, secret))
                .await
                .err(),
            App::new(ROUTES, ())
                .start(Service::bind(&address, SECRET).also_accept(secret))
                .await
                .err(),
            Client::connect(&plain).err(),
            Client::connect(&second(ServiceAddress::new(&address, SECRET))).err(),
        ];
        for error in errors.drain(..) {
            let error = error.expect("an error").to_string();
            for part in [problem, "`brubeck keygen`", "on both sides", &address] {
                assert!(error.contains(part), "{error}");
            }
        }
        let lazy = error_of(&Client::lazy(plain)).await.to_string();
        assert!(
            lazy.contains(problem) && lazy.contains("`brubeck keygen`"),
            "{lazy}"
        );
        assert!(PeerKey::from_secret(secret).is_err());
    }
}

#[tokio::test]
async fn passphrase_of_a_dialect_may_be_short_but_not_empty() {
    let folder = socket_folder();
    let (address, responses) = (socket_address(&folder, "a"), socket_address(&folder, "b"));
    let dialect = |passphrase: &str| ServiceAddress::new(&address, passphrase).dialect(Dialect::Seed);
    let connected = legacy::Service::connect(&address, &responses, "");
    for error in [
        App::new(ROUTES, ())
            .start(Service::bind(&address, SECRET).dialects(""))
            .await
            .err(),
        App::new(ROUTES, ()).start(connected).await.err(),
        Client::connect(&dialect("")).err(),
        Client::connect(
            &ServiceAddress::new(&address, "")
                .dialect(Dialect::Pypi)
                .responses_at(&responses),
        )
        .err(),
    ] {
        let error = error.expect("an error").to_string();
        assert!(
            error.contains("the passphrase is empty") && error.contains(&address),
            "{error}"
        );
    }
    for address in ["tcp://127.0.0.1:0", &address] {
        let running = start(Service::bind(address, SECRET).dialects("x")).await;
        let dialect = ServiceAddress::new(running.address(), "x").dialect(Dialect::Seed);
        assert_answers(call(&Client::connect(&dialect).unwrap()).await);
        let sealed = ServiceAddress::new(running.address(), SECRET);
        assert_answers(call(&Client::connect(&sealed).unwrap()).await);
        running.stop().await.unwrap();
    }
}

#[tokio::test]
async fn caller_in_clear_is_refused_unless_dialects_are_served() {
    let logs = CapturedLogs::start(tracing::Level::WARN);
    let folder = socket_folder();
    for address in ["tcp://127.0.0.1:0", &socket_address(&folder, "a")] {
        let running = start(Service::bind(address, SECRET)).await;
        let dialect = ServiceAddress::new(running.address(), SECRET).dialect(Dialect::Branch);
        let client = Client::connect(&dialect).unwrap();
        let call = client.request("/where").timeout(Duration::from_millis(300));
        assert!(with_timeout(call.into_future()).await.is_err());
        let warnings = logs.lines("refused a caller");
        let warning = warnings.last().expect("a warning");
        assert!(warning.contains("Service::dialects"), "{warning}");
        running.stop().await.unwrap();
    }
}

#[tokio::test]
async fn test_site_takes_any_secret() {
    for secret in ["", "x"] {
        let site = TestSite::new(routes![], ())
            .service(Service::bind("ipc://run/a", secret), App::new(ROUTES, ()))
            .start()
            .await
            .unwrap();
        let client = site.client(&ServiceAddress::new("ipc://run/a", secret)).unwrap();
        assert_answers(call(&client).await);
        site.stop().await;
    }
}

/// Each step of the documentation of `Service::also_accept` is compatible with the step before it.
#[tokio::test]
async fn secret_is_changed_without_downtime() {
    const STEPS: [(&str, Option<&str>); 4] = [
        (SECRET, None),
        (SECRET, Some(OTHER_SECRET)),
        (OTHER_SECRET, Some(SECRET)),
        (OTHER_SECRET, None),
    ];
    let folder = socket_folder();
    for base in ["tcp://127.0.0.1:0", &socket_address(&folder, "a")] {
        for (step, (secret, other)) in STEPS.into_iter().enumerate() {
            let mut service = Service::bind(base, secret);
            if let Some(other) = other {
                service = service.also_accept(other);
            }
            let running = start(service).await;
            for (caller_step, (secret, other)) in STEPS.into_iter().enumerate() {
                let mut address = ServiceAddress::new(running.address(), secret);
                if let Some(other) = other {
                    address = address.also_accept(other);
                }
                let result = call(&Client::connect(&address).unwrap()).await;
                if step.abs_diff(caller_step) <= 1 {
                    assert_answers(result);
                } else if step.abs_diff(caller_step) == 3 {
                    assert!(result.is_err(), "{result:?}");
                }
            }
            running.stop().await.unwrap();
        }
    }
}

/// The uid of a user without rights.
const OTHER_UID: u32 = 65_534;

/// The variable with the address that the child process of [`calls_as_another_user`] calls.
const ADDRESS: &str = "BRUBECK_TEST_ADDRESS";

/// Runs as another user, in a child process. Prints the result of a call.
#[test]
fn calls_as_another_user() {
    if !child::is_child(calls_as_another_user) {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let address = std::env::var(ADDRESS).unwrap();
        let client = Client::connect(&ServiceAddress::new(address, SECRET)).unwrap();
        println!("result: {:?}", call(&client).await);
    });
}

#[tokio::test]
async fn other_users_are_refused_over_ipc_unless_they_are_listed() {
    let folder = socket_folder();
    let Ok(()) = std::os::unix::fs::chown(folder.path(), Some(0), None) else {
        println!("skipped: only root can start a process of another user");
        return;
    };
    let logs = CapturedLogs::start(tracing::Level::WARN);
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    // The other user may not be able to open the folder of the test program.
    let program = folder.path().join("test");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let address = socket_address(&folder, "a");
    let run = async || {
        let mut command = child::command_with(calls_as_another_user, &program);
        let command = command.env(ADDRESS, &address).uid(OTHER_UID).gid(OTHER_UID);
        let output = with_timeout(command.output()).await.expect("a child process");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };

    let running = start(Service::bind(&address, SECRET)).await;
    // So that the user of the peer decides, and not the mode of the file.
    fs::set_permissions(folder.path().join("a"), Permissions::from_mode(0o666)).unwrap();
    let refused = run().await;
    assert!(
        refused.contains("does not admit the user of this process") && refused.contains("Service::admit_uid"),
        "{refused}"
    );
    let warning = logs.lines("refused a caller").concat();
    assert!(warning.contains("uid 65534 is not admitted"), "{warning}");
    running.stop().await.unwrap();

    let running = start(Service::bind(&address, SECRET).admit_uid(OTHER_UID)).await;
    let admitted = run().await;
    assert!(admitted.contains("here, says the service"), "{admitted}");
    running.stop().await.unwrap();
}

/// A connection through a proxy that records both directions.
async fn recorded_call(running: &Running) -> Vec<u8> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = format!("tcp://{}", listener.local_addr().unwrap());
    let service = running.address().trim_start_matches("tcp://").to_owned();
    let recording = Arc::<Mutex<Vec<u8>>>::default();
    let recorder = recording.clone();
    tokio::spawn(async move {
        let (caller, _) = listener.accept().await.unwrap();
        let service = TcpStream::connect(service).await.unwrap();
        let (mut from_caller, mut to_caller) = caller.into_split();
        let (mut from_service, mut to_service) = service.into_split();
        let record = async |from: &mut tokio::net::tcp::OwnedReadHalf,
                            to: &mut tokio::net::tcp::OwnedWriteHalf| {
            let mut buffer = vec![0; 1 << 16];
            while let Ok(read @ 1..) = from.read(&mut buffer).await {
                recorder.lock().unwrap().extend_from_slice(&buffer[..read]);
                to.write_all(&buffer[..read]).await.unwrap();
            }
        };
        tokio::join!(
            record(&mut from_caller, &mut to_service),
            record(&mut from_service, &mut to_caller)
        );
    });
    let client = Client::connect(&ServiceAddress::new(proxy, SECRET)).unwrap();
    assert_answers(call(&client).await);
    recording.lock().unwrap().clone()
}

fn contains(recording: &[u8], part: &[u8]) -> bool {
    recording.windows(part.len()).any(|window| window == part)
}

/// Decodes PEM.
fn der(pem: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits: Vec<u32> = pem
        .lines()
        .filter(|line| !line.starts_with('-'))
        .flat_map(str::bytes)
        .filter_map(|byte| DIGITS.iter().position(|digit| *digit == byte))
        .map(|digit| digit as u32)
        .collect();
    let bytes = digits.chunks(4).flat_map(|group| {
        let bits = group.iter().fold(0, |bits, digit| bits << 6 | digit) << (6 * (4 - group.len()));
        bits.to_be_bytes()[1..group.len()].to_vec()
    });
    bytes.collect()
}

/// The certificates, with which guesses could be tested, are encrypted with keys of the connection.
#[tokio::test]
async fn recording_of_a_connection_shows_neither_calls_nor_anything_of_the_secret() {
    let running = start(Service::bind("tcp://127.0.0.1:0", SECRET)).await;
    let recording = recorded_call(&running).await;
    let key = PeerKey::from_secret(SECRET).unwrap();
    let certificate = der(&key.certificate_pem());
    let private_key = der(&key.private_key_pem());
    assert!(certificate.starts_with(&[0x30, 0x81]) && contains(&certificate, b"brubeck"));
    let public_key = certificate
        .windows(44)
        .find(|window| window.starts_with(b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00"))
        .expect("a public key");
    for part in [
        SECRET.as_bytes(),
        b"/where",
        b"here, says",
        b"NULL",
        b"\xb2brb",
        &public_key[12..20],
        &private_key[16..24],
        &certificate[certificate.len() - 8..],
    ] {
        assert!(
            !contains(&recording, part),
            "{:?}",
            part.escape_ascii().to_string()
        );
    }
    // Two connections of the same peers have nothing in common but the constant parts of the two hellos.
    assert!(contains(&recording, b"brubeck/3"), "the recording has the hello");
    running.stop().await.unwrap();
}

/// The service closes the connection without an answer in clear.
#[tokio::test]
async fn stranger_without_tls_is_disconnected() {
    let running = start(Service::bind("tcp://127.0.0.1:0", SECRET)).await;
    let address = running.address().trim_start_matches("tcp://").to_owned();
    for beginning in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"\xff\0\0\0\0\0\0\0\0\x7f\x03",
        b"\xb2brb\x03\x01",
    ] {
        let mut stranger = TcpStream::connect(&address).await.unwrap();
        stranger.write_all(beginning).await.unwrap();
        let read = with_timeout(copy(&mut stranger, &mut sink()))
            .await
            .unwrap_or_default();
        assert_eq!(read, 0);
    }
    let client = Client::connect(&ServiceAddress::new(running.address(), SECRET)).unwrap();
    assert_answers(call(&client).await);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn paused_clock_is_named_as_the_reason_why_sockets_do_not_connect() {
    let folder = socket_folder();
    let client = Client::connect(&ServiceAddress::new(socket_address(&folder, "none"), SECRET)).unwrap();
    let error = error_of(&client).await;
    assert!(
        matches!(&error, CallError::NoWorkers(reason) if reason.contains("clock is paused") && reason.contains("TestSite")),
        "{error:?}"
    );
}

#[tokio::test]
async fn peers_of_old_libzmq_are_refused_with_one_warning() {
    let logs = CapturedLogs::start(tracing::Level::DEBUG);
    let running = start(Service::bind("tcp://127.0.0.1:0", SECRET).dialects("p")).await;
    let address = running.address().trim_start_matches("tcp://").to_owned();
    for _ in 0..3 {
        let mut peer = TcpStream::connect(&address).await.unwrap();
        // The greeting of libzmq 3.2, whose ZMTP has the version 2.0.
        peer.write_all(b"\xff\0\0\0\0\0\0\0\x01\x7f\x01\x05")
            .await
            .unwrap();
        with_timeout(copy(&mut peer, &mut sink())).await.ok();
    }
    let lines = logs.lines("libzmq 4.0");
    assert_eq!(lines.len(), 3, "{lines:?}");
    let warnings: Vec<_> = lines.iter().filter(|line| line.contains("WARN")).collect();
    assert!(
        matches!(&warnings[..], [line] if line.contains("127.0.0.1") && line.contains("refused a connection")),
        "{warnings:?}"
    );
    running.stop().await.unwrap();
}
