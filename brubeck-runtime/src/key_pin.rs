//! The pins of keys.

use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use std::fmt;
use std::str::FromStr;

/// The length of a pin in bytes, that of SHA-256.
const LENGTH: usize = 32;

/// The prefix of a pin as curl writes it.
const CURL_PREFIX: &str = "sha256//";

/// The pin of a key: the SHA-256 of its `SubjectPublicKeyInfo`.
///
/// ```
/// use brubeck::KeyPin;
///
/// let pin: KeyPin = "sha256//NhU3ISRdd/0npmXKQ/euYcoY8a0kU5Y4YM/clzW7X3M=".parse().unwrap();
/// assert_eq!(pin.to_string(), "36153721245d77fd27a665ca43f7ae61ca18f1ad2453963860cfdc9735bb5f73");
/// ```
///
/// It is read from hexadecimal digits, also with colons between them, and from base64, and written as hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyPin([u8; LENGTH]);

impl KeyPin {
    /// Creates a pin from its bytes.
    ///
    /// ```
    /// # use brubeck::KeyPin;
    /// assert_eq!(KeyPin::new([0; 32]).as_bytes(), &[0; 32]);
    /// ```
    #[must_use]
    pub const fn new(hash: [u8; LENGTH]) -> KeyPin {
        KeyPin(hash)
    }

    /// Returns the bytes of the pin.
    ///
    /// ```
    /// # use brubeck::KeyPin;
    /// assert_eq!(KeyPin::new([7; 32]).as_bytes()[0], 7);
    /// ```
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; LENGTH] {
        &self.0
    }
}

impl fmt::Display for KeyPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyPin({self})")
    }
}

/// The error of a text that is not a pin.
///
/// ```
/// use brubeck::KeyPin;
///
/// let error = "c0ffee".parse::<KeyPin>().unwrap_err();
/// assert!(error.to_string().contains("has 3 bytes"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyPinError {
    /// The text is neither hexadecimal nor base64.
    Encoding,
    /// The text has this number of bytes, and not 32.
    Length(usize),
}

impl fmt::Display for KeyPinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encoding => f.write_str("it is neither hexadecimal nor base64"),
            Self::Length(length) => {
                write!(
                    f,
                    "it has {length} bytes, and the SHA-256 of a public key has {LENGTH}"
                )
            }
        }
    }
}

impl std::error::Error for KeyPinError {}

impl FromStr for KeyPin {
    type Err = KeyPinError;

    fn from_str(text: &str) -> Result<KeyPin, KeyPinError> {
        let text = text.trim();
        let (is_base64, digits) = match text.strip_prefix(CURL_PREFIX) {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let hex = if is_base64 { None } else { from_hex(digits) };
        let bytes = hex.or_else(|| from_base64(digits)).ok_or(KeyPinError::Encoding)?;
        let length = bytes.len();
        bytes
            .try_into()
            .map(KeyPin)
            .map_err(|_| KeyPinError::Length(length))
    }
}

/// Returns the bytes of hexadecimal digits, which may have colons between them.
fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .filter(|digit| *digit != ':')
        .map(|digit| Some(digit.to_digit(16)? as u8))
        .collect();
    let digits = digits?;
    let pairs = digits.chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    let bytes = pairs.map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit));
    Some(bytes.collect())
}

/// Returns the bytes of base64 in either alphabet, with or without padding.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    let lenient = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    [base64::alphabet::STANDARD, base64::alphabet::URL_SAFE]
        .iter()
        .find_map(|alphabet| GeneralPurpose::new(alphabet, lenient).decode(text).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

    const HEX: &str = "36153721245d77fd27a665ca43f7ae61ca18f1ad2453963860cfdc9735bb5f73";

    #[test]
    fn reads_pins_in_all_encodings() {
        let pin: KeyPin = HEX.parse().unwrap();
        assert_eq!(pin.to_string(), HEX);
        let colons: Vec<String> = pin.0.iter().map(|byte| format!("{byte:02X}")).collect();
        let base64 = STANDARD.encode(pin.0);
        for text in [
            HEX.to_uppercase(),
            colons.join(":"),
            format!(" {HEX}\n"),
            base64.clone(),
            base64.trim_end_matches('=').to_owned(),
            URL_SAFE_NO_PAD.encode(pin.0),
            format!("sha256//{base64}"),
        ] {
            assert_eq!(text.parse(), Ok(pin), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_not_a_pin() {
        for (text, error) in [
            ("", KeyPinError::Length(0)),
            ("c0ffee", KeyPinError::Length(3)),
            (&HEX[2..], KeyPinError::Length(31)),
            ("not a pin", KeyPinError::Encoding),
            ("sha256//", KeyPinError::Length(0)),
        ] {
            assert_eq!(text.parse::<KeyPin>(), Err(error), "{text}");
        }
    }
}
