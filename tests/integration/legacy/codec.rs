//! The legacy service codec, tested with captures of the originals and with malformed messages.

use crate::support::fixtures::{self, ServiceCapture};
use brubeck_runtime::wire::ParseError;
use brubeck_runtime::wire::service::{
    Dialect, JsonText, LegacyDecodeError, LegacyEnvelope, LegacyRequest, LegacyResponse, Secret, Timestamp,
    decode_pull_request, decode_request, decode_response, encode_request, encode_response,
};
use bytes::Bytes;
use std::collections::BTreeMap;

// ---- captures ------------------------------------------------------------------------------------

fn dialect(name: &str) -> Dialect {
    match name {
        "seed" => Dialect::Seed,
        "branch" => Dialect::Branch,
        "pypi" => Dialect::Pypi,
        "pypi01x" => Dialect::Pypi01x,
        other => panic!("no dialect {other}"),
    }
}

fn read_request(capture: &ServiceCapture) -> Result<LegacyRequest, LegacyDecodeError> {
    match (capture.socket.as_str(), capture.frames.as_slice()) {
        ("ROUTER", frames) => decode_request(frames),
        // A DEALER does not see its own identity; the ROUTER at the other end adds it.
        ("DEALER", [payload]) => decode_request(&[Bytes::from_static(b"id"), payload.clone()]),
        ("PUSH" | "PULL", frames) => decode_pull_request(frames),
        (socket, frames) => panic!("{}: {} frames on a {socket}", capture.file, frames.len()),
    }
}

fn read_response(capture: &ServiceCapture) -> Result<LegacyResponse, LegacyDecodeError> {
    let frames = match (capture.socket.as_str(), capture.frames.as_slice()) {
        ("ROUTER", [_identity, rest @ ..]) => rest,
        ("DEALER", frames) => frames,
        (socket, frames) => panic!("{}: {} frames on a {socket}", capture.file, frames.len()),
    };
    decode_response(dialect(&capture.dialect), frames)
}

fn assert_field(capture: &ServiceCapture, name: &str, found: &[u8]) {
    if let Some(expected) = capture.decoded.get(name) {
        let found = std::str::from_utf8(found).unwrap();
        assert_eq!(Some(found), expected.as_str(), "{name} of {}", capture.file);
    }
}

fn assert_envelope(capture: &ServiceCapture, envelope: &LegacyEnvelope) {
    assert_eq!(
        envelope.dialect,
        dialect(&capture.dialect),
        "dialect of {}",
        capture.file
    );
    assert_field(capture, "sender", &envelope.sender);
    assert_field(capture, "conn_id", &envelope.conn_id);
    assert_field(capture, "request_timestamp", envelope.times.request.text());
    assert_field(capture, "start_timestamp", envelope.times.start.text());
    assert_field(capture, "end_timestamp", envelope.times.end.text());
    assert_field(capture, "passphrase", envelope.passphrase.expose());
    assert_field(capture, "origin_sender_id", &envelope.origin.sender_id);
    assert_field(capture, "origin_conn_id", &envelope.origin.conn_id);
    assert_field(capture, "origin_out_addr", &envelope.origin.out_addr);
    assert_field(
        capture,
        "handle_response",
        if envelope.handle_response { b"1" } else { b"0" },
    );
    assert_field(capture, "path", &envelope.path);
    assert_field(capture, "method", &envelope.method);
}

/// By dialect and kind: the numbers of captures, decoded captures, and captures that encode to the same bytes.
type Counts = BTreeMap<(String, String), (usize, usize, usize)>;

fn assert_counts(counts: &Counts, expected: &[(&str, &str, usize, usize, usize)]) {
    for ((dialect, kind), (captures, read, same)) in counts {
        println!(
            "{dialect:8} {kind:8} {captures:3} captures, {read:3} decoded, {same:3} encoded to the same bytes"
        );
    }
    let expected: Counts = expected
        .iter()
        .map(|&(dialect, kind, captures, read, same)| {
            ((dialect.to_owned(), kind.to_owned()), (captures, read, same))
        })
        .collect();
    assert_eq!(*counts, expected);
}

#[test]
fn captured_requests_round_trip_byte_for_byte() {
    let mut counts = Counts::new();
    for capture in fixtures::service()
        .iter()
        .filter(|capture| capture.kind == "request")
    {
        let count = counts
            .entry((capture.dialect.clone(), capture.kind.clone()))
            .or_default();
        count.0 += 1;
        let request = read_request(capture).unwrap_or_else(|error| panic!("{}: {error}", capture.file));
        count.1 += 1;
        assert_envelope(capture, &request.envelope);
        assert_field(capture, "arguments", request.arguments.raw());
        assert_field(capture, "headers", request.headers.raw());
        assert_field(capture, "body", request.body.raw());
        for text in [&request.arguments, &request.headers, &request.body] {
            text.object()
                .unwrap_or_else(|error| panic!("{}: {error}", capture.file));
        }
        let written = encode_request(&request).unwrap_or_else(|error| panic!("{}: {error}", capture.file));
        assert_eq!(Some(&written), capture.frames.last(), "{}", capture.file);
        count.2 += 1;
    }
    assert_counts(
        &counts,
        &[
            ("branch", "request", 63, 63, 63),
            ("pypi", "request", 63, 63, 63),
            ("pypi01x", "request", 4, 4, 4),
            ("seed", "request", 61, 61, 61),
        ],
    );
}

#[test]
fn captured_responses_round_trip_byte_for_byte() {
    let mut counts = Counts::new();
    for capture in fixtures::service()
        .iter()
        .filter(|capture| capture.kind == "response")
    {
        let count = counts
            .entry((capture.dialect.clone(), capture.kind.clone()))
            .or_default();
        count.0 += 1;
        let response = match read_response(capture) {
            Ok(response) => response,
            Err(error) => {
                // A bug of the seed: the length of a text that is not ASCII is too small.
                assert_eq!(
                    (capture.dialect.as_str(), capture.case.as_str()),
                    ("seed", "status-unicode-msg")
                );
                assert!(capture.decoded.contains_key("strict_parse_error"));
                assert_eq!(error.field(), "headers");
                assert!(
                    error
                        .envelope()
                        .is_some_and(|envelope| envelope.path == "/service/status")
                );
                continue;
            }
        };
        count.1 += 1;
        assert_envelope(capture, &response.envelope);
        assert_field(
            capture,
            "status_code",
            response.status_code.to_string().as_bytes(),
        );
        let raw = capture.decoded["status_msg"].as_str().unwrap();
        let text = serde_json::from_str(raw).unwrap_or_else(|_| raw.to_owned());
        assert_eq!(response.status_msg, text, "{}", capture.file);
        assert_field(capture, "arguments", response.arguments.raw());
        assert_field(capture, "headers", response.headers.raw());
        assert_field(capture, "body", response.body.raw());
        assert_eq!(response.method(), "response");

        let [identity, delimiter, payload] =
            encode_response(&response).unwrap_or_else(|error| panic!("{}: {error}", capture.file));
        assert_eq!(Some(&payload), capture.frames.last(), "{}", capture.file);
        if capture.socket == "ROUTER" {
            assert_eq!(
                [identity, delimiter, payload].as_slice(),
                capture.frames,
                "{}",
                capture.file
            );
        }
        count.2 += 1;
    }
    assert_counts(
        &counts,
        &[
            ("branch", "response", 63, 63, 63),
            ("pypi", "response", 61, 61, 61),
            ("pypi01x", "response", 4, 4, 4),
            ("seed", "response", 59, 56, 56),
        ],
    );
}

#[test]
fn large_body_is_sliced_not_copied() {
    let body: JsonText = format!(r#"{{"BLOB":"{}"}}"#, "a".repeat(1 << 20))
        .into_bytes()
        .into();
    for dialect in [Dialect::Seed, Dialect::Branch] {
        let mut request = LegacyRequest::new(dialect, "1", "/service/large", "request");
        request.body = body.clone();
        let frame = encode_request(&request).unwrap();
        let read = decode_request(&[Bytes::from_static(b"id"), frame.clone()]).unwrap();
        assert_eq!(read.body, body);
        assert!(frame.as_ptr_range().contains(&read.body.raw().as_ptr()));

        let mut response = LegacyResponse::to(&read.envelope, 200, "OK");
        response.body = body.clone();
        let [_, delimiter, frame] = encode_response(&response).unwrap();
        let read = decode_response(dialect, &[delimiter, frame.clone()]).unwrap();
        assert_eq!(read.body, body);
        assert!(frame.as_ptr_range().contains(&read.body.raw().as_ptr()));
    }
}

// ---- receiving -----------------------------------------------------------------------------------

const BRANCH: [&str; 9] = [
    "c1",
    "1795470575047",
    "1795470575047",
    "my_shared_secret",
    "m2",
    "7",
    "tcp://a",
    "/service/x",
    "request",
];
const SEED: [&str; 6] = ["c1", "my_shared_secret", "m2", "7", "tcp://a", "/service/x"];
const PYPI: [&str; 8] = [
    "c1",
    "1795470575047",
    "my_shared_secret",
    "m2",
    "7",
    "tcp://a",
    "/service/x",
    "request",
];

fn lenstr(value: &[u8]) -> Vec<u8> {
    [format!("{}:", value.len()).as_bytes(), value].concat()
}

fn payload<F: AsRef<[u8]>, T: AsRef<[u8]>>(front: &str, fields: &[F], tail: &[T]) -> Vec<u8> {
    let mut payload = front.as_bytes().to_vec();
    for field in fields {
        payload.extend(lenstr(field.as_ref()));
        payload.push(b' ');
    }
    for value in tail {
        payload.extend(lenstr(value.as_ref()));
    }
    payload
}

fn branch_payload() -> Vec<u8> {
    payload(" ", &BRANCH, &["{}", "{}", "{}"])
}

fn pypi_payload() -> Vec<u8> {
    payload(" sender ", &PYPI, &["{}", "{}", "{}"])
}

fn router(payload: impl Into<Bytes>) -> Result<LegacyRequest, LegacyDecodeError> {
    decode_request(&[Bytes::from_static(b"identity"), payload.into()])
}

fn pull(payload: impl Into<Bytes>) -> Result<LegacyRequest, LegacyDecodeError> {
    decode_pull_request(&[payload.into()])
}

fn dealer(dialect: Dialect, payload: impl Into<Bytes>) -> Result<LegacyResponse, LegacyDecodeError> {
    decode_response(dialect, &[Bytes::new(), payload.into()])
}

fn branch_response(tail: [&[u8]; 5]) -> Result<LegacyResponse, LegacyDecodeError> {
    let mut fields = BRANCH;
    fields[8] = "response";
    dealer(Dialect::Branch, payload("sender ", &fields, &tail))
}

/// Returns `payload` with the first `from` replaced by `to`.
fn replaced(payload: &[u8], from: &str, to: &str) -> Vec<u8> {
    let at = payload
        .windows(from.len())
        .position(|window| window == from.as_bytes())
        .unwrap();
    [&payload[..at], to.as_bytes(), &payload[at + from.len()..]].concat()
}

#[test]
fn space_in_a_value_is_decoded_but_not_encoded() {
    let mut fields = BRANCH;
    fields[3] = "pass phrase";
    fields[4] = " ";
    fields[7] = "/service/a b";
    let mut request = router(payload(" ", &fields, &["{}", "{}", "{}"])).unwrap();
    assert_eq!(request.envelope.dialect, Dialect::Branch);
    assert!(request.envelope.passphrase.matches(b"pass phrase"));
    assert_eq!(request.envelope.origin.sender_id, " ");
    assert_eq!(request.envelope.path, "/service/a b");

    assert_eq!(encode_request(&request).unwrap_err().field(), "passphrase");
    request.envelope.passphrase = Secret::new("x");
    assert_eq!(encode_request(&request).unwrap_err().field(), "origin_sender_id");
    request.envelope.origin.sender_id = "m2".into();
    let refused = encode_request(&request).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "cannot send `path`: the value contains whitespace, which ends a field in the Python original; \
         remove or percent-encode it"
    );
}

#[test]
fn identity_with_a_space_empty_or_long_is_read_from_its_frame() {
    for identity in [b"with a space".as_slice(), b"", &[b'x'; 300], b"a:b"] {
        let identity = Bytes::copy_from_slice(identity);
        let request = decode_request(&[identity.clone(), branch_payload().into()]).unwrap();
        assert_eq!(request.envelope.sender, identity);
    }
}

#[test]
fn identity_with_a_space_receives_a_response() {
    let identity = Bytes::from_static(b"with a space");
    let request = decode_request(&[identity.clone(), branch_payload().into()]).unwrap();
    let [to, delimiter, payload] =
        encode_response(&LegacyResponse::to(&request.envelope, 200, "OK")).unwrap();
    assert_eq!(to, identity);
    let response = decode_response(Dialect::Branch, &[delimiter, payload]).unwrap();
    assert_eq!(response.envelope.sender, "-");
    assert!(response.answers(&request.envelope));
}

#[test]
fn pypi_sender_ends_at_the_first_space() {
    let request = pull(payload("a:b\u{e9} ", &PYPI, &["{}", "{}", "{}"])).unwrap();
    assert_eq!(request.envelope.sender, "a:b\u{e9}");
    assert_eq!(
        pull(Bytes::from_static(b"no-space-at-all")).unwrap_err().field(),
        "sender"
    );
    // A request: leading whitespace is skipped, so the conn_id is parsed as the sender.
    assert!(pull(payload("  ", &PYPI, &["{}", "{}", "{}"])).is_err());
    // A response: an empty sender is rejected.
    assert!(dealer(Dialect::Pypi, payload(" ", &PYPI, &["3:200"])).is_err());
}

#[test]
fn binary_identity_is_accepted_as_opaque_bytes() {
    let identity = Bytes::from_static(b"\x00\x9f\xff\x01\xc3");
    let request = decode_request(&[identity.clone(), branch_payload().into()]).unwrap();
    assert_eq!(request.envelope.sender, identity);
    let [to, delimiter, payload] =
        encode_response(&LegacyResponse::to(&request.envelope, 200, "OK")).unwrap();
    assert_eq!(to, identity);
    assert_eq!(
        decode_response(Dialect::Branch, &[delimiter, payload])
            .unwrap()
            .envelope
            .sender,
        identity
    );
}

#[test]
fn declared_length_above_the_bytes_available_is_rejected() {
    let error = router(replaced(&branch_payload(), "2:{}2:{}2:{}", "2:{}2:{}9:{}")).unwrap_err();
    assert_eq!(error.field(), "body");
    assert!(matches!(
        error.reason(),
        ParseError::Truncated {
            needed: 9,
            left: 2,
            ..
        }
    ));
}

#[test]
fn envelope_value_longer_than_declared_is_rejected() {
    let error = router(replaced(
        &branch_payload(),
        "16:my_shared_secret",
        "10:my_shared_secret",
    ))
    .unwrap_err();
    assert_eq!(error.field(), "passphrase");
    assert_eq!(error.conn_id().unwrap(), "c1");
    assert!(error.envelope().is_none());
    assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
}

#[test]
fn trailing_bytes_are_rejected_and_trailing_blanks_accepted() {
    let one_short = replaced(&branch_payload(), "2:{}2:{}2:{}", "2:{}2:{}1:{}");
    assert!(matches!(
        router(one_short).unwrap_err().reason(),
        ParseError::Trailing { left: 1, .. }
    ));
    for blanks in [" ", "\n", " \t\r\n"] {
        router([branch_payload(), blanks.into()].concat()).unwrap();
        pull([pypi_payload(), blanks.into()].concat()).unwrap();
        let response = payload("s ", &SEED, &["200", "OK", r#"{"METHOD":"response"}"#, "{}"]);
        dealer(Dialect::Seed, [response, blanks.into()].concat()).unwrap();
    }
    let error = router([branch_payload(), b"x".to_vec()].concat()).unwrap_err();
    assert!(error.envelope().is_some());
}

#[test]
fn comma_after_an_envelope_field_is_rejected() {
    let error = router(replaced(&branch_payload(), "2:c1 ", "2:c1, ")).unwrap_err();
    assert!(error.conn_id().is_none());
    router(replaced(&branch_payload(), "7:request ", "7:request, ")).unwrap_err();
}

#[test]
fn leading_zeros_are_accepted_up_to_ten_digits_and_signs_rejected() {
    assert_eq!(
        router(replaced(&branch_payload(), "2:c1", "002:c1"))
            .unwrap()
            .envelope
            .conn_id,
        "c1"
    );
    router(replaced(&branch_payload(), "2:c1", "0000000002:c1")).unwrap();
    router(replaced(&branch_payload(), "2:c1", "00000000002:c1")).unwrap_err();
    router(replaced(&branch_payload(), "2:c1", "+2:c1")).unwrap_err();
}

#[test]
fn length_negative_hex_empty_or_huge_is_rejected() {
    for length in [
        "-2",
        "0x2",
        "",
        "2a",
        "123456789012345678901234567890",
        "9999999999",
        " 2",
    ] {
        let error = router(replaced(&branch_payload(), "2:c1", &format!("{length}:c1"))).unwrap_err();
        assert_eq!(error.field(), "conn_id", "{length}");
    }
}

#[test]
fn empty_values_are_accepted_except_conn_id() {
    let fields = ["c1", "", "", "", "", "", "", "/x", "request"];
    let request = router(payload(" ", &fields, &["", "", ""])).unwrap();
    assert_eq!(request.envelope.dialect, Dialect::Branch);
    for text in [&request.arguments, &request.headers, &request.body] {
        assert!(text.raw().is_empty());
        assert!(text.object().unwrap().is_empty());
    }
    let fields = ["c1", "", "", "", "", "", "/x", "request"];
    assert_eq!(
        pull(payload(" s ", &fields, &["", "", ""]))
            .unwrap()
            .envelope
            .dialect,
        Dialect::Pypi
    );
    assert_eq!(
        router(payload(" ", &[""; 9], &["", "", ""])).unwrap_err().field(),
        "conn_id"
    );
}

#[test]
fn json_other_than_an_object_is_decoded_but_object_returns_an_error() {
    for (text, found) in [
        ("[1]", "an array"),
        ("\"x\"", "a string"),
        ("1", "a number"),
        ("true", "a boolean"),
        ("null", "null"),
    ] {
        let request = router(payload(" ", &BRANCH, &[text, text, text])).unwrap();
        for text in [&request.arguments, &request.headers, &request.body] {
            let error = text.object().unwrap_err();
            assert_eq!(error.to_string(), format!("expected a JSON object, got {found}"));
        }
        assert_eq!(encode_request(&request).unwrap_err().field(), "arguments");
    }
}

#[test]
fn response_body_may_be_any_json_or_raw_text() {
    for body in ["[1]", "\"plain\"", "hello from Go!", ""] {
        let response = branch_response([b"200", b"\"OK\"", b"{}", b"{}", body.as_bytes()]).unwrap();
        assert_eq!(response.body.raw(), body);
    }
}

#[test]
fn json_with_raw_utf8_escaped_slashes_and_whitespace_is_accepted() {
    let text = " {\"z\": \"caf\u{e9}\",\n \"a\":\"\\/\\u00e9\"} ";
    let object = router(payload(" ", &BRANCH, &[text, "{}", "{}"]))
        .unwrap()
        .arguments
        .object()
        .unwrap();
    assert_eq!(object["z"], "caf\u{e9}");
    assert_eq!(object["a"], "/\u{e9}");
}

#[test]
fn json_with_invalid_utf8_is_decoded_and_fails_as_arguments() {
    let tail = [b"{\"a\":\"\xff\"}".as_slice(), b"{}", b"{}"];
    let request = router(payload(" ", &BRANCH, &tail)).unwrap();
    assert!(
        request
            .arguments
            .object()
            .unwrap_err()
            .to_string()
            .contains("invalid JSON")
    );
}

#[test]
fn path_with_invalid_utf8_is_decoded_but_is_no_text() {
    let mut fields = BRANCH.map(str::as_bytes);
    fields[7] = b"/service/\xff";
    let request = router(payload(" ", &fields, &["{}", "{}", "{}"])).unwrap();
    assert_eq!(request.envelope.path_str(), None);
    assert_eq!(
        router(branch_payload()).unwrap().envelope.path_str(),
        Some("/service/x")
    );
}

#[test]
fn json_nesting_limit_is_enforced() {
    let nested = |depth: usize| format!("{{\"a\":{}1{}}}", "[".repeat(depth), "]".repeat(depth));
    let request = router(payload(
        " ",
        &BRANCH,
        &[nested(100), nested(200), nested(500_000)],
    ))
    .unwrap();
    request.arguments.object().unwrap();
    request.headers.object().unwrap_err();
    request.body.object().unwrap_err();
}

#[test]
fn empty_frame_before_the_payload_is_accepted_and_other_splits_rejected() {
    let payload = Bytes::from(branch_payload());
    let identity = Bytes::from_static(b"identity");
    let with_delimiter = decode_request(&[identity.clone(), Bytes::new(), payload.clone()]).unwrap();
    assert_eq!(
        with_delimiter,
        decode_request(&[identity.clone(), payload.clone()]).unwrap()
    );

    let halves = [identity.clone(), payload.slice(..20), payload.slice(20..)];
    let two_empty = [identity.clone(), Bytes::new(), Bytes::new(), payload.clone()];
    for frames in [&halves[..], &two_empty, &[identity], &[]] {
        assert!(matches!(
            decode_request(frames).unwrap_err().reason(),
            ParseError::Frames { .. }
        ));
    }
    assert!(matches!(
        decode_pull_request(&halves).unwrap_err().reason(),
        ParseError::Frames { found: 3, .. }
    ));
    let response = decode_response(Dialect::Branch, &halves).unwrap_err();
    assert!(matches!(response.reason(), ParseError::Frames { found: 3, .. }));
}

#[test]
fn missing_leading_space_is_rejected_on_router_and_accepted_on_pull() {
    assert_eq!(
        router(branch_payload()[1..].to_vec()).unwrap_err().field(),
        "sender"
    );
    assert_eq!(
        pull(pypi_payload()[1..].to_vec()).unwrap(),
        pull(pypi_payload()).unwrap()
    );
}

#[test]
fn several_leading_spaces_are_rejected_on_router_and_accepted_on_pull() {
    router([b" ".to_vec(), branch_payload()].concat()).unwrap_err();
    assert_eq!(
        pull([b"  \n".to_vec(), pypi_payload()].concat()).unwrap(),
        pull(pypi_payload()).unwrap()
    );
}

#[test]
fn status_msg_quoted_or_raw_is_accepted() {
    for (raw, text) in [
        (b"\"it broke\"".as_slice(), "it broke"),
        (b"it broke", "it broke"),
        (b"\"caf\\u00e9\"", "caf\u{e9}"),
        (b"caf\xc3\xa9", "caf\u{e9}"),
        (b"\"unfinished", "\"unfinished"),
        (b"200", "200"),
        (b"", ""),
        (b"caf\xe9!", "caf?!"),
    ] {
        assert_eq!(
            branch_response([b"200", raw, b"{}", b"{}", b"{}"])
                .unwrap()
                .status_msg,
            text
        );
    }
}

#[test]
fn status_code_is_a_decimal_i32() {
    for bad in [
        "",
        "x",
        "2147483648",
        "99999999999999999999",
        "1.5",
        "1e2",
        "+200",
        " 200",
        "0x1",
        "\"200\"",
        "null",
    ] {
        let error = branch_response([bad.as_bytes(), b"\"OK\"", b"{}", b"{}", b"{}"]).unwrap_err();
        assert_eq!(error.field(), "status_code", "{bad}");
        assert_eq!(error.conn_id().unwrap(), "c1");
        assert_eq!(error.envelope().unwrap().path, "/service/x");
    }
    for (good, code) in [
        ("-1", -1),
        ("0", 0),
        ("2147483647", i32::MAX),
        ("-2147483648", i32::MIN),
    ] {
        let response = branch_response([good.as_bytes(), b"\"OK\"", b"{}", b"{}", b"{}"]).unwrap();
        assert_eq!(response.status_code, code);
    }
}

#[test]
fn invalid_timestamps_are_none() {
    for text in [
        "None",
        "",
        "-5",
        "1.5",
        "+5",
        "\u{663}",
        "99999999999999999999",
        "0",
    ] {
        let mut fields = BRANCH;
        fields[1] = text;
        let request = router(payload(" ", &fields, &["{}", "{}", "{}"])).unwrap();
        assert_eq!(request.envelope.times.start.millis(), None, "{text}");
        assert_eq!(request.envelope.times.start.text(), text.as_bytes());
        assert_eq!(request.envelope.times.end.millis(), Some(1_795_470_575_047));
    }
}

#[test]
fn duplicate_conn_id_gives_two_replies() {
    let requests = [
        router(branch_payload()).unwrap(),
        router(branch_payload()).unwrap(),
    ];
    let replies =
        requests.map(|request| encode_response(&LegacyResponse::to(&request.envelope, 200, "OK")).unwrap());
    assert_eq!(replies[0], replies[1]);
}

#[test]
fn reply_with_unknown_conn_id_matches_no_request() {
    let request = LegacyRequest::new(Dialect::Branch, "c2", "/service/x", "request");
    let response = branch_response([b"200", b"\"OK\"", b"{}", b"{}", b"{}"]).unwrap();
    assert!(!response.answers(&request.envelope));
}

#[test]
fn decode_error_of_a_reply_carries_the_conn_id_if_it_was_read() {
    let mut fields = BRANCH;
    fields[8] = "response";
    let whole = payload("sender ", &fields, &["200", "\"OK\"", "{}", "{}", "{}"]);
    dealer(Dialect::Branch, whole.clone()).unwrap();
    let conn_id_ends = "sender 2:c1 ".len();
    let tail_begins = payload("sender ", &fields, &[] as &[&str]).len();
    for length in 0..whole.len() {
        let error = dealer(Dialect::Branch, whole[..length].to_vec()).unwrap_err();
        assert_eq!(error.conn_id().is_some(), length >= conn_id_ends, "{length}");
        assert_eq!(error.envelope().is_some(), length >= tail_begins, "{length}");
    }
}

#[test]
fn reply_with_other_path_or_method_matches_no_request() {
    let request = LegacyRequest::new(Dialect::Branch, "c1", "/service/x", "request");
    let response = branch_response([b"200", b"\"OK\"", b"{}", b"{}", b"{}"]).unwrap();
    assert!(response.answers(&request.envelope));
    let other_path = LegacyRequest::new(Dialect::Branch, "c1", "/service/y", "request");
    assert!(!response.answers(&other_path.envelope));
    for method in ["get", "request", "", "RESPONSE"] {
        let mut fields = BRANCH;
        fields[8] = method;
        let payload = payload("sender ", &fields, &["200", "\"OK\"", "{}", "{}", "{}"]);
        assert!(
            !dealer(Dialect::Branch, payload)
                .unwrap()
                .answers(&request.envelope),
            "{method}"
        );
    }
    let seed = LegacyRequest::new(Dialect::Seed, "c1", "/service/x", "request");
    for (headers, matches) in [
        (r#"{"METHOD":"response"}"#, true),
        (r#"{"METHOD":"get"}"#, false),
        ("{}", false),
    ] {
        let response = dealer(Dialect::Seed, payload("s ", &SEED, &["200", "OK", headers, "{}"])).unwrap();
        assert_eq!(response.answers(&seed.envelope), matches, "{headers}");
    }
}

#[test]
fn wrong_passphrase_does_not_match_and_debug_hides_passphrases() {
    let request = router(branch_payload()).unwrap();
    assert!(request.envelope.passphrase.matches(b"my_shared_secret"));
    for wrong in [
        b"my_shared_secreT".as_slice(),
        b"my_shared_secre",
        b"",
        b"my_shared_secret ",
    ] {
        assert!(!request.envelope.passphrase.matches(wrong));
    }
    assert!(!format!("{request:?}").contains("my_shared_secret"));
    let response = LegacyResponse::to(&request.envelope, 200, "OK");
    assert!(!format!("{response:?}").contains("my_shared_secret"));
    let error = router(replaced(&branch_payload(), "2:{}2:{}2:{}", "2:{}2:{}")).unwrap_err();
    assert!(error.envelope().is_some());
    assert!(!format!("{error:?}").contains("my_shared_secret"));
}

// ---- detecting dialects --------------------------------------------------------------------------

#[test]
fn dialect_is_detected_from_the_envelope() {
    let seed = router(payload(" ", &SEED, &[r#"{"METHOD":"get"}"#, r#"{"a":1}"#])).unwrap();
    assert_eq!(seed.envelope.dialect, Dialect::Seed);
    assert_eq!(seed.method(), "get");
    assert_eq!(seed.body.object().unwrap()["a"], 1);
    assert_eq!(
        router(branch_payload()).unwrap().envelope.dialect,
        Dialect::Branch
    );
    assert_eq!(pull(pypi_payload()).unwrap().envelope.dialect, Dialect::Pypi);
    let fields = ["c1", "1", "secret", "m2", "7", "tcp://a", "0", "/x", "request"];
    let request = pull(payload("s ", &fields, &["{}", "{}", "{}"])).unwrap();
    assert_eq!(request.envelope.dialect, Dialect::Pypi01x);
    assert!(!request.envelope.handle_response);
    let fields = ["c1", "1", "secret", "m2", "7", "tcp://a", "yes", "/x", "request"];
    assert_eq!(
        pull(payload("s ", &fields, &["{}", "{}", "{}"]))
            .unwrap_err()
            .field(),
        "handle_response"
    );
}

#[test]
fn envelope_with_wrong_field_count_is_rejected() {
    for count in [0, 1, 2, 3, 4, 5, 7, 8, 10, 11] {
        let fields = vec!["1"; count];
        let error = router(payload(" ", &fields, &["{}", "{}", "{}"])).unwrap_err();
        assert_eq!(error.conn_id().is_some(), count > 0, "{count}");
    }
}

#[test]
fn error_for_seed_headers_without_a_method_contains_the_envelope() {
    for headers in [
        "{}",
        "",
        "[]",
        "{\"METHOD\":1}",
        "{\"METHOD\":\"\"}",
        "{\"METHOD\"",
        "\u{1}",
    ] {
        let error = router(payload(" ", &SEED, &[headers, "{}"])).unwrap_err();
        assert_eq!(error.field(), "headers");
        assert_eq!(error.envelope().unwrap().path, "/service/x");
    }
}

// ---- sending -------------------------------------------------------------------------------------

#[test]
fn pypi_rejects_an_empty_passphrase_and_an_empty_sender_or_one_with_a_space() {
    let mut request = LegacyRequest::new(Dialect::Pypi, "c1", "/x", "request");
    request.envelope.sender = "s".into();
    assert_eq!(encode_request(&request).unwrap_err().field(), "passphrase");
    request.envelope.passphrase = Secret::new("p");
    let payload = encode_request(&request).unwrap();
    assert_eq!(payload, " s 2:c1 1:0 1:p 1:- 1:- 1:- 2:/x 7:request 2:{}2:{}2:{}");
    let [_, _, payload] = encode_response(&LegacyResponse::to(&request.envelope, -1, "")).unwrap();
    assert_eq!(
        payload,
        "s 2:c1 1:0 1:0 1:0 1:p 1:- 1:- 1:- 2:/x 8:response 2:-12:\"\"2:{}2:{}2:{}"
    );
    request.envelope.sender = Bytes::new();
    assert_eq!(encode_request(&request).unwrap_err().field(), "sender");
    request.envelope.sender = "a b".into();
    assert_eq!(encode_request(&request).unwrap_err().field(), "sender");
}

#[test]
fn pypi01x_is_encoded_without_a_leading_space() {
    let mut request = LegacyRequest::new(Dialect::Pypi01x, "c1", "/x", "request");
    request.envelope.sender = "s".into();
    request.envelope.passphrase = Secret::new("p");
    request.envelope.handle_response = false;
    request.envelope.times.request = Timestamp::from_millis(17);
    let payload = encode_request(&request).unwrap();
    assert_eq!(
        payload,
        "s 2:c1 2:17 1:p 1:- 1:- 1:- 1:0 2:/x 7:request 2:{}2:{}2:{}"
    );
}

#[test]
fn conn_id_path_method_and_sender_must_not_be_empty() {
    for (conn_id, path, method, field) in [
        ("", "/x", "request", "conn_id"),
        ("c1", "", "request", "path"),
        ("c1", "/x", "", "method"),
    ] {
        for dialect in [Dialect::Seed, Dialect::Branch] {
            let error = encode_request(&LegacyRequest::new(dialect, conn_id, path, method)).unwrap_err();
            assert_eq!(error.field(), field);
        }
    }
    let request = LegacyRequest::new(Dialect::Branch, "c1", "/x", "request");
    assert_eq!(
        encode_response(&LegacyResponse::to(&request.envelope, 200, "OK"))
            .unwrap_err()
            .field(),
        "sender"
    );
}

#[test]
fn json_is_encoded_as_ascii() {
    let mut request = LegacyRequest::new(Dialect::Branch, "c1", "/x", "request");
    request.body = "{\"a\":\"caf\u{e9} \u{1f600}\"}".as_bytes().to_vec().into();
    let payload = encode_request(&request).unwrap();
    assert!(payload.is_ascii());
    let read = router(payload).unwrap();
    assert_eq!(read.body.raw(), "{\"a\":\"caf\\u00e9 \\ud83d\\ude00\"}");
    assert_eq!(read.body.object().unwrap(), request.body.object().unwrap());
    request.body = b"{\"a\":\"\xff\"}".to_vec().into();
    assert_eq!(encode_request(&request).unwrap_err().field(), "body");
}

#[test]
fn status_msg_is_encoded_as_json_for_branch_and_as_ascii_for_seed() {
    let text = "caf\u{e9} \"\\/\n\u{1}\u{1f600}";
    let mut request = LegacyRequest::new(Dialect::Branch, "c1", "/x", "request");
    request.envelope.sender = "s".into();
    let [_, delimiter, payload] = encode_response(&LegacyResponse::to(&request.envelope, 500, text)).unwrap();
    assert!(payload.is_ascii());
    assert_eq!(
        decode_response(Dialect::Branch, &[delimiter, payload])
            .unwrap()
            .status_msg,
        text
    );

    request.envelope.dialect = Dialect::Seed;
    for (text, sent) in [
        (text, "caf? \"\\/\n\u{1}?"),
        ("", "500"),
        ("it broke", "it broke"),
    ] {
        let [_, delimiter, payload] =
            encode_response(&LegacyResponse::to(&request.envelope, 500, text)).unwrap();
        assert_eq!(
            decode_response(Dialect::Seed, &[delimiter, payload])
                .unwrap()
                .status_msg,
            sent
        );
    }
}

#[test]
fn seed_encodes_the_method_as_a_header_and_rejects_arguments() {
    let mut request = LegacyRequest::new(Dialect::Seed, "c1", "/x", "get");
    request.headers = br#"{"A":"b"}"#.as_slice().into();
    let read = router(encode_request(&request).unwrap()).unwrap();
    assert_eq!(read.method(), "get");
    assert_eq!(read.headers.object().unwrap()["A"], "b");
    request.arguments = br#"{"a":1}"#.as_slice().into();
    assert_eq!(encode_request(&request).unwrap_err().field(), "arguments");
    request.arguments = b" { } ".as_slice().into();
    encode_request(&request).unwrap();
}

// ---- a service written in Go ---------------------------------------------------------------------

#[test]
fn responses_of_the_go_service_are_accepted() {
    let fields = [
        "c1",
        "1795470594417",
        "1795470594",
        "1795470594",
        "my_shared_secret",
        "m2",
        "7",
        "tcp://a",
        "/service/x",
        "response",
    ];
    let payload = payload(
        "0f2f ",
        &fields,
        &["200", "success", "{}", "{}", "hello from Go!"],
    );
    let response = dealer(Dialect::Pypi, payload).unwrap();
    assert_eq!(
        (response.status_code, response.status_msg.as_str()),
        (200, "success")
    );
    assert_eq!(response.envelope.times.request.millis(), Some(1_795_470_594_417));
    assert_eq!(response.envelope.times.end.millis(), Some(1_795_470_594));
    assert_eq!(response.body.raw(), "hello from Go!");
}
