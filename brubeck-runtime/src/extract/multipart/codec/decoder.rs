//! From the bytes of a body to the events of its form.

use super::part_head::{MAX_HEADER_LINES, PartHead};
use bytes::{Bytes, BytesMut};
use std::fmt;

/// The number of spaces that may follow a delimiter.
const MAX_PADDING: usize = 64;

/// The length of the header of a part, in bytes.
pub const MAX_HEADER_BYTES: usize = 16 << 10;

/// Decodes a multipart form.
#[derive(Debug)]
pub struct Decoder {
    /// `\r\n--boundary`.
    delimiter: Vec<u8>,
    state: FormState,
    /// The bytes that have not been decoded yet.
    buffer: Bytes,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum FormState {
    /// Nothing has been decoded. The delimiter needs no line before it here.
    Start,
    /// Before the first delimiter.
    Preamble,
    Header,
    Content,
    /// After the last delimiter.
    Last,
    /// After the event that the form is complete.
    End,
}

/// An event of the [`Decoder`].
#[derive(Debug, PartialEq)]
pub enum FormEvent {
    /// A part begins.
    Part(PartHead),
    /// A piece of the content of the part.
    Data(Bytes),
    /// The part is complete.
    PartEnd,
    /// The form is complete. What follows is ignored.
    End,
}

/// A malformed form.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum DecodeError {
    /// The body ends before the last delimiter.
    Incomplete,
    /// The header of a part is too long.
    HeaderTooLong,
    /// A line in the header of a part is not a header.
    InvalidHeader,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecodeError::Incomplete => f.write_str("the body ends before the last boundary"),
            DecodeError::HeaderTooLong => write!(
                f,
                "the header of a part has more than {MAX_HEADER_BYTES} bytes or {MAX_HEADER_LINES} lines"
            ),
            DecodeError::InvalidHeader => f.write_str("a line in the header of a part has no name"),
        }
    }
}

impl std::error::Error for DecodeError {}

impl Decoder {
    /// Creates a decoder for a boundary, which comes from [`boundary`].
    pub fn new(boundary: &[u8]) -> Decoder {
        Decoder {
            delimiter: [b"\r\n--", boundary].concat(),
            state: FormState::Start,
            buffer: Bytes::new(),
        }
    }

    /// Adds the next bytes of the body.
    pub fn feed(&mut self, bytes: Bytes) {
        if self.buffer.is_empty() {
            self.buffer = bytes;
            return;
        }
        let mut joined = BytesMut::with_capacity(self.buffer.len() + bytes.len());
        joined.extend_from_slice(&self.buffer);
        joined.extend_from_slice(&bytes);
        self.buffer = joined.freeze();
    }

    /// Returns the next event. Returns `None` if it needs more bytes.
    ///
    /// # Errors
    ///
    /// Returns an error if the form is malformed. The decoder must not be used afterwards.
    pub fn next_event(&mut self) -> Result<Option<FormEvent>, DecodeError> {
        loop {
            match self.state {
                FormState::Start => {
                    // The first delimiter may be at the start of the body, without a line before it.
                    match delimiter_at(&self.buffer, self.delimiter.get(2..).unwrap_or_default()) {
                        Delimiter::Found { length, is_last } => self.pass_delimiter(length, is_last),
                        Delimiter::Unknown => return Ok(None),
                        Delimiter::None => self.state = FormState::Preamble,
                    }
                }
                FormState::Preamble => {
                    let (skipped, delimiter) = self.find_delimiter();
                    let _ = self.buffer.split_to(skipped);
                    let Delimiter::Found { length, is_last } = delimiter else {
                        return Ok(None);
                    };
                    self.pass_delimiter(length, is_last);
                }
                FormState::Header => {
                    let Some((header, length)) = split_header(&self.buffer)? else {
                        return Ok(None);
                    };
                    let head = PartHead::parse(header)?;
                    let _ = self.buffer.split_to(length);
                    self.state = FormState::Content;
                    return Ok(Some(FormEvent::Part(head)));
                }
                FormState::Content => {
                    let (content, delimiter) = self.find_delimiter();
                    if content > 0 {
                        return Ok(Some(FormEvent::Data(self.buffer.split_to(content))));
                    }
                    let Delimiter::Found { length, is_last } = delimiter else {
                        return Ok(None);
                    };
                    self.pass_delimiter(length, is_last);
                    return Ok(Some(FormEvent::PartEnd));
                }
                FormState::Last => {
                    self.state = FormState::End;
                    return Ok(Some(FormEvent::End));
                }
                FormState::End => {
                    self.buffer = Bytes::new();
                    return Ok(None);
                }
            }
        }
    }

    fn pass_delimiter(&mut self, length: usize, is_last: bool) {
        let _ = self.buffer.split_to(length);
        self.state = if is_last {
            FormState::Last
        } else {
            FormState::Header
        };
    }

    /// Ends the body.
    ///
    /// # Errors
    ///
    /// Returns an error unless the form is complete.
    pub fn finish(&self) -> Result<(), DecodeError> {
        match self.state {
            FormState::Last | FormState::End => Ok(()),
            _ => Err(DecodeError::Incomplete),
        }
    }

    /// Returns the number of bytes before the first delimiter, or before what may become one, and that delimiter.
    fn find_delimiter(&self) -> (usize, Delimiter) {
        let mut from = 0;
        while let Some(rest) = self.buffer.get(from..)
            && let Some(at) = rest.iter().position(|byte| *byte == b'\r')
        {
            let at = from + at;
            match delimiter_at(self.buffer.get(at..).unwrap_or_default(), &self.delimiter) {
                Delimiter::None => from = at + 1,
                found => return (at, found),
            }
        }
        (self.buffer.len(), Delimiter::None)
    }
}

#[derive(Debug, PartialEq)]
enum Delimiter {
    /// `is_last` if `--` follows.
    Found {
        length: usize,
        is_last: bool,
    },
    /// More bytes are needed to decide.
    Unknown,
    None,
}

/// Returns the delimiter at the start of `bytes`. It ends with `--`, or with spaces and a line break. A longer boundary that begins with
/// this one is content.
fn delimiter_at(bytes: &[u8], delimiter: &[u8]) -> Delimiter {
    let Some(rest) = bytes.strip_prefix(delimiter) else {
        return if delimiter.starts_with(bytes) {
            Delimiter::Unknown
        } else {
            Delimiter::None
        };
    };
    if rest.starts_with(b"--") {
        return Delimiter::Found {
            length: delimiter.len() + 2,
            is_last: true,
        };
    }
    if rest == b"-" {
        return Delimiter::Unknown;
    }
    let padding = rest
        .iter()
        .take_while(|byte| matches!(byte, b' ' | b'\t'))
        .count();
    if padding > MAX_PADDING {
        return Delimiter::None;
    }
    match rest.get(padding..).unwrap_or_default() {
        b"" | b"\r" => Delimiter::Unknown,
        [b'\r', b'\n', ..] => Delimiter::Found {
            length: delimiter.len() + padding + 2,
            is_last: false,
        },
        _ => Delimiter::None,
    }
}

/// Returns the lines of a header, and the length of the header with the empty line that ends it. Returns `None` if it is not complete.
fn split_header(bytes: &[u8]) -> Result<Option<(&[u8], usize)>, DecodeError> {
    if bytes.starts_with(b"\r\n") {
        return Ok(Some((b"", 2)));
    }
    let searched = bytes.get(..MAX_HEADER_BYTES).unwrap_or(bytes);
    match searched.windows(4).position(|window| window == b"\r\n\r\n") {
        Some(end) => Ok(Some((bytes.get(..end).unwrap_or_default(), end + 4))),
        None if bytes.len() >= MAX_HEADER_BYTES => Err(DecodeError::HeaderTooLong),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Decodes a body that arrives in these pieces: the heads and contents of its parts, or the error.
    fn decode<'b>(
        boundary: &[u8],
        pieces: impl IntoIterator<Item = &'b [u8]>,
    ) -> Result<Vec<(PartHead, Vec<u8>)>, DecodeError> {
        let mut decoder = Decoder::new(boundary);
        let mut parts: Vec<(PartHead, Vec<u8>)> = Vec::new();
        let (mut open, mut ended) = (false, false);
        for piece in pieces {
            decoder.feed(Bytes::copy_from_slice(piece));
            while let Some(event) = decoder.next_event()? {
                assert!(!ended, "{event:?} after the end");
                match event {
                    FormEvent::Part(head) => {
                        assert!(!open);
                        open = true;
                        parts.push((head, Vec::new()));
                    }
                    FormEvent::Data(bytes) => {
                        assert!(open && !bytes.is_empty());
                        parts.last_mut().unwrap().1.extend_from_slice(&bytes);
                    }
                    FormEvent::PartEnd => {
                        assert!(open);
                        open = false;
                    }
                    FormEvent::End => ended = true,
                }
            }
        }
        decoder.finish()?;
        assert!(ended && !open);
        Ok(parts)
    }

    fn whole(body: &[u8]) -> Result<Vec<(PartHead, Vec<u8>)>, DecodeError> {
        let parts = decode(b"XX", [body]);
        let single: Vec<&[u8]> = body.chunks(1).collect();
        assert_eq!(decode(b"XX", single), parts, "byte by byte");
        parts
    }

    /// Returns the head of a part with this disposition.
    fn head(disposition: &[u8]) -> PartHead {
        let body = [
            b"--XX\r\nContent-Disposition: ",
            disposition,
            b"\r\n\r\nx\r\n--XX--",
        ]
        .concat();
        whole(&body).unwrap().remove(0).0
    }

    fn names(disposition: &[u8]) -> (String, Option<String>) {
        let head = head(disposition);
        (head.name, head.file_name)
    }

    #[test]
    fn parts_are_files_or_fields_by_their_parameters() {
        let both = |name: &str, file: &str| (name.to_owned(), Some(file.to_owned()));
        let field = |name: &str| (name.to_owned(), None);
        for (disposition, expected) in [
            (&br#"form-data; name="a""#[..], field("a")),
            (br#"form-data; name="a"; filename="b.txt""#, both("a", "b.txt")),
            (br#"FORM-DATA;FILENAME=b.txt ; NAME = a"#, both("a", "b.txt")),
            (
                br#"form-data; filename="b; name=c"; name="a""#,
                both("a", "b; name=c"),
            ),
            (br#"form-data; name="a"; filename="""#, both("a", "")),
            (br#"form-data; name="a"; filename=na"#, both("a", "na")),
            // A backslash is a character; the first quote ends the name.
            (
                br#"form-data; name="dir\"; filename="a.bin""#,
                both("dir\\", "a.bin"),
            ),
            (
                br#"form-data; name="a"; filename="C:\dir\b.txt""#,
                both("a", "C:\\dir\\b.txt"),
            ),
            // As browsers encode a quote and a line break.
            (
                br#"form-data; name="a%22b"; filename="%0D%0A%2F%.txt""#,
                both("a\"b", "\r\n%2F%.txt"),
            ),
            (
                "form-data; name=\"é\"; filename=\"naïve.txt\"".as_bytes(),
                both("é", "naïve.txt"),
            ),
            (
                b"form-data; name=\"a\"; filename=\"na\xefve.txt\"",
                both("a", "na\u{fffd}ve.txt"),
            ),
            (
                br#"form-data; name="a"; filename*=UTF-8''na%C3%AFve.txt"#,
                both("a", "naïve.txt"),
            ),
            (
                br#"form-data; name=a; filename="x.txt"; filename*=utf-8'en'%e2%82%ac"#,
                both("a", "€"),
            ),
            (
                br#"form-data; name=a; filename*=iso-8859-1''na%EFve; filename=x"#,
                both("a", "naïve"),
            ),
            (
                br#"form-data; name=a; filename*=nonsense; filename=x"#,
                both("a", "x"),
            ),
            (br#"form-data; name=a; filename*=nonsense"#, both("a", "nonsense")),
            (
                br#"form-data; name="a"; name="b"; filename=x; filename=y"#,
                both("a", "x"),
            ),
            (br#"form-data; name="a"#, field("a")),
            (br#"form-data"#, field("")),
            (br#"attachment; name="a"; filename="b""#, field("")),
            (b"form-data; name=\"a\";\r\n filename=\"b\"", both("a", "b")),
        ] {
            assert_eq!(names(disposition), expected, "{}", disposition.escape_ascii());
        }
    }

    #[test]
    fn forms_of_browsers_and_other_forms_are_decoded() {
        let part = |name: &str, content: &str| {
            (
                PartHead {
                    name: name.to_owned(),
                    ..PartHead::default()
                },
                content.as_bytes().to_vec(),
            )
        };
        let a = "Content-Disposition: form-data; name=\"a\"\r\n\r\n";
        for (body, expected) in [
            ("--XX--".to_owned(), vec![]),
            ("--XX--\r\nepilogue --XX\r\n".to_owned(), vec![]),
            (format!("--XX\r\n{a}1\r\n--XX--\r\n"), vec![part("a", "1")]),
            (
                format!("preamble\r\n--XX  \t\r\n{a}\r\n--XX--"),
                vec![part("a", "")],
            ),
            (format!("\r\n--XX\r\n{a}\r\n\r\n--XX--"), vec![part("a", "\r\n")]),
            (
                format!("--XX\r\n{a}1\r\n--XX\r\n{a}\r\n--XY\r\n--X\r\r\n\r\n--XX--"),
                vec![part("a", "1"), part("a", "\r\n--XY\r\n--X\r\r\n")],
            ),
            (
                format!("--XX\r\n{a}1\r\n--XXX\r\n--XX-\r\n--XX--"),
                vec![part("a", "1\r\n--XXX\r\n--XX-")],
            ),
            ("--XX\r\n\r\nx\r\n--XX--".to_owned(), vec![part("", "x")]),
        ] {
            assert_eq!(whole(body.as_bytes()), Ok(expected), "{body}");
        }
        let typed = whole(b"--XX\r\ncontent-TYPE:  image/png; a=b \r\nX: y\r\n\r\n\r\n--XX--").unwrap();
        assert_eq!(typed[0].0.media_type.as_deref(), Some("image/png; a=b"));
    }

    #[test]
    fn malformed_forms_are_errors() {
        for body in [
            "",
            "--XX",
            "--XX\r\n",
            "--XX\r\na: b\r\n\r\nx",
            "--XX\r\n\r\nx\r\n--XX",
            "--XX\r\n\r\nx\r\n--XX\r\n",
            "x",
        ] {
            assert_eq!(whole(body.as_bytes()), Err(DecodeError::Incomplete), "{body}");
        }
        assert_eq!(
            whole(b"--XX\r\nno colon\r\n\r\nx\r\n--XX--"),
            Err(DecodeError::InvalidHeader)
        );
        let long = format!("--XX\r\na: {}\r\n\r\n\r\n--XX--", "b".repeat(MAX_HEADER_BYTES));
        assert_eq!(decode(b"XX", [long.as_bytes()]), Err(DecodeError::HeaderTooLong));
        let lines = format!(
            "--XX\r\n{}\r\n\r\n--XX--",
            "a: b\r\n".repeat(MAX_HEADER_LINES + 1)
        );
        assert_eq!(decode(b"XX", [lines.as_bytes()]), Err(DecodeError::HeaderTooLong));
    }

    proptest! {
        #[test]
        fn parts_do_not_depend_on_how_the_body_is_split(
            tokens in prop::collection::vec(
                prop::sample::select(vec![
                    "--XX", "\r\n", "--", "\r", "\n", "-", "X", " ", "\t", "\r\n--XX\r\n", "\r\n\r\n", "\r\n--XX--", "a: b",
                    "content-disposition: form-data; name=\"a\"", "; filename=", "\"", ";", "é", "content-type: x", "--XXX",
                ]),
                0..30,
            ),
            splits in prop::collection::vec(0usize..12, 0..30),
        ) {
            let body = tokens.concat();
            let mut pieces = Vec::new();
            let mut rest = body.as_bytes();
            for split in splits {
                let (piece, after) = rest.split_at(split.min(rest.len()));
                pieces.push(piece);
                rest = after;
            }
            pieces.push(rest);
            let parts = decode(b"XX", [body.as_bytes()]);
            prop_assert_eq!(&decode(b"XX", pieces), &parts);
            prop_assert_eq!(&decode(b"XX", body.as_bytes().chunks(1)), &parts);
        }

        #[test]
        fn any_content_and_name_arrive_as_sent(
            parts in prop::collection::vec((any::<String>(), any::<Option<String>>(), any::<Vec<u8>>()), 0..4),
        ) {
            // As browsers write a form. A `%` stays, so names with an encoded character are not used here.
            let plain = |name: &String| !["%22", "%0d", "%0a"].iter().any(|code| name.to_ascii_lowercase().contains(code));
            prop_assume!(parts.iter().all(|(name, file, _)| plain(name) && file.as_ref().is_none_or(plain)));
            let escape = |name: &str| name.replace('\r', "%0D").replace('\n', "%0A").replace('"', "%22");
            let mut body = Vec::new();
            for (name, file, content) in &parts {
                body.extend_from_slice(format!("--bound-ary\r\nContent-Disposition: form-data; name=\"{}\"", escape(name)).as_bytes());
                if let Some(file) = file {
                    body.extend_from_slice(format!("; filename=\"{}\"", escape(file)).as_bytes());
                }
                body.extend_from_slice(b"\r\n\r\n");
                body.extend_from_slice(content);
                body.extend_from_slice(b"\r\n");
            }
            body.extend_from_slice(b"--bound-ary--\r\n");
            let decoded = decode(b"bound-ary", [&body[..]]).unwrap();
            let decoded: Vec<_> = decoded.into_iter().map(|(head, content)| (head.name, head.file_name, content)).collect();
            prop_assert_eq!(decoded, parts);
        }
    }
}
