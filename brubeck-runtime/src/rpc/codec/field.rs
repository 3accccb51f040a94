//! The fields of all messages: their numbers, their types and their limits in one table.
//!
//! A field is a number in one byte, a length in two bytes, and that many bytes. The highest bit of the number marks a field that the
//! receiver must understand. A number is written in as few bytes as it needs, at least one.

use super::ByteStr;
use super::ContractDigest;
use super::limits::{
    MAX_CONTRACTS, MAX_HEADER_BYTES, MAX_HEADERS, MAX_MESSAGE, MAX_METHOD, MAX_NAME, MAX_OPERATION,
    MAX_PARTS, MAX_PATH, MAX_TRACEPARENT, MAX_TRACESTATE,
};
use crate::codec::{Cursor, EncodeError, ParseError};
use bytes::{BufMut, Bytes, BytesMut};

/// Marks a field that the receiver must understand.
const REQUIRED: u8 = 0x80;

/// The length of the number and the length of a field, in bytes.
const FIELD_HEADER: usize = 3;

/// Declares the fields with their numbers and types, the struct that holds the values of a message, and its decoder.
macro_rules! fields {
    ($($(#[$doc:meta])* $number:literal $name:ident: $type:ident $(($max:expr))?;)*) => {
        /// The numbers of the fields.
        #[allow(non_upper_case_globals, dead_code, reason = "the names are those of the fields, and no sender sets all of them")]
        pub(super) mod number {
            $(pub(in crate::rpc::codec) const $name: u8 = $number;)*
        }

        /// The fields of one message. A field that the message does not have is 0 or empty.
        #[derive(Clone, Debug, Default, PartialEq)]
        pub(super) struct Fields {
            /// The bit of each field that the message has.
            present: u64,
            $($(#[$doc])* pub(super) $name: field_type!($type),)*
        }

        impl Fields {
            fn read_value(&mut self, number: u8, required: bool, value: &mut Cursor<'_>) -> Result<(), ParseError> {
                match number {
                    $($number => {
                        read_value!($type, self.$name, value, concat!("the field `", stringify!($name), "`") $(, $max)?);
                    })*
                    _ if required => {
                        return Err(ParseError::Expected { at: value.position(), what: "a required field that is known here" });
                    }
                    _ => {}
                }
                Ok(())
            }
        }
    };
}

macro_rules! field_type {
    (u8) => { u8 };
    (u16) => { u16 };
    (u32) => { u32 };
    (u64) => { u64 };
    (i32) => { i32 };
    (bool) => { bool };
    (text) => { ByteStr };
    (nonce) => { [u8; 32] };
    (headers) => { Vec<(ByteStr, ByteStr)> };
    (lengths) => { Bytes };
    (digests) => { Vec<ContractDigest> };
}

macro_rules! read_value {
    (text, $to:expr, $value:expr, $what:expr, $max:expr) => {
        $to = text($value, $max, concat!($what, ": a text in UTF-8 within its limit"))?
    };
    (nonce, $to:expr, $value:expr, $what:expr) => {
        $to = fixed($value, concat!($what, ": 32 bytes"))?
    };
    (headers, $to:expr, $value:expr, $what:expr) => {
        header($value, &mut $to)?
    };
    (lengths, $to:expr, $value:expr, $what:expr) => {
        $to = lengths($value, concat!($what, ": at most 65 lengths of 4 bytes"))?
    };
    (digests, $to:expr, $value:expr, $what:expr) => {
        $to = digests(
            $value,
            concat!(
                $what,
                ": two numbers of 8 bytes for each of at most 1,024 operations"
            ),
        )?
    };
    (i32, $to:expr, $value:expr, $what:expr) => {
        // Two's complement in four bytes.
        $to = i32::from_be_bytes(fixed($value, concat!($what, ": 4 bytes"))?)
    };
    (bool, $to:expr, $value:expr, $what:expr) => {
        $to = number_of($value, concat!($what, ": a number in its range"))? != 0
    };
    ($number:ident, $to:expr, $value:expr, $what:expr) => {{
        let what = concat!($what, ": a number in its range");
        let at = $value.position();
        $to = <$number>::try_from(number_of($value, what)?).map_err(|_| ParseError::Expected { at, what })?
    }};
}

fields! {
    /// In `hello`, the highest version of the caller; in `challenge`, the version of the session.
    1 version: u8;
    /// One bit for each feature.
    2 features: u32;
    /// Random bytes.
    3 nonce: nonce;
    /// The name of the sender, for diagnostics.
    4 name: text(MAX_NAME);
    /// In milliseconds.
    5 heartbeat_interval: u32;
    /// The largest body that the sender accepts, with its parts, in bytes.
    6 max_body: u64;
    /// The highest request id that the caller may send.
    7 limit: u64;
    /// The number of a request in its session.
    8 request_id: u64;
    /// The time until the deadline, in milliseconds.
    9 timeout: u32;
    /// The number of calls that led to this one.
    10 hops: u8;
    /// Bits: 1 idempotent, 2 nowait, 4 more calls are waiting for credit.
    11 flags: u16;
    /// In lower case.
    12 method: text(MAX_METHOD);
    /// The path, which is the target of a call without a contract.
    13 path: text(MAX_PATH);
    /// The name of the operation, which is the target of a call with a contract.
    14 operation: text(MAX_OPERATION);
    /// A digest of the operation: its name, its arguments and their types, and its result.
    15 contract: u64;
    /// A name and a value; once for each header.
    16 header: headers;
    /// The W3C `traceparent`.
    17 traceparent: text(MAX_TRACEPARENT);
    /// The W3C `tracestate`.
    18 tracestate: text(MAX_TRACESTATE);
    /// The lengths of the frames after the head.
    19 lengths: lengths;
    /// How a request has ended.
    20 outcome: u8;
    /// The status of a handler.
    21 status: i32;
    /// The reason phrase of a status, or the reason of an error.
    22 message: text(MAX_MESSAGE);
    /// Whether the handler may have run.
    23 may_have_run: bool;
    /// In milliseconds.
    24 retry_after: u32;
    /// The last request id that was sent, in `ping`; or that the worker has received, in `bye`.
    25 last_request_id: u64;
    /// A number that `pong` returns.
    26 stamp: u64;
    /// Why a session is denied.
    27 reason: u8;
    /// The encoding of the body: 0 is JSON.
    28 codec: u8;
    /// The name of the service that the caller expects: the path of its address.
    38 service: text(MAX_NAME);
    /// The digests of the operations that the worker serves.
    41 contracts: digests;
}

impl Fields {
    /// Reads all fields. Unknown ones are skipped unless they are marked as required.
    pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Self, ParseError> {
        let mut fields = Self::default();
        while cursor.remaining() > 0 {
            let at = cursor.position();
            let [tag, high, low] = fixed_prefix(cursor)?;
            let mut value = cursor.split_to(usize::from(u16::from_be_bytes([high, low])))?;
            let number = tag & !REQUIRED;
            let bit = 1_u64.checked_shl(number.into()).unwrap_or_default();
            if fields.present & bit != 0 && number != number::header {
                return Err(ParseError::Expected {
                    at,
                    what: "each field once, except for headers",
                });
            }
            fields.present |= bit;
            fields.read_value(number, tag & REQUIRED != 0, &mut value)?;
        }
        Ok(fields)
    }

    /// Checks that the message has these fields.
    pub(super) fn require(&self, numbers: &[u8], what: &'static str) -> Result<(), ParseError> {
        let complete = numbers.iter().all(|number| self.has(*number));
        complete.then_some(()).ok_or(ParseError::Expected { at: 0, what })
    }

    pub(super) fn has(&self, number: u8) -> bool {
        self.present & 1_u64.checked_shl(number.into()).unwrap_or_default() != 0
    }
}

/// Returns the request id in these fields, if it can be read although the message is malformed.
pub(super) fn find_request_id(cursor: &mut Cursor<'_>) -> Option<u64> {
    loop {
        let [tag, high, low] = fixed_prefix(cursor).ok()?;
        let mut value = cursor
            .split_to(usize::from(u16::from_be_bytes([high, low])))
            .ok()?;
        if tag & !REQUIRED == number::request_id {
            return number_of(&mut value, "").ok();
        }
    }
}

fn fixed_prefix<const N: usize>(cursor: &mut Cursor<'_>) -> Result<[u8; N], ParseError> {
    let field = cursor.split_to(N)?;
    field.rest().try_into().map_err(|_| ParseError::Truncated {
        at: field.position(),
        needed: N as u64,
        left: field.remaining(),
    })
}

/// Reads a value that has exactly this length.
fn fixed<const N: usize>(value: &mut Cursor<'_>, what: &'static str) -> Result<[u8; N], ParseError> {
    let at = value.position();
    value
        .rest()
        .try_into()
        .map_err(|_| ParseError::Expected { at, what })
}

/// Reads a number of one to eight bytes.
fn number_of(value: &mut Cursor<'_>, what: &'static str) -> Result<u64, ParseError> {
    let at = value.position();
    let digits = value.rest();
    if digits.is_empty() || digits.len() > 8 {
        return Err(ParseError::Expected { at, what });
    }
    Ok(digits
        .iter()
        .fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

fn text(value: &mut Cursor<'_>, max: usize, what: &'static str) -> Result<ByteStr, ParseError> {
    let at = value.position();
    let length = value.remaining();
    if length > max {
        return Err(ParseError::Expected { at, what });
    }
    ByteStr::from_utf8(value.take(length)?).ok_or(ParseError::Expected { at, what })
}

/// Reads a header: the length of the name in two bytes, the name, and the value.
fn header(value: &mut Cursor<'_>, headers: &mut Vec<(ByteStr, ByteStr)>) -> Result<(), ParseError> {
    const WHAT: &str = "the field `header`: a name and a value in UTF-8, and at most 16 KiB of headers";
    let at = value.position();
    if headers.len() >= MAX_HEADERS {
        return Err(ParseError::TooMany {
            at,
            limit: MAX_HEADERS,
        });
    }
    let name_len = usize::from(u16::from_be_bytes(fixed_prefix(value)?));
    let name = ByteStr::from_utf8(value.take(name_len)?).ok_or(ParseError::Expected { at, what: WHAT })?;
    let rest = value.take(value.remaining())?;
    let text = ByteStr::from_utf8(rest).ok_or(ParseError::Expected { at, what: WHAT })?;
    headers.push((name, text));
    if header_bytes(headers) > MAX_HEADER_BYTES {
        return Err(ParseError::Expected { at, what: WHAT });
    }
    Ok(())
}

fn header_bytes(headers: &[(ByteStr, ByteStr)]) -> usize {
    headers.iter().map(|(name, value)| name.len() + value.len()).sum()
}

fn lengths(value: &mut Cursor<'_>, what: &'static str) -> Result<Bytes, ParseError> {
    let at = value.position();
    let length = value.remaining();
    if length > 4 * (MAX_PARTS + 1) || !length.is_multiple_of(4) {
        return Err(ParseError::Expected { at, what });
    }
    value.take(length)
}

/// Reads the digests of operations: that of the name and that of the declaration, in 8 bytes each.
fn digests(value: &mut Cursor<'_>, what: &'static str) -> Result<Vec<ContractDigest>, ParseError> {
    let at = value.position();
    let (numbers, rest) = value.rest().as_chunks::<8>();
    let (pairs, odd) = numbers.as_chunks::<2>();
    if pairs.len() > MAX_CONTRACTS || !odd.is_empty() || !rest.is_empty() {
        return Err(ParseError::Expected { at, what });
    }
    let pairs = pairs.iter().map(|[name, declaration]| ContractDigest {
        name: u64::from_be_bytes(*name),
        declaration: u64::from_be_bytes(*declaration),
    });
    Ok(pairs.collect())
}

fn put_field_header(out: &mut BytesMut, number: u8, length: usize) {
    out.put_u8(number);
    // `validate` has rejected longer values.
    out.put_u16(u16::try_from(length).unwrap_or(u16::MAX));
}

/// Returns the number of bytes of a number: at least one.
fn number_len(value: u64) -> usize {
    8 - (value | 1).leading_zeros() as usize / 8
}

pub(super) fn put_number(out: &mut BytesMut, number: u8, value: impl Into<u64>) {
    let value = value.into();
    let length = number_len(value);
    put_field_header(out, number, length);
    out.put_uint(value, length);
}

/// Writes a number unless it is 0, which is the value of a missing field.
pub(super) fn put_number_unless_zero(out: &mut BytesMut, number: u8, value: impl Into<u64>) {
    let value = value.into();
    if value != 0 {
        put_number(out, number, value);
    }
}

pub(super) fn put_i32(out: &mut BytesMut, number: u8, value: i32) {
    put_field_header(out, number, 4);
    out.put_i32(value);
}

pub(super) fn put_bytes(out: &mut BytesMut, number: u8, value: &[u8]) {
    put_field_header(out, number, value.len());
    out.put_slice(value);
}

/// Writes a text unless it is empty, which is the value of a missing field.
pub(super) fn put_text(out: &mut BytesMut, number: u8, value: &ByteStr) {
    if !value.is_empty() {
        put_bytes(out, number, value.as_bytes());
    }
}

pub(super) fn put_headers(out: &mut BytesMut, headers: &[(ByteStr, ByteStr)]) {
    for (name, value) in headers {
        put_field_header(out, number::header, 2 + name.len() + value.len());
        out.put_u16(u16::try_from(name.len()).unwrap_or(u16::MAX));
        out.put_slice(name.as_bytes());
        out.put_slice(value.as_bytes());
    }
}

/// Writes the lengths of the frames after the head, if there are any.
pub(super) fn put_lengths(out: &mut BytesMut, body: &Bytes, parts: &[Bytes]) {
    if body.is_empty() && parts.is_empty() {
        return;
    }
    put_field_header(out, number::lengths, 4 * (1 + parts.len()));
    for frame in std::iter::once(body).chain(parts) {
        out.put_u32(u32::try_from(frame.len()).unwrap_or(u32::MAX));
    }
}

/// Writes the digests of operations, if there are any.
pub(super) fn put_digests(out: &mut BytesMut, number: u8, digests: &[ContractDigest]) {
    if digests.is_empty() {
        return;
    }
    put_field_header(out, number, 16 * digests.len());
    for digest in digests {
        out.put_u64(digest.name);
        out.put_u64(digest.declaration);
    }
}

/// Returns an upper bound of the bytes that these texts, these headers and `numbers` numbers take.
pub(super) fn encoded_len(
    numbers: usize,
    texts: &[&ByteStr],
    headers: &[(ByteStr, ByteStr)],
    frames: usize,
) -> usize {
    let texts: usize = texts.iter().map(|text| FIELD_HEADER + text.len()).sum();
    let headers = header_bytes(headers) + headers.len() * (FIELD_HEADER + 2);
    numbers * (FIELD_HEADER + 8) + texts + headers + FIELD_HEADER + 4 * frames
}

/// Returns an error if a text is longer than the receiver accepts.
pub(super) fn check_length(text: &ByteStr, max: usize, field: &'static str) -> Result<(), EncodeError> {
    if text.len() > max {
        let advice = "shorten it or move it into the body";
        return Err(EncodeError::too_long(field, text.len(), max, advice));
    }
    Ok(())
}

/// Returns an error if there are digests of more operations than the receiver accepts.
pub(super) fn check_digests(digests: &[ContractDigest]) -> Result<(), EncodeError> {
    if digests.len() > MAX_CONTRACTS {
        return Err(EncodeError::new(
            "contracts",
            "there are more than 1,024; leave some of them out",
        ));
    }
    Ok(())
}

/// Returns an error if there are more headers than the receiver accepts, or if their names and values are longer together.
pub(super) fn check_headers(headers: &[(ByteStr, ByteStr)]) -> Result<(), EncodeError> {
    if headers.len() > MAX_HEADERS {
        return Err(EncodeError::new(
            "headers",
            "there are more than 100; move some into the body",
        ));
    }
    let bytes = header_bytes(headers);
    if bytes > MAX_HEADER_BYTES {
        let advice = "move some headers into the body";
        return Err(EncodeError::too_long("headers", bytes, MAX_HEADER_BYTES, advice));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: Vec<u8>) -> Result<Fields, ParseError> {
        Fields::read(&mut Cursor::new(&bytes.into()))
    }

    proptest! {
        #[test]
        fn numbers_take_as_few_bytes_as_possible(value in any::<u64>(), shift in 0_u32..64) {
            let value = value >> shift;
            let mut out = BytesMut::new();
            put_number(&mut out, number::limit, value);
            prop_assert_eq!(out.len(), FIELD_HEADER + number_len(value));
            prop_assert!(out.len() == FIELD_HEADER + 1 || out[FIELD_HEADER] != 0);
            prop_assert_eq!(read(out.to_vec()).unwrap().limit, value);
        }

        #[test]
        fn arbitrary_bytes_are_read_or_rejected(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = find_request_id(&mut Cursor::new(&bytes.clone().into()));
            let _ = read(bytes);
        }
    }

    #[test]
    fn numbers_may_have_leading_zeros_but_not_exceed_their_range() {
        assert_eq!(read(vec![number::hops, 0, 3, 0, 0, 7]).unwrap().hops, 7);
        assert!(read(vec![number::hops, 0, 2, 1, 0]).is_err());
        assert!(read(vec![number::hops, 0, 0]).is_err());
        assert!(read(vec![number::limit, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 1]).is_err());
    }

    #[test]
    fn unknown_fields_are_skipped_unless_they_are_required() {
        for unknown in [0, 29, 63, 64, 100, 127] {
            let fields = read(vec![unknown, 0, 2, 1, 2, number::hops, 0, 1, 7]).unwrap();
            assert_eq!(fields.hops, 7);
            let error = read(vec![unknown | REQUIRED, 0, 0]).unwrap_err();
            assert!(error.to_string().contains("known here"), "{error}");
        }
        // A field that is known here may be marked, too.
        assert_eq!(read(vec![number::hops | REQUIRED, 0, 1, 7]).unwrap().hops, 7);
    }

    #[test]
    fn digests_are_pairs_of_numbers_and_bounded() {
        let field = |length: u16| {
            let mut bytes = vec![number::contracts];
            bytes.extend(length.to_be_bytes());
            bytes.extend((0..length).map(|n| n as u8));
            read(bytes)
        };
        let contracts = field(32).unwrap().contracts;
        assert_eq!(contracts.len(), 2);
        assert_eq!(contracts[1].name, 0x1011_1213_1415_1617);
        assert_eq!(contracts[1].declaration, 0x1819_1a1b_1c1d_1e1f);
        assert!(field(0).unwrap().contracts.is_empty());
        assert_eq!(field(16 << 10).unwrap().contracts.len(), MAX_CONTRACTS);
        for length in [1, 8, 15, 24, (16 << 10) + 16] {
            assert!(field(length).is_err(), "{length}");
        }
    }

    #[test]
    fn only_headers_may_occur_twice() {
        let error = read(vec![number::hops, 0, 1, 7, number::hops, 0, 1, 7]).unwrap_err();
        assert_eq!(
            error,
            ParseError::Expected {
                at: 4,
                what: "each field once, except for headers"
            }
        );
        let headers = [number::header, 0, 4, 0, 1, b'a', b'b'].repeat(2);
        assert_eq!(read(headers).unwrap().header.len(), 2);
    }

    #[test]
    fn a_field_cut_short_is_an_error() {
        for bytes in [
            &[number::hops][..],
            &[number::hops, 0],
            &[number::hops, 0, 1],
            &[number::header, 0, 2, 0, 1],
        ] {
            assert!(read(bytes.to_vec()).is_err(), "{bytes:?}");
        }
    }
}
