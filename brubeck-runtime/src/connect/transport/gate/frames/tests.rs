use super::*;
use proptest::prelude::*;

/// The most that is kept between two walks: a short command less its last byte, with its header.
const MAX_KEPT: usize = 256;

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

/// What passed, the commands, and how many messages there were.
type Walked = (Vec<u8>, Vec<Vec<u8>>, u64);

/// Walks over a stream that comes in chunks, as a reader does.
fn walk_all(limits: FrameLimits, chunks: &[&[u8]]) -> Result<Walked, Violation> {
    let mut walker = FrameWalker::new(limits);
    let (mut kept, mut passed, mut commands, mut messages) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for chunk in chunks {
        kept.extend_from_slice(chunk);
        loop {
            let walk = walker.walk(&kept)?;
            passed.extend(kept.drain(..walk.pass));
            messages += walk.messages;
            match walk.command {
                Some(length) => commands.push(kept.drain(..length).collect()),
                None => break,
            }
        }
        assert!(kept.len() <= MAX_KEPT);
    }
    Ok((passed, commands, messages))
}

#[test]
fn messages_pass_as_they_are_and_commands_do_not() {
    let one = message(&[b"".to_vec(), vec![7; 300]]);
    let ping = frame(b"\x04PING\0\x0aabc", COMMAND);
    let two = message(&[b"x".to_vec()]);
    let stream = [&one[..], &ping, &two].concat();
    let (passed, commands, messages) = walk_all(LIMITS, &[&stream]).unwrap();
    assert_eq!(passed, [one, two].concat());
    assert_eq!(commands, [ping]);
    assert_eq!(messages, 2);
}

#[test]
fn boundaries_are_told() {
    let mut walker = FrameWalker::new(LIMITS);
    let stream = [
        message(&[b"ab".to_vec()]),
        message(&[b"cd".to_vec(), b"ef".to_vec()]),
    ]
    .concat();
    assert!(!walker.inside());
    let walk = walker.walk(&stream[..6]).unwrap();
    assert_eq!((walk.pass, walk.boundary, walk.messages), (6, Some(4), 1));
    assert!(walker.inside());
    let walk = walker.walk(&stream[6..8]).unwrap();
    assert_eq!((walk.pass, walk.boundary), (2, None));
    assert!(walker.inside(), "between two frames of a message");
    let walk = walker.walk(&stream[8..]).unwrap();
    assert_eq!((walk.pass, walk.boundary), (4, Some(4)));
    assert!(!walker.inside());
}

#[test]
fn a_header_that_announces_too_much_is_a_violation_at_once() {
    for length in [1001_u64, 1 << 35, 1 << 46, u64::MAX] {
        let header = [&[LONG][..], &length.to_be_bytes()].concat();
        assert_eq!(walk_all(LIMITS, &[&header]), Err(Violation::MessageBytes));
    }
    let lengths = [u64::MAX, u64::MAX].map(|length| [&[LONG | MORE][..], &length.to_be_bytes()].concat());
    assert!(walk_all(LIMITS, &[&lengths.concat()]).is_err());
}

#[test]
fn a_message_is_bounded_over_all_its_frames() {
    let endless = frame(b"", MORE);
    assert_eq!(walk_all(LIMITS, &[&endless[..]; 4]), Err(Violation::Frames));
    let halves = [frame(&[0; 600], MORE), frame(&[0; 600], 0)].concat();
    assert_eq!(walk_all(LIMITS, &[&halves]), Err(Violation::MessageBytes));
    let fits = message(&[vec![0; 500], vec![0; 250], vec![0; 250]]);
    assert_eq!(walk_all(LIMITS, &[&fits, &fits]).unwrap().2, 2);
}

#[test]
fn what_no_zmtp_peer_sends_is_a_violation() {
    assert_eq!(walk_all(LIMITS, &[b"GET / HTTP/1.1"]), Err(Violation::Flags));
    assert_eq!(
        walk_all(LIMITS, &[&frame(b"\x04PING", COMMAND | MORE)]),
        Err(Violation::Command)
    );
    assert_eq!(
        walk_all(LIMITS, &[&frame(&[0; 300], COMMAND)]),
        Err(Violation::Command)
    );
}

#[test]
fn a_ping_is_answered_with_its_context() {
    let answer = pong(&frame(b"\x04PING\0\x0aabc", COMMAND)).unwrap().unwrap();
    assert_eq!(answer, b"\x04\x08\x04PONGabc");
    assert_eq!(
        pong(&frame(b"\x04PING\0\x0a", COMMAND)).unwrap().unwrap(),
        b"\x04\x05\x04PONG"
    );
    assert_eq!(pong(&frame(b"\x04PONGabc", COMMAND)), Ok(None));
    for bad in [
        &b""[..],
        b"\x05PING",
        b"\x04PING\0",
        b"\x04PING\0\x0a12345678901234567",
    ] {
        assert_eq!(pong(&frame(bad, COMMAND)), Err(Violation::Command), "{bad:?}");
    }
}

proptest! {
    #[test]
    fn chunks_make_no_difference(
        messages in prop::collection::vec(prop::collection::vec(prop::collection::vec(any::<u8>(), 0..400), 1..4), 0..6),
        commands in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..6),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let limits = FrameLimits { message_bytes: 2000, frames: 4 };
        let mut stream = Vec::new();
        let mut plain = Vec::new();
        let mut frames = Vec::new();
        for n in 0..messages.len().max(commands.len()) {
            if let Some(command) = commands.get(n) {
                frames.push(frame(command, COMMAND));
                stream.extend(frame(command, COMMAND));
            }
            if let Some(bodies) = messages.get(n) {
                plain.extend(message(bodies));
                stream.extend(message(bodies));
            }
        }
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        at.sort_unstable();
        let mut chunks = Vec::new();
        let mut from = 0;
        for to in at {
            chunks.push(&stream[from..to]);
            from = to;
        }
        chunks.push(&stream[from..]);
        let walked = walk_all(limits, &chunks).unwrap();
        prop_assert_eq!(walked, (plain, frames, messages.len() as u64));
    }

    #[test]
    fn any_bytes_are_walked_or_refused(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..64)) {
        let chunks: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
        let _ = walk_all(LIMITS, &chunks);
        let command: Vec<u8> = chunks.concat();
        let _ = pong(&command);
    }
}
