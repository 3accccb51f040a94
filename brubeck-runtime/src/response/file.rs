//! A file as a reply.

use super::{IntoReply, Payload, Response};
use crate::status::Status;
use std::path::{Path, PathBuf};

/// A file: its media type is told by its name, the client may ask for parts of it, and is told when it has not
/// changed.
///
/// ```
/// use brubeck::prelude::*;
///
/// #[get("^/report$")]
/// async fn report() -> File {
///     File::new("reports/2024.pdf").download("report.pdf")
/// }
/// ```
///
/// A file that is not there is answered with 404. The path is the handler's own: what a client sent must not be
/// part of it; [`App::files`](crate::App::files) serves folders safely. Feature `files`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    path: PathBuf,
    name: Option<String>,
}

impl File {
    /// The file at this path.
    pub fn new(path: impl Into<PathBuf>) -> File {
        File {
            path: path.into(),
            name: None,
        }
    }

    /// The browser saves it under this name instead of showing it.
    pub fn download(mut self, name: impl Into<String>) -> File {
        self.name = Some(name.into());
        self
    }

    /// The `content-disposition` of a download.
    pub(crate) fn disposition(&self) -> Option<String> {
        // Everything but letters and digits is encoded, so the name stays within its parameter.
        let name =
            percent_encoding::utf8_percent_encode(self.name.as_deref()?, percent_encoding::NON_ALPHANUMERIC);
        Some(format!("attachment; filename*=UTF-8''{name}"))
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl IntoReply for File {
    fn into_reply(self) -> Response {
        Response::new(Status::OK).with_payload(Payload::File(self))
    }
}
