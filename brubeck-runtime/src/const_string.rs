//! Texts in constant evaluation: comparing and hashing them, and building that of an error.

const MAX_LEN: usize = 2048;

/// Returns the FNV-1a hash of the concatenation of these texts, with 64 bits. It needs no dependency; nothing relies on it being hard to
/// forge.
pub(crate) const fn fnv1a(texts: &[&[u8]]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325;
    let mut text = 0;
    while text < texts.len() {
        let mut byte = 0;
        while byte < texts[text].len() {
            hash = (hash ^ texts[text][byte] as u64).wrapping_mul(0x0100_0000_01b3);
            byte += 1;
        }
        text += 1;
    }
    hash
}

/// A string of at most 2,048 bytes. Longer text is truncated.
pub(crate) struct ConstString {
    bytes: [u8; MAX_LEN],
    len: usize,
}

impl ConstString {
    pub(crate) const fn new() -> ConstString {
        ConstString {
            bytes: [0; MAX_LEN],
            len: 0,
        }
    }

    pub(crate) const fn push(mut self, text: &str) -> ConstString {
        let text = text.as_bytes();
        let mut i = 0;
        while i < text.len() && self.len < MAX_LEN {
            self.bytes[self.len] = text[i];
            self.len += 1;
            i += 1;
        }
        self
    }

    pub(crate) const fn number(self, number: u32) -> ConstString {
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
    pub(crate) const fn location(self, file: &str, line: u32) -> ConstString {
        self.push(file).push(":").number(line)
    }

    pub(crate) const fn as_str(&self) -> &str {
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

/// Compares two texts. `==` is not available in constant evaluation.
pub(crate) const fn is_same(a: &str, b: &str) -> bool {
    is_same_bytes(a.as_bytes(), b.as_bytes())
}

/// Compares two byte strings. `==` is not available in constant evaluation.
pub(crate) const fn is_same_bytes(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::{ConstString, is_same};

    #[test]
    fn texts_are_compared_as_a_whole() {
        let texts = ["", "a", "b", "ab", "ba", "é"];
        for (a, b) in texts.iter().flat_map(|a| texts.map(|b| (*a, b))) {
            assert_eq!(is_same(a, b), a == b, "{a} {b}");
        }
    }

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
