//! Finds out from the headers of a request where its body is, and recognises forged headers.
//!
//! For a large body Mongrel2 adds `x-mongrel2-upload-start` with the name of a file, and later
//! `x-mongrel2-upload-done`. A client can send the same headers, so they are trusted only if Mongrel2 must have
//! written them.

use crate::mongrel2::codec::Mongrel2Headers;
use std::path::{Path, PathBuf};

/// The largest content length that Mongrel2 supports.
const MAX_CONTENT_LENGTH: u64 = (1 << 31) - 1;
const UPLOAD_START: &str = "x-mongrel2-upload-start";
const UPLOAD_DONE: &str = "x-mongrel2-upload-done";

/// The files to which Mongrel2 writes uploads.
#[derive(Clone, Debug)]
pub(in crate::mongrel2) struct UploadStore {
    /// The path prefix of a file, as Mongrel2 writes it in the headers.
    prefix: String,
    /// The folder of the files for this process.
    folder: PathBuf,
}

/// The place of a request body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::mongrel2) enum BodyLocation {
    /// In the message. It is empty if the request has no body.
    Inline,
    /// In a file. Mongrel2 has finished writing it if `done` is `true`; otherwise the request is sent once more
    /// later.
    File { name: String, path: PathBuf, done: bool },
    /// In this message and in further ones.
    Streamed { offset: u64, last: bool },
    /// In a file, but uploads to files are not configured here, or the name does not match the template.
    TooLarge,
}

impl UploadStore {
    /// Creates a store from Mongrel2's setting `upload.temp_store`. `folder` is the path of its folder for this
    /// process, if that differs. Returns `None` if `template` does not end in `XXXXXX`.
    pub(in crate::mongrel2) fn new(template: &str, folder: Option<PathBuf>) -> Option<UploadStore> {
        let prefix = template.strip_suffix("XXXXXX")?.to_owned();
        let folder = match folder {
            Some(folder) => folder,
            None => Path::new(template).parent()?.to_owned(),
        };
        Some(UploadStore { prefix, folder })
    }

    /// Returns the path of an upload file for this process. Returns `None` if the name does not match the template.
    fn path(&self, name: &str) -> Option<PathBuf> {
        // Mongrel2 replaces the `XXXXXX` of the template (mkstemp).
        let suffix = name.strip_prefix(&self.prefix)?;
        let matches = suffix.len() == 6 && suffix.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let file_name = Path::new(name).file_name()?;
        matches.then(|| self.folder.join(file_name))
    }
}

/// Returns the content length.
///
/// # Errors
/// Returns an error if Mongrel2 would not read the header as this number: if it is repeated, malformed or too large.
pub(in crate::mongrel2) fn content_length(headers: &Mongrel2Headers) -> Result<Option<u64>, ()> {
    let mut values = headers.get_all("content-length");
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() || value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(());
    }
    let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
    number
        .filter(|length| *length <= MAX_CONTENT_LENGTH)
        .map(Some)
        .ok_or(())
}

/// Returns the place of a request body. `store` is `None` if uploads to files are not configured.
pub(in crate::mongrel2) fn locate_body(
    headers: &Mongrel2Headers,
    body: &[u8],
    store: Option<&UploadStore>,
) -> BodyLocation {
    if let Some(offset) = headers.upload_stream() {
        return BodyLocation::Streamed {
            offset,
            last: headers.upload_stream_done(),
        };
    }
    let single = |name: &str| {
        let mut values = headers.get_all(name);
        let value = std::str::from_utf8(values.next()?).ok()?;
        values.next().is_none().then_some(value)
    };
    let Some(name) = single(UPLOAD_START).filter(|_| body.is_empty()) else {
        return BodyLocation::Inline;
    };
    // A client can forge the upload headers. But if a request has a body, Mongrel2 either puts it into the message or
    // sets the start header itself. So the header is genuine if the request has a body and the message does not.
    let has_body = match content_length(headers) {
        Ok(Some(length)) => length > 0,
        Ok(None) => single("transfer-encoding") == Some("chunked"),
        Err(()) => false,
    };
    if !has_body {
        return BodyLocation::Inline;
    }
    let Some(store) = store else {
        return BodyLocation::TooLarge;
    };
    match store.path(name) {
        Some(path) => BodyLocation::File {
            name: name.to_owned(),
            path,
            // A client can send a done header with the first message, so it must name the same file.
            done: single(UPLOAD_DONE) == Some(name),
        },
        None => BodyLocation::TooLarge,
    }
}

/// Returns `true` for the upload headers, which applications must not see because a client can forge them.
pub(in crate::mongrel2) fn is_upload_header(name: &[u8]) -> bool {
    name == UPLOAD_START.as_bytes() || name == UPLOAD_DONE.as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> UploadStore {
        UploadStore::new("/uploads/u.XXXXXX", None).unwrap()
    }

    #[track_caller]
    fn assert_forged(headers: &[(&'static str, &'static str)], body: &[u8]) {
        let headers: Mongrel2Headers = headers.iter().copied().collect();
        let location = locate_body(&headers, body, Some(&store()));
        assert!(
            matches!(location, BodyLocation::Inline | BodyLocation::TooLarge),
            "{location:?}"
        );
    }

    const NAME: &str = "/uploads/u.aB3xYz";

    #[test]
    fn trusts_upload_headers_of_mongrel2() {
        let locate = |headers: &[(&'static str, &'static str)]| {
            locate_body(&headers.iter().copied().collect(), b"", Some(&store()))
        };
        let file = |done| BodyLocation::File {
            name: NAME.into(),
            path: NAME.into(),
            done,
        };
        assert_eq!(
            locate(&[(UPLOAD_START, NAME), ("content-length", "30000")]),
            file(false)
        );
        assert_eq!(
            locate(&[(UPLOAD_START, NAME), ("transfer-encoding", "chunked")]),
            file(false)
        );
        assert_eq!(
            locate(&[
                (UPLOAD_START, NAME),
                (UPLOAD_DONE, NAME),
                ("content-length", "30000")
            ]),
            file(true)
        );
        // The client forged the done header. Mongrel2 has only begun to write the file.
        assert_eq!(
            locate(&[
                (UPLOAD_START, NAME),
                (UPLOAD_DONE, "/etc/passwd"),
                ("content-length", "9")
            ]),
            file(false)
        );
        assert_eq!(
            locate(&[("UPLOAD_STREAM", "100"), ("UPLOAD_STREAM_DONE", "1")]),
            BodyLocation::Streamed {
                offset: 100,
                last: true
            }
        );
    }

    #[test]
    fn ignores_forged_upload_headers() {
        assert_forged(&[(UPLOAD_START, NAME), (UPLOAD_DONE, NAME)], b"");
        assert_forged(
            &[(UPLOAD_START, NAME), (UPLOAD_DONE, NAME), ("content-length", "0")],
            b"",
        );
        assert_forged(
            &[
                (UPLOAD_START, NAME),
                (UPLOAD_DONE, NAME),
                ("content-length", "99999999999"),
            ],
            b"",
        );
        assert_forged(
            &[
                (UPLOAD_START, NAME),
                (UPLOAD_DONE, NAME),
                ("content-length", "5x"),
            ],
            b"",
        );
        assert_forged(
            &[
                (UPLOAD_START, NAME),
                (UPLOAD_DONE, NAME),
                ("content-length", "+5"),
            ],
            b"",
        );
        assert_forged(
            &[
                (UPLOAD_START, NAME),
                (UPLOAD_DONE, NAME),
                ("content-length", "5"),
                ("content-length", "5"),
            ],
            b"",
        );
        assert_forged(
            &[(UPLOAD_START, NAME), (UPLOAD_DONE, NAME), ("content-length", "5")],
            b"hello",
        );
        assert_forged(
            &[
                (UPLOAD_START, NAME),
                (UPLOAD_DONE, NAME),
                ("transfer-encoding", "Chunked"),
            ],
            b"",
        );
        assert_forged(
            &[
                (UPLOAD_START, NAME),
                (UPLOAD_START, NAME),
                (UPLOAD_DONE, NAME),
                ("content-length", "5"),
            ],
            b"",
        );
        for name in [
            "/etc/passwd",
            "/uploads/u.aB3xY",
            "/uploads/u.aB3xYzz",
            "/uploads/u.../..",
            "/uploads/u.a/../b",
            "/uploads/../u.aB3xYz",
            "u.aB3xYz",
        ] {
            let headers: Mongrel2Headers =
                [(UPLOAD_START, name), (UPLOAD_DONE, name), ("content-length", "5")]
                    .into_iter()
                    .collect();
            assert_eq!(
                locate_body(&headers, b"", Some(&store())),
                BodyLocation::TooLarge,
                "{name}"
            );
        }
    }

    #[test]
    fn maps_file_names_to_the_local_folder() {
        let store = UploadStore::new("tmp/u.XXXXXX", Some("/srv/m2/tmp".into())).unwrap();
        assert_eq!(store.path("tmp/u.abcdef"), Some("/srv/m2/tmp/u.abcdef".into()));
        assert!(UploadStore::new("/uploads/u", None).is_none());
    }
}
