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

/// Reads a stream that comes in pieces.
fn read_all(limits: FrameLimits, pieces: &[&[u8]]) -> Result<Vec<Decoded>, Violation> {
    read_with(FrameDecoder::new(limits), pieces)
}

fn read_with(mut decoder: FrameDecoder, pieces: &[&[u8]]) -> Result<Vec<Decoded>, Violation> {
    let (mut input, mut all) = (BytesMut::new(), Vec::new());
    for piece in pieces {
        input.extend_from_slice(piece);
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
fn messages_come_whole_and_commands_beside_them() {
    let (one, two) = ([vec![], vec![7; 300]], [b"x".to_vec()]);
    let heartbeat = frame(b"\x04PING\0\x0aabc", COMMAND);
    let stream = [message(&one), heartbeat, message(&two)].concat();
    let pong = ping(b"\x04\x08\x04PONGabc");
    assert_eq!(
        read_all(LIMITS, &[&stream]).unwrap(),
        [decoded(&one), pong, decoded(&two)]
    );
}

#[test]
fn a_header_that_announces_too_much_is_a_violation_at_once() {
    for length in [1001_u64, 1 << 35, 1 << 46, u64::MAX] {
        let header = [&[LONG][..], &length.to_be_bytes()].concat();
        assert_eq!(read_all(LIMITS, &[&header]), Err(Violation::MessageBytes));
    }
    let lengths = [u64::MAX, u64::MAX].map(|length| [&[LONG | MORE][..], &length.to_be_bytes()].concat());
    assert!(read_all(LIMITS, &[&lengths.concat()]).is_err());
}

#[test]
fn memory_grows_with_what_comes_not_with_what_is_announced() {
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
fn a_small_frame_keeps_no_large_buffer() {
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
    let lies_within = |frame: &Bytes| (begin..begin + (64 << 10)).contains(&(frame.as_ptr() as usize));
    assert_eq!([lies_within(&frames[0]), lies_within(&frames[1])], [false, true]);
}

#[test]
fn a_message_is_bounded_over_all_its_frames() {
    let endless = frame(b"", MORE);
    assert_eq!(read_all(LIMITS, &[&endless[..]; 4]), Err(Violation::Frames));
    let halves = [frame(&[0; 600], MORE), frame(&[0; 600], 0)].concat();
    assert_eq!(read_all(LIMITS, &[&halves]), Err(Violation::MessageBytes));
    let fits = message(&[vec![0; 500], vec![0; 250], vec![0; 250]]);
    assert_eq!(read_all(LIMITS, &[&fits, &fits]).unwrap().len(), 2);
}

#[test]
fn what_no_zmtp_peer_sends_is_a_violation() {
    assert_eq!(read_all(LIMITS, &[b"GET / HTTP/1.1"]), Err(Violation::Flags));
    for body in [&b"\x04PING"[..], &[0; 300]] {
        let flags = if body.len() < 300 { COMMAND | MORE } else { COMMAND };
        assert_eq!(read_all(LIMITS, &[&frame(body, flags)]), Err(Violation::Command));
    }
}

#[test]
fn a_ping_is_answered_with_its_context() {
    let answer = |body: &[u8]| read_all(LIMITS, &[&frame(body, COMMAND)]);
    assert_eq!(answer(b"\x04PING\0\x0a"), Ok(vec![ping(b"\x04\x05\x04PONG")]));
    assert_eq!(answer(b"\x04PONGabc"), Ok(vec![]));
    for bad in [
        &b""[..],
        b"\x05PING",
        b"\x04PING\0",
        b"\x04PING\0\x0a12345678901234567",
    ] {
        assert_eq!(answer(bad), Err(Violation::Command), "{bad:?}");
    }
}

#[test]
fn a_subscription_command_is_the_message_of_zmtp_3_0() {
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
    // A peer of any other socket cannot slip a message past the limits in this way.
    let only_message = [decoded(&[b"a".to_vec(), b"b".to_vec()])];
    assert_eq!(read_all(LIMITS, &[&stream.concat()]).unwrap(), only_message);
}

#[test]
fn a_command_is_bounded() {
    for length in [MAX_COMMAND as u64 + 1, 1 << 46, u64::MAX] {
        let header = [&[COMMAND | LONG][..], &length.to_be_bytes()].concat();
        assert_eq!(read_all(LIMITS, &[&header]), Err(Violation::Command));
    }
}

#[test]
fn copies_every_length() {
    for length in 0..600 {
        let bytes: Vec<u8> = (0..length).map(|n| n as u8).collect();
        assert_eq!(copy_small(&bytes), bytes, "{length}");
    }
}

proptest! {
    #[test]
    fn pieces_make_no_difference(
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
        let pieces: Vec<&[u8]> = at.into_iter().map(|to| &stream[std::mem::replace(&mut from, to)..to]).collect();
        let expected: Vec<Decoded> = messages.iter().map(|frames| decoded(frames)).collect();
        prop_assert_eq!(read_all(limits, &pieces), Ok(expected));
    }

    #[test]
    fn any_bytes_are_read_or_refused(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..64)) {
        let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
        let _ = read_all(LIMITS, &pieces);
    }
}
