//! The sides that are compared, and the programs that they need.

use brubeck_benches::Result;
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

/// A server or handler that is measured.
#[derive(Debug)]
pub(crate) struct Side {
    /// The name in options and tables.
    pub(crate) name: &'static str,
    pub(crate) front: FrontEnd,
    pub(crate) program: Program,
}

/// The web server in front of a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrontEnd {
    Embedded,
    Mongrel2,
}

impl FrontEnd {
    pub(crate) const ALL: [FrontEnd; 2] = [FrontEnd::Embedded, FrontEnd::Mongrel2];

    pub(crate) fn title(self) -> &'static str {
        match self {
            FrontEnd::Embedded => "The embedded server",
            FrontEnd::Mongrel2 => "Behind Mongrel2",
        }
    }

    /// Returns the name of the side that is the lower bound: the underlying library alone.
    pub(crate) fn lower_bound(self) -> &'static str {
        match self {
            FrontEnd::Embedded => "hyper",
            FrontEnd::Mongrel2 => "m2-c",
        }
    }
}

/// The program of a handler.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Program {
    /// This program, as a child process with the role `serve` and this name.
    Own(&'static str),
    /// `mongrel2/handler.c`.
    C,
    /// `mongrel2/handler.py`.
    Python,
}

impl Side {
    const fn embedded(name: &'static str) -> Side {
        Side {
            name,
            front: FrontEnd::Embedded,
            program: Program::Own(name),
        }
    }

    const fn behind(name: &'static str, program: Program) -> Side {
        Side {
            name,
            front: FrontEnd::Mongrel2,
            program,
        }
    }
}

/// Every side.
pub(crate) const SIDES: &[Side] = &[
    Side::embedded("hyper"),
    Side::embedded("axum"),
    Side::embedded("brubeck"),
    Side::behind("m2-c", Program::C),
    Side::behind("m2-python", Program::Python),
    Side::behind("m2-brubeck", Program::Own("m2-brubeck")),
];

/// Finds a side by its name.
///
/// # Errors
///
/// Returns an error if the name is unknown.
pub(crate) fn named(name: &str) -> Result<&'static Side> {
    let known: Vec<_> = SIDES.iter().map(|side| side.name).collect();
    let found = SIDES.iter().find(|side| side.name == name);
    found.ok_or_else(|| format!("unknown side `{name}`; use one of {}", known.join(", ")).into())
}

/// Programs that are not written in Rust.
pub(crate) struct Tools {
    folder: TempDir,
    pub(crate) python: String,
}

impl Tools {
    /// Compiles the handler in C. The Python interpreter is not checked.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no C compiler or no libzmq.
    pub(crate) fn gather() -> Result<Tools> {
        let tools = Tools {
            folder: tempfile::tempdir()?,
            python: std::env::var("BRUBECK_PYTHON").unwrap_or("python3".into()),
        };
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/mongrel2/handler.c");
        let compiled = Command::new("cc")
            .args(["-O2", "-o"])
            .arg(tools.handler())
            .args([source, "-lzmq"])
            .status();
        match compiled {
            Ok(status) if status.success() => Ok(tools),
            _ => Err("cannot compile the handler in C; install the compiler and libzmq with: apt-get install gcc libzmq3-dev".into()),
        }
    }

    pub(crate) fn handler(&self) -> PathBuf {
        self.folder.path().join("handler")
    }
}
