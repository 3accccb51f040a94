//! The sides that are compared, and the tools they need.

use brubeck_benches::Result;
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

/// One way to say hello.
#[derive(Debug)]
pub(crate) struct Side {
    /// As it is asked for, and as tables call it.
    pub(crate) name: &'static str,
    pub(crate) front: Front,
    pub(crate) program: Program,
}

/// What speaks with the browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Front {
    Embedded,
    Mongrel2,
}

impl Front {
    pub(crate) const ALL: [Front; 2] = [Front::Embedded, Front::Mongrel2];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Front::Embedded => "The embedded server",
            Front::Mongrel2 => "Behind Mongrel2",
        }
    }

    /// The side that the others are measured by: what the library below costs.
    pub(crate) fn floor(self) -> &'static str {
        match self {
            Front::Embedded => "hyper",
            Front::Mongrel2 => "m2-c",
        }
    }
}

/// What answers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Program {
    /// This program, as a child process that is told this name.
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
            front: Front::Embedded,
            program: Program::Own(name),
        }
    }

    const fn behind(name: &'static str, program: Program) -> Side {
        Side {
            name,
            front: Front::Mongrel2,
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

/// # Errors
///
/// There is no side of this name.
pub(crate) fn named(name: &str) -> Result<&'static Side> {
    let known: Vec<_> = SIDES.iter().map(|side| side.name).collect();
    let found = SIDES.iter().find(|side| side.name == name);
    found.ok_or_else(|| format!("there is no side `{name}`: there are {}", known.join(", ")).into())
}

/// What is not Rust.
pub(crate) struct Tools {
    folder: TempDir,
    pub(crate) python: String,
}

impl Tools {
    /// Compiles the handler in C.
    ///
    /// # Errors
    ///
    /// There is no C compiler, or no libzmq.
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
            _ => Err("the handler in C does not compile: apt-get install gcc libzmq3-dev".into()),
        }
    }

    pub(crate) fn handler(&self) -> PathBuf {
        self.folder.path().join("handler")
    }
}
