use super::*;
use proptest::prelude::*;

const LIMITS: FrameLimits = FrameLimits {
    max_message_bytes: 1000,
    max_frames: 3,
};

fn frame(body: &[u8], flags: u8) -> Vec<u8> {
    let mut frame = match u8::try_from(body.len()) {
        Ok(length) => vec![flags, length],
        Err(_) => {
            let mut header = vec![flags | LONG];
            header.extend_from_slice(&(body.len() as u64).to_be_bytes());
            header
        }
    };
    frame.extend_from_slice(body);
    frame
}

fn message(frames: &[Vec<u8>]) -> Vec<u8> {
    let last = frames.len() - 1;
    frames
        .iter()
        .enumerate()
        .flat_map(|(n, body)| frame(body, if n < last { MORE } else { 0 }))
        .collect()
}

/// Decodes a stream that arrives in chunks.
fn read_all(limits: FrameLimits, chunks: &[&[u8]]) -> Result<Vec<Decoded>, Violation> {
    read_with(FrameDecoder::new(limits), chunks)
}

fn read_with(mut decoder: FrameDecoder, chunks: &[&[u8]]) -> Result<Vec<Decoded>, Violation> {
    let (mut input, mut all) = (BytesMut::new(), Vec::new());
    for chunk in chunks {
        input.extend_from_slice(chunk);
        while let Some(decoded) = decoder.decode(&mut input)? {
            all.push(decoded);
        }
    }
    Ok(all)
}

fn decoded(frames: &[Vec<u8>]) -> Decoded {
    Decoded::Message(frames.iter().cloned().map(Bytes::from).collect())
}

fn ping(pong: &[u8]) -> Decoded {
    Decoded::Ping { pong: pong.to_vec() }
}

#[test]
fn decodes_messages_and_the_commands_between_them() {
    let (first, second) = ([vec![], vec![7; 300]], [b"x".to_vec()]);
    let heartbeat = frame(b"\x04PING\0\x0aabc", COMMAND);
    let stream = [message(&first), heartbeat, message(&second)].concat();
    let pong = ping(b"\x04\x08\x04PONGabc");
    assert_eq!(
        read_all(LIMITS, &[&stream]).unwrap(),
        [decoded(&first), pong, decoded(&second)]
    );
}

#[test]
fn refuses_an_oversized_frame_by_its_header() {
    for length in [1001_u64, 1 << 35, 1 << 46, u64::MAX] {
        let header = [&[LONG][..], &length.to_be_bytes()].concat();
        let refused = Violation::MessageBytes {
            bytes: usize::try_from(length).unwrap(),
            limit: LIMITS.max_message_bytes,
        };
        assert_eq!(read_all(LIMITS, &[&header]), Err(refused));
    }
    let lengths = [u64::MAX, u64::MAX].map(|length| [&[LONG | MORE][..], &length.to_be_bytes()].concat());
    assert!(read_all(LIMITS, &[&lengths.concat()]).is_err());
}

#[test]
fn reserves_limited_memory_for_an_announced_length() {
    let limits = FrameLimits {
        max_message_bytes: usize::MAX,
        max_frames: 3,
    };
    let header = [&[LONG][..], &u64::MAX.to_be_bytes()].concat();
    let mut input = BytesMut::from(&header[..]);
    assert_eq!(FrameDecoder::new(limits).decode(&mut input), Ok(None));
    assert!(input.capacity() <= 2 * MAX_RESERVE, "{}", input.capacity());
}

#[test]
fn reserves_the_rest_of_a_large_frame_at_once_when_a_part_has_arrived() {
    const LENGTH: usize = 5 << 20;
    let limits = FrameLimits {
        max_message_bytes: usize::MAX,
        max_frames: 3,
    };
    let stream = frame(&vec![7; LENGTH], 0);
    let (first, rest) = stream.split_at(MAX_RESERVE);
    let mut input = BytesMut::from(first);
    let mut decoder = FrameDecoder::new(limits);
    assert_eq!(decoder.decode(&mut input), Ok(None));
    assert_eq!(input.capacity(), stream.len());
    let place = input.as_ptr();
    for part in rest.chunks(100_000) {
        assert!(decoder.is_in_large_frame());
        input.extend_from_slice(part);
        assert_eq!(input.as_ptr(), place);
        if let Some(Decoded::Message(frames)) = decoder.decode(&mut input).unwrap() {
            assert_eq!((frames[0].len(), input.len()), (LENGTH, 0));
            assert_eq!(frames[0].as_ptr(), place.wrapping_add(9));
        }
    }
    assert!(!decoder.is_in_large_frame());

    // An absurd length costs a bounded reservation, however much has arrived.
    let header = [&[LONG][..], &u64::MAX.to_be_bytes()].concat();
    let mut input = BytesMut::from(&[&header[..], &vec![0; MAX_RESERVE]].concat()[..]);
    assert_eq!(FrameDecoder::new(limits).decode(&mut input), Ok(None));
    assert!(input.capacity() <= 2 * MAX_FRAME_RESERVE, "{}", input.capacity());
}

#[test]
fn copies_small_frames_out_of_the_read_buffer() {
    let mut input = BytesMut::with_capacity(64 << 10);
    input.extend_from_slice(&message(&[vec![1; 100], vec![2; COPY_BELOW]]));
    let begin = input.as_ptr() as usize;
    let Ok(Some(Decoded::Message(frames))) = FrameDecoder::new(FrameLimits {
        max_message_bytes: 2000,
        max_frames: 3,
    })
    .decode(&mut input) else {
        panic!("a message")
    };
    let is_within_buffer = |frame: &Bytes| (begin..begin + (64 << 10)).contains(&(frame.as_ptr() as usize));
    assert_eq!(
        [is_within_buffer(&frames[0]), is_within_buffer(&frames[1])],
        [false, true]
    );
}

#[test]
fn limits_count_all_frames_of_a_message() {
    let endless = frame(b"", MORE);
    assert_eq!(read_all(LIMITS, &[&endless[..]; 4]), Err(Violation::Frames));
    let halves = [frame(&[0; 600], MORE), frame(&[0; 600], 0)].concat();
    let refused = Violation::MessageBytes {
        bytes: 1200,
        limit: 1000,
    };
    assert_eq!(read_all(LIMITS, &[&halves]), Err(refused));
    assert_eq!(
        refused.to_string(),
        "the peer sent a message of at least 1200 bytes, and `max_message_bytes` is 1000"
    );
    let fits = message(&[vec![0; 500], vec![0; 250], vec![0; 250]]);
    assert_eq!(read_all(LIMITS, &[&fits, &fits]).unwrap().len(), 2);
}

#[test]
fn refuses_unknown_flags_and_malformed_commands() {
    assert_eq!(read_all(LIMITS, &[b"GET / HTTP/1.1"]), Err(Violation::Flags));
    for body in [&b"\x04PING"[..], &[0; 300]] {
        let flags = if body.len() < 300 { COMMAND | MORE } else { COMMAND };
        assert_eq!(read_all(LIMITS, &[&frame(body, flags)]), Err(Violation::Command));
    }
}

#[test]
fn pong_returns_the_context_of_the_ping() {
    let decode = |body: &[u8]| read_all(LIMITS, &[&frame(body, COMMAND)]);
    assert_eq!(decode(b"\x04PING\0\x0a"), Ok(vec![ping(b"\x04\x05\x04PONG")]));
    assert_eq!(decode(b"\x04PONGabc"), Ok(vec![]));
    for bad in [
        &b""[..],
        b"\x05PING",
        b"\x04PING\0",
        b"\x04PING\0\x0a12345678901234567",
    ] {
        assert_eq!(decode(bad), Err(Violation::Command), "{bad:?}");
    }
}

#[test]
fn decodes_subscription_commands_as_zmtp_3_0_messages() {
    let command = |body: &[u8]| frame(body, COMMAND);
    let stream = [
        frame(b"a", MORE),
        command(b"\x09SUBSCRIBEtopic"),
        frame(b"b", 0),
        command(b"\x06CANCELtopic"),
        command(&[&b"\x09SUBSCRIBE"[..], &[b'x'; 300]].concat()),
    ];
    let long = [&b"\x01"[..], &[b'x'; 300]].concat();
    let expected = [
        decoded(&[b"\x01topic".to_vec()]),
        decoded(&[b"a".to_vec(), b"b".to_vec()]),
        decoded(&[b"\0topic".to_vec()]),
        decoded(&[long]),
    ];
    let decoder = FrameDecoder::with_subscriptions(LIMITS);
    assert_eq!(read_with(decoder, &[&stream.concat()]).unwrap(), expected);
    // Without subscriptions, the commands are ignored: they must not become messages that bypass the limits.
    let only_message = [decoded(&[b"a".to_vec(), b"b".to_vec()])];
    assert_eq!(read_all(LIMITS, &[&stream.concat()]).unwrap(), only_message);
}

#[test]
fn refuses_an_oversized_command() {
    for length in [MAX_COMMAND as u64 + 1, 1 << 46, u64::MAX] {
        let header = [&[COMMAND | LONG][..], &length.to_be_bytes()].concat();
        assert_eq!(read_all(LIMITS, &[&header]), Err(Violation::Command));
    }
}

#[test]
fn copy_small_preserves_every_length() {
    for length in 0..600 {
        let bytes: Vec<u8> = (0..length).map(|n| n as u8).collect();
        assert_eq!(copy_small(&bytes), bytes, "{length}");
    }
}

proptest! {
    #[test]
    fn decoding_does_not_depend_on_chunk_boundaries(
        messages in prop::collection::vec(
            prop::collection::vec(prop::collection::vec(any::<u8>(), 0..1400), 1..4),
            0..6,
        ),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let limits = FrameLimits { max_message_bytes: 5000, max_frames: 4 };
        let stream: Vec<u8> = messages.iter().flat_map(|frames| message(frames)).collect();
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        at.sort_unstable();
        at.push(stream.len());
        let mut from = 0;
        let chunks: Vec<&[u8]> = at.into_iter().map(|to| &stream[std::mem::replace(&mut from, to)..to]).collect();
        let expected: Vec<Decoded> = messages.iter().map(|frames| decoded(frames)).collect();
        prop_assert_eq!(read_all(limits, &chunks), Ok(expected));
    }

    #[test]
    fn decodes_or_refuses_any_bytes(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..64)) {
        let chunks: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
        let _ = read_all(LIMITS, &chunks);
    }
}
