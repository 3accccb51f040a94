//! The argument and result of the echo, the same on every side.

use crate::Result;
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
