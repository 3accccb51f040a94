//! What Mongrel2 says of the body of a request, and what a client only pretends that it says.

use crate::mongrel2::codec::Mongrel2Headers;
use std::path::{Path, PathBuf};

/// The longest body that Mongrel2 can count.
const LONGEST: u64 = (1 << 31) - 1;
const START: &str = "x-mongrel2-upload-start";
const DONE: &str = "x-mongrel2-upload-done";

/// Where Mongrel2 writes uploads: its setting `upload.temp_store`, and where that is for this process.
#[derive(Clone, Debug)]
pub(in crate::mongrel2) struct UploadStore {
    /// What names begin with, as Mongrel2 writes them.
    prefix: String,
    /// The folder of the files, as this process sees it.
    folder: PathBuf,
}

/// What the special headers of a request say of its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::mongrel2) enum BodyLocation {
    /// It is within the message.
    Inline,
    /// Mongrel2 begins to write it to a file, or has done so.
    File { name: String, path: PathBuf, done: bool },
    /// It comes in parts.
    Streamed { offset: u64, last: bool },
    /// It is too large, and there is nowhere to put it.
    TooLarge,
}

impl UploadStore {
    /// `template` is the setting, which ends in `XXXXXX`; `folder` is where its folder is for this process.
    pub(in crate::mongrel2) fn new(template: &str, folder: Option<PathBuf>) -> Option<UploadStore> {
        let prefix = template.strip_suffix("XXXXXX")?.to_owned();
        let folder = match folder {
            Some(folder) => folder,
            None => Path::new(template).parent()?.to_owned(),
        };
        Some(UploadStore { prefix, folder })
    }

    /// Where the file of this name is, if Mongrel2 can have made it.
    fn path(&self, name: &str) -> Option<PathBuf> {
        let made_up = name.strip_prefix(&self.prefix)?;
        let fits = made_up.len() == 6 && made_up.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let file = Path::new(name).file_name()?;
        fits.then(|| self.folder.join(file))
    }
}

/// The number of a content length that Mongrel2 takes for what it is; `Err` where it does not.
pub(in crate::mongrel2) fn length(headers: &Mongrel2Headers) -> Result<Option<u64>, ()> {
    let mut values = headers.get_all("content-length");
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() || value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(());
    }
    let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
    number.filter(|length| *length <= LONGEST).map(Some).ok_or(())
}

/// Reads the special headers. Any client can send those of files, so they are believed only where Mongrel2 itself must
/// have written them: with such a length it either puts the body into the message or replaces both headers.
pub(in crate::mongrel2) fn announced(
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
    let Some(name) = single(START).filter(|_| body.is_empty()) else {
        return BodyLocation::Inline;
    };
    let counted = match length(headers) {
        Ok(Some(length)) => length > 0,
        Ok(None) => single("transfer-encoding") == Some("chunked"),
        Err(()) => false,
    };
    if !counted {
        return BodyLocation::Inline;
    }
    let Some(store) = store else {
        return BodyLocation::TooLarge;
    };
    match store.path(name) {
        Some(path) => BodyLocation::File {
            name: name.to_owned(),
            path,
            done: single(DONE) == Some(name),
        },
        None => BodyLocation::TooLarge,
    }
}

/// Whether this header is one that Mongrel2 uses for uploads, so that applications must not see what a client says.
pub(in crate::mongrel2) fn is_special(name: &[u8]) -> bool {
    name == START.as_bytes() || name == DONE.as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> UploadStore {
        UploadStore::new("/uploads/u.XXXXXX", None).unwrap()
    }

    #[track_caller]
    fn forged(headers: &[(&'static str, &'static str)], body: &[u8]) {
        let headers: Mongrel2Headers = headers.iter().copied().collect();
        let announced = announced(&headers, body, Some(&store()));
        assert!(
            matches!(announced, BodyLocation::Inline | BodyLocation::TooLarge),
            "{announced:?}"
        );
    }

    const NAME: &str = "/uploads/u.aB3xYz";

    #[test]
    fn what_mongrel2_says_is_believed() {
        let read = |headers: &[(&'static str, &'static str)]| {
            announced(&headers.iter().copied().collect(), b"", Some(&store()))
        };
        let file = |done| BodyLocation::File {
            name: NAME.into(),
            path: NAME.into(),
            done,
        };
        assert_eq!(read(&[(START, NAME), ("content-length", "30000")]), file(false));
        assert_eq!(
            read(&[(START, NAME), ("transfer-encoding", "chunked")]),
            file(false)
        );
        assert_eq!(
            read(&[(START, NAME), (DONE, NAME), ("content-length", "30000")]),
            file(true)
        );
        // The client made this one up; the file is only begun.
        assert_eq!(
            read(&[(START, NAME), (DONE, "/etc/passwd"), ("content-length", "9")]),
            file(false)
        );
        assert_eq!(
            read(&[("UPLOAD_STREAM", "100"), ("UPLOAD_STREAM_DONE", "1")]),
            BodyLocation::Streamed {
                offset: 100,
                last: true
            }
        );
    }

    #[test]
    fn what_a_client_says_is_not() {
        forged(&[(START, NAME), (DONE, NAME)], b"");
        forged(&[(START, NAME), (DONE, NAME), ("content-length", "0")], b"");
        forged(
            &[(START, NAME), (DONE, NAME), ("content-length", "99999999999")],
            b"",
        );
        forged(&[(START, NAME), (DONE, NAME), ("content-length", "5x")], b"");
        forged(&[(START, NAME), (DONE, NAME), ("content-length", "+5")], b"");
        forged(
            &[
                (START, NAME),
                (DONE, NAME),
                ("content-length", "5"),
                ("content-length", "5"),
            ],
            b"",
        );
        forged(&[(START, NAME), (DONE, NAME), ("content-length", "5")], b"hello");
        forged(
            &[(START, NAME), (DONE, NAME), ("transfer-encoding", "Chunked")],
            b"",
        );
        forged(
            &[
                (START, NAME),
                (START, NAME),
                (DONE, NAME),
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
            let headers: Mongrel2Headers = [(START, name), (DONE, name), ("content-length", "5")]
                .into_iter()
                .collect();
            assert_eq!(
                announced(&headers, b"", Some(&store())),
                BodyLocation::TooLarge,
                "{name}"
            );
        }
    }

    #[test]
    fn the_folder_may_lie_elsewhere_for_us() {
        let store = UploadStore::new("tmp/u.XXXXXX", Some("/srv/m2/tmp".into())).unwrap();
        assert_eq!(store.path("tmp/u.abcdef"), Some("/srv/m2/tmp/u.abcdef".into()));
        assert!(UploadStore::new("/uploads/u", None).is_none());
    }
}
