//! Broadcasts in bursts, to members that read and to members that do not, on both front ends.

use crate::support::logs::CapturedLogs;
use crate::support::test_bed::{Configure, TestBed, default_settings, wait_until};
use crate::support::websocket::{Frame, WebSocketClient, frame};
use crate::support::{Gate, env_number, with_timeout};
use brubeck::prelude::*;
use std::time::{Duration, Instant};

/// The number of small messages of a burst. `BRUBECK_BURST=100000` sends more.
fn burst() -> u32 {
    env_number("BRUBECK_BURST", 10_000)
}

#[websocket("^/room$")]
async fn member(mut socket: WebSocket, room: State<Broadcast>) {
    let _subscription = room.join(&socket);
    while socket.recv().await.is_some() {}
}

#[get("^/burst$")]
async fn send_burst(count: Arg<u32>, room: State<Broadcast>) -> String {
    for n in 0..*count {
        room.send(n.to_string()).await;
    }
    room.len().to_string()
}

#[get("^/large$")]
async fn send_large(count: Arg<u32>, bytes: Arg<usize>, room: State<Broadcast>) -> String {
    for n in 0..*count {
        room.send(padded(n, *bytes)).await;
    }
    room.len().to_string()
}

/// A number, and spaces up to a size.
fn padded(number: u32, bytes: usize) -> String {
    let mut text = number.to_string();
    text += &" ".repeat(bytes - text.len());
    text
}

/// Repeats what a client sends to all, and keeps the client from the second message on.
#[websocket("^/stay$")]
async fn stay(mut socket: WebSocket, room: State<Broadcast>) {
    while let Some(message) = socket.recv().await {
        room.until_closed(&socket.sender());
        room.send(message).await;
    }
}

/// Does what the client says, and answers with the number of members.
#[websocket("^/steps$")]
async fn steps(mut socket: WebSocket, room: State<Broadcast>) {
    let mut subscriptions = Vec::new();
    while let Some(message) = socket.recv().await {
        match message.text() {
            Some("join") => subscriptions.push(room.join(&socket)),
            Some("join sender") => subscriptions.push(room.join_sender(&socket.sender().clone())),
            Some("stay") => room.until_closed(&socket.sender()),
            Some("leave") => drop(subscriptions.pop()),
            _ => drop(room.send("news").await),
        }
        let _ = socket.send(format!("{} members", room.len())).await;
    }
}

/// Closes, and answers another message with what sending returns.
#[websocket("^/close$")]
async fn close(mut socket: WebSocket, room: State<Broadcast>, results: State<Results>) {
    let (sender, _subscription) = (socket.sender(), room.join(&socket));
    let _ = socket.recv().await;
    socket.close(Close::new(4001, "bye"));
    let closed = [
        socket.send("after").await,
        sender.send("after").await,
        sender.clone().send("after").await,
    ];
    // No frame may follow the close frame.
    room.send("after").await;
    let _ = results.0.0.send(closed.iter().all(Result::is_err));
    while socket.recv().await.is_some() {}
}

/// Receives nothing until the test says so, and then repeats everything.
#[websocket("^/busy$")]
async fn busy(mut socket: WebSocket, gate: State<Gate>) {
    gate.pass().await;
    let mut count = 0;
    while socket.recv().await.is_some() {
        count += 1;
        if count == 3001 {
            let _ = socket.send("received 3001").await;
        }
    }
    let reason = socket.ended().map(ToString::to_string).unwrap_or_default();
    println!("{count} messages, then {reason}");
    gate.signal_arrival();
}

#[websocket("^/limited$")]
async fn limited(mut socket: WebSocket) {
    while let Some(message) = socket.recv().await {
        let _ = socket.send(message.as_bytes().len().to_string()).await;
    }
}

#[get("^/limited-upgrade$")]
async fn limited_upgrade(upgrade: Upgrade) -> Response {
    upgrade.on(async |mut socket: WebSocket| {
        while let Some(message) = socket.recv().await {
            let _ = socket.send(message.as_bytes().len().to_string()).await;
        }
    })
}

#[websocket("^/unlimited$")]
async fn unlimited(mut socket: WebSocket) {
    while let Some(message) = socket.recv().await {
        let _ = socket.send(message.as_bytes().len().to_string()).await;
    }
}

#[derive(Clone)]
struct Results(tokio::sync::mpsc::UnboundedSender<bool>);

#[derive(AppState)]
struct Site {
    room: Broadcast,
    gate: Gate,
    results: Results,
}

const ROUTES: Routes<Site> = routes![
    member,
    send_burst,
    send_large,
    stay,
    steps,
    close,
    busy,
    limited,
    limited_upgrade,
    unlimited
];

/// A running application, and what its handlers share with the test.
struct Setup {
    test_bed: TestBed,
    room: Broadcast,
    gate: Gate,
    results: tokio::sync::mpsc::UnboundedReceiver<bool>,
}

/// The control port tells what each client has read.
const WITH_CONTROL_PORT: Configure =
    |config, link, folder| (config, link.control(format!("ipc://{folder}/control")));

async fn setup(front_end: Option<Configure>) -> Option<Setup> {
    let (room, gate) = (Broadcast::new(), Gate::new());
    let (sender, results) = tokio::sync::mpsc::unbounded_channel();
    let site = Site {
        room: room.clone(),
        gate: gate.clone(),
        results: Results(sender),
    };
    let app = App::new(ROUTES, site)
        .message_limit(1000)
        .limit::<limited>(Limits::new().message_limit(100))
        .limit::<limited_upgrade>(Limits::new().message_limit(2_000_000));
    let test_bed = match front_end {
        Some(configure) => TestBed::mongrel2(app, configure).await?,
        None => TestBed::embedded(app).await,
    };
    Some(Setup {
        test_bed,
        room,
        gate,
        results,
    })
}

/// The front ends: the embedded server, and Mongrel2.
const FRONT_ENDS: [Option<Configure>; 2] = [None, Some(default_settings)];

impl Setup {
    async fn members(&self, count: usize) -> Vec<WebSocketClient> {
        let mut members = Vec::new();
        for _ in 0..count {
            members.push(WebSocketClient::open(self.test_bed.address, "/room").await);
        }
        wait_until(|| self.room.len() == count).await;
        members
    }

    async fn get(&self, target: &str) -> String {
        let response = self.test_bed.browser().await.get(target).await;
        assert_eq!(response.status, 200, "{target}");
        response.text().to_owned()
    }
}

/// Reads the messages of both bursts, which must come in their order.
async fn read_bursts(mut member: WebSocketClient, small: u32, large: u32) {
    for n in 0..small {
        assert_eq!(member.recv_text().await, n.to_string());
    }
    for n in 0..large {
        let text = member.recv_text().await;
        assert_eq!((text.len(), text.trim_end().parse()), (100_000, Ok(n)));
    }
    member.send(0x88, b"\x03\xe8").await;
}

async fn bursts_reach_all_members(front_end: Option<Configure>, large: u32) {
    let Some(setup) = setup(front_end).await else {
        return;
    };
    let members = setup.members(10).await;
    let small = burst();
    let reading = Vec::from_iter(
        members
            .into_iter()
            .map(|member| tokio::spawn(read_bursts(member, small, large))),
    );
    assert_eq!(setup.get(&format!("/burst?count={small}")).await, "10");
    assert_eq!(
        setup.get(&format!("/large?count={large}&bytes=100000")).await,
        "10"
    );
    for member in reading {
        member.await.expect("all messages in their order");
    }
    wait_until(|| setup.room.is_empty()).await;
    setup.test_bed.stop().await;
}

#[tokio::test]
async fn bursts_reach_all_members_on_one_thread() {
    bursts_reach_all_members(None, 60).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn bursts_reach_all_members_on_several_threads() {
    bursts_reach_all_members(None, 60).await;
}

/// Without its control port, Mongrel2 disconnects members that read less than a MiB per second.
#[tokio::test]
async fn burst_of_small_messages_reaches_all_members_behind_mongrel2() {
    bursts_reach_all_members(Some(default_settings), 0).await;
}

#[tokio::test]
async fn bursts_reach_all_members_behind_mongrel2_on_one_thread() {
    bursts_reach_all_members(Some(WITH_CONTROL_PORT), 60).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn bursts_reach_all_members_behind_mongrel2_on_several_threads() {
    bursts_reach_all_members(Some(WITH_CONTROL_PORT), 60).await;
}

/// A member reads nothing, while another one gets 100 MB.
async fn silent_member_is_cut_off(front_end: Option<Configure>) {
    let logs = CapturedLogs::start(tracing::Level::INFO);
    let Some(setup) = setup(front_end).await else {
        return;
    };
    let mut members = setup.members(2).await;
    let (mut silent, reader) = (members.remove(0), members.remove(0));
    let reading = tokio::spawn(read_bursts(reader, 0, 1000));
    let target = "/large?count=1000&bytes=100000";
    let mut browser = setup.test_bed.browser().await;
    let sending = tokio::spawn(async move { browser.get(target).await.status });
    // Its handler has ended.
    wait_until(|| setup.room.len() == 1).await;
    // It reads again: messages in order, then the reason.
    let mut next = 0;
    loop {
        match silent.recv_frame().await {
            Some(Frame { first: 0x81, payload }) => {
                assert_eq!(payload, padded(next, 100_000).into_bytes());
                next += 1;
            }
            Some(Frame { first: 0x88, payload }) => {
                assert_eq!(payload, b"\x03\xf0the client does not read its messages");
                break;
            }
            other => panic!("expected the reason, got {other:?}"),
        }
    }
    assert!(next < 1000, "{next} messages");
    reading.await.expect("all messages");
    assert_eq!(sending.await.expect("a response"), 200);
    wait_until(|| setup.room.is_empty()).await;
    assert_eq!(logs.count("does not read its messages"), 1, "{}", logs.text());
    setup.test_bed.stop().await;
}

#[tokio::test]
async fn member_that_reads_nothing_is_told_and_logged_once() {
    silent_member_is_cut_off(None).await;
}

#[tokio::test]
async fn member_that_reads_nothing_is_told_and_logged_once_behind_mongrel2() {
    silent_member_is_cut_off(Some(WITH_CONTROL_PORT)).await;
}

/// Reads large messages in their order, and returns the longest time without one after the first.
async fn longest_gap(mut member: WebSocketClient, count: u32) -> Duration {
    let (mut gap, mut last) = (Duration::ZERO, None);
    for n in 0..count {
        let text = member.recv_text().await;
        assert_eq!(text.trim_end().parse(), Ok(n));
        let now = Instant::now();
        gap = gap.max(now - last.replace(now).unwrap_or(now));
    }
    gap
}

/// Some members read nothing, while others get 40 MB: the longest gap between the messages of the others.
async fn gap_beside_silent_members(front_end: Option<Configure>, silent: usize) -> Option<Duration> {
    let setup = setup(front_end).await?;
    let mut members = setup.members(silent + 2).await;
    let readers = members.split_off(silent);
    let reading = Vec::from_iter(
        readers
            .into_iter()
            .map(|reader| tokio::spawn(longest_gap(reader, 400))),
    );
    setup.get("/large?count=400&bytes=100000").await;
    let mut longest = Duration::ZERO;
    for reader in reading {
        longest = longest.max(reader.await.expect("all messages in their order"));
    }
    drop(members);
    setup.test_bed.stop().await;
    Some(longest)
}

/// Whatever else runs on the machine causes gaps, too. So a gap is compared with one without silent members, and one of a few attempts has to
/// succeed.
async fn silent_members_do_not_delay_the_others(front_end: Option<Configure>) {
    let mut gaps = Vec::new();
    for _ in 0..10 {
        let Some(usual) = gap_beside_silent_members(front_end, 0).await else {
            return;
        };
        let Some(gap) = gap_beside_silent_members(front_end, 20).await else {
            return;
        };
        println!("{gap:?} without a message beside silent members, {usual:?} without them");
        if gap < usual + Duration::from_millis(100) {
            return;
        }
        gaps.push((gap, usual));
    }
    panic!("{gaps:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_members_delay_the_others_by_less_than_100_ms() {
    silent_members_do_not_delay_the_others(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_members_delay_the_others_by_less_than_100_ms_behind_mongrel2() {
    silent_members_do_not_delay_the_others(Some(WITH_CONTROL_PORT)).await;
}

const LARGE_MESSAGES: u32 = 4;
const LARGE_BYTES: usize = 20_000_000;

/// Reads messages of 20 MB, with a pause after each MiB.
async fn read_large(mut member: WebSocketClient, pause: Duration) {
    for n in 0..LARGE_MESSAGES {
        let frame = member.recv_slowly(1 << 20, pause).await.expect("a message");
        assert_eq!((frame.first, frame.payload.len()), (0x81, LARGE_BYTES));
        assert!(frame.payload.starts_with(format!("{n} ").as_bytes()));
    }
}

/// Members that read at once, at 50 MB/s and at 10 MB/s get messages of 20 MB.
async fn large_messages_reach_members_that_read(front_end: Option<Configure>) {
    let Some(setup) = setup(front_end).await else {
        return;
    };
    let members = setup.members(6).await;
    let pauses = [0, 0, 0, 20, 20, 100].map(Duration::from_millis);
    let reading = Vec::from_iter(
        members
            .into_iter()
            .zip(pauses)
            .map(|(member, pause)| tokio::spawn(read_large(member, pause))),
    );
    setup
        .get(&format!("/large?count={LARGE_MESSAGES}&bytes={LARGE_BYTES}"))
        .await;
    for member in reading {
        member.await.expect("all messages in their order");
    }
    setup.test_bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_20_megabytes_reach_members_that_read() {
    large_messages_reach_members_that_read(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_20_megabytes_reach_members_that_read_behind_mongrel2() {
    large_messages_reach_members_that_read(Some(WITH_CONTROL_PORT)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connection_is_one_member_however_often_it_joins() {
    for front_end in FRONT_ENDS {
        let Some(setup) = setup(front_end).await else {
            return;
        };
        let mut client = WebSocketClient::open(setup.test_bed.address, "/stay").await;
        for n in 0..5 {
            client.send_text(&format!("m{n}")).await;
        }
        for n in 0..5 {
            assert_eq!(client.recv_text().await, format!("m{n}"));
        }
        assert_eq!(setup.room.len(), 1);
        client.send(0x88, b"\x03\xe8").await;
        wait_until(|| setup.room.is_empty()).await;
        // Each step with the number of members after it; "news" is sent to them.
        let sequences: [&[(&str, usize)]; 6] = [
            &[("news", 0), ("join", 1), ("news", 1), ("leave", 0), ("news", 0)],
            &[
                ("join", 1),
                ("join", 1),
                ("news", 1),
                ("leave", 1),
                ("news", 1),
                ("leave", 0),
            ],
            &[
                ("join", 1),
                ("join sender", 1),
                ("leave", 1),
                ("leave", 0),
                ("news", 0),
            ],
            &[("stay", 1), ("stay", 1), ("news", 1), ("leave", 1), ("news", 1)],
            &[
                ("join", 1),
                ("stay", 1),
                ("leave", 1),
                ("news", 1),
                ("join", 1),
                ("news", 1),
                ("leave", 1),
            ],
            &[
                ("stay", 1),
                ("join", 1),
                ("news", 1),
                ("leave", 1),
                ("news", 1),
                ("leave", 1),
            ],
        ];
        for sequence in sequences {
            let mut client = WebSocketClient::open(setup.test_bed.address, "/steps").await;
            for (step, members) in sequence {
                client.send_text(step).await;
                if *step == "news" && *members > 0 {
                    assert_eq!(client.recv_text().await, "news", "{sequence:?}");
                }
                assert_eq!(
                    client.recv_text().await,
                    format!("{members} members"),
                    "{sequence:?}"
                );
            }
            client.send(0x88, b"\x03\xe8").await;
            wait_until(|| setup.room.is_empty()).await;
        }
        setup.test_bed.stop().await;
    }
}

#[tokio::test]
async fn opening_a_websocket_logs_no_error() {
    let logs = CapturedLogs::start(tracing::Level::ERROR);
    for front_end in FRONT_ENDS {
        let Some(setup) = setup(front_end).await else {
            return;
        };
        drop(setup.members(1).await);
        setup.test_bed.stop().await;
    }
    assert_eq!(logs.text(), "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sending_fails_once_the_handler_has_closed() {
    for front_end in FRONT_ENDS {
        let Some(mut setup) = setup(front_end).await else {
            return;
        };
        let mut client = WebSocketClient::open(setup.test_bed.address, "/close").await;
        client.send_text("close").await;
        let frame = client.recv_frame().await.expect("a close frame");
        assert_eq!((frame.first, &frame.payload[..]), (0x88, &b"\x0f\xa1bye"[..]));
        assert_eq!(with_timeout(setup.results.recv()).await, Some(true));
        client.send(0x88, b"\x0f\xa1").await;
        assert_eq!(client.recv_frame().await, None);
        setup.test_bed.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_wait_for_a_busy_handler() {
    for front_end in FRONT_ENDS {
        let Some(setup) = setup(front_end).await else {
            return;
        };
        let mut client = WebSocketClient::open(setup.test_bed.address, "/busy").await;
        setup.gate.wait_for_arrivals(1).await;
        for _ in 0..3001 {
            client.send_text("x").await;
        }
        // The pong shows that everything before it has arrived.
        client.send(0x89, b"").await;
        assert_eq!(client.recv_frame().await.map(|frame| frame.first), Some(0x8a));
        setup.gate.open(1);
        assert_eq!(client.recv_text().await, "received 3001");
        client.send(0x88, b"\x03\xe8").await;
        setup.gate.wait_for_arrivals(1).await;
        setup.test_bed.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_that_sends_too_much_to_a_busy_handler_behind_mongrel2_gets_the_reason() {
    let Some(setup) = setup(Some(default_settings)).await else {
        return;
    };
    let mut client = WebSocketClient::open(setup.test_bed.address, "/busy").await;
    setup.gate.wait_for_arrivals(1).await;
    let frames = frame(0x81, b"x").repeat(20_000);
    client.send_raw(&frames).await;
    // It goes on sending, and still gets the reason.
    client.send_raw(&frames).await;
    let frame = client.recv_frame().await.expect("a close frame");
    assert_eq!(
        (frame.first, &frame.payload[..]),
        (0x88, &b"\x03\xf0too many messages are waiting"[..])
    );
    // The handler still gets those that wait.
    setup.gate.open(1);
    setup.gate.wait_for_arrivals(1).await;
    setup.test_bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_server_slows_down_a_client_that_sends_too_much() {
    let Some(setup) = setup(None).await else { return };
    let mut client = WebSocketClient::open(setup.test_bed.address, "/busy").await;
    setup.gate.wait_for_arrivals(1).await;
    // More than all the buffers between the client and the handler.
    let frames = frame(0x81, &[b'x'; 900]).repeat(1000);
    let is_blocked = async {
        for _ in 0..100 {
            let sent = tokio::time::timeout(Duration::from_secs(2), client.write_raw(&frames)).await;
            if sent.is_err() {
                return true;
            }
        }
        false
    };
    assert!(is_blocked.await);
    setup.gate.open(1);
    assert_eq!(client.recv_text().await, "received 3001");
    setup.test_bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn route_has_its_own_limit_for_messages() {
    for front_end in FRONT_ENDS {
        let Some(setup) = setup(front_end).await else {
            return;
        };
        for (path, limit) in [
            ("/limited", 100),
            ("/unlimited", 1000),
            ("/limited-upgrade", 2_000_000),
        ] {
            let mut client = WebSocketClient::open(setup.test_bed.address, path).await;
            client.send(0x82, &vec![0; limit]).await;
            assert_eq!(client.recv_text().await, limit.to_string(), "{path}");
            // Also a message in fragments.
            client.send(0x02, &vec![0; limit / 2]).await;
            client.send(0x80, &vec![0; limit - limit / 2]).await;
            assert_eq!(client.recv_text().await, limit.to_string(), "{path}");
            client.send(0x82, &vec![0; limit + 1]).await;
            assert_eq!(client.recv_close().await, Some(1009), "{path}");
        }
        setup.test_bed.stop().await;
    }
}
