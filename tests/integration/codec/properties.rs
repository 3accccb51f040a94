//! Decoders never panic, and values survive encoding and decoding.

use crate::support::fixtures;
use brubeck_runtime::wire::mongrel2::{self, Incoming, Mongrel2Headers, Protocol};
use brubeck_runtime::wire::service::{
    Dialect, LegacyRequest, LegacyResponse, Secret, Timestamp, decode_pull_request, decode_request,
    decode_response, encode_request, encode_response,
};
use brubeck_runtime::wire::tnetstring::{self, Value};
use brubeck_runtime::wire::{Cursor, lenstr, netstring};
use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;

const DIALECTS: [Dialect; 4] = [Dialect::Seed, Dialect::Branch, Dialect::Pypi, Dialect::Pypi01x];

// ---- random input --------------------------------------------------------------------------------

/// Decodes `frame` with every decoder, and checks that the decoded value survives encoding and decoding: a tnetstring
/// and a Mongrel2 request completely, the ids of a reply, the path of a service request, and the status of a service
/// response.
fn decode_with_all(frame: &Bytes) {
    for decode in [lenstr::decode, netstring::decode] {
        if let Ok(value) = decode(&mut Cursor::new(frame)) {
            assert!(value.len() < frame.len());
        }
    }
    if let Ok(value) = tnetstring::decode(frame) {
        let mut written = BytesMut::new();
        tnetstring::encode(&mut written, &value);
        assert_eq!(tnetstring::decode(&written.freeze()), Ok(value));
    }
    if let Ok(Incoming::Request(request)) = mongrel2::decode(frame) {
        for protocol in [Protocol::Json, Protocol::Tnetstring] {
            let written = request.encode(protocol);
            assert_eq!(mongrel2::decode(&written), Ok(Incoming::Request(request.clone())));
        }
    }
    if let Ok(reply) = mongrel2::decode_reply(frame) {
        let mut replies = mongrel2::reply(&reply.ident, &reply.ids, b"x").unwrap();
        assert_eq!(
            mongrel2::decode_reply(&replies.next().unwrap()).unwrap().ids,
            reply.ids
        );
    }
    decode_as_service(&[Bytes::from_static(b"id"), frame.clone()]);
    decode_as_service(std::slice::from_ref(frame));
}

fn decode_as_service(frames: &[Bytes]) {
    for decode in [decode_request, decode_pull_request] {
        match decode(frames) {
            Ok(request) => {
                let _ = (
                    request.arguments.object(),
                    request.headers.object(),
                    request.body.object(),
                );
                // Some decoded requests cannot be encoded, because the originals could not read them.
                if let Ok(written) = encode_request(&request) {
                    let again = match request.envelope.dialect {
                        Dialect::Seed | Dialect::Branch => {
                            decode_request(&[request.envelope.sender.clone(), written])
                        }
                        _ => decode_pull_request(&[written]),
                    };
                    assert_eq!(again.unwrap().envelope.path, request.envelope.path);
                }
            }
            Err(error) => assert!(error.to_string().starts_with("unreadable request, field `")),
        }
    }
    for dialect in DIALECTS {
        match decode_response(dialect, frames) {
            Ok(response) => {
                if let Ok([_, delimiter, payload]) = encode_response(&response) {
                    let again = decode_response(dialect, &[delimiter, payload]).unwrap();
                    assert_eq!(again.status_code, response.status_code);
                }
            }
            Err(error) => assert!(error.to_string().starts_with("unreadable response, field `")),
        }
    }
}

/// Returns sequences of tokens that the formats use. They get further into the decoders than random bytes.
fn tokens() -> impl Strategy<Value = Vec<u8>> {
    let tokens: Vec<&[u8]> = vec![
        b"0",
        b"1",
        b"2",
        b"3",
        b"9",
        b"10",
        b":",
        b",",
        b"}",
        b"]",
        b"#",
        b"~",
        b"!",
        b"^",
        b"{",
        b"[",
        b"\"",
        b"\\",
        b" ",
        b"2:{}",
        b"0:",
        b"0:,",
        b"1:a ",
        b"1:a,",
        b"{\"a\":\"b\"}",
        b"m 1 / ",
        b"X ",
        b"true",
        b"\\u",
        b"d800",
        b"20:{\"METHOD\":\"request\"}",
        b"\xff",
        b"\n",
        b"1:1 ",
    ];
    vec(prop::sample::select(tokens), 0..40).prop_map(|tokens| tokens.concat())
}

proptest! {
    #[test]
    fn random_bytes_are_decoded_or_rejected(bytes in vec(any::<u8>(), 0..400)) {
        decode_with_all(&bytes.into());
    }

    #[test]
    fn random_tokens_are_decoded_or_rejected(bytes in tokens()) {
        decode_with_all(&bytes.into());
    }

    #[test]
    fn random_frames_are_decoded_or_rejected(frames in vec(tokens(), 0..5)) {
        let frames: Vec<Bytes> = frames.into_iter().map(Bytes::from).collect();
        decode_as_service(&frames);
    }
}

// ---- damaged captures ----------------------------------------------------------------------------

/// Returns the last frame of every capture, which is its payload.
fn payloads() -> Vec<Bytes> {
    let service = fixtures::service()
        .into_iter()
        .filter_map(|mut capture| capture.frames.pop());
    let mongrel2 = fixtures::mongrel2().into_iter().map(|capture| capture.frame);
    service.chain(mongrel2).collect()
}

#[test]
fn truncated_captures_are_decoded_or_rejected() {
    let mut cuts = 0;
    for payload in payloads() {
        for length in (0..payload.len()).filter(|&length| length < 600 || payload.len() - length < 20) {
            decode_with_all(&payload.slice(..length));
            cuts += 1;
        }
    }
    println!("{cuts} truncated payloads");
    assert!(cuts > 100_000);
}

#[test]
fn corrupted_captures_are_decoded_or_rejected() {
    let mut changes = 0_u64;
    for payload in payloads() {
        let mut damaged = payload.to_vec();
        for at in 0..payload.len().min(600) {
            let mask = (changes.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8 | 1;
            damaged[at] ^= mask;
            decode_with_all(&Bytes::copy_from_slice(&damaged));
            damaged[at] ^= mask;
            changes += 1;
        }
    }
    println!("{changes} corrupted payloads");
    assert!(changes > 100_000);
}

// ---- round trips ---------------------------------------------------------------------------------

fn bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..60).prop_map(Bytes::from)
}

/// Returns bytes without ASCII whitespace or control characters. Receivers split at whitespace.
fn token() -> impl Strategy<Value = Bytes> {
    vec(prop_oneof![0x21_u8..=0x7e, 0x80_u8..=0xff], 1..30).prop_map(Bytes::from)
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        bytes().prop_map(Value::String),
        any::<i64>().prop_map(Value::Integer),
        any::<f64>()
            .prop_filter("finite", |number| number.is_finite())
            .prop_map(Value::Float),
        any::<bool>().prop_map(Value::Boolean),
        Just(Value::Null),
    ];
    leaf.prop_recursive(tnetstring::MAX_DEPTH as u32, 60, 6, |inside| {
        prop_oneof![
            vec(inside.clone(), 0..6).prop_map(Value::List),
            vec((bytes(), inside), 0..6).prop_map(Value::Dictionary),
        ]
    })
}

fn headers() -> impl Strategy<Value = Mongrel2Headers> {
    let names = prop_oneof![
        Just(Bytes::from_static(b"METHOD")),
        Just(Bytes::from_static(b"cookie")),
        bytes()
    ];
    vec((names, bytes()), 0..12).prop_map(|entries| entries.into_iter().collect())
}

fn json_object() -> impl Strategy<Value = Vec<u8>> {
    vec((any::<String>(), any::<String>()), 0..4).prop_map(|members| {
        let object: serde_json::Map<_, _> = members
            .into_iter()
            .map(|(name, value)| (name, value.into()))
            .collect();
        serde_json::to_vec(&object).unwrap()
    })
}

prop_compose! {
    fn request()(
        dialect in prop::sample::select(&DIALECTS[..]),
        [sender, conn_id, path, passphrase, sender_id, origin_id, out_addr] in [(); 7].map(|()| token()),
        method in "[a-z]{1,10}",
        millis in 1_u64..,
        handle_response in any::<bool>(),
        [arguments, headers, body] in [(); 3].map(|()| json_object()),
    ) -> LegacyRequest {
        let mut request = LegacyRequest::new(dialect, conn_id, path, method);
        request.envelope.sender = sender;
        request.envelope.passphrase = Secret::new(passphrase);
        request.envelope.origin.sender_id = sender_id;
        request.envelope.origin.conn_id = origin_id;
        request.envelope.origin.out_addr = out_addr;
        let time = Timestamp::from_millis(millis);
        match dialect {
            Dialect::Seed => {}
            Dialect::Branch => {
                request.envelope.times.start = time.clone();
                request.envelope.times.end = time;
            }
            _ => request.envelope.times.request = time,
        }
        if dialect == Dialect::Pypi01x {
            request.envelope.handle_response = handle_response;
        }
        if dialect != Dialect::Seed {
            request.arguments = arguments.into();
        }
        request.headers = headers.into();
        request.body = body.into();
        request
    }
}

fn round_trip(request: &LegacyRequest) -> LegacyRequest {
    let payload = encode_request(request).unwrap();
    match request.envelope.dialect {
        Dialect::Seed | Dialect::Branch => decode_request(&[request.envelope.sender.clone(), payload]),
        _ => decode_pull_request(&[payload]),
    }
    .unwrap()
}

proptest! {
    #[test]
    fn strings_round_trip(values in vec(bytes(), 0..5)) {
        let mut written = [BytesMut::new(), BytesMut::new()];
        for value in &values {
            lenstr::encode(&mut written[0], value);
            netstring::encode(&mut written[1], value);
        }
        let [lenstrs, netstrings] = written.map(BytesMut::freeze);
        let (mut lenstr_cursor, mut netstring_cursor) = (Cursor::new(&lenstrs), Cursor::new(&netstrings));
        for value in &values {
            prop_assert_eq!(&lenstr::decode(&mut lenstr_cursor).unwrap(), value);
            prop_assert_eq!(&netstring::decode(&mut netstring_cursor).unwrap(), value);
        }
        prop_assert!(lenstr_cursor.expect_end().is_ok() && netstring_cursor.expect_end().is_ok());
    }

    #[test]
    fn tnetstrings_round_trip(value in value()) {
        let mut written = BytesMut::new();
        tnetstring::encode(&mut written, &value);
        prop_assert_eq!(tnetstring::decode(&written.freeze()), Ok(value));
    }

    #[test]
    fn tnetstring_depth_limit_is_enforced(depth in 0_usize..20) {
        let value = (0..depth).fold(Value::Null, |inside, _| Value::List(vec![inside]));
        let mut written = BytesMut::new();
        tnetstring::encode(&mut written, &value);
        prop_assert_eq!(tnetstring::decode(&written.freeze()).is_ok(), depth <= tnetstring::MAX_DEPTH);
    }

    #[test]
    fn mongrel2_requests_round_trip(
        [ident, conn_id, path] in [(); 3].map(|()| token()),
        headers in headers(),
        body in bytes(),
    ) {
        let request = mongrel2::Mongrel2Request::new(ident, conn_id, path, headers, body);
        for protocol in [Protocol::Json, Protocol::Tnetstring] {
            let read = mongrel2::decode(&request.encode(protocol));
            prop_assert_eq!(read, Ok(Incoming::Request(request.clone())));
        }
    }

    #[test]
    fn mongrel2_replies_round_trip(
        ident in "[A-Za-z0-9-]{1,40}",
        ids in vec("[0-9]{1,10}", 1..400),
        payload in vec(any::<u8>(), 1..60),
    ) {
        let mut reached = Vec::new();
        for frame in mongrel2::reply(ident.as_bytes(), &ids, &payload).unwrap() {
            let reply = mongrel2::decode_reply(&frame).unwrap();
            prop_assert_eq!(&reply.ident, &ident);
            prop_assert_eq!(&reply.payload, &payload);
            reached.extend(reply.ids);
        }
        prop_assert!(reached.iter().eq(ids.iter()));
    }

    #[test]
    fn service_requests_round_trip(request in request()) {
        let read = round_trip(&request);
        prop_assert_eq!(&read.envelope, &request.envelope);
        prop_assert_eq!(read.arguments.object().unwrap(), request.arguments.object().unwrap());
        prop_assert_eq!(read.body.object().unwrap(), request.body.object().unwrap());
        let mut headers = request.headers.object().unwrap();
        if request.envelope.dialect == Dialect::Seed {
            let method = std::str::from_utf8(request.method()).unwrap();
            headers.insert("METHOD".to_owned(), method.into());
        }
        prop_assert_eq!(read.headers.object().unwrap(), headers);
        prop_assert_eq!(round_trip(&read), read);
    }

    #[test]
    fn service_responses_round_trip(
        request in request(),
        status_code in any::<i32>(),
        status_msg in any::<String>(),
        body in json_object(),
        [start, end] in [1_u64.., 1_u64..],
    ) {
        let mut response = LegacyResponse::to(&request.envelope, status_code, status_msg.clone());
        let dialect = request.envelope.dialect;
        if dialect != Dialect::Seed {
            response.envelope.times.start = Timestamp::from_millis(start);
            response.envelope.times.end = Timestamp::from_millis(end);
        }
        response.body = body.into();
        let [identity, delimiter, payload] = encode_response(&response).unwrap();
        prop_assert_eq!(&identity, &request.envelope.sender);
        let read = decode_response(dialect, &[delimiter, payload]).unwrap();
        prop_assert!(read.answers(&request.envelope));
        prop_assert_eq!(&read.envelope, &response.envelope);
        prop_assert_eq!(read.status_code, status_code);
        if dialect != Dialect::Seed {
            prop_assert_eq!(read.status_msg, status_msg);
        }
        prop_assert_eq!(read.body.object().unwrap(), response.body.object().unwrap());
    }
}
