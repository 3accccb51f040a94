//! Valid and invalid input of a WebSocket client. The cases are our own. Their names begin with the section of the
//! Autobahn test suite that tests the same rule.

use crate::support::websocket::{Frame, frame};

/// The default limit for messages.
const MAX_MESSAGE_SIZE: usize = 1 << 20;

/// The frames that the client must receive.
pub enum Expected {
    /// These frames, and the connection stays open.
    Frames(Vec<Frame>),
    /// These frames, then a close with this code. Other frames before the close are ignored.
    Closes(Vec<Frame>, u16),
    /// A close with this code. Mongrel2 may end the connection without a close. Frames before the close are ignored.
    Fails(u16),
}

pub struct Case {
    pub name: String,
    pub input: Vec<u8>,
    pub expected: Expected,
}

fn case(name: impl Into<String>, input: impl IntoIterator<Item = Vec<u8>>, expected: Expected) -> Case {
    Case {
        name: name.into(),
        input: input.into_iter().collect::<Vec<_>>().concat(),
        expected,
    }
}

fn echoed(first: u8, payload: &[u8]) -> Expected {
    Expected::Frames(vec![Frame {
        first,
        payload: payload.to_vec(),
    }])
}

fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(0x88, &[&code.to_be_bytes()[..], reason].concat())
}

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    // 1: sizes, and 9: limits.
    for size in [0, 1, 125, 126, 127, 128, 65535, 65536, 1 << 18, MAX_MESSAGE_SIZE] {
        let text = "*".repeat(size).into_bytes();
        cases.push(case(
            format!("1.1 text of {size}"),
            [frame(0x81, &text)],
            echoed(0x81, &text),
        ));
        let bytes = vec![0xfe; size];
        cases.push(case(
            format!("1.2 binary of {size}"),
            [frame(0x82, &bytes)],
            echoed(0x82, &bytes),
        ));
    }
    cases.push(case(
        "9 one byte too many",
        [frame(0x82, &vec![0; MAX_MESSAGE_SIZE + 1])],
        Expected::Closes(vec![], 1009),
    ));
    // Messages before a violation are answered.
    for (violation, code) in [
        (frame(0x82, &vec![0; MAX_MESSAGE_SIZE + 1]), 1009),
        (frame(0x81, b"\xff"), 1007),
        (frame(0xc2, b"reserved"), 1002),
    ] {
        cases.push(case(
            format!("two messages, then {code}"),
            [frame(0x81, b"one"), frame(0x81, b"two"), violation],
            Expected::Closes(vec![Frame::text("one"), Frame::text("two")], code),
        ));
    }
    // 2: pings and pongs.
    for payload in [&b""[..], b"Hello, world!", &[0, 0xff, 0xfe, 0xfd], &[0xfe; 125]] {
        let pong = Expected::Frames(vec![Frame {
            first: 0x8a,
            payload: payload.to_vec(),
        }]);
        cases.push(case(
            format!("2.1 ping of {}", payload.len()),
            [frame(0x89, payload)],
            pong,
        ));
    }
    cases.push(case(
        "2.5 ping of 126",
        [frame(0x89, &[0xfe; 126])],
        Expected::Fails(1002),
    ));
    let unsolicited = [frame(0x8a, b"unsolicited"), frame(0x89, b"p")];
    cases.push(case(
        "2.7 unsolicited pong",
        unsolicited,
        Expected::Frames(vec![Frame {
            first: 0x8a,
            payload: b"p".into(),
        }]),
    ));
    let pings = (0..10).map(|n| frame(0x89, format!("payload-{n}").as_bytes()));
    let pongs = (0..10).map(|n| Frame {
        first: 0x8a,
        payload: format!("payload-{n}").into_bytes(),
    });
    cases.push(case("2.10 ten pings", pings, Expected::Frames(pongs.collect())));
    // 3: reserved bits, of a message and of a ping.
    for bits in [0x40, 0x20, 0x30, 0x50, 0x60, 0x70] {
        cases.push(case(
            format!("3 bits {bits:#x} of a text"),
            [frame(0x81 | bits, b"a")],
            Expected::Closes(vec![], 1002),
        ));
        cases.push(case(
            format!("3 bits {bits:#x} of a ping"),
            [frame(0x89 | bits, b"")],
            Expected::Closes(vec![], 1002),
        ));
    }
    // 4: reserved opcodes.
    for opcode in (3..=7).chain(11..=15) {
        cases.push(case(
            format!("4 opcode {opcode}"),
            [frame(0x80 | opcode, b"")],
            Expected::Fails(1002),
        ));
        let after = [frame(0x81, b"first"), frame(0x80 | opcode, b"x")];
        cases.push(case(
            format!("4 opcode {opcode} after a text"),
            after,
            Expected::Fails(1002),
        ));
    }
    // 5: fragments.
    let whole = || echoed(0x81, b"fragment1fragment2");
    let (one, two) = (frame(0x01, b"fragment1"), frame(0x80, b"fragment2"));
    cases.push(case(
        "5.1 fragmented ping",
        [frame(0x09, b"a"), frame(0x80, b"b")],
        Expected::Fails(1002),
    ));
    cases.push(case(
        "5.2 fragmented pong",
        [frame(0x0a, b"a"), frame(0x80, b"b")],
        Expected::Fails(1002),
    ));
    cases.push(case("5.3 two fragments", [one.clone(), two.clone()], whole()));
    let pong = Frame {
        first: 0x8a,
        payload: b"ping".into(),
    };
    let both = Expected::Frames(vec![pong, Frame::text("fragment1fragment2")]);
    cases.push(case(
        "5.6 ping between fragments",
        [one.clone(), frame(0x89, b"ping"), two.clone()],
        both,
    ));
    cases.push(case(
        "5.9 continuation without a start",
        [frame(0x80, b"x")],
        Expected::Fails(1002),
    ));
    cases.push(case(
        "5.10 unfinished continuation without a start",
        [frame(0x00, b"x"), two.clone()],
        Expected::Fails(1002),
    ));
    cases.push(case(
        "5.18 text within fragments",
        [one.clone(), frame(0x81, b"x")],
        Expected::Fails(1002),
    ));
    let many = std::iter::once(frame(0x02, b"0"))
        .chain((1..9).map(|_| frame(0x00, b"1")))
        .chain([frame(0x80, b"2")]);
    cases.push(case("5.19 ten fragments", many, echoed(0x82, b"0111111112")));
    cases.push(case(
        "6.1 empty fragments",
        [frame(0x01, b""), frame(0x00, b""), frame(0x80, b"")],
        echoed(0x81, b""),
    ));
    // 6: UTF-8, including characters that are split across fragments.
    let greek = "κόσμε".as_bytes();
    for text in [
        greek,
        "\u{0}\u{7f}\u{7ff}\u{ffff}\u{10ffff}".as_bytes(),
        "\u{d7ff}\u{e000}\u{fffd}".as_bytes(),
    ] {
        cases.push(case(
            "6.2 text beyond ASCII",
            [frame(0x81, text)],
            echoed(0x81, text),
        ));
    }
    let split = [frame(0x01, &greek[..3]), frame(0x80, &greek[3..])];
    cases.push(case(
        "6.2 a character across fragments",
        split,
        echoed(0x81, greek),
    ));
    for invalid in [
        &b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited"[..],
        b"\x80",
        b"\xbf",
        b"\xc0\xaf",
        b"\xe0\x80\xaf",
        b"\xf0\x80\x80\xaf",
        b"\xf8\x88\x80\x80\x80",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xfe",
        b"\xff",
        b"\xc3",
    ] {
        cases.push(case(
            format!("6 invalid {}", invalid.escape_ascii()),
            [frame(0x81, invalid)],
            Expected::Closes(vec![], 1007),
        ));
    }
    let split = [frame(0x01, b"\xce\xba"), frame(0x80, b"\xed\xa0\x80")];
    cases.push(case(
        "6.3 invalid in the second fragment",
        split,
        Expected::Closes(vec![], 1007),
    ));
    // 7: closes.
    cases.push(case(
        "7.1 message and close",
        [frame(0x81, b"last"), close(1000, b"")],
        Expected::Closes(vec![], 1000),
    ));
    cases.push(case(
        "7.1 ping after a close",
        [close(1000, b""), frame(0x89, b"late")],
        Expected::Closes(vec![], 1000),
    ));
    cases.push(case(
        "7.3 empty close",
        [frame(0x88, b"")],
        Expected::Closes(vec![], 1005),
    ));
    cases.push(case(
        "7.3 close of one byte",
        [frame(0x88, b"a")],
        Expected::Closes(vec![], 1002),
    ));
    cases.push(case(
        "7.3 reason of 123",
        [close(1000, &[b'*'; 123])],
        Expected::Closes(vec![], 1000),
    ));
    cases.push(case(
        "7.3 reason of 124",
        [close(1000, &[b'*'; 124])],
        Expected::Fails(1002),
    ));
    cases.push(case(
        "7.5 reason not UTF-8",
        [close(1000, b"\xed\xa0\x80")],
        Expected::Fails(1007),
    ));
    for code in [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999,
    ] {
        cases.push(case(
            format!("7.7 code {code}"),
            [close(code, b"")],
            Expected::Closes(vec![], code),
        ));
    }
    for code in [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65535] {
        cases.push(case(
            format!("7.9 code {code}"),
            [close(code, b"")],
            Expected::Fails(1002),
        ));
    }
    // Not in the suite, which masks every frame.
    cases.push(case(
        "an unmasked frame",
        [b"\x81\x01a".to_vec()],
        Expected::Fails(1002),
    ));
    cases
}
