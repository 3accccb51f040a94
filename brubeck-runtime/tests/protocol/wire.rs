//! Property tests of the codec, for arbitrary messages and arbitrary bytes.

use brubeck_runtime::wire::v3::*;
use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

fn text(max: usize) -> impl Strategy<Value = ByteStr> {
    vec(any::<char>(), 0..max / 4).prop_map(|chars| ByteStr::from(chars.into_iter().collect::<String>()))
}

fn headers() -> impl Strategy<Value = Vec<(ByteStr, ByteStr)>> {
    vec((text(40), text(80)), 0..5)
}

fn parts() -> impl Strategy<Value = Vec<Bytes>> {
    prop_oneof![3 => Just(Vec::new()), 1 => vec(body(), 0..5)]
}

fn body() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..300).prop_map(Bytes::from)
}

prop_compose! {
    fn hello()(
        version in any::<u8>(),
        features in any::<u32>(),
        heartbeat_ms in any::<u32>(),
        max_body in any::<u64>(),
        name in text(limits::MAX_NAME),
        service in text(limits::MAX_NAME),
    ) -> Hello {
        Hello { version, features, heartbeat_ms, max_body, name, service }
    }
}

prop_compose! {
    fn request()(
        numbers in (any::<u64>(), any::<u32>(), any::<u8>()),
        flags in any::<[bool; 3]>(),
        method in text(limits::MAX_METHOD),
        path in text(200),
        operation in text(limits::MAX_OPERATION),
        contract in any::<u64>(),
        traceparent in text(limits::MAX_TRACEPARENT),
        tracestate in text(limits::MAX_TRACESTATE),
        headers in headers(),
        body in body(),
        parts in parts(),
    ) -> WireRequest {
        let ((id, timeout_ms, hops), [more_waiting, idempotent, nowait]) = (numbers, flags);
        let call = CallRequest {
            method, path, operation, contract, traceparent, tracestate, headers, body, parts, hops, idempotent, nowait,
        };
        WireRequest { id, timeout_ms, more_waiting, call: call.into() }
    }
}

fn code() -> impl Strategy<Value = ErrorCode> {
    prop::sample::select(vec![
        ErrorCode::Busy,
        ErrorCode::Draining,
        ErrorCode::Refused,
        ErrorCode::TooLarge,
        ErrorCode::BadRequest,
        ErrorCode::TimedOut,
        ErrorCode::Cancelled,
        ErrorCode::Failed,
    ])
}

prop_compose! {
    fn reply()(
        outcome in prop::sample::select(vec![Outcome::Value, Outcome::Failure, Outcome::Rejected, Outcome::Panicked]),
        status in any::<i32>(),
        message in text(100),
        headers in headers(),
        body in body(),
        parts in parts(),
    ) -> WireReply {
        WireReply { outcome, status, message, headers, body, parts }
    }
}

/// Generates messages of all kinds.
fn message() -> impl Strategy<Value = WireMessage> {
    let number = any::<u64>;
    prop_oneof![
        hello().prop_map(WireMessage::Hello),
        prop::sample::select(vec![
            Denial::Version,
            Denial::Full,
            Denial::NotSealed,
            Denial::OtherService
        ])
        .prop_map(WireMessage::Denied),
        (
            any::<u8>(),
            any::<u32>(),
            number(),
            number(),
            text(limits::MAX_NAME),
            prop::collection::vec((number(), number()), 0..20),
        )
            .prop_map(|(version, features, limit, max_body, name, contracts)| {
                let contracts = contracts
                    .into_iter()
                    .map(|(name, declaration)| ContractDigest { name, declaration })
                    .collect();
                WireMessage::Welcome(Welcome {
                    version,
                    features,
                    limit,
                    max_body,
                    name,
                    contracts,
                })
            }),
        request().prop_map(WireMessage::Request),
        (number(), number()).prop_map(|(call, limit)| WireMessage::Accepted {
            request_id: call,
            limit
        }),
        (number(), number(), reply()).prop_map(|(request_id, limit, reply)| WireMessage::Reply {
            request_id,
            limit,
            reply,
        }),
        (number(), number(), code(), any::<bool>(), any::<u32>(), text(100)).prop_map(
            |(call, limit, code, may_have_run, retry_after_ms, message)| {
                WireMessage::Error {
                    request_id: call,
                    limit,
                    error: ErrorReply {
                        code,
                        may_have_run,
                        retry_after_ms,
                        message,
                    },
                }
            }
        ),
        number().prop_map(|call| WireMessage::Cancel { request_id: call }),
        number().prop_map(|limit| WireMessage::Credit { limit }),
        (number(), number()).prop_map(|(stamp, last_call)| WireMessage::Ping {
            stamp,
            last_request_id: last_call
        }),
        (number(), number()).prop_map(|(stamp, limit)| WireMessage::Pong { stamp, limit }),
        Just(WireMessage::Draining),
        number().prop_map(|last_call| WireMessage::Bye {
            last_request_id: last_call
        }),
    ]
}

fn position() -> impl Strategy<Value = Position> {
    any::<[u64; 3]>().prop_map(|[session, counter, ack]| Position {
        session,
        counter,
        ack,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn message_round_trips(message in message(), position in position()) {
        let frames = encode(&message, position).unwrap();
        prop_assert!(has_magic(&frames));
        let raw = RawMessage::read(&frames).unwrap();
        let head = raw.head();
        prop_assert_eq!((head.session, head.counter, head.ack), (position.session, position.counter, position.ack));
        prop_assert_eq!(head.kind, message.kind());
        prop_assert!(frames[0].len() <= limits::MAX_HEAD && frames.len() <= limits::MAX_FRAMES);
        if let WireMessage::Hello(_) = &message {
            prop_assert!(raw.size() <= limits::MAX_HANDSHAKE_MESSAGE);
        }
        prop_assert_eq!(raw.decode().unwrap(), message);
    }

    #[test]
    fn body_and_parts_are_not_copied(request in request()) {
        let pointers = |frames: &[Bytes]| frames.iter().map(|frame| frame.as_ptr()).collect::<Vec<_>>();
        let frames = encode(&WireMessage::Request(request.clone()), Position { session: 1, counter: 1, ack: 0 }).unwrap();
        let call = &request.call;
        let sent = [std::slice::from_ref(&call.body), &call.parts[..]].concat();
        if call.body.is_empty() && call.parts.is_empty() {
            prop_assert_eq!(frames.len(), 1);
        } else {
            prop_assert_eq!(pointers(&frames[1..]), pointers(&sent));
        }
        let opened = RawMessage::read(&frames).unwrap().decode().unwrap();
        let (body, parts) = opened.body_and_parts();
        if frames.len() > 1 {
            prop_assert_eq!(pointers(&[std::slice::from_ref(body), parts].concat()), pointers(&sent));
        }
    }

    /// The lengths of the body and of the parts are announced in the head.
    #[test]
    fn rejects_truncated_or_extended_frame(message in message(), by in 1_usize..64, longer in any::<bool>()) {
        let mut frames = encode(&message, Position { session: 1, counter: 1, ack: 0 }).unwrap();
        for index in 1..frames.len() {
            let whole = frames[index].clone();
            frames[index] = if longer || whole.is_empty() {
                [whole.to_vec(), vec![0; by]].concat().into()
            } else {
                whole.slice(..whole.len().saturating_sub(by))
            };
            prop_assert!(RawMessage::read(&frames).unwrap().decode().is_err());
            frames[index] = whole;
        }
    }

    #[test]
    fn arbitrary_fields_decode_or_fail(
        fields in vec((0_u8..=255, vec(any::<u8>(), 0..12)), 0..8),
        garbage in vec(any::<u8>(), 0..3),
        kind in 1_u8..=14,
        frames in parts(),
    ) {
        let mut head = MAGIC.to_vec();
        head.extend([VERSION, kind]);
        head.extend([0; 24]);
        for (number, value) in fields {
            head.extend([number, 0, u8::try_from(value.len()).unwrap()]);
            head.extend(value);
        }
        head.extend(garbage);
        let frames = [vec![Bytes::from(head)], frames].concat();
        let Ok(raw) = RawMessage::read(&frames) else { return Ok(()) };
        if let Ok(message) = raw.decode() {
            // A decoded message can be encoded, and decodes to the same message.
            let again = encode(&message, Position::NONE).unwrap();
            prop_assert_eq!(RawMessage::read(&again).unwrap().decode().unwrap(), message);
        }
    }

    #[test]
    fn arbitrary_frames_decode_or_fail(frames in vec(vec(any::<u8>(), 0..200).prop_map(Bytes::from), 0..4)) {
        if let Ok(raw) = RawMessage::read(&frames) {
            let _ = raw.decode();
        }
    }
}

#[test]
fn has_magic_rejects_legacy_dialects() {
    for first in [&b" 2:42 "[..], b"", b"2:42 ", b"\xb2br"] {
        assert!(!has_magic(&[Bytes::copy_from_slice(first)]));
    }
    assert!(!has_magic(&[]));
    assert!(has_magic(
        &encode(&WireMessage::Denied(Denial::Full), Position::NONE).unwrap()
    ));
}

#[test]
fn encoder_enforces_decoder_limits() {
    let long = |length: usize| ByteStr::from("x".repeat(length));
    let rejected_field = |call: CallRequest| call.validate().unwrap_err().field();
    assert_eq!(
        rejected_field(CallRequest::new("request", long(limits::MAX_PATH + 1))),
        "path"
    );
    assert_eq!(
        rejected_field(CallRequest::new(long(limits::MAX_METHOD + 1), "/")),
        "method"
    );
    assert_eq!(
        rejected_field(CallRequest {
            operation: long(limits::MAX_OPERATION + 1),
            ..CallRequest::new("request", "/")
        }),
        "operation"
    );
    assert_eq!(
        rejected_field(CallRequest {
            parts: vec![Bytes::new(); limits::MAX_PARTS + 1],
            ..CallRequest::new("request", "/")
        }),
        "parts"
    );
    assert_eq!(
        rejected_field(CallRequest {
            traceparent: long(65),
            ..CallRequest::new("request", "/")
        }),
        "traceparent"
    );
    assert_eq!(
        rejected_field(CallRequest {
            tracestate: long(513),
            ..CallRequest::new("request", "/")
        }),
        "tracestate"
    );
    let too_many = vec![(ByteStr::from("a"), ByteStr::from("b")); limits::MAX_HEADERS + 1];
    assert_eq!(
        rejected_field(CallRequest {
            headers: too_many,
            ..CallRequest::new("request", "/")
        }),
        "headers"
    );
    let too_long = vec![(ByteStr::from("a"), long(limits::MAX_HEADER_BYTES))];
    assert_eq!(
        rejected_field(CallRequest {
            headers: too_long.clone(),
            ..CallRequest::new("request", "/")
        }),
        "headers"
    );
    assert!(
        WireReply {
            headers: too_long,
            ..WireReply::default()
        }
        .validate()
        .is_err()
    );
    assert!(
        WireReply {
            message: long(limits::MAX_MESSAGE + 1),
            ..WireReply::default()
        }
        .validate()
        .is_err()
    );

    let maximal = vec![(long(100), long(60)); limits::MAX_HEADERS];
    let call = CallRequest {
        headers: maximal,
        operation: long(limits::MAX_OPERATION),
        traceparent: long(limits::MAX_TRACEPARENT),
        tracestate: long(limits::MAX_TRACESTATE),
        parts: vec![Bytes::new(); limits::MAX_PARTS],
        ..CallRequest::new("request", long(limits::MAX_PATH))
    };
    let request = WireMessage::Request(WireRequest {
        id: 1,
        timeout_ms: 1,
        more_waiting: false,
        call: call.into(),
    });
    let frames = encode(&request, Position::NONE).unwrap();
    assert_eq!(RawMessage::read(&frames).unwrap().decode().unwrap(), request);
}

/// Checks that the frames of the example in `docs/protocol.md` are those of this codec. `tests/peers/v3_example.py` verifies them in
/// Python.
#[test]
fn protocol_document_example_is_exact() {
    let hello = WireMessage::Hello(Hello {
        version: VERSION,
        features: 0,
        heartbeat_ms: 1000,
        max_body: 8 << 20,
        name: ByteStr::from("demo"),
        service: ByteStr::default(),
    });
    let hello = encode(&hello, Position::NONE).unwrap();
    let position = Position {
        session: 0x0102_0304_0506_0708,
        counter: 1,
        ack: 0,
    };
    let welcome = WireMessage::Welcome(Welcome {
        version: VERSION,
        features: 0,
        limit: 128,
        max_body: 8 << 20,
        name: ByteStr::from("slow"),
        contracts: vec![ContractDigest {
            name: name_digest("thumbs::resize"),
            declaration: 0x1122_3344_5566_7788,
        }],
    });
    let welcome = encode(&welcome, position).unwrap();
    let picture = Bytes::from_static(b"\xff\xd8\xff");
    let call = CallRequest {
        operation: "thumbs::resize".into(),
        contract: 0x1122_3344_5566_7788,
        body: Bytes::from_static(br#"{"image":{"$bytes":0},"width":200}"#),
        parts: vec![picture.clone()],
        ..CallRequest::new("request", "/thumbs/resize")
    };
    let request = WireMessage::Request(WireRequest {
        id: 1,
        timeout_ms: 10_000,
        more_waiting: false,
        call: call.into(),
    });
    let request = encode(&request, Position { ack: 1, ..position }).unwrap();
    let reply = WireMessage::Reply {
        request_id: 1,
        limit: 129,
        reply: WireReply {
            status: 200,
            message: ByteStr::from("OK"),
            body: Bytes::from_static(br#"{"$bytes":0}"#),
            parts: vec![picture],
            ..WireReply::default()
        },
    };
    let second = Position {
        counter: 2,
        ack: 1,
        ..position
    };
    let reply = encode(&reply, second).unwrap();
    let error = WireMessage::Error {
        request_id: 1,
        limit: 129,
        error: ErrorReply {
            code: ErrorCode::TimedOut,
            may_have_run: true,
            retry_after_ms: 0,
            message: ByteStr::from("the deadline passed while the handler ran"),
        },
    };
    let error = encode(&error, second).unwrap();
    let list_request = WireMessage::Request(WireRequest {
        id: 2,
        timeout_ms: 10_000,
        more_waiting: false,
        call: CallRequest {
            operation: OPERATION_LIST.into(),
            ..CallRequest::new("request", "")
        }
        .into(),
    });
    let list_request = encode(&list_request, second).unwrap();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let document = include_str!("../../../docs/protocol.md");
    for (name, frame) in [
        ("hello", &hello[0]),
        ("welcome", &welcome[0]),
        ("request", &request[0]),
        ("response", &reply[0]),
        ("response that reports a timeout", &error[0]),
        ("request of the list", &list_request[0]),
    ] {
        let text = hex(frame);
        let lines: Vec<&str> = text
            .as_bytes()
            .chunks(112)
            .map(|line| std::str::from_utf8(line).unwrap())
            .collect();
        assert!(
            document.contains(&lines.join("\n")),
            "docs/protocol.md has a different {name}; it should be\n{}",
            lines.join("\n")
        );
    }
    let declaration = OperationDeclaration::parse(
        "thumbs::resize",
        0x1122_3344_5566_7788,
        "image: Bytes\nwidth: u32\nBytes\nProblem",
    );
    let list = serde_json::to_string(&declaration).unwrap();
    assert!(
        document.contains(&list),
        "docs/protocol.md has a different list; it should be\n{list}"
    );
}
