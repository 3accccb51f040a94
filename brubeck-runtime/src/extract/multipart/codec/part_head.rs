//! The header of a part, and the parameters of a header's value.

use super::DecodeError;
use percent_encoding::percent_decode_str;
use std::borrow::Cow;

/// The length of the longest boundary, in bytes. RFC 2046 allows 70.
const MAX_BOUNDARY_BYTES: usize = 256;

/// The number of lines in the header of a part.
pub(super) const MAX_HEADER_LINES: usize = 32;

/// The header of a part.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PartHead {
    /// The name of the form field, which is empty if the client sent none.
    pub name: String,
    /// The file name. `Some` if the part is a file.
    pub file_name: Option<String>,
    /// The value of `content-type`.
    pub media_type: Option<String>,
}

impl PartHead {
    /// Parses the lines of a header, without the empty line that ends it.
    pub(super) fn parse(header: &[u8]) -> Result<PartHead, DecodeError> {
        let mut head = PartHead::default();
        if header.is_empty() {
            return Ok(head);
        }
        let (mut disposition, mut media_type) = (None, None);
        for (i, line) in unfolded_lines(header).enumerate() {
            if i == MAX_HEADER_LINES {
                return Err(DecodeError::HeaderTooLong);
            }
            let colon = line
                .iter()
                .position(|byte| *byte == b':')
                .ok_or(DecodeError::InvalidHeader)?;
            let (name, value) = line.split_at(colon);
            let value = value.get(1..).unwrap_or_default().trim_ascii();
            // The first of several headers counts, as for parameters.
            if name.trim_ascii().eq_ignore_ascii_case(b"content-disposition") {
                disposition.get_or_insert_with(|| value.to_vec());
            } else if name.trim_ascii().eq_ignore_ascii_case(b"content-type") {
                media_type.get_or_insert_with(|| text(value).into_owned());
            }
        }
        head.media_type = media_type.filter(|value| !value.is_empty());
        let disposition = disposition.unwrap_or_default();
        let mut parameters = split_parameters(&disposition);
        if !parameters
            .next()
            .is_some_and(|(kind, _)| kind.eq_ignore_ascii_case(b"form-data"))
        {
            return Ok(head);
        }
        let (mut name, mut file_name, mut extended) = (None, None, None);
        for (key, value) in parameters {
            if key.eq_ignore_ascii_case(b"name") {
                name.get_or_insert(value);
            } else if key.eq_ignore_ascii_case(b"filename") {
                file_name.get_or_insert(value);
            } else if key.eq_ignore_ascii_case(b"filename*") {
                extended.get_or_insert(value);
            }
        }
        head.name = name.map(unescape).unwrap_or_default();
        let plain = file_name.map(unescape);
        head.file_name = match extended {
            Some(extended) => extended_value(extended)
                .or(plain)
                .or_else(|| Some(text(extended).into_owned())),
            None => plain,
        };
        Ok(head)
    }

    pub(in crate::extract::multipart) fn file_name_without_folders(&self) -> Option<&str> {
        let name = self.file_name.as_deref()?;
        name.rsplit(['/', '\\']).next()
    }
}

/// Returns the boundary of a form. Returns `None` if the content type is not `multipart/form-data`, or has no valid boundary.
pub fn boundary(content_type: &[u8]) -> Option<Vec<u8>> {
    let mut parts = split_parameters(content_type);
    if !parts.next()?.0.eq_ignore_ascii_case(b"multipart/form-data") {
        return None;
    }
    let (_, boundary) = parts.find(|(name, _)| name.eq_ignore_ascii_case(b"boundary"))?;
    let is_valid = |byte: &u8| byte.is_ascii_graphic() || *byte == b' ' || *byte >= 0x80;
    let is_boundary =
        !boundary.is_empty() && boundary.len() <= MAX_BOUNDARY_BYTES && boundary.iter().all(is_valid);
    is_boundary.then(|| boundary.trim_ascii_end().to_vec())
}

/// Returns the lines of a header. A line that begins with a space continues the one before.
fn unfolded_lines(header: &[u8]) -> impl Iterator<Item = Cow<'_, [u8]>> {
    let mut rest = Some(header);
    std::iter::from_fn(move || {
        let mut line: Option<Cow<'_, [u8]>> = None;
        while let Some(bytes) = rest {
            let is_continued = bytes.first().is_some_and(|byte| matches!(byte, b' ' | b'\t'));
            if line.is_some() && !is_continued {
                break;
            }
            let end = bytes.windows(2).position(|window| window == b"\r\n");
            let (next, after) = match end {
                Some(end) => (bytes.get(..end).unwrap_or_default(), bytes.get(end + 2..)),
                None => (bytes, None),
            };
            rest = after;
            match &mut line {
                None => line = Some(Cow::Borrowed(next)),
                Some(line) => {
                    let line = line.to_mut();
                    line.push(b' ');
                    line.extend_from_slice(next.trim_ascii());
                }
            }
        }
        line
    })
}

/// Splits a header into its parameters. The first one has no value. A quoted value ends at the next `"`, as browsers write it: they encode
/// a `"` of a name as `%22`.
fn split_parameters(value: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        let bytes = rest.take()?;
        let end = bytes
            .iter()
            .position(|byte| matches!(byte, b'=' | b';'))
            .unwrap_or(bytes.len());
        let (name, after) = bytes.split_at(end);
        let name = name.trim_ascii();
        let Some(after) = after.strip_prefix(b"=") else {
            rest = after.get(1..);
            return Some((name, &b""[..]));
        };
        let after = after.trim_ascii_start();
        let (value, after) = match after.strip_prefix(b"\"") {
            Some(quoted) => {
                let end = quoted
                    .iter()
                    .position(|byte| *byte == b'"')
                    .unwrap_or(quoted.len());
                let (value, after) = quoted.split_at(end);
                // Anything between the quote and the next parameter is ignored.
                let next = after.iter().position(|byte| *byte == b';').unwrap_or(after.len());
                (value, after.get(next..).unwrap_or_default())
            }
            None => {
                let end = after.iter().position(|byte| *byte == b';').unwrap_or(after.len());
                let (value, after) = after.split_at(end);
                (value.trim_ascii(), after)
            }
        };
        rest = after.get(1..);
        Some((name, value))
    })
}

/// Returns the text of a name. Bytes that are not UTF-8, such as those of a form in Latin-1, become replacement characters.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// Decodes the three characters that browsers encode in a name: `"`, CR and LF.
fn unescape(bytes: &[u8]) -> String {
    let text = text(bytes);
    let mut decoded = String::with_capacity(text.len());
    let mut rest = &*text;
    while let Some((before, escaped)) = rest.split_once('%') {
        decoded.push_str(before);
        let character = match escaped.get(..2) {
            Some("22") => Some('"'),
            Some("0D" | "0d") => Some('\r'),
            Some("0A" | "0a") => Some('\n'),
            _ => None,
        };
        decoded.push(character.unwrap_or('%'));
        rest = match character {
            Some(_) => escaped.get(2..).unwrap_or_default(),
            None => escaped,
        };
    }
    decoded.push_str(rest);
    decoded
}

/// Decodes an extended value of RFC 8187: `UTF-8'en'%e2%82%ac`. Returns `None` if it has another form or charset.
fn extended_value(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (charset, text) = text.split_once('\'')?;
    let (_, text) = text.split_once('\'')?;
    let decoded = percent_decode_str(text);
    if charset.eq_ignore_ascii_case("utf-8") {
        return Some(decoded.decode_utf8_lossy().into_owned());
    }
    charset
        .eq_ignore_ascii_case("iso-8859-1")
        .then(|| decoded.map(char::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boundary_is_a_parameter_of_the_content_type() {
        let is = |content_type: &str, expected: Option<&str>| {
            assert_eq!(
                boundary(content_type.as_bytes()).as_deref(),
                expected.map(str::as_bytes),
                "{content_type}"
            );
        };
        is("multipart/form-data; boundary=XX", Some("XX"));
        is(
            "Multipart/Form-Data;charset=utf-8;BOUNDARY=\"a b;=c\"",
            Some("a b;=c"),
        );
        is("multipart/form-data", None);
        is("multipart/form-data; boundary=", None);
        is("multipart/mixed; boundary=XX", None);
        is("multipart/form-data; boundary=a\tb", None);
        is(
            &format!("multipart/form-data; boundary={}", "x".repeat(300)),
            None,
        );
    }
}
