//! The first bytes of a route, packed.

/// The first bytes that every match of a route starts with, packed so that two routes are told apart in a few
/// machine operations: a route is shadowed only by one whose forced prefix is a prefix of its own.
#[derive(Clone, Copy, Debug)]
pub struct Prefix {
    bytes: [u128; 2],
    mask: [u128; 2],
}

impl Prefix {
    /// Packs the first 32 bytes of `prefix`.
    pub const fn new(prefix: &[u8]) -> Prefix {
        let mut packed = Prefix {
            bytes: [0; 2],
            mask: [0; 2],
        };
        let mut i = 0;
        while i < prefix.len() && i < 32 {
            let shift = 8 * (15 - i % 16);
            packed.bytes[i / 16] |= (prefix[i] as u128) << shift;
            packed.mask[i / 16] |= 0xff << shift;
            i += 1;
        }
        packed
    }

    /// The first half, for a quick look: bytes and mask.
    pub(super) const fn head(self) -> [u128; 2] {
        [self.bytes[0], self.mask[0]]
    }

    /// Whether `early` is a prefix of this.
    pub(super) const fn extends(self, early: Prefix) -> bool {
        self.bytes[0] & early.mask[0] == early.bytes[0]
            && self.bytes[1] & early.mask[1] == early.bytes[1]
            && self.mask[0] & early.mask[0] == early.mask[0]
            && self.mask[1] & early.mask[1] == early.mask[1]
    }
}

#[cfg(test)]
mod tests {
    use super::Prefix;

    #[test]
    fn a_longer_prefix_extends_a_shorter_one() {
        let extends = |late: &[u8], early: &[u8]| Prefix::new(late).extends(Prefix::new(early));
        assert!(extends(b"/service/slow", b"/service"));
        assert!(extends(b"/a", b""));
        assert!(extends(b"/a", b"/a"));
        assert!(!extends(b"/service", b"/service/slow"));
        assert!(!extends(b"/service", b"/user"));
        assert!(!extends(b"", b"\0"));
        assert!(extends(
            b"/a/very/long/path/that/passes/the/32nd/byte",
            b"/a/very/long/path/that"
        ));
    }
}
