//! What is called: an echo of one note, the same on every side.

use crate::Result;
use serde::{Deserialize, Serialize};

/// What goes there and comes back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Note {
    /// Tells one from another.
    pub id: u64,
    /// Who wrote it.
    pub author: String,
    /// Whether it was read.
    pub seen: bool,
    /// As long as the size asks for.
    pub text: String,
}

impl Note {
    /// A note that is so many bytes of JSON, or as few as it can be.
    pub fn of_size(bytes: usize) -> Note {
        let mut note = Note {
            id: 7,
            author: "Dave".into(),
            seen: true,
            text: String::new(),
        };
        let frame = note.to_json().len();
        note.text = "It takes two, and five, and ten. "
            .chars()
            .cycle()
            .take(bytes.saturating_sub(frame))
            .collect();
        note
    }

    /// As it goes over the wire.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Whether this is what was sent; the length stands for the text.
    ///
    /// # Errors
    ///
    /// It is not.
    pub fn check(&self, answer: &Note) -> Result {
        match self.id == answer.id && self.text.len() == answer.text.len() {
            true => Ok(()),
            false => Err("the answer is not what was asked".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_as_long_as_asked() {
        for bytes in [100, 65_536] {
            assert_eq!(Note::of_size(bytes).to_json().len(), bytes);
        }
    }
}
