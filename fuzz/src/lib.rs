//! The checks of the fuzz targets: decoding arbitrary bytes does not panic, and accepted values survive a round trip.

use brubeck_runtime::protocol::{JobId, Moment, Worker, WorkerAction, WorkerConfig, WorkerEvent};
use brubeck_runtime::wire::authority::{parse_forwarded, parse_host_port, parse_node, parse_origin, split_list};
use brubeck_runtime::wire::cookies::{decode_value, parse_cookies};
use brubeck_runtime::wire::files::{
    EntityTag, FileName, RangeSelection, Validators, accepted_codings, select_ranges,
};
use brubeck_runtime::wire::mongrel2::{self, Incoming, Protocol};
use brubeck_runtime::wire::service::{
    self, LegacyDecodeError, Dialect, LegacyRequest, decode_pull_request, decode_request, decode_response,
};
use brubeck_runtime::wire::multipart::{DecodeError, Decoder, FormEvent, PartHead};
use brubeck_runtime::wire::v3::{self, RawMessage};
use brubeck_runtime::wire::websocket::MessageDecoder;
use brubeck_runtime::wire::{self, Cursor, deflate, target};
use brubeck_zmtp::SocketType;
use brubeck_zmtp::codec::{
    CommandProgress, Decoded, FrameDecoder, FrameLimits, GREETING_SIZE, MAX_IDENTITY, MAX_READY,
    check_greeting, decode_ready, encode_header, encode_ready, split_command,
};
use bytes::{Bytes, BytesMut};
use http::header::{
    ACCEPT_ENCODING, HeaderMap, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE,
    RANGE,
};
use libfuzzer_sys::Corpus;
use std::path::{Component, Path};
use std::time::SystemTime;

/// Decodes strings until the first error, and checks the round trip of each.
fn check_strings(
    data: &[u8],
    decode: fn(&mut Cursor<'_>) -> Result<Bytes, wire::ParseError>,
    encode: fn(&mut BytesMut, &[u8]),
) -> Corpus {
    let frame = Bytes::copy_from_slice(data);
    let mut cursor = Cursor::new(&frame);
    while let Ok(value) = decode(&mut cursor) {
        let mut written = BytesMut::new();
        encode(&mut written, &value);
        let written = written.freeze();
        assert_eq!(decode(&mut Cursor::new(&written)), Ok(value));
    }
    Corpus::Keep
}

/// Fuzzes the paths and queries of request targets: a path that is accepted is decoded text without dot segments.
pub fn request_target(data: &[u8]) -> Corpus {
    let Ok(path) = std::str::from_utf8(data) else {
        return Corpus::Reject;
    };
    let _ = (target::call_path(path), target::check_query(path), target::path_for_log(path));
    let Ok(canonical) = target::canonical_path(path) else {
        return Corpus::Keep;
    };
    let bytes = canonical.bytes();
    assert!(bytes.starts_with(b"/") && !bytes.contains(&0));
    assert!(bytes.split(|byte| *byte == b'/').all(|part| part != b"." && part != b".."));
    for part in bytes.split(|byte| *byte == target::ENCODED_SLASH) {
        assert!(std::str::from_utf8(part).is_ok());
    }
    let kept = target::without_dot_segments(path);
    let again = target::canonical_path(&kept).expect("the path without dot segments should be valid");
    assert_eq!(again.bytes(), bytes);
    Corpus::Keep
}

/// Fuzzes the length-prefixed strings of the dialects.
pub fn lenstr(data: &[u8]) -> Corpus {
    check_strings(data, wire::lenstr::decode, wire::lenstr::encode)
}

/// Fuzzes netstrings.
pub fn netstring(data: &[u8]) -> Corpus {
    check_strings(data, wire::netstring::decode, wire::netstring::encode)
}

/// Fuzzes tagged netstrings.
pub fn tnetstring(data: &[u8]) -> Corpus {
    if let Ok(value) = wire::tnetstring::decode(&Bytes::copy_from_slice(data)) {
        let mut written = BytesMut::new();
        wire::tnetstring::encode(&mut written, &value);
        assert_eq!(wire::tnetstring::decode(&written.freeze()), Ok(value));
    }
    Corpus::Keep
}

/// Fuzzes a multipart form. The first byte decides where the body is split, which must not matter.
pub fn multipart(data: &[u8]) -> Corpus {
    fn decode<'b>(pieces: impl Iterator<Item = &'b [u8]>) -> Result<Vec<(PartHead, Vec<u8>)>, DecodeError> {
        let mut decoder = Decoder::new(b"XX");
        let mut parts: Vec<(PartHead, Vec<u8>)> = Vec::new();
        for piece in pieces {
            decoder.feed(Bytes::copy_from_slice(piece));
            while let Some(event) = decoder.next_event()? {
                match event {
                    FormEvent::Part(head) => parts.push((head, Vec::new())),
                    FormEvent::Data(bytes) => parts.last_mut().expect("data is in a part").1.extend_from_slice(&bytes),
                    FormEvent::PartEnd | FormEvent::End => {}
                }
            }
        }
        decoder.finish().map(|()| parts)
    }
    let Some((size, body)) = data.split_first() else {
        return Corpus::Reject;
    };
    let whole = decode(std::iter::once(body));
    assert_eq!(decode(body.chunks(usize::from(*size).max(1))), whole);
    let _ = brubeck_runtime::wire::multipart::boundary(body);
    Corpus::Keep
}

/// Fuzzes a request of Mongrel2, in both of its protocols.
pub fn mongrel2_request(data: &[u8]) -> Corpus {
    if let Ok(Incoming::Request(request)) = mongrel2::decode(&Bytes::copy_from_slice(data)) {
        for protocol in [Protocol::Json, Protocol::Tnetstring] {
            let read = mongrel2::decode(&request.encode(protocol));
            assert_eq!(read, Ok(Incoming::Request(request.clone())));
        }
    }
    Corpus::Keep
}

/// Fuzzes a request for a file: the first line is the path, the others are headers.
pub fn file_request(data: &[u8]) -> Corpus {
    let mut lines = data.split(|byte| *byte == b'\n');
    let path = lines.next().unwrap_or_default();
    if let Some(name) = std::str::from_utf8(path).ok().and_then(FileName::from_path) {
        let is_plain = |part| matches!(part, Component::Normal(_));
        assert!(Path::new(name.as_str()).components().all(is_plain));
    }
    let mut headers = HeaderMap::new();
    for line in lines {
        let Some((name, value)) = line.split_at_checked(1) else { continue };
        let name = match name {
            b"m" => IF_MATCH,
            b"n" => IF_NONE_MATCH,
            b"s" => IF_MODIFIED_SINCE,
            b"u" => IF_UNMODIFIED_SINCE,
            b"r" => IF_RANGE,
            b"e" => ACCEPT_ENCODING,
            _ => RANGE,
        };
        let Ok(value) = HeaderValue::from_bytes(value) else { continue };
        headers.append(name, value);
    }
    let current = Validators {
        tag: EntityTag::parse(b"\"7.0-3e8\""),
        modified: Some(SystemTime::UNIX_EPOCH),
    };
    current.evaluate(&headers);
    current.allow_range(&headers);
    assert!(accepted_codings(&headers).count() <= 2);
    for length in [0, 1, 1000, u64::MAX] {
        let Some(range) = headers.get(RANGE) else { break };
        if let RangeSelection::Ranges(ranges) = select_ranges(range.as_bytes(), length) {
            assert!(!ranges.is_empty() && ranges.iter().all(|range| range.start < range.end && range.end <= length));
        }
    }
    Corpus::Keep
}

/// Fuzzes the frames of a WebSocket client. The result must not depend on how the bytes are divided.
pub fn websocket_frames(data: &[u8]) -> Corpus {
    let Some((cut, sent)) = data.split_first() else {
        return Corpus::Reject;
    };
    let read = |size: usize| {
        let (mut frames, mut bytes, mut seen) = (MessageDecoder::new(1000), BytesMut::new(), Vec::new());
        for piece in sent.chunks(size.max(1)) {
            bytes.extend_from_slice(piece);
            loop {
                match frames.decode(&mut bytes) {
                    Ok(None) => break,
                    Ok(Some((first, payload))) => {
                        assert!(payload.len() <= 1064);
                        seen.push(Ok((first, payload)));
                    }
                    Err(error) => {
                        seen.push(Err(error));
                        return seen;
                    }
                }
            }
        }
        seen
    };
    assert_eq!(read(sent.len()), read((*cut).into()));
    Corpus::Keep
}

/// Fuzzes the frames of a ZMTP peer. The result must not depend on how the bytes are divided, and messages must survive a
/// round trip.
pub fn zmtp_frames(data: &[u8]) -> Corpus {
    let Some((size, sent)) = data.split_first() else {
        return Corpus::Reject;
    };
    let limits = FrameLimits {
        max_message_bytes: 1000,
        max_frames: 4,
    };
    let decode = |size: usize| {
        let (mut decoder, mut input, mut decoded) = (FrameDecoder::with_subscriptions(limits), BytesMut::new(), Vec::new());
        for piece in sent.chunks(size.max(1)) {
            input.extend_from_slice(piece);
            loop {
                match decoder.decode(&mut input) {
                    Ok(None) => break,
                    Ok(Some(next)) => decoded.push(Ok(next)),
                    Err(violation) => {
                        decoded.push(Err(violation));
                        return decoded;
                    }
                }
            }
        }
        decoded
    };
    let decoded = decode(sent.len());
    assert_eq!(decoded, decode((*size).into()));
    for next in decoded.into_iter().flatten() {
        let Decoded::Message(frames) = next else { continue };
        let mut encoded = BytesMut::new();
        for (number, frame) in frames.iter().enumerate() {
            encode_header(&mut encoded, frame.len(), number + 1 < frames.len());
            encoded.extend_from_slice(frame);
        }
        let limits = FrameLimits {
            max_message_bytes: 5000,
            max_frames: 4,
        };
        let again = FrameDecoder::new(limits).decode(&mut encoded);
        assert_eq!(again, Ok(Some(Decoded::Message(frames))));
    }
    Corpus::Keep
}

/// Fuzzes the handshake of a ZMTP peer: a greeting and a command.
pub fn zmtp_handshake(data: &[u8]) -> Corpus {
    const ACCEPTED: &[SocketType] = &[SocketType::Dealer, SocketType::Req, SocketType::Router];
    let (greeting, command) = data.split_at(data.len().min(GREETING_SIZE));
    if check_greeting(greeting) == Ok(0) {
        assert!((0..GREETING_SIZE).all(|end| check_greeting(&greeting[..end]) == Ok(GREETING_SIZE - end)));
    }
    // Decode the command even if the greeting is invalid or absent.
    for received in [data, command] {
        match split_command(received) {
            Ok(CommandProgress::Missing(missing)) => assert!((1..=MAX_READY).contains(&missing)),
            Ok(CommandProgress::Complete(body)) => {
                assert!(body.len() <= MAX_READY);
                if let Ok(identity) = decode_ready(body, ACCEPTED) {
                    assert!(identity.len() <= MAX_IDENTITY);
                    let ready = encode_ready(SocketType::Dealer, &identity);
                    let Ok(CommandProgress::Complete(body)) = split_command(&ready) else {
                        panic!("an incomplete command");
                    };
                    assert_eq!(decode_ready(body, ACCEPTED), Ok(identity));
                }
            }
            Err(error) => assert!(error.to_string().starts_with("the peer")),
        }
    }
    Corpus::Keep
}

/// Fuzzes the inflation of a message, and the round trip through deflate. An inflated message must not exceed the limit.
pub fn websocket_deflate(data: &[u8]) -> Corpus {
    let Some((window, sent)) = data.split_first() else {
        return Corpus::Reject;
    };
    let limit = 1 << 16;
    let inflated = deflate::inflate(sent, limit);
    assert!(inflated.as_ref().is_ok_and(|out| out.len() <= limit) || inflated.is_err());
    for text in [sent, &inflated.unwrap_or_default()] {
        if let Some(small) = deflate::deflate(text, 8 + window % 8) {
            assert!(small.len() < text.len());
            assert_eq!(deflate::inflate(&small, text.len()).as_deref(), Ok(text));
            assert!(deflate::inflate(&small, text.len() - 1).is_err());
        }
    }
    Corpus::Keep
}

/// Fuzzes a reply to Mongrel2.
pub fn mongrel2_reply(data: &[u8]) -> Corpus {
    if let Ok(reply) = mongrel2::decode_reply(&Bytes::copy_from_slice(data)) {
        let frames =
            mongrel2::reply(&reply.ident, &reply.ids, b"payload").expect("an accepted value can be encoded");
        let read: Vec<_> = frames
            .map(|frame| mongrel2::decode_reply(&frame).expect("readable"))
            .collect();
        assert!(read.iter().flat_map(|reply| &reply.ids).eq(&reply.ids));
    }
    Corpus::Keep
}

fn read_request(dialect: Dialect, payload: Bytes) -> Result<LegacyRequest, LegacyDecodeError> {
    if dialect.has_sender_in_request() {
        decode_pull_request(&[payload])
    } else {
        decode_request(&[Bytes::from_static(b"id"), payload])
    }
}

/// Fuzzes a request to a service. Rejects inputs in another dialect, which has its own target.
pub fn service_request(dialect: Dialect, data: &[u8]) -> Corpus {
    let request = match read_request(dialect, Bytes::copy_from_slice(data)) {
        Ok(request) if request.envelope.dialect == dialect => request,
        Ok(_) => return Corpus::Reject,
        Err(error) => {
            assert!(error.to_string().starts_with("unreadable request"));
            return Corpus::Keep;
        }
    };
    let _ = (
        request.arguments.object(),
        request.headers.object(),
        request.body.object(),
    );
    // Encoding refuses some values that decoding accepts, and replaces empty fields by placeholders. Therefore only the second
    // round trip must be exact.
    if let Ok(payload) = service::encode_request(&request) {
        let once = read_request(dialect, payload).expect("an encoded value can be decoded");
        let payload = service::encode_request(&once).expect("a decoded value can be encoded again");
        assert_eq!(read_request(dialect, payload), Ok(once));
    }
    Corpus::Keep
}

/// Fuzzes a response to an application. Only the status code and the path must survive a round trip.
pub fn service_response(dialect: Dialect, data: &[u8]) -> Corpus {
    let frames = [Bytes::new(), Bytes::copy_from_slice(data)];
    if let Ok(response) = decode_response(dialect, &frames)
        && let Ok([_, delimiter, payload]) = service::encode_response(&response)
    {
        let once = decode_response(dialect, &[delimiter, payload]).expect("an encoded value can be decoded");
        assert_eq!(
            (once.status_code, &once.envelope.path),
            (response.status_code, &response.envelope.path)
        );
    }
    Corpus::Keep
}

/// Fuzzes a message of the native protocol: the head, then the other frames.
pub fn v3_message(data: &[u8]) -> Corpus {
    let frames = split(data);
    for frame in &frames {
        let list = v3::read_operation_list(frame).unwrap_or_default();
        if let [here, there, ..] = &list[..] {
            assert!(here.difference(there, "tcp://a").len() <= v3::limits::MAX_MESSAGE);
        }
        let served = v3::ServedOperations::new(list);
        assert!(v3::read_operation_list(&served.list()).is_some(), "a list that was written can be read");
    }
    let Ok(raw) = RawMessage::read(&frames) else {
        return Corpus::Keep;
    };
    if let Ok(message) = raw.decode() {
        let position = v3::Position {
            session: raw.head().session,
            counter: raw.head().counter,
            ack: raw.head().ack,
        };
        let frames = v3::encode(&message, position).expect("an accepted value can be encoded");
        let again = RawMessage::read(&frames).expect("an encoded value can be decoded");
        if let v3::WireMessage::Reply { reply, .. } = &message {
            assert_eq!(reply.clone().shorten(), None, "an accepted reply is within the limits");
        }
        assert_eq!(again.decode().ok(), Some(message));
    }
    Corpus::Keep
}

/// Splits an input into frames at each `|parts|`.
fn split(data: &[u8]) -> Vec<Bytes> {
    const SEPARATOR: &[u8] = b"|parts|";
    let (mut frames, mut rest) = (Vec::new(), data);
    while let Some(at) = rest.windows(SEPARATOR.len()).position(|window| window == SEPARATOR) {
        frames.push(Bytes::copy_from_slice(&rest[..at]));
        rest = &rest[at + SEPARATOR.len()..];
    }
    frames.push(Bytes::copy_from_slice(rest));
    frames
}

/// Fuzzes a worker with messages of a malicious caller that has the secret. The worker must stay within its limits.
///
/// The input contains messages, each preceded by its length in two bytes.
pub fn v3_worker(data: &[u8]) -> Corpus {
    const CONCURRENCY: usize = 4;
    let declaration = v3::OperationDeclaration::parse("thumbs::resize", 7, "image: Bytes\nBytes\nProblem");
    let config = WorkerConfig {
        operations: v3::ServedOperations::new([declaration]),
        concurrency: CONCURRENCY,
        ..WorkerConfig::default()
    };
    let mut worker = Worker::new(config, [1; 32]);
    let (peer, mut actions, mut now) = (Bytes::from_static(b"peer"), Vec::new(), Moment::ZERO);
    let frames_event = |frames| WorkerEvent::Frames {
        peer: peer.clone(),
        frames,
    };

    let hello = v3::Hello {
        version: v3::VERSION,
        features: 0,
        heartbeat_ms: 1000,
        max_body: 1 << 20,
        name: v3::ByteStr::default(),
    };
    let hello = v3::encode(&v3::WireMessage::Hello(hello), v3::Position::NONE).expect("a hello");
    worker.handle_event(now, frames_event(hello), &mut actions);
    let Some(WorkerAction::Send { frames, .. }) = actions.pop() else {
        panic!("no welcome");
    };
    let session = RawMessage::read(&frames).expect("a welcome").head().session;
    assert_eq!(worker.view().sessions, 1);

    let (mut rest, mut counter) = (data, 0_u64);
    while let Some((length, more)) = rest.split_first_chunk() {
        let (message, more) = more.split_at(usize::from(u16::from_be_bytes(*length)).min(more.len()));
        rest = more;
        // Correct the session and the counter, and keep everything else.
        let Some((head, fields)) = message.split_first_chunk::<30>() else {
            // A short message means: a handler finishes, and time passes.
            let job = JobId(message.first().copied().unwrap_or(0).into());
            now += Moment::from_millis(message.len() as u64 * 50);
            worker.handle_event(now, WorkerEvent::Finished { job, reply: None }, &mut actions);
            continue;
        };
        let mut message = head.to_vec();
        counter += 1;
        message[6..14].copy_from_slice(&session.to_be_bytes());
        message[14..22].copy_from_slice(&counter.to_be_bytes());
        message.extend_from_slice(fields);
        let frames = split(&message);
        worker.handle_event(now, frames_event(frames), &mut actions);
        let view = worker.view();
        assert!(
            view.running <= CONCURRENCY && view.queued <= CONCURRENCY && view.sessions <= 1,
            "{view:?}"
        );
        assert!(actions.len() < 64, "a message led to {} actions", actions.len());
        for action in actions.drain(..) {
            if let WorkerAction::Send { frames, .. } = action {
                RawMessage::read(&frames).expect("a sent message can be decoded");
            }
        }
    }
    Corpus::Keep
}

/// Fuzzes hosts and origins. A host that is accepted is visible ASCII, and is accepted again with another port.
pub fn authority(data: &[u8]) -> Corpus {
    if let Some(parsed) = parse_host_port(data) {
        assert!(parsed.host.bytes().all(|byte| byte.is_ascii_graphic()));
        if !parsed.host.is_empty() {
            let again = format!("{}:7", parsed.host);
            let again = parse_host_port(again.as_bytes()).expect("a host with a port");
            assert_eq!((again.host, again.port), (parsed.host, Some("7")));
        }
    }
    let _ = parse_origin(data);
    Corpus::Keep
}

/// Fuzzes the headers of proxies. An element that follows readable ones is read, whatever they say.
pub fn forwarded(data: &[u8]) -> Corpus {
    let _ = (parse_node(data), split_list(data).rev().count());
    let elements: Vec<_> = parse_forwarded(data).collect();
    if elements.iter().all(Option::is_some) {
        let appended = [data, b",for=203.0.113.9"].concat();
        let last = parse_forwarded(&appended).last().flatten().expect("the appended element");
        assert_eq!(last.client.as_deref(), Some(&b"203.0.113.9"[..]));
    }
    Corpus::Keep
}

/// Fuzzes the `cookie` header. A pair that is appended is read, whatever is before it.
pub fn cookies(data: &[u8]) -> Corpus {
    let appended = [data, b"; session=v1.a"].concat();
    let last = parse_cookies(&appended).last().expect("the appended pair");
    assert_eq!((last.name, last.value), (&b"session"[..], &b"v1.a"[..]));
    for pair in parse_cookies(data) {
        assert!(!pair.name.is_empty());
        let _ = decode_value(pair.value);
    }
    Corpus::Keep
}
