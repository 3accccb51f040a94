//! Random numbers derived from a seed.

use sha2::{Digest, Sha256};

/// A deterministic generator of session ids, and of cheap numbers for load balancing and jitter.
#[derive(Debug)]
pub(super) struct Entropy {
    seed: [u8; 32],
    drawn: u64,
    /// The state of the cheap generator, which is not cryptographically secure.
    cheap: u64,
}

impl Entropy {
    pub(super) fn new(seed: &[u8; 32]) -> Self {
        let mut entropy = Self {
            seed: *seed,
            drawn: 0,
            cheap: 0,
        };
        entropy.cheap = entropy.number();
        entropy
    }

    /// Returns a number that cannot be predicted without the seed.
    pub(super) fn number(&mut self) -> u64 {
        self.drawn += 1;
        let bytes = Sha256::new()
            .chain_update(self.seed)
            .chain_update(self.drawn.to_be_bytes())
            .finalize();
        bytes.first_chunk().map_or(0, |chunk| u64::from_be_bytes(*chunk))
    }

    /// Returns a predictable number below `bound`, or 0 if `bound` is 0. Only for load balancing and jitter.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        // SplitMix64.
        self.cheap = self.cheap.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.cheap;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)).checked_rem(bound).unwrap_or(0)
    }
}
