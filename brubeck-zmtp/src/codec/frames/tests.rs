use super::*;
use proptest::prelude::*;

const LIMITS: FrameLimits = FrameLimits {
    message_bytes: 1000,
    frames: 3,
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
fn read_all(limits: FrameLimits, pieces: &[&[u8]]) -> Result<Vec<Said>, Violation> {
    let mut decoder = Decoder::new(limits);
    let (mut input, mut all) = (BytesMut::new(), Vec::new());
    for piece in pieces {
        input.extend_from_slice(piece);
        while let Some(said) = decoder.next(&mut input)? {
            all.push(said);
        }
    }
    Ok(all)
}

fn said(frames: &[Vec<u8>]) -> Said {
    Said::Message(frames.iter().cloned().map(Bytes::from).collect())
}

#[test]
fn messages_come_whole_and_commands_beside_them() {
    let (one, two) = ([vec![], vec![7; 300]], [b"x".to_vec()]);
    let ping = frame(b"\x04PING\0\x0aabc", COMMAND);
    let stream = [message(&one), ping, message(&two)].concat();
    let pong = Said::Ping(b"\x04\x08\x04PONGabc".to_vec());
    assert_eq!(
        read_all(LIMITS, &[&stream]).unwrap(),
        [said(&one), pong, said(&two)]
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
        message_bytes: usize::MAX,
        frames: 3,
    };
    let header = [&[LONG][..], &u64::MAX.to_be_bytes()].concat();
    let mut input = BytesMut::from(&header[..]);
    assert_eq!(Decoder::new(limits).next(&mut input), Ok(None));
    assert!(input.capacity() <= 2 * AHEAD, "{}", input.capacity());
}

#[test]
fn a_small_frame_keeps_no_large_buffer() {
    let mut input = BytesMut::with_capacity(64 << 10);
    input.extend_from_slice(&message(&[vec![1; 100], vec![2; SMALL]]));
    let begin = input.as_ptr() as usize;
    let Ok(Some(Said::Message(frames))) = Decoder::new(FrameLimits {
        message_bytes: 2000,
        frames: 3,
    })
    .next(&mut input) else {
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
    assert_eq!(
        answer(b"\x04PING\0\x0a"),
        Ok(vec![Said::Ping(b"\x04\x05\x04PONG".to_vec())])
    );
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

proptest! {
    #[test]
    fn pieces_make_no_difference(
        messages in prop::collection::vec(
            prop::collection::vec(prop::collection::vec(any::<u8>(), 0..1400), 1..4),
            0..6,
        ),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let limits = FrameLimits { message_bytes: 5000, frames: 4 };
        let stream: Vec<u8> = messages.iter().flat_map(|frames| message(frames)).collect();
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        at.sort_unstable();
        at.push(stream.len());
        let mut from = 0;
        let pieces: Vec<&[u8]> = at.into_iter().map(|to| &stream[std::mem::replace(&mut from, to)..to]).collect();
        let expected: Vec<Said> = messages.iter().map(|frames| said(frames)).collect();
        prop_assert_eq!(read_all(limits, &pieces), Ok(expected));
    }

    #[test]
    fn any_bytes_are_read_or_refused(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..64)) {
        let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
        let _ = read_all(LIMITS, &pieces);
    }
}
