//! `brubeck keygen`

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use brubeck::{KeyPin, PeerKey};
use std::error::Error;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Creates a secret of 32 random bytes and prints it, as 43 characters that need no quotes. Give it to the service and to its
/// callers, for example in an environment variable.
///
/// With --key-pair, creates a key pair instead, and prints its pin, with which the other side accepts it.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Write a new key pair (Ed25519), with its certificate, to a new file in PEM, and print its pin
    #[arg(long, value_name = "FILE", conflicts_with_all = ["pem", "pin"])]
    key_pair: Option<PathBuf>,
    /// Print the pin of the private key, the certificate or the public key in a file in PEM
    #[arg(long, value_name = "FILE", conflicts_with = "pem")]
    pin: Option<PathBuf>,
    /// Also write the key and the certificate of the secret to a new file, in PEM, for peers in other languages
    #[arg(long, value_name = "FILE")]
    pem: Option<PathBuf>,
    /// Use this secret for --pem instead of a new one, and print nothing
    #[arg(long, env = "BRUBECK_SECRET", hide_env_values = true, value_name = "SECRET")]
    secret: Option<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Box<dyn Error>> {
    if let Some(path) = &arguments.key_pair {
        let key = PeerKey::generate()?;
        write_new(path, &key)?;
        println!("{}", key.pin());
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(path) = &arguments.pin {
        println!(
            "{}",
            pin_of(path).map_err(|error| format!("{}: {error}", path.display()))?
        );
        return Ok(ExitCode::SUCCESS);
    }
    // The variable may be set for `brubeck call`.
    let given = arguments.secret.as_ref().filter(|_| arguments.pem.is_some());
    let secret = match given {
        Some(secret) => secret.clone(),
        None => new_secret()?,
    };
    if let Some(path) = &arguments.pem {
        write_new(path, &PeerKey::from_secret(&secret)?)?;
    }
    if given.is_none() {
        println!("{secret}");
    }
    Ok(ExitCode::SUCCESS)
}

fn pin_of(path: &Path) -> Result<KeyPin, Box<dyn Error>> {
    Ok(PeerKey::pin_of(&std::fs::read_to_string(path)?)?)
}

fn write_new(path: &Path, key: &PeerKey) -> Result<(), String> {
    write_pem(path, key).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

fn new_secret() -> Result<String, Box<dyn Error>> {
    let mut random = [0; 32];
    getrandom::fill(&mut random)?;
    Ok(URL_SAFE_NO_PAD.encode(random))
}

/// Writes a file that only its owner can read. Does not replace a file.
fn write_pem(path: &Path, key: &PeerKey) -> std::io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(key.private_key_pem().as_bytes())?;
    file.write_all(key.certificate_pem().as_bytes())
}
