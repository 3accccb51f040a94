//! Handlers behind a Mongrel2 in the same configuration: brubeck, C, and Python.

use crate::embedded::ROUTES;
use crate::side::{Program, Tools};
use ::brubeck::prelude::*;
use ::brubeck::{Mongrel2Config, Mongrel2Handler, Mongrel2Server};
use brubeck_benches::child::Child;
use brubeck_benches::{Result, sides::RunningServer};
use tempfile::TempDir;
use tokio::process::Command;

pub(crate) async fn brubeck(send: &str, recv: &str) -> Result<RunningServer> {
    let running = App::new(ROUTES, ()).start(Mongrel2::new(send, recv)).await?;
    Ok(RunningServer {
        address: String::new(),
        pids: Vec::new(),
        alive: Box::new(running),
    })
}

/// A running Mongrel2. It is stopped when dropped.
pub(crate) struct Mongrel2Process {
    pub(crate) server: Mongrel2Server,
    _folder: TempDir,
}

impl Mongrel2Process {
    /// Starts a Mongrel2 and its handler.
    pub(crate) async fn start(program: Program, tools: &Tools) -> Result<(Mongrel2Process, Child)> {
        let folder = tempfile::tempdir()?;
        let spec = |name| format!("ipc://{}", folder.path().join(name).display());
        let (send, recv) = (spec("send"), spec("recv"));
        let config = Mongrel2Config::bind("127.0.0.1:0").handler("/", Mongrel2Handler::new(&send, &recv));
        let server = config.start().await?;
        let mut command = match program {
            Program::Own(side) => this_program(side)?,
            Program::C => Command::new(tools.handler()),
            Program::Python => {
                let mut python = Command::new(&tools.python);
                python.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/mongrel2/handler.py"));
                python
            }
        };
        command.args([&send, &recv]);
        let mut child = Child::spawn(command)?;
        child.ready().await?;
        let behind = Mongrel2Process {
            server,
            _folder: folder,
        };
        Ok((behind, child))
    }
}

fn this_program(side: &str) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["serve", side]);
    Ok(command)
}
