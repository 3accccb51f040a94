//! The reply that serves a file.

use super::{IntoReply, Payload, Response};
use crate::status::Status;
use std::path::{Path, PathBuf};

/// A reply that serves a file from disk.
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
/// The content type is derived from the file extension, and text is declared to be UTF-8. The response has an `etag` and `last-modified`,
/// and supports range requests and conditional requests (RFC 9110, sections 13 and 14). Headers that the handler adds take their place.
///
/// A file can have a status of its own, as in `(Status::NOT_FOUND, File::new("errors/404.html"))`, and be the page of a
/// [catcher](crate::App::catch). Ranges and conditions apply only if the status is 200.
///
/// The response is 404 if the file does not exist or is not a regular file, and 500 if it cannot be read; both are logged. Do not build the path from client
/// input; use [`App::files`](crate::App::files) to serve a folder. Services cannot send files: the caller of a service gets a 500 response,
/// and an error is logged.
///
/// Requires the feature `files`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    path: PathBuf,
    download_name: Option<String>,
}

impl File {
    /// Creates a reply with the file at a path. A relative path is relative to the working directory.
    ///
    /// ```
    /// # use brubeck::File;
    /// let report = File::new("reports/2024.pdf");
    /// ```
    ///
    /// The file is opened when the handler has returned.
    pub fn new(path: impl Into<PathBuf>) -> File {
        File {
            path: path.into(),
            download_name: None,
        }
    }

    /// Sets the name under which the browser saves the file, instead of displaying it.
    ///
    /// ```
    /// # use brubeck::File;
    /// let report = File::new("reports/2024.pdf").download("report.pdf");
    /// ```
    ///
    /// It is the header `content-disposition` (RFC 6266). The name may contain any characters. By default the browser displays the file.
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
    ///
    /// ```
    /// # use brubeck::File;
    /// assert_eq!(File::new("report.pdf").path().to_str(), Some("report.pdf"));
    /// ```
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl IntoReply for File {
    const UNSENDABLE: Option<&'static str> =
        Some("a service cannot send a `File`\nhelp: read the file, and return `Bytes`");

    fn into_reply(self) -> Response {
        Response::new(Status::OK).with_payload(Payload::File(self))
    }
}
