//! `brubeck call`

use brubeck::{Client, Credentials, KeyPair, ServiceAddress};
use serde_json::Value;
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Calls a service, and prints the body of the response, which is JSON.
///
/// The status goes to standard error. The exit code is 0 if the status is 2xx, and 1 otherwise.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The address of the service: ipc://path or tcp://host:port
    address: String,
    /// The path of the handler, such as /service/slow
    path: String,
    /// The body of the request: JSON, usually an object with the arguments
    #[arg(value_name = "JSON", value_parser = json)]
    body: Option<Value>,
    /// The secret of the service. The environment variable does not show it to other users of the machine.
    #[arg(
        long,
        env = "BRUBECK_SECRET",
        hide_env_values = true,
        required_unless_present = "key"
    )]
    secret: Option<String>,
    /// A file with a key pair, as `brubeck keygen --key-pair` writes it, to use instead of a secret
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The pin of the key of the service, with --key. May be given several times
    #[arg(long, value_name = "PIN", requires = "key")]
    accept: Vec<String>,
    /// A file with the certificates of authorities that sign those of services, with --key
    #[arg(long, value_name = "FILE", requires = "key")]
    authority: Vec<PathBuf>,
    /// The name in the certificate of the service, with --authority [default: the host of the address]
    #[arg(long, value_name = "NAME", requires = "authority")]
    server_name: Option<String>,
    /// The time to wait for the response, in seconds
    #[arg(long, default_value_t = 10.0, value_name = "SECONDS", value_parser = seconds)]
    timeout: f64,
}

fn json(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str(text)
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "it is not a number".to_owned())?;
    if seconds > 0.0 && seconds <= 86_400.0 {
        Ok(seconds)
    } else {
        Err("it must be more than 0 and at most 86400".to_owned())
    }
}

pub(crate) fn run(arguments: Arguments) -> Result<ExitCode, Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(call(arguments))
}

fn credentials(arguments: &Arguments) -> Credentials {
    let Some(file) = &arguments.key else {
        return arguments.secret.clone().unwrap_or_default().into();
    };
    let mut key_pair = KeyPair::file(file);
    for pin in &arguments.accept {
        key_pair = key_pair.accept(pin);
    }
    for path in &arguments.authority {
        key_pair = key_pair.accept_authority(path);
    }
    if let Some(name) = &arguments.server_name {
        key_pair = key_pair.server_name(name);
    }
    key_pair.into()
}

async fn call(arguments: Arguments) -> Result<ExitCode, Box<dyn Error>> {
    let credentials = credentials(&arguments);
    let client = Client::connect(&ServiceAddress::new(arguments.address, credentials))?;
    let mut call = client
        .request(arguments.path)
        .timeout(Duration::from_secs_f64(arguments.timeout));
    if let Some(body) = arguments.body {
        call = call.body(body);
    }
    let response = call.await?;
    eprintln!("{}", response.status);
    println!("{:#}", response.body);
    Ok(if response.status.is_success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
