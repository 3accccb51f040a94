//! The start of a benchmark: a parent process that measures, and child processes that it starts with a role.

use crate::Result;
use crate::sides::Flavor;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

/// The arguments of a benchmark: those of a child process, or else those of the parent.
#[derive(Parser)]
struct Arguments<R: Subcommand, P: Args> {
    #[command(subcommand)]
    role: Option<R>,
    #[command(flatten)]
    plan: P,
}

/// Parses the arguments of this process. Runs the plan of the parent on one thread, or the role of a child.
///
/// # Errors
///
/// Returns the error of the plan or of the role, or an error if the runtime cannot be created.
pub fn run<R: Subcommand, P: Args, F: Future<Output = Result>>(
    about: &'static str,
    run_plan: impl FnOnce(P) -> F,
    run_role: impl FnOnce(R) -> Result,
) -> Result {
    let matches = Arguments::<R, P>::command().about(about).get_matches();
    let arguments = Arguments::<R, P>::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match arguments.role {
        None => Flavor::CurrentThread.build()?.block_on(run_plan(arguments.plan)),
        Some(role) => run_role(role),
    }
}
