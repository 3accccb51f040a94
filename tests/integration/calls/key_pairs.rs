//! Services and callers with key pairs of their own, instead of a shared secret.

use crate::support::logs::CapturedLogs;
use crate::support::requirements;
use crate::support::served_app::{socket_address, socket_folder};
use crate::support::with_timeout;
use brubeck::prelude::*;
use brubeck::{CallerKey, Credentials, KeyPair, PeerKey, Running, Service, ServiceAddress, TestSite};
use std::fs;
use std::future::IntoFuture;
use std::path::{Path, PathBuf};
use std::process::Command;

const SECRET: &str = "my_shared_secret";

#[service_handler(path = "^/where$", method = "request")]
async fn here() -> &'static str {
    "here"
}

/// Reads its argument, so a caller that is refused before learns nothing of it.
#[service_handler(path = "^/key$", method = "request")]
async fn key_of_caller(number: Arg<u32>, caller: CallerKey) -> String {
    format!("{caller} {}", number.0)
}

#[service_client]
trait Sums {
    #[call("/sums/add")]
    async fn add(&self, one: u32, other: u32) -> Result<u32, Problem>;
}

#[service_handler(sums::add)]
async fn add(args: Args<sums::add>, caller: Option<CallerKey>) -> Result<u32, Problem> {
    let _ = caller;
    Ok(args.one + args.other)
}

const ROUTES: Routes<()> = routes![here, key_of_caller, add];

/// A new key, with the pin that the other side accepts.
struct Key {
    pem: String,
    pin: String,
}

fn key() -> Key {
    let key = PeerKey::generate().unwrap();
    Key {
        pem: key.private_key_pem() + &key.certificate_pem(),
        pin: key.pin().to_string(),
    }
}

fn own(key: &Key) -> KeyPair {
    KeyPair::pem(&key.pem)
}

async fn start(address: &str, credentials: impl Into<Credentials>) -> Running {
    let service = Service::bind(address, credentials);
    App::new(ROUTES, ()).start(service).await.unwrap()
}

async fn call(address: ServiceAddress) -> Result<String, CallError> {
    let client = Client::connect(&address).unwrap();
    let response = with_timeout(client.request("/where").into_future()).await?;
    Ok(response.body.to_string())
}

async fn assert_answers(address: ServiceAddress) {
    assert_eq!(call(address).await.unwrap(), "\"here\"");
}

#[tokio::test]
async fn key_pairs_are_proven_over_tcp_and_ipc_and_others_are_refused_with_the_reason() {
    let logs = CapturedLogs::start(tracing::Level::WARN);
    let folder = socket_folder();
    let (service, caller, stranger) = (key(), key(), key());
    for address in ["tcp://127.0.0.1:0", &socket_address(&folder, "a")] {
        let running = start(address, own(&service).accept(&caller.pin)).await;
        let at = |credentials: KeyPair| ServiceAddress::new(running.address(), credentials);
        assert_answers(at(own(&caller).accept(&service.pin))).await;

        let not_accepted = call(at(own(&stranger).accept(&service.pin))).await.unwrap_err();
        let reason = "does not accept the key of this side; list its pin there with `KeyPair::accept`";
        assert!(
            matches!(&not_accepted, CallError::NoWorkers(text) if text.contains(reason)),
            "{not_accepted:?}"
        );
        let warning = logs.lines("refused a caller").concat();
        assert!(
            warning.contains("the key of the other side is not accepted here"),
            "{warning}"
        );
        let false_service = call(at(own(&caller).accept(&stranger.pin))).await.unwrap_err();
        let reason = "the key of the other side is not accepted here";
        assert!(
            matches!(&false_service, CallError::NoWorkers(text) if text.contains(reason)),
            "{false_service:?}"
        );
        running.stop().await.unwrap();
    }
}

/// The steps of the documentation of `KeyPair`, for the key of a service and for that of a caller.
#[tokio::test]
async fn key_is_changed_without_downtime_because_the_other_side_accepts_two() {
    let (old, new, other) = (key(), key(), key());
    let steps = || {
        [
            (&old, vec![&old]),
            (&old, vec![&old, &new]),
            (&new, vec![&old, &new]),
            (&new, vec![&new]),
        ]
    };
    let accepting = |key: &Key, pins: &[&Key]| pins.iter().fold(own(key), |own, pin| own.accept(&pin.pin));
    for (key, pins) in steps() {
        let running = start("tcp://127.0.0.1:0", own(key).accept(&other.pin)).await;
        assert_answers(ServiceAddress::new(running.address(), accepting(&other, &pins))).await;
        running.stop().await.unwrap();

        let running = start("tcp://127.0.0.1:0", accepting(&other, &pins)).await;
        assert_answers(ServiceAddress::new(
            running.address(),
            own(key).accept(&other.pin),
        ))
        .await;
        running.stop().await.unwrap();
    }
}

/// A side that has two keys presents the one that the other side accepts.
#[tokio::test]
async fn side_with_two_keys_is_accepted_by_peers_that_accept_either_one() {
    let (old, new, other) = (key(), key(), key());
    let folder = socket_folder();
    for base in ["tcp://127.0.0.1:0", &socket_address(&folder, "a")] {
        let service = Service::bind(base, own(&new).accept(&other.pin)).also_accept(own(&old));
        let running = App::new(ROUTES, ()).start(service).await.unwrap();
        for accepted in [&old, &new] {
            assert_answers(ServiceAddress::new(
                running.address(),
                own(&other).accept(&accepted.pin),
            ))
            .await;
        }
        running.stop().await.unwrap();

        for accepted in [&old, &new] {
            let running = start(base, own(&other).accept(&accepted.pin)).await;
            let address = ServiceAddress::new(running.address(), own(&new).accept(&other.pin));
            assert_answers(address.also_accept(own(&old))).await;
            running.stop().await.unwrap();
        }
    }
}

#[tokio::test]
async fn secret_is_replaced_by_key_pairs_without_downtime() {
    let (service, caller) = (key(), key());
    let service_key = || own(&service).accept(&caller.pin);
    let caller_key = || own(&caller).accept(&service.pin);
    let both = Service::bind("tcp://127.0.0.1:0", SECRET).also_accept(service_key());
    let running = App::new(ROUTES, ()).start(both).await.unwrap();
    assert_answers(ServiceAddress::new(running.address(), SECRET)).await;
    assert_answers(ServiceAddress::new(running.address(), SECRET).also_accept(caller_key())).await;
    assert_answers(ServiceAddress::new(running.address(), caller_key())).await;
    running.stop().await.unwrap();
}

fn openssl(folder: &Path, arguments: &str) {
    let output = Command::new("openssl")
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments}: {output:?}");
}

/// Creates an authority, and a certificate of it with an ECDSA key for each name. Returns the file of the authority.
fn authority(folder: &Path, name: &str, names: &[&str]) -> PathBuf {
    const NEW_KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(
        folder,
        &format!("req -x509 {NEW_KEY} -keyout {name}.key -out {name}.pem -subj /CN={name} -days 2"),
    );
    for leaf in names {
        fs::write(folder.join("ext"), format!("subjectAltName=DNS:{leaf}\n")).unwrap();
        openssl(
            folder,
            &format!("req {NEW_KEY} -keyout {leaf}.key -out {leaf}.csr -subj /CN={leaf}"),
        );
        openssl(
            folder,
            &format!(
                "x509 -req -in {leaf}.csr -CA {name}.pem -CAkey {name}.key -CAcreateserial -out {leaf}.crt -days 2 -extfile ext"
            ),
        );
        let [key, certificate] =
            ["key", "crt"].map(|kind| fs::read_to_string(folder.join(format!("{leaf}.{kind}"))).unwrap());
        fs::write(folder.join(format!("{leaf}.both")), key + &certificate).unwrap();
    }
    folder.join(format!("{name}.pem"))
}

#[tokio::test]
async fn certificates_of_an_authority_are_accepted_and_the_name_of_the_service_is_checked() {
    if !requirements::openssl() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let ca = authority(folder.path(), "ca", &["localhost", "brubeck", "caller"]);
    authority(folder.path(), "other", &["stranger"]);
    let file = |name: &str| KeyPair::file(folder.path().join(format!("{name}.both"))).accept_authority(&ca);

    let running = start("tcp://127.0.0.1:0", file("localhost")).await;
    let address = running.address().replace("127.0.0.1", "localhost");
    // The default is the host of the address.
    assert_answers(ServiceAddress::new(&address, file("caller"))).await;
    assert_answers(ServiceAddress::new(
        running.address(),
        file("caller").server_name("localhost"),
    ))
    .await;
    let named = ServiceAddress::new(&address, file("caller").server_name("elsewhere.example"));
    let error = call(named).await.unwrap_err().to_string();
    assert!(error.contains("not valid for name"), "{error}");

    let error = call(ServiceAddress::new(&address, file("stranger")))
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("does not accept the key of this side"), "{error}");
    running.stop().await.unwrap();

    let sockets = socket_folder();
    let ipc = socket_address(&sockets, "a");
    let running = start(&ipc, file("brubeck")).await;
    assert_answers(ServiceAddress::new(&ipc, file("caller"))).await;
    // A caller without a certificate of the authority, and a service that pins it.
    let own_key = key();
    let pinning = ServiceAddress::new(&ipc, own(&own_key).accept_authority(&ca));
    assert!(call(pinning.clone()).await.is_err());
    running.stop().await.unwrap();
    let running = start(&ipc, file("brubeck").accept(&own_key.pin)).await;
    assert_answers(pinning).await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn key_pair_that_cannot_be_used_is_a_precise_error_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let (key, other) = (key(), key());
    let pin = &key.pin;
    let certificate = PeerKey::from_secret(SECRET).unwrap().certificate_pem();
    let missing = folder.path().join("missing");
    let empty = write("empty", "nothing here");
    let only_certificate = write("certificate", &certificate);
    let private_key = key.pem.split_once("-----BEGIN CERTIFICATE").unwrap().0;
    let mismatch = write("mismatch", &(private_key.to_owned() + &certificate));
    let rsa = write(
        "rsa",
        "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n",
    );
    let broken = write(
        "broken",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    );
    let file = |path: &PathBuf| KeyPair::file(path).accept(pin);
    for (key_pair, part) in [
        (file(&missing), "missing: No such file or directory"),
        (
            file(&empty),
            "empty: there is no private key in it; create one with `brubeck keygen --key-pair FILE`",
        ),
        (file(&only_certificate), "there is no private key in it"),
        (
            file(&mismatch),
            "mismatch: its first certificate is not that of its private key",
        ),
        (
            file(&rsa),
            "rsa: it is an RSA key; keys are Ed25519 or ECDSA with P-256",
        ),
        (
            file(&broken),
            "broken: the key has another type; keys are Ed25519",
        ),
        (
            own(&key),
            "the key pair accepts no key of the other side; add the pin of one with `KeyPair::accept`",
        ),
        (
            own(&key).accept(&pin[2..]),
            "has 31 bytes, and the SHA-256 of a public key has 32",
        ),
        (
            own(&key).accept("not a pin"),
            "the pin `not a pin` is not valid: it is neither hexadecimal nor base64",
        ),
        (
            own(&key).accept_authority(&missing),
            "cannot use the authorities in",
        ),
        (
            own(&key).accept_authority(&empty),
            "empty: there is no certificate in it",
        ),
    ] {
        for error in [
            App::new(ROUTES, ())
                .start(Service::bind("tcp://127.0.0.1:0", key_pair.clone()))
                .await
                .err(),
            Client::connect(&ServiceAddress::new("tcp://127.0.0.1:9", key_pair.clone())).err(),
        ] {
            let error = error.expect("an error").to_string();
            assert!(error.contains(part), "{error}\ndoes not contain {part}");
            assert!(error.contains("tcp://127.0.0.1:"), "{error}");
        }
    }
    let second = Service::bind("tcp://127.0.0.1:0", own(&key).accept(&other.pin)).also_accept(file(&missing));
    assert!(App::new(ROUTES, ()).start(second).await.is_err());
    let dialect = ServiceAddress::new("tcp://127.0.0.1:9", own(&key)).dialect(brubeck::Dialect::Seed);
    let error = Client::connect(&dialect).unwrap_err().to_string();
    assert!(
        error.contains("a dialect needs a passphrase, and not a key pair"),
        "{error}"
    );
}

#[test]
fn debug_output_of_credentials_contains_no_key() {
    let key = key();
    let credentials: Credentials = own(&key).accept(&key.pin).into();
    let private_line = key.pem.lines().nth(1).unwrap();
    assert!(!format!("{credentials:?}").contains(private_line));
    assert!(!format!("{:?}", Credentials::from(SECRET)).contains(SECRET));
}

fn assert_refused<T: std::fmt::Debug>(result: Result<T, CallError>, parts: &[&str]) {
    let error = result.unwrap_err();
    assert!(matches!(error, CallError::Refused(_)), "{error:?}");
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "{text}\ndoes not contain {part}");
    }
}

#[tokio::test]
async fn key_is_served_only_for_the_operations_for_which_it_is_listed() {
    let (service, all, one, none) = (key(), key(), key(), key());
    let folder = socket_folder();
    for base in ["tcp://127.0.0.1:0", &socket_address(&folder, "a")] {
        let accepting = [&all, &one, &none]
            .iter()
            .fold(own(&service), |own, key| own.accept(&key.pin));
        let running = App::new(ROUTES, ())
            .start(
                Service::bind(base, accepting)
                    .serve_key(&all.pin)
                    .serve_key_for(&one.pin, "sums::add")
                    .serve_key_for(&one.pin, "key_of_caller"),
            )
            .await
            .unwrap();
        let client = |key: &Key| {
            let address = ServiceAddress::new(running.address(), own(key).accept(&service.pin));
            Client::connect(&address).unwrap()
        };
        let request = |client: &Client, path: &str| {
            let call = client.request(path).argument("number", 7).into_future();
            with_timeout(call)
        };
        let (all_client, one_client, none_client) = (client(&all), client(&one), client(&none));

        for (key, client) in [(&all, &all_client), (&one, &one_client)] {
            let response = request(client, "/key").await.unwrap();
            assert_eq!(response.body.to_string(), format!("\"{} 7\"", key.pin));
            let sum = with_timeout(SumsClient::new(client.clone()).add(3, 4).into_future()).await;
            assert_eq!(sum.unwrap(), 7);
            assert!(request(client, "/.brubeck/ping").await.is_ok());
        }
        assert!(request(&all_client, "/where").await.is_ok());
        let reasons = ["the operation `here`", &one.pin, "Service::serve_key_for"];
        assert_refused(request(&one_client, "/where").await, &reasons);

        // Before the argument is read, and whether there is such an operation or not.
        for path in ["/where", "/key", "/sums/add", "/elsewhere", "/.brubeck/info"] {
            let call = none_client
                .request(path)
                .argument("number", "no number")
                .into_future();
            assert_refused(with_timeout(call).await, &["any operation", &none.pin]);
        }
        let sum = with_timeout(SumsClient::new(none_client).add(3, 4).into_future()).await;
        assert!(
            matches!(&sum, Err(CallError::Refused(reason)) if reason.to_string().contains(&none.pin)),
            "{sum:?}"
        );
        running.stop().await.unwrap();
    }
}

#[tokio::test]
async fn all_callers_with_one_secret_have_one_key() {
    let running = start("tcp://127.0.0.1:0", SECRET).await;
    let client = Client::connect(&ServiceAddress::new(running.address(), SECRET)).unwrap();
    let call = client.request("/key").argument("number", 1).into_future();
    let expected = format!("\"{} 1\"", PeerKey::from_secret(SECRET).unwrap().pin());
    assert_eq!(with_timeout(call).await.unwrap().body.to_string(), expected);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn served_keys_are_checked_at_the_start() {
    let key = key();
    let service = || Service::bind("tcp://127.0.0.1:0", own(&key).accept(&key.pin));
    for (service, part) in [
        (
            service().serve_key_for(&key.pin, "ad"),
            "names the operation `ad`, and the service has: here, key_of_caller, sums::add",
        ),
        (
            service().serve_key("c0ffee"),
            "the pin `c0ffee` of a served key is not valid: it has 3 bytes",
        ),
        (
            service().serve_key(&key.pin).dialects("x"),
            "callers of `Service::dialects` have none",
        ),
    ] {
        let error = App::new(ROUTES, ())
            .start(service)
            .await
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains(part), "{error}\ndoes not contain {part}");
        assert!(error.contains("cannot serve at tcp://127.0.0.1:0"), "{error}");
    }
}

#[tokio::test]
async fn test_site_has_no_keys_and_checks_none() {
    let site = TestSite::new(routes![], ())
        .service(
            Service::bind("ipc://run/a", "x").serve_key(key().pin),
            App::new(ROUTES, ()),
        )
        .start()
        .await
        .unwrap();
    let client = site.client(&ServiceAddress::new("ipc://run/a", "x")).unwrap();
    assert!(with_timeout(client.request("/where").into_future()).await.is_ok());
    let without_key = client.request("/key").argument("number", 1).into_future();
    let response = with_timeout(without_key).await;
    assert_eq!(response.unwrap().status.code(), 403);
    site.stop().await;
}
