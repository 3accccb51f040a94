//! `brubeck call`

use brubeck::{Client, ServiceAddress};
use serde_json::Value;
use std::error::Error;
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
    #[arg(long, env = "BRUBECK_SECRET", hide_env_values = true)]
    secret: String,
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

async fn call(arguments: Arguments) -> Result<ExitCode, Box<dyn Error>> {
    let client = Client::connect(&ServiceAddress::new(arguments.address, arguments.secret))?;
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
