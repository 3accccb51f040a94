//! The command `brubeck`: creates secrets and key pairs for services, and calls services.

mod call;
mod keygen;

use clap::Parser;
use std::process::ExitCode;

/// Creates secrets and key pairs for services, and calls services.
#[derive(Parser)]
#[command(name = "brubeck", version)]
enum Command {
    /// Creates a secret or a key pair for a service and its callers
    Keygen(keygen::Arguments),
    /// Calls a service, and prints the response
    Call(call::Arguments),
}

fn main() -> ExitCode {
    let result = match Command::parse() {
        Command::Keygen(arguments) => keygen::run(&arguments),
        Command::Call(arguments) => call::run(arguments),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
