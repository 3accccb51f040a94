//! The arguments and results of the echo, the same on every side.

use crate::Result;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The argument of the echo.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Note {
    /// Identifies the note.
    pub id: u64,
    /// A short text.
    pub author: String,
    /// A flag.
    pub seen: bool,
    /// A text that fills the note up to its size.
    pub text: String,
}

impl Note {
    /// Creates a note of `bytes` bytes of JSON, or of the minimum size if that is larger.
    pub fn of_size(bytes: usize) -> Note {
        let mut note = Note {
            id: 7,
            author: "Dave".into(),
            seen: true,
            text: String::new(),
        };
        let minimum = note.to_json().len();
        note.text = "It takes two, and five, and ten. "
            .chars()
            .cycle()
            .take(bytes.saturating_sub(minimum))
            .collect();
        note
    }

    /// Encodes the note as JSON.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Compares the number of a response, and the length of its text, with those of this note.
    ///
    /// # Errors
    ///
    /// Returns an error if they differ.
    pub fn check(&self, response: &Note) -> Result {
        if self.id == response.id && self.text.len() == response.text.len() {
            Ok(())
        } else {
            Err("the response differs from the request".into())
        }
    }
}

/// The kind of the argument of the echo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A [`Note`].
    Json,
    /// Bytes alone.
    Bytes,
    /// A [`Picture`].
    Nested,
    /// [`Numbers`]: bytes that are written as a JSON array.
    Array,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 4] = [Kind::Json, Kind::Bytes, Kind::Nested, Kind::Array];

    /// Returns the name in options and tables.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Json => "json",
            Kind::Bytes => "bytes",
            Kind::Nested => "nested",
            Kind::Array => "array",
        }
    }

    /// Finds a kind by its name.
    ///
    /// # Errors
    ///
    /// Returns an error if the name is unknown.
    pub fn named(name: &str) -> Result<Kind> {
        let found = Kind::ALL.into_iter().find(|kind| kind.name() == name);
        found.ok_or_else(|| "unknown kind of work; use json, bytes, nested or array".into())
    }

    /// Creates an argument of this kind with about this number of bytes.
    pub fn of_size(self, bytes: usize) -> Work {
        let image = || (0..=u8::MAX).rev().cycle().take(bytes);
        match self {
            Kind::Json => Work::Note(Note::of_size(bytes)),
            Kind::Bytes => Work::Bytes(image().collect()),
            Kind::Nested => Work::Picture(Picture {
                name: "Take five".into(),
                data: image().collect(),
            }),
            Kind::Array => Work::Numbers(Numbers {
                data: image().collect(),
            }),
        }
    }
}

/// An argument of the echo.
#[derive(Clone, Debug)]
pub enum Work {
    /// Of [`Kind::Json`].
    Note(Note),
    /// Of [`Kind::Bytes`].
    Bytes(Bytes),
    /// Of [`Kind::Nested`].
    Picture(Picture),
    /// Of [`Kind::Array`].
    Numbers(Numbers),
}

/// Bytes inside of a structure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Picture {
    /// A short text.
    pub name: String,
    /// The bytes.
    #[serde(with = "brubeck::as_bytes")]
    pub data: Bytes,
}

/// Bytes that serde takes for numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Numbers {
    /// The bytes.
    pub data: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn note_has_the_requested_size() {
        for bytes in [100, 65_536] {
            assert_eq!(Note::of_size(bytes).to_json().len(), bytes);
        }
    }
}
