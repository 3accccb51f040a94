use super::*;
use crate::mongrel2::front_end::events::FrontEndHandle;
use crate::mongrel2::front_end::flow_control::MAX_IN_FLIGHT_MESSAGES;
use crate::mongrel2::front_end::message_socket::MessageSocketClient;

/// Creates a table with one connection, on which one request has arrived.
fn table(credit: Option<u64>) -> (ConnectionTable<()>, ClientId, Instant) {
    let mut table = ConnectionTable::new();
    let now = Instant::now();
    let id = Bytes::from("7");
    let client = table
        .get_or_insert(&id, &Bytes::from("m2"), || FlowControl::new(credit, None), now)
        .begin_request(&id);
    (table, client, now)
}

fn chunk(bytes: &[u8]) -> OutboundChunk {
    Bytes::copy_from_slice(bytes).into()
}

#[test]
fn merges_ready_chunks_into_one_message() {
    let (mut table, client, now) = table(None);
    for part in [&b"a"[..], b"b", b"c"] {
        table.add_response(&client, [chunk(part)], None).unwrap();
    }
    let message = table.next_message(now).unwrap();
    assert_eq!((&message.bytes[..], message.close), (&b"abc"[..], false));
    assert!(table.next_message(now).is_none());
    table
        .add_response(&client, [chunk(b"d")], Some(ResponseEnd::Close))
        .unwrap();
    let message = table.next_message(now).unwrap();
    assert_eq!((&message.bytes[..], message.close), (&b"d"[..], true));
    assert!(table.is_idle());
    assert!(table.add_response(&client, [chunk(b"late")], None).is_none());
}

#[test]
fn limits_messages_in_flight_to_a_slow_client() {
    let (mut table, client, now) = table(None);
    let mut sent = 0;
    for _ in 0..1000 {
        table.add_response(&client, [chunk(&[b'x'; 1000])], None).unwrap();
        while table.next_message(now).is_some() {
            sent += 1;
        }
    }
    assert_eq!(sent, MAX_IN_FLIGHT_MESSAGES);
    let unblock = table.next_unblock().unwrap();
    table.unblock_due(unblock);
    let next = table.next_message(unblock).unwrap();
    assert!(next.bytes.len() > 100_000, "{}", next.bytes.len());
}

#[test]
fn splits_response_by_credit() {
    let (mut table, client, now) = table(Some(10));
    table
        .add_response(&client, [chunk(&[b'x'; 25])], Some(ResponseEnd::Close))
        .unwrap();
    assert_eq!(table.next_message(now).unwrap().bytes.len(), 10);
    assert!(table.next_message(now).is_none());
    table.add_credit(&"7".into(), 10);
    assert_eq!(table.next_message(now).unwrap().bytes.len(), 10);
    table.add_credit(&"7".into(), 10);
    let last = table.next_message(now).unwrap();
    assert_eq!((last.bytes.len(), last.close), (5, true));
}

#[test]
fn drops_response_to_an_earlier_connection_with_the_same_id() {
    let (mut table, old, now) = table(None);
    table.remove(&"7".into()).unwrap();
    let new = table
        .get_or_insert(&"7".into(), &"m2".into(), || FlowControl::new(None, None), now)
        .begin_request(&"7".into());
    let end = Some(ResponseEnd::KeepOpen);
    assert!(table.add_response(&old, [chunk(b"stale")], end).is_none());
    assert!(table.add_response(&new, [chunk(b"fresh")], end).is_some());
    assert_eq!(&table.next_message(now).unwrap().bytes[..], b"fresh");
    table.remove_idle(now + Duration::from_secs(1));
    assert!(table.get(&"7".into()).is_none());
}

#[test]
fn queues_broadcast_behind_pending_data() {
    let (mut table, client, now) = table(None);
    let shared = Bytes::from("c");
    let broadcast = |table: &mut ConnectionTable<()>| table.prepare_bytes(&client, &shared, now);
    let send_now = BroadcastOutcome::SendNow("m2".into());
    assert_eq!(broadcast(&mut table), send_now);
    table.add_response(&client, [chunk(b"a")], None).unwrap();
    assert_eq!(broadcast(&mut table), BroadcastOutcome::Queued);
    assert_eq!(&table.next_message(now).unwrap().bytes[..], b"ac");
    while broadcast(&mut table) == send_now {}
    assert!(table.next_message(now).is_none());
    for _ in 1..2000 {
        assert_eq!(broadcast(&mut table), BroadcastOutcome::Queued);
    }
    let unblock = table.next_unblock().unwrap();
    table.unblock_due(unblock);
    assert_eq!(table.next_message(unblock).unwrap().bytes.len(), 2000);
}

#[test]
fn keeps_message_socket_while_it_has_senders() {
    let (mut table, client, now) = table(None);
    table
        .add_response(&client, [chunk(b"response")], Some(ResponseEnd::KeepOpen))
        .unwrap();
    assert!(table.next_message(now).is_some());
    let later = now + IDLE_CONNECTION_TTL * 2;
    let (events, _receiver) = tokio::sync::mpsc::channel(1);
    let front_end = std::sync::Arc::new(FrontEndHandle(events));
    let socket_client = MessageSocketClient::new(client.clone(), Default::default());
    let transport = socket_client.transport(&front_end);
    table.find(&client).unwrap().message_socket = Some(socket_client);
    table.remove_idle(later);
    assert!(table.is_idle());
    assert!(table.push(&client, chunk(b"pushed")));
    assert_eq!(&table.next_message(later).unwrap().bytes[..], b"pushed");
    drop(transport);
    table.remove_idle(later + IDLE_CONNECTION_TTL);
    assert!(!table.push(&client, chunk(b"late")));
}

#[test]
fn sends_queued_data_before_close() {
    let (mut table, client, now) = table(None);
    assert!(table.push(&client, chunk(b"last")));
    table.close_after_queue(&client);
    assert!(!table.push(&client, chunk(b"late")));
    let message = table.next_message(now).unwrap();
    assert_eq!((&message.bytes[..], message.close), (&b"last"[..], true));
    assert!(table.find(&client).is_none());
}
