//! What is sent to whom, and when.

use super::*;
use crate::mongrel2::front_end::message_socket::MessageSocketClient;

fn with(credit: Option<u64>) -> (ConnectionTable<()>, Ticket, Instant) {
    let mut all = ConnectionTable::new();
    let now = Instant::now();
    let id = Bytes::from("7");
    let ticket = all
        .hear(&id, &Bytes::from("m2"), || FlowControl::new(credit, None), now)
        .begin(&id);
    (all, ticket, now)
}

fn piece(bytes: &[u8]) -> OutboundChunk {
    Bytes::copy_from_slice(bytes).into()
}

#[test]
fn what_is_ready_leaves_as_one_message() {
    let (mut all, ticket, now) = with(None);
    for part in [&b"a"[..], b"b", b"c"] {
        all.reply(&ticket, [piece(part)], None).unwrap();
    }
    let sent = all.next(now).unwrap();
    assert_eq!((&sent.bytes[..], sent.close), (&b"abc"[..], false));
    assert!(all.next(now).is_none());
    all.reply(&ticket, [piece(b"d")], Some(ResponseEnd::Close))
        .unwrap();
    let sent = all.next(now).unwrap();
    assert_eq!((&sent.bytes[..], sent.close), (&b"d"[..], true));
    assert!(all.is_idle());
    assert!(all.reply(&ticket, [piece(b"late")], None).is_none());
}

#[test]
fn a_slow_client_is_never_sent_more_than_it_may_have_waiting() {
    let (mut all, ticket, now) = with(None);
    let mut sent = 0;
    for _ in 0..1000 {
        all.reply(&ticket, [piece(&[b'x'; 1000])], None).unwrap();
        while all.next(now).is_some() {
            sent += 1;
        }
    }
    assert_eq!(sent, crate::mongrel2::front_end::flow_control::MOST);
    let wake = all.wake().unwrap();
    all.awake(wake);
    let next = all.next(wake).unwrap();
    assert!(next.bytes.len() > 100_000, "{}", next.bytes.len());
}

#[test]
fn credit_cuts_a_reply_into_pieces() {
    let (mut all, ticket, now) = with(Some(10));
    all.reply(&ticket, [piece(&[b'x'; 25])], Some(ResponseEnd::Close))
        .unwrap();
    assert_eq!(all.next(now).unwrap().bytes.len(), 10);
    assert!(all.next(now).is_none());
    all.credited(&"7".into(), 10);
    assert_eq!(all.next(now).unwrap().bytes.len(), 10);
    all.credited(&"7".into(), 10);
    let last = all.next(now).unwrap();
    assert_eq!((last.bytes.len(), last.close), (5, true));
}

#[test]
fn a_reply_for_a_connection_that_went_and_came_again_is_dropped() {
    let (mut all, old, now) = with(None);
    all.forget(&"7".into()).unwrap();
    let new = all
        .hear(&"7".into(), &"m2".into(), || FlowControl::new(None, None), now)
        .begin(&"7".into());
    assert!(
        all.reply(&old, [piece(b"stale")], Some(ResponseEnd::Open))
            .is_none()
    );
    assert!(
        all.reply(&new, [piece(b"fresh")], Some(ResponseEnd::Open))
            .is_some()
    );
    assert_eq!(&all.next(now).unwrap().bytes[..], b"fresh");
    all.sweep(now + Duration::from_secs(1));
    assert!(all.get(&"7".into()).is_none());
}

#[test]
fn a_cast_waits_behind_what_waits_already() {
    let (mut all, ticket, now) = with(None);
    let cast = |all: &mut ConnectionTable<()>| all.cast(&ticket, 1, || piece(b"c"), now);
    assert_eq!(cast(&mut all), BroadcastOutcome::Now);
    all.reply(&ticket, [piece(b"a")], None).unwrap();
    assert_eq!(cast(&mut all), BroadcastOutcome::Later);
    assert_eq!(&all.next(now).unwrap().bytes[..], b"ac");
    while cast(&mut all) == BroadcastOutcome::Now {}
    let slow = (0..2000)
        .map(|_| cast(&mut all))
        .find(|cast| *cast != BroadcastOutcome::Later);
    assert_eq!(slow, Some(BroadcastOutcome::TooSlow));
}

/// A client of a message socket stays known while somebody may send to it, and is idle all the same.
#[test]
fn who_is_kept_is_not_forgotten() {
    let (mut all, ticket, now) = with(None);
    all.reply(&ticket, [piece(b"answer")], Some(ResponseEnd::Open))
        .unwrap();
    assert!(all.next(now).is_some());
    let later = now + FORGOTTEN * 2;
    let (events, _inbox) = tokio::sync::mpsc::channel(1);
    let link = std::sync::Arc::new(crate::mongrel2::front_end::websocket::FrontEndHandle(events));
    let listener = MessageSocketClient::new(ticket.clone());
    let way = listener.way(&link);
    all.of(&ticket).unwrap().listener = Some(listener);
    all.sweep(later);
    assert!(all.is_idle());
    assert!(all.push(&ticket, piece(b"pushed")));
    assert_eq!(&all.next(later).unwrap().bytes[..], b"pushed");
    drop(way);
    all.sweep(later + FORGOTTEN);
    assert!(!all.push(&ticket, piece(b"late")));
}

#[test]
fn what_waits_goes_before_a_connection_is_hung_up() {
    let (mut all, ticket, now) = with(None);
    assert!(all.push(&ticket, piece(b"last")));
    all.hang_up(&ticket);
    assert!(!all.push(&ticket, piece(b"late")));
    let sent = all.next(now).unwrap();
    assert_eq!((&sent.bytes[..], sent.close), (&b"last"[..], true));
    assert!(all.of(&ticket).is_none());
}
