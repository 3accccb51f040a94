//! The reply that serves a file.

use super::{IntoReply, Payload, Response};
use crate::status::Status;
use std::path::{Path, PathBuf};

/// A reply that serves a file from disk.
///
/// The content type is derived from the file extension. Range requests and conditional requests (`If-Modified-Since`) are supported.
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
/// The response is 404 if the file does not exist, and 500 if it cannot be read; both are logged. Do not build the path from client
/// input; use [`App::files`](crate::App::files) to serve a folder. The caller of a service gets an empty object instead of the file,
/// and the caller of a [`LegacyService`](crate::LegacyService) a 500 response.
///
/// Requires the feature `files`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    path: PathBuf,
    download_name: Option<String>,
}

impl File {
    /// Creates a reply with the file at a path. A relative path is relative to the working directory.
    pub fn new(path: impl Into<PathBuf>) -> File {
        File {
            path: path.into(),
            download_name: None,
        }
    }

    /// Sets the name under which the browser saves the file, instead of displaying it.
    pub fn download(mut self, name: impl Into<String>) -> File {
        self.download_name = Some(name.into());
        self
    }

    /// Returns the `content-disposition` header of a download (RFC 6266). Returns `None` unless there is a
    /// [download name](File::download).
    pub(crate) fn disposition(&self) -> Option<String> {
        // Every other character is percent-encoded, so the name cannot end the parameter.
        let name = percent_encoding::utf8_percent_encode(
            self.download_name.as_deref()?,
            percent_encoding::NON_ALPHANUMERIC,
        );
        Some(format!("attachment; filename*=UTF-8''{name}"))
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl IntoReply for File {
    fn into_reply(self) -> Response {
        Response::new(Status::OK).with_payload(Payload::File(self))
    }
}
