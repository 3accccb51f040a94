//! What holds for any message of the wire v2, and for any bytes.

use brubeck_runtime::wire::service::Secret;
use brubeck_runtime::wire::v2::*;
use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

fn text(max: usize) -> impl Strategy<Value = Text> {
    vec(any::<char>(), 0..max / 4).prop_map(|chars| Text::from(chars.into_iter().collect::<String>()))
}

fn headers() -> impl Strategy<Value = Vec<(Text, Text)>> {
    vec((text(40), text(80)), 0..5)
}

fn body() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..300).prop_map(Bytes::from)
}

fn hello() -> impl Strategy<Value = Hello> {
    (any::<u8>(), any::<u32>(), any::<[u8; 32]>()).prop_map(|(version, features, nonce)| Hello {
        version,
        features,
        nonce,
    })
}

prop_compose! {
    fn request()(
        numbers in (any::<u64>(), any::<u32>(), any::<u8>()),
        flags in any::<[bool; 3]>(),
        method in text(limits::MAX_METHOD),
        path in text(200),
        traceparent in text(limits::MAX_TRACEPARENT),
        tracestate in text(limits::MAX_TRACESTATE),
        headers in headers(),
        body in body(),
    ) -> Request {
        let ((call, deadline, hops), [more, idempotent, nowait]) = (numbers, flags);
        let ask = Ask { method, path, traceparent, tracestate, headers, body, hops, idempotent, nowait };
        Request { call, deadline, more, ask: ask.into() }
    }
}

fn code() -> impl Strategy<Value = Code> {
    prop::sample::select(vec![
        Code::Busy,
        Code::Draining,
        Code::Refused,
        Code::TooLarge,
        Code::BadRequest,
        Code::Expired,
        Code::Stopped,
        Code::Cancelled,
        Code::Failed,
    ])
}

/// Every kind that ends with a code.
fn sealed() -> impl Strategy<Value = Message> {
    let number = any::<u64>;
    prop_oneof![
        (any::<u32>(), any::<u32>(), text(limits::MAX_NAME))
            .prop_map(|(beat, max_body, name)| Message::Proof(Proof { beat, max_body, name })),
        (number(), any::<u32>(), text(limits::MAX_NAME)).prop_map(
            |(limit, max_body, name)| Message::Welcome(Welcome {
                limit,
                max_body,
                name
            })
        ),
        request().prop_map(Message::Request),
        (number(), number()).prop_map(|(call, limit)| Message::Started { call, limit }),
        (number(), number(), any::<i32>(), text(100), headers(), body()).prop_map(
            |(call, limit, status, message, headers, body)| Message::Reply {
                call,
                limit,
                reply: Reply {
                    status,
                    message,
                    headers,
                    body
                },
            }
        ),
        (number(), number(), code(), any::<u32>(), text(100)).prop_map(
            |(call, limit, code, retry_after, message)| {
                Message::Error {
                    call,
                    limit,
                    failure: Failure {
                        code,
                        retry_after,
                        message,
                    },
                }
            }
        ),
        number().prop_map(|call| Message::Cancel { call }),
        number().prop_map(|limit| Message::Credit { limit }),
        (number(), number()).prop_map(|(stamp, last_call)| Message::Ping { stamp, last_call }),
        (number(), number()).prop_map(|(stamp, limit)| Message::Pong { stamp, limit }),
        Just(Message::Draining),
        number().prop_map(|last_call| Message::Bye { last_call }),
    ]
}

fn open_kinds() -> impl Strategy<Value = Message> {
    prop_oneof![
        hello().prop_map(Message::Hello),
        hello().prop_map(Message::Challenge),
        prop::sample::select(vec![Denial::Passphrase, Denial::Version, Denial::Full])
            .prop_map(Message::Denied),
    ]
}

fn place() -> impl Strategy<Value = Place> {
    any::<[u64; 3]>().prop_map(|[session, counter, ack]| Place {
        session,
        counter,
        ack,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_sealed_message_comes_out_as_it_went_in(message in sealed(), place in place(), key in any::<[u8; 32]>()) {
        let key = Key::new(&key);
        let frames = seal(&message, place, &key).unwrap();
        prop_assert!(is_v2(&frames));
        let envelope = Envelope::read(&frames).unwrap();
        let head = envelope.head();
        prop_assert_eq!((head.session, head.counter, head.ack), (place.session, place.counter, place.ack));
        prop_assert_eq!(head.kind, message.kind());
        prop_assert!(envelope.plain().is_none());
        prop_assert_eq!(envelope.open(&key).unwrap().unwrap(), message);
    }

    #[test]
    fn a_body_is_shared_and_not_copied(request in request()) {
        let frames = seal(&Message::Request(request.clone()), Place { session: 1, counter: 1, ack: 0 }, &Key::new(b"k")).unwrap();
        prop_assert_eq!(frames.len(), 1 + usize::from(!request.ask.body.is_empty()));
        if let Some(body) = frames.get(1) {
            prop_assert_eq!(body.as_ptr(), request.ask.body.as_ptr());
            let opened = Envelope::read(&frames).unwrap().open(&Key::new(b"k")).unwrap().unwrap();
            prop_assert_eq!(opened.body().as_ptr(), body.as_ptr());
        }
    }

    #[test]
    fn a_message_without_a_code_comes_out_as_it_went_in(message in open_kinds(), session in any::<u64>()) {
        let frames = plain(&message, session).unwrap();
        let envelope = Envelope::read(&frames).unwrap();
        prop_assert!(envelope.size() <= limits::MAX_UNPROVEN);
        prop_assert_eq!(envelope.head().session, session);
        prop_assert!(envelope.open(&Key::new(b"any")).is_none());
        prop_assert_eq!(envelope.plain().unwrap().unwrap(), message);
    }

    #[test]
    fn a_flipped_bit_is_never_accepted(message in sealed(), place in place(), at in any::<prop::sample::Index>(), bit in 0..8) {
        let key = Key::new(b"of the session");
        let mut frames = seal(&message, place, &key).unwrap();
        let total: usize = frames.iter().map(|frame| frame.len()).sum();
        let mut at = at.index(total);
        for frame in &mut frames {
            if at < frame.len() {
                let mut changed = frame.to_vec();
                changed[at] ^= 1u8 << bit;
                *frame = changed.into();
                break;
            }
            at -= frame.len();
        }
        let accepted = Envelope::read(&frames).ok().and_then(|envelope| envelope.open(&key));
        prop_assert!(accepted.is_none());
    }

    #[test]
    fn a_frame_cut_short_or_made_longer_is_never_accepted(message in sealed(), by in 1_usize..64, longer in any::<bool>()) {
        let key = Key::new(b"of the session");
        let mut frames = seal(&message, Place { session: 1, counter: 1, ack: 0 }, &key).unwrap();
        for which in 0..frames.len() {
            let whole = frames[which].clone();
            frames[which] = match longer {
                true => [whole.to_vec(), vec![0; by]].concat().into(),
                false => whole.slice(..whole.len().saturating_sub(by)),
            };
            prop_assert!(Envelope::read(&frames).ok().and_then(|envelope| envelope.open(&key)).is_none());
            frames[which] = whole;
        }
    }

    #[test]
    fn the_keys_of_one_direction_do_not_open_the_other(message in sealed(), hello in body(), challenge in body()) {
        let keys = SessionKeys::derive(&Secret::new(b"secret".as_slice()), &hello, &challenge);
        let frames = seal(&message, Place { session: 1, counter: 1, ack: 0 }, &keys.to_worker).unwrap();
        let envelope = Envelope::read(&frames).unwrap();
        prop_assert!(envelope.open(&keys.to_worker).is_some());
        prop_assert!(envelope.open(&keys.to_caller).is_none());
        let other = SessionKeys::derive(&Secret::new(b"Secret".as_slice()), &hello, &challenge);
        prop_assert!(envelope.open(&other.to_worker).is_none());
    }

    /// With the right code even: what is behind it is read with the same care.
    #[test]
    fn any_fields_are_a_message_or_an_error(fields in vec(any::<u8>(), 0..400), kind in 1_u8..=15, flags in any::<u16>(), body in body()) {
        let key = Key::new(b"of the session");
        let mut head = MAGIC.to_vec();
        head.extend([VERSION, kind]);
        head.extend(flags.to_be_bytes());
        head.extend([0; 24]);
        head.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
        head.extend(fields);
        let code = key.code(&[&head, &body]);
        head.extend(code);
        let mut frames = vec![Bytes::from(head)];
        if !body.is_empty() {
            frames.push(body);
        }
        let Ok(envelope) = Envelope::read(&frames) else { return Ok(()) };
        let Some(opened) = envelope.open(&key).or_else(|| envelope.plain()) else { return Ok(()) };
        if let Ok(message) = opened && envelope.head().kind.is_sealed() {
            // What was read can be written, and is read again as the same.
            let again = seal(&message, Place { session: 0, counter: 0, ack: 0 }, &key).unwrap();
            prop_assert_eq!(Envelope::read(&again).unwrap().open(&key).unwrap().unwrap(), message);
        }
    }

    #[test]
    fn any_bytes_are_a_message_or_an_error(frames in vec(vec(any::<u8>(), 0..200).prop_map(Bytes::from), 0..4)) {
        if let Ok(envelope) = Envelope::read(&frames) {
            prop_assert!(envelope.open(&Key::new(b"any")).is_none());
        }
    }
}

#[test]
fn the_legacy_dialects_are_told_apart() {
    for first in [&b" 2:42 "[..], b"", b"2:42 ", b"\xb2br"] {
        assert!(!is_v2(&[Bytes::copy_from_slice(first)]));
    }
    assert!(!is_v2(&[]));
    assert!(is_v2(&plain(&Message::Denied(Denial::Full), 0).unwrap()));
}

#[test]
fn what_the_other_side_would_not_read_is_not_written() {
    let long = |length: usize| Text::from("x".repeat(length));
    let refused = |ask: Ask| ask.check().unwrap_err().field();
    assert_eq!(refused(Ask::new("request", long(limits::MAX_PATH + 1))), "path");
    assert_eq!(refused(Ask::new(long(limits::MAX_METHOD + 1), "/")), "method");
    assert_eq!(
        refused(Ask {
            traceparent: long(65),
            ..Ask::new("request", "/")
        }),
        "traceparent"
    );
    assert_eq!(
        refused(Ask {
            tracestate: long(513),
            ..Ask::new("request", "/")
        }),
        "tracestate"
    );
    let many = vec![(Text::from("a"), Text::from("b")); limits::MAX_HEADERS + 1];
    assert_eq!(
        refused(Ask {
            headers: many,
            ..Ask::new("request", "/")
        }),
        "headers"
    );
    let wide = vec![(Text::from("a"), long(limits::MAX_HEADER_BYTES))];
    assert_eq!(
        refused(Ask {
            headers: wide.clone(),
            ..Ask::new("request", "/")
        }),
        "headers"
    );
    assert!(
        Reply {
            headers: wide,
            ..Reply::default()
        }
        .check()
        .is_err()
    );
    assert!(
        Reply {
            message: long(limits::MAX_MESSAGE + 1),
            ..Reply::default()
        }
        .check()
        .is_err()
    );

    let most = vec![(long(100), long(60)); limits::MAX_HEADERS];
    let ask = Ask {
        headers: most,
        ..Ask::new("request", long(limits::MAX_PATH))
    };
    let request = Message::Request(Request {
        call: 1,
        deadline: 1,
        more: false,
        ask: ask.into(),
    });
    let frames = seal(
        &request,
        Place {
            session: 1,
            counter: 1,
            ack: 0,
        },
        &Key::new(b"k"),
    )
    .unwrap();
    assert_eq!(
        Envelope::read(&frames)
            .unwrap()
            .open(&Key::new(b"k"))
            .unwrap()
            .unwrap(),
        request
    );
}

/// The example of `docs/protocol.md`, byte for byte: whoever writes the protocol in another language starts from it.
#[test]
fn the_example_of_the_document() {
    let hello = plain(
        &Message::Hello(Hello {
            version: 2,
            features: 0,
            nonce: [0x11; 32],
        }),
        0,
    )
    .unwrap();
    let challenge = plain(
        &Message::Challenge(Hello {
            version: 2,
            features: 0,
            nonce: [0x22; 32],
        }),
        0x0102_0304_0506_0708,
    )
    .unwrap();
    let keys = SessionKeys::derive(
        &Secret::new(b"my_shared_secret".as_slice()),
        &hello[0],
        &challenge[0],
    );
    let place = Place {
        session: 0x0102_0304_0506_0708,
        counter: 1,
        ack: 0,
    };
    let proof = Message::Proof(Proof {
        beat: 1000,
        max_body: 8 << 20,
        name: Text::from("demo"),
    });
    let proof = seal(&proof, place, &keys.to_worker).unwrap();
    let welcome = Message::Welcome(Welcome {
        limit: 128,
        max_body: 8 << 20,
        name: Text::from("slow"),
    });
    let welcome = seal(&welcome, Place { ack: 1, ..place }, &keys.to_caller).unwrap();
    let ask = Ask {
        body: Bytes::from_static(b"{}"),
        ..Ask::new("request", "/service/slow")
    };
    let request = Message::Request(Request {
        call: 1,
        deadline: 10_000,
        more: false,
        ask: ask.into(),
    });
    let request = seal(
        &request,
        Place {
            counter: 2,
            ack: 1,
            ..place
        },
        &keys.to_worker,
    )
    .unwrap();
    let reply = Message::Reply {
        call: 1,
        limit: 129,
        reply: Reply {
            status: 200,
            message: Text::from("OK"),
            body: Bytes::from_static(b"{}"),
            ..Reply::default()
        },
    };
    let reply = seal(
        &reply,
        Place {
            counter: 2,
            ack: 2,
            ..place
        },
        &keys.to_caller,
    )
    .unwrap();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let document = include_str!("../../../docs/protocol.md");
    for (name, frame) in [
        ("hello", &hello[0]),
        ("challenge", &challenge[0]),
        ("proof", &proof[0]),
        ("welcome", &welcome[0]),
        ("request", &request[0]),
        ("reply", &reply[0]),
    ] {
        let text = hex(frame);
        let lines: Vec<&str> = text
            .as_bytes()
            .chunks(112)
            .map(|line| std::str::from_utf8(line).unwrap())
            .collect();
        assert!(
            document.contains(&lines.join("\n")),
            "{name} in docs/protocol.md should be\n{}",
            lines.join("\n")
        );
    }
}
