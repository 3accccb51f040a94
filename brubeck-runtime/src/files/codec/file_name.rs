//! From the path of a request to the name of a file below a folder.

use percent_encoding::percent_decode_str;

/// Limit for a name and for each of its parts, in bytes: those of Linux.
const MAX_NAME_BYTES: usize = 4095;
const MAX_PART_BYTES: usize = 255;

/// The folder of RFC 8615. Its name begins with a dot, but it exists to be read by others.
const WELL_KNOWN: &str = ".well-known";

/// The name of a file or folder, relative to the folder that is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileName {
    name: String,
    is_folder: bool,
    is_hidden: bool,
}

impl FileName {
    /// Decodes the path of a request, which begins with `/`.
    ///
    /// Returns `None` for a path that names no file below the folder: one with a part that is empty, `.` or `..`, is not UTF-8, is too
    /// long, or contains `/`, `\` or NUL, in each case after percent-decoding.
    pub fn from_path(path: &str) -> Option<FileName> {
        let path = path.strip_prefix('/')?;
        let mut name = String::new();
        let mut is_hidden = false;
        let mut parts = path.split('/').peekable();
        while let Some(part) = parts.next() {
            if part.is_empty() && parts.peek().is_none() {
                // After the last `/`.
                return Some(FileName {
                    name,
                    is_folder: true,
                    is_hidden,
                });
            }
            let part = percent_decode_str(part).decode_utf8().ok()?;
            let is_name = !matches!(&*part, "" | "." | "..")
                && part.len() <= MAX_PART_BYTES
                && !part.contains(['/', '\\', '\0']);
            if !is_name || name.len() + part.len() >= MAX_NAME_BYTES {
                return None;
            }
            is_hidden |= part.starts_with('.') && !(name.is_empty() && part == WELL_KNOWN);
            if !name.is_empty() {
                name.push('/');
            }
            name.push_str(&part);
        }
        Some(FileName {
            name,
            is_folder: false,
            is_hidden,
        })
    }

    /// Returns the name, with `/` between its parts and without one at its end. It is empty for the folder that is served.
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// Returns the last part of the name.
    pub fn last_part(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or_default()
    }

    /// Returns `true` if the path ends in `/`, as that of a folder does.
    pub fn is_folder(&self) -> bool {
        self.is_folder
    }

    /// Returns `true` if a part of the name begins with a dot. The folder `.well-known` at the top is not hidden (RFC 8615).
    pub fn is_hidden(&self) -> bool {
        self.is_hidden
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;
    use std::path::{Component, Path};

    #[test]
    fn decodes_names() {
        for (path, name, is_folder) in [
            ("/", "", true),
            ("/a.txt", "a.txt", false),
            ("/a/b%20c.txt", "a/b c.txt", false),
            ("/a/", "a", true),
            ("/caf%C3%A9", "café", false),
            ("/100%", "100%", false),
            ("/%252e%252e", "%2e%2e", false),
            ("/....", "....", false),
        ] {
            let file = FileName::from_path(path).unwrap();
            assert_eq!((file.as_str(), file.is_folder()), (name, is_folder), "{path}");
        }
    }

    #[test]
    fn refuses_what_is_no_name() {
        let long_part = format!("/{}", "a".repeat(256));
        let long_name = "/abc".repeat(1025);
        for path in [
            "",
            "a",
            "*",
            "//",
            "//a",
            "/a//b",
            "/.",
            "/..",
            "/a/../b",
            "/%2e%2e/b",
            "/%2E./b",
            "/a%2fb",
            "/a%5cb",
            "/a\\b",
            "/a%00",
            "/%ff",
            "/./",
            &long_part,
            &long_name,
        ] {
            assert_eq!(FileName::from_path(path), None, "{path}");
        }
    }

    #[test]
    fn names_with_a_leading_dot_are_hidden() {
        for (path, is_hidden) in [
            ("/.env", true),
            ("/.git/config", true),
            ("/a/.b/c", true),
            ("/%2eenv", true),
            ("/a.b", false),
            ("/.well-known/security.txt", false),
            ("/.well-known/.secret", true),
            ("/a/.well-known/b", true),
            ("/.well-known.txt", true),
        ] {
            assert_eq!(
                FileName::from_path(path).unwrap().is_hidden(),
                is_hidden,
                "{path}"
            );
        }
    }

    proptest! {
        #[test]
        fn every_name_stays_below_the_folder(path in "(/|[a-z]|\\.|%2e|%2f|%5c|%00|%ff|%|é){0,30}") {
            if let Some(file) = FileName::from_path(&path) {
                let is_plain = |part| matches!(part, Component::Normal(_));
                prop_assert!(Path::new(file.as_str()).components().all(is_plain), "{file:?}");
                prop_assert!(!file.as_str().contains('\0'));
            }
        }

        #[test]
        fn every_name_can_be_requested(name in "[^/\\\\\0]{1,30}") {
            prop_assume!(name != "." && name != "..");
            let path = format!("/folder/{}", utf8_percent_encode(&name, NON_ALPHANUMERIC));
            let file = FileName::from_path(&path).unwrap();
            prop_assert_eq!(file.last_part(), name);
        }
    }
}
