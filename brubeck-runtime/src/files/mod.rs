//! Files as responses: those of a folder, and the file that a handler returns.
//!
//! [`Files`] finds the file of a request path, `open` opens it without leaving the folder, and `content` selects what is sent of it.

pub mod codec;
mod content;
mod open;

pub(crate) use content::ContentRequest;

use crate::response::{IntoReply, Payload, Response};
use crate::status::Status;
use codec::{FileName, accepted_codings};
use content::FileContent;
use http::header::{ALLOW, HeaderMap, HeaderValue, LOCATION, VARY};
use http::{Method, Uri};
use open::{Opened, open_below, open_file};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The file that responds to the path of a folder.
const INDEX: &str = "index.html";

/// The characters that stay as they are in the path of a redirect.
const PATH_PART: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A folder of static files, for [`App::files`](crate::App::files).
///
/// ```
/// # use brubeck::prelude::*;
/// # use brubeck::Files;
/// # fn example(routes: Routes<()>) -> App<()> {
/// App::new(routes, ()).files("/static", Files::new("static").precompressed(true))
/// # }
/// ```
///
/// GET and HEAD are supported, with range requests and conditional requests (RFC 9110, sections 13 and 14): several ranges become
/// `multipart/byteranges`. Every response has an `etag`, which changes with the size and the modification time of the file, and
/// `last-modified`. Text is declared to be UTF-8.
///
/// * The path of a folder responds with its `index.html`. Without the final `/` it is a redirect, relative to the path of the request, so
///   it is right below every prefix and proxy. A folder without an `index.html` is 404.
/// * A path never leads out of the folder, through a symbolic link neither: links are followed only within the folder, as long as they are
///   relative. Linux 5.6 guarantees this even while links change. On older and other systems no link within the folder is followed.
/// * Names that begin with a dot are 404, unless [`hidden`](Files::hidden) allows them. The folder `.well-known` at the top is served
///   always, because it exists to be read (RFC 8615).
/// * A path that names nothing is 404: one with an empty part, `.` or `..`, a NUL or a backslash, or text that is not UTF-8 or is too long.
///   So is anything that is not a regular file, and a file that may not be read, which is logged.
///
/// The folder is opened with each request. It may be a symbolic link itself, and may be replaced while the application runs.
///
/// Requires the feature `files`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    folder: PathBuf,
    hidden: bool,
    precompressed: bool,
}

impl Files {
    /// Serves a folder. A relative path is relative to the working directory.
    ///
    /// ```
    /// # use brubeck::Files;
    /// let files = Files::new("static");
    /// ```
    pub fn new(folder: impl Into<PathBuf>) -> Files {
        Files {
            folder: folder.into(),
            hidden: false,
            precompressed: false,
        }
    }

    /// Serves files and folders whose names begin with a dot, too. The default is `false`.
    ///
    /// ```
    /// # use brubeck::Files;
    /// let files = Files::new("mirror").hidden(true);
    /// ```
    pub fn hidden(mut self, serve: bool) -> Files {
        self.hidden = serve;
        self
    }

    /// Sends `style.css.br` or `style.css.gz` instead of `style.css` if the file exists and the client accepts its coding. The default is
    /// `false`.
    ///
    /// ```
    /// # use brubeck::Files;
    /// let files = Files::new("static").precompressed(true);
    /// ```
    ///
    /// The client's weights decide, and brotli if they are equal. All responses have `vary: accept-encoding` then. Compressed files are not
    /// compared with the originals: write both when you build your application.
    pub fn precompressed(mut self, serve: bool) -> Files {
        self.precompressed = serve;
        self
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Responds to a request. An error has no body yet.
    pub(crate) async fn respond(self: Arc<Files>, request: FileRequest) -> Response {
        let reading = tokio::task::spawn_blocking(move || {
            let response = read_again_if_shorter(|| self.read(&request));
            let mut response = response.unwrap_or_else(|error| {
                let folder = self.folder.display();
                tracing::error!(%folder, path = request.uri.path(), %error, "cannot read a static file");
                Status::INTERNAL_SERVER_ERROR.into_reply()
            });
            if self.precompressed {
                let vary = HeaderValue::from_static("accept-encoding");
                response.headers_mut().append(VARY, vary);
            }
            response
        });
        // The task fails if the runtime is shutting down.
        let unavailable = |_| Status::SERVICE_UNAVAILABLE.into_reply();
        reading.await.unwrap_or_else(unavailable)
    }

    /// # Errors
    ///
    /// Returns an error if the system is short of a resource or fails to read, but not for any kind of path.
    fn read(&self, request: &FileRequest) -> io::Result<Response> {
        let found = match FileName::from_path(request.uri.path()) {
            Some(name) if self.hidden || !name.is_hidden() => self.find(&name, request)?,
            _ => Found::Nothing,
        };
        Ok(match (found, &request.method) {
            (Found::Nothing, _) => Status::NOT_FOUND.into_reply(),
            (_, &Method::OPTIONS) => with_allow(Status::NO_CONTENT),
            (Found::Redirect(last_part), &(Method::GET | Method::HEAD)) => {
                redirect(&last_part, request.uri.query())
            }
            (Found::Content(content), method @ &(Method::GET | Method::HEAD)) => {
                content.respond(&ContentRequest {
                    headers: &request.headers,
                    is_head: method == Method::HEAD,
                    status: Status::OK,
                })?
            }
            _ => with_allow(Status::METHOD_NOT_ALLOWED),
        })
    }

    /// Finds what a name stands for.
    ///
    /// # Errors
    ///
    /// Returns an error if the system is short of a resource or fails to read, but not for any kind of name.
    fn find(&self, name: &FileName, request: &FileRequest) -> io::Result<Found> {
        let requested = Path::new(name.as_str());
        let index = requested.join(INDEX);
        if name.is_folder() {
            let Opened::File(file) = open_below(&self.folder, &index)? else {
                return Ok(Found::Nothing);
            };
            return match &request.prefix_without_slash {
                Some(prefix) => Ok(Found::Redirect(prefix.clone())),
                None => self.choose_coding(&index, file, request).map(Found::Content),
            };
        }
        match open_below(&self.folder, requested)? {
            Opened::File(file) => self.choose_coding(requested, file, request).map(Found::Content),
            Opened::Folder => match open_below(&self.folder, &index)? {
                Opened::File(_) => Ok(Found::Redirect(name.last_part().to_owned())),
                _ => Ok(Found::Nothing),
            },
            Opened::Nothing => Ok(Found::Nothing),
        }
    }

    /// Replaces a file by its precompressed variant, if there is one that the client prefers.
    fn choose_coding(
        &self,
        name: &Path,
        file: std::fs::File,
        request: &FileRequest,
    ) -> io::Result<FileContent> {
        if self.precompressed {
            for coding in accepted_codings(&request.headers) {
                let mut variant = name.as_os_str().to_owned();
                variant.push(coding.extension());
                if let Opened::File(file) = open_below(&self.folder, Path::new(&variant))? {
                    return FileContent::new(file, name).map(|content| content.with_coding(coding));
                }
            }
        }
        FileContent::new(file, name)
    }
}

impl<P: AsRef<Path>> From<P> for Files {
    fn from(folder: P) -> Files {
        Files::new(folder.as_ref())
    }
}

/// A request for a file of a folder.
pub(crate) struct FileRequest {
    method: Method,
    headers: HeaderMap,
    /// The target below the prefix of the folder.
    uri: Uri,
    /// The last part of the path that the client sent, if that is the prefix of the folder without the final `/`.
    prefix_without_slash: Option<String>,
}

impl FileRequest {
    /// `target` is what the client sent, and `uri` the part of it below the prefix of the folder.
    pub(crate) fn new(method: Method, headers: HeaderMap, target: &Uri, uri: Uri) -> FileRequest {
        let last_part = target.path().rsplit('/').next().unwrap_or_default();
        let last_part = percent_decode_str(last_part).decode_utf8_lossy();
        // After a dot segment the path stands for a folder already.
        let is_prefix = uri.path() == "/" && !matches!(&*last_part, "" | "." | "..");
        let prefix_without_slash = is_prefix.then(|| last_part.into_owned());
        FileRequest {
            method,
            headers,
            uri,
            prefix_without_slash,
        }
    }
}

/// Opens the file of a handler. Returns `None` if there is no regular file with this path.
///
/// # Errors
///
/// Returns an error if the file exists, but cannot be opened.
pub(crate) fn open_content(path: &Path) -> io::Result<Option<FileContent>> {
    match open_file(path)? {
        Some(file) => FileContent::new(file, path).map(Some),
        None => Ok(None),
    }
}

/// Repeats an operation if a file became shorter while it was read: another process is writing it.
///
/// # Errors
///
/// Returns the error of the last attempt.
pub(crate) fn read_again_if_shorter<T>(mut read: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    const ATTEMPTS: usize = 3;
    for _ in 1..ATTEMPTS {
        match read() {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            result => return result,
        }
    }
    read()
}

/// What the path of a request stands for.
enum Found {
    Content(FileContent),
    /// A folder whose path lacks the final `/`. Contains the last part of the path.
    Redirect(String),
    Nothing,
}

/// Redirects to a folder, with a location relative to the path of the request.
///
/// It begins with `./`, so it cannot name another host, and a part with a colon cannot be taken for a scheme.
fn redirect(last_part: &str, query: Option<&str>) -> Response {
    let mut location = format!("./{}/", utf8_percent_encode(last_part, PATH_PART));
    if let Some(query) = query {
        location.push('?');
        location.push_str(query);
    }
    let Ok(location) = HeaderValue::try_from(location) else {
        return Status::BAD_REQUEST.into_reply();
    };
    let mut response = Response::new(Status::new(307)).with_payload(Payload::Empty);
    response.headers_mut().insert(LOCATION, location);
    response
}

fn with_allow(status: Status) -> Response {
    let mut response = status.into_reply();
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"));
    response
}
