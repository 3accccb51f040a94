//! Builds the text of an error in constant evaluation.

const MAX_LEN: usize = 2048;

/// A string of at most 2,048 bytes. Longer text is truncated.
pub(super) struct ConstString {
    bytes: [u8; MAX_LEN],
    len: usize,
}

impl ConstString {
    pub(super) const fn new() -> ConstString {
        ConstString {
            bytes: [0; MAX_LEN],
            len: 0,
        }
    }

    pub(super) const fn push(mut self, text: &str) -> ConstString {
        let text = text.as_bytes();
        let mut i = 0;
        while i < text.len() && self.len < MAX_LEN {
            self.bytes[self.len] = text[i];
            self.len += 1;
            i += 1;
        }
        self
    }

    pub(super) const fn number(self, number: u32) -> ConstString {
        let mut digits = [0; 10];
        let (mut rest, mut first) = (number, digits.len());
        loop {
            first -= 1;
            digits[first] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        let (_, digits) = digits.split_at(first);
        match core::str::from_utf8(digits) {
            Ok(digits) => self.push(digits),
            Err(_) => self,
        }
    }

    /// Appends `file:line`.
    pub(super) const fn location(self, file: &str, line: u32) -> ConstString {
        self.push(file).push(":").number(line)
    }

    pub(super) const fn as_str(&self) -> &str {
        let (text, _) = self.bytes.split_at(self.len);
        match core::str::from_utf8(text) {
            Ok(text) => text,
            // The last character was truncated.
            Err(error) => match core::str::from_utf8(text.split_at(error.valid_up_to()).0) {
                Ok(text) => text,
                Err(_) => "",
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ConstString;

    #[test]
    fn appends_text_numbers_and_locations() {
        let text = ConstString::new()
            .push("at ")
            .location("src/lib.rs", 4_294_967_295)
            .push(" ")
            .number(0);
        assert_eq!(text.as_str(), "at src/lib.rs:4294967295 0");
    }

    #[test]
    fn truncates_at_a_character_boundary() {
        let text = ConstString::new().push("a").push(&"é".repeat(2000));
        assert_eq!(text.as_str().len(), 2047);
    }
}
