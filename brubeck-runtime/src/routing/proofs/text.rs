//! Text built in constant evaluation.

const SIZE: usize = 2048;

/// Text of at most 2,048 bytes; what is too much is cut off.
pub(super) struct Text {
    bytes: [u8; SIZE],
    len: usize,
}

impl Text {
    pub(super) const fn new() -> Text {
        Text {
            bytes: [0; SIZE],
            len: 0,
        }
    }

    pub(super) const fn push(mut self, text: &str) -> Text {
        let text = text.as_bytes();
        let mut i = 0;
        while i < text.len() && self.len < SIZE {
            self.bytes[self.len] = text[i];
            self.len += 1;
            i += 1;
        }
        self
    }

    pub(super) const fn number(self, number: u32) -> Text {
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

    /// `file:line`.
    pub(super) const fn place(self, file: &str, line: u32) -> Text {
        self.push(file).push(":").number(line)
    }

    pub(super) const fn as_str(&self) -> &str {
        let (text, _) = self.bytes.split_at(self.len);
        match core::str::from_utf8(text) {
            Ok(text) => text,
            // Only what was cut within a character.
            Err(error) => match core::str::from_utf8(text.split_at(error.valid_up_to()).0) {
                Ok(text) => text,
                Err(_) => "",
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Text;

    #[test]
    fn text_is_put_together() {
        let text = Text::new()
            .push("at ")
            .place("src/lib.rs", 4_294_967_295)
            .push(" ")
            .number(0);
        assert_eq!(text.as_str(), "at src/lib.rs:4294967295 0");
    }

    #[test]
    fn what_is_too_much_is_cut_off_between_characters() {
        let text = Text::new().push("a").push(&"é".repeat(2000));
        assert_eq!(text.as_str().len(), 2047);
    }
}
