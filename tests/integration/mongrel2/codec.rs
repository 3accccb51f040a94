//! The Mongrel2 codec, tested with captures of Mongrel2 1.12.2 and with malformed messages.

use crate::support::fixtures::{self, Mongrel2Capture};
use brubeck_runtime::wire::ParseError;
use brubeck_runtime::wire::mongrel2::{
    self, ControlCommand, Incoming, MAX_HEADER_VALUES, MAX_TARGETS, Mongrel2DecodeError, Mongrel2Headers,
    Mongrel2Reply, Mongrel2Request, Protocol, decode, decode_reply,
};
use bytes::Bytes;
use std::collections::BTreeMap;

// ---- captures ------------------------------------------------------------------------------------

const IDENT: &str = "5f1c7a3e-1b2d-4c8f-9a60-8d2e4b7f0c11";

fn captures(kind: &str) -> Vec<Mongrel2Capture> {
    fixtures::mongrel2()
        .into_iter()
        .filter(|capture| capture.kind == kind)
        .collect()
}

fn capture(file: &str) -> Bytes {
    let found = fixtures::mongrel2()
        .into_iter()
        .find(|capture| capture.file == file);
    found.unwrap_or_else(|| panic!("no capture {file}")).frame
}

fn request(frame: impl Into<Bytes>) -> Mongrel2Request {
    match decode(&frame.into()) {
        Ok(Incoming::Request(request)) => request,
        other => panic!("not a request: {other:?}"),
    }
}

/// Returns a captured request in both protocols.
fn both(name: &str) -> [Mongrel2Request; 2] {
    ["json", "tnetstring"].map(|folder| request(capture(&format!("{folder}/{name}.bin"))))
}

/// Returns the request that encodes to the same bytes as a captured request or notice.
fn as_request(incoming: Incoming) -> Mongrel2Request {
    let notice = |ident, conn_id, headers: Mongrel2Headers, body: &'static str| {
        Mongrel2Request::new(ident, conn_id, "@*", headers, body)
    };
    match incoming {
        Incoming::Request(request) => request,
        Incoming::Disconnect { ident, conn_id } => notice(
            ident,
            conn_id,
            [("METHOD", "JSON")].into_iter().collect(),
            r#"{"type":"disconnect"}"#,
        ),
        Incoming::Credits {
            ident,
            conn_id,
            bytes,
        } => {
            let headers = [
                ("METHOD", "JSON".to_owned()),
                ("DOWNLOAD_CREDITS", bytes.to_string()),
            ];
            notice(
                ident,
                conn_id,
                headers.into_iter().collect(),
                r#"{"type":"credits"}"#,
            )
        }
        other => panic!("not expected in the captures: {other:?}"),
    }
}

#[test]
fn captured_requests_round_trip_byte_for_byte() {
    let mut counts = BTreeMap::new();
    for capture in captures("request") {
        let folder = capture.file.split('/').next().unwrap().to_owned();
        let (read, same) = counts.entry(folder.clone()).or_insert((0, 0));
        let incoming = decode(&capture.frame).unwrap_or_else(|error| panic!("{}: {error}", capture.file));
        *read += 1;
        let request = as_request(incoming);
        let protocol = if capture.protocol == "json" {
            Protocol::Json
        } else {
            Protocol::Tnetstring
        };
        let written = request.encode(protocol);
        if written == capture.frame {
            *same += 1;
        } else {
            // Mongrel2 writes the keys of a tnetstring in reverse order, except those of a credits notice.
            assert_eq!(capture.file, "tnetstring/flow_control_credits.bin");
        }
    }
    for (folder, (read, same)) in &counts {
        println!("{folder:10} {read:3} requests and notices decoded, {same:3} encoded to the same bytes");
    }
    let expected = [("demo", (9, 9)), ("json", (80, 80)), ("tnetstring", (79, 78))];
    assert_eq!(
        counts,
        expected
            .map(|(folder, counts)| (folder.to_owned(), counts))
            .into()
    );
}

#[test]
fn json_and_tnetstring_captures_decode_alike() {
    let mut pairs = 0;
    let all = captures("request");
    for json in all.iter().filter(|capture| capture.file.starts_with("json/")) {
        let name = json.file.trim_start_matches("json/");
        let Some(tagged) = all
            .iter()
            .find(|capture| capture.file == format!("tnetstring/{name}"))
        else {
            assert_eq!(
                name, "after_unknown_id.bin",
                "the only capture without a counterpart"
            );
            continue;
        };
        let [json, tagged] = [json, tagged].map(|capture| as_request(decode(&capture.frame).unwrap()));
        assert_eq!(json.path, tagged.path);
        assert_eq!(json.body, tagged.body, "{name}");
        let [json, tagged] = [json, tagged].map(|request| {
            let mut headers: Vec<_> = request
                .headers
                .iter()
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            headers.sort_by(|one, other| one.0.cmp(&other.0));
            // Upload file names and client certificates differ between the captures.
            for (name, value) in &mut headers {
                let upload = name.starts_with(b"x-mongrel2-upload") && value.starts_with(b"tmp/up.");
                if upload || name == "PEER_CERT_SHA1" {
                    *value = Bytes::new();
                }
            }
            headers
        });
        assert_eq!(json, tagged, "{name}");
        pairs += 1;
    }
    assert_eq!(pairs, 79);
}

#[test]
fn decoded_requests_equal_what_the_client_sent() {
    let mut compared = 0;
    for capture in captures("request") {
        let Some(sent) = &capture.sent_http_latin1 else {
            continue;
        };
        let Some((head, body)) = sent.split_once("\r\n\r\n") else {
            continue;
        };
        // Pipelined requests and uploads do not map to one message.
        if body.contains("HTTP/1.1") || head.contains("100-continue") || capture.file.contains("upload") {
            continue;
        }
        let latin1 = |text: &str| -> Vec<u8> { text.chars().map(|character| character as u8).collect() };
        let Ok(Incoming::Request(request)) = decode(&capture.frame) else {
            continue;
        };
        if request
            .headers
            .method()
            .is_some_and(|method| method.starts_with(b"WEBSOCKET"))
        {
            continue;
        }
        let mut lines = head.split("\r\n");
        let words: Vec<_> = lines.next().unwrap().split(' ').collect();
        assert_eq!(request.headers.method().unwrap(), words[0], "{}", capture.file);
        assert_eq!(request.headers.version().unwrap(), words[2], "{}", capture.file);
        assert_eq!(request.headers.path().unwrap(), &request.path, "{}", capture.file);
        assert_eq!(request.body, latin1(body), "{}", capture.file);

        let mut headers: Vec<(String, Vec<u8>)> = Vec::new();
        for (name, value) in lines.map(|line| line.split_once(':').unwrap()) {
            let name = name.to_ascii_lowercase();
            // Mongrel2 keeps five values of a header, and appends one to `x-forwarded-for`.
            let there = headers.iter().filter(|(other, _)| *other == name).count();
            if there < 5 && name != "x-forwarded-for" {
                headers.push((name, latin1(value.trim_start_matches([' ', '\t']))));
            }
        }
        headers.sort_by(|one, other| one.0.cmp(&other.0));
        let mut arrived: Vec<(String, Vec<u8>)> = request
            .headers
            .client_headers()
            .map(|(name, value)| (String::from_utf8(name.to_vec()).unwrap(), value.to_vec()))
            .filter(|(name, _)| name != "x-forwarded-for")
            .collect();
        arrived.sort_by(|one, other| one.0.cmp(&other.0));
        assert_eq!(arrived, headers, "{}", capture.file);
        compared += 1;
    }
    println!("{compared} requests compared with what the client sent");
    assert_eq!(compared, 72);
}

#[test]
fn captured_replies_round_trip_byte_for_byte() {
    let mut same = 0;
    for capture in captures("reply") {
        let Mongrel2Reply {
            ident,
            extended,
            ids,
            payload,
            ..
        } = decode_reply(&capture.frame).unwrap_or_else(|error| panic!("{}: {error}", capture.file));
        let command = capture.file.trim_start_matches("wire/reply_");
        let mut written = match (extended, payload.as_ref()) {
            (true, _) if command.starts_with("ctl_keep_alive") => {
                mongrel2::control(&ident, &ids, ControlCommand::KeepAlive)
            }
            (true, _) => mongrel2::control(&ident, &ids, ControlCommand::Cancel),
            (false, b"") => mongrel2::close(&ident, &ids),
            (false, payload) => mongrel2::reply(&ident, &ids, payload),
        }
        .unwrap();
        assert_eq!(written.next().as_ref(), Some(&capture.frame), "{}", capture.file);
        assert_eq!(written.next(), None);
        same += 1;
    }
    println!("{same} replies decoded, and encoded to the same bytes");
    assert_eq!(same, 33);
}

#[test]
fn client_receives_the_payloads_in_order() {
    let payload = |file: &str| decode_reply(&capture(file)).unwrap().payload;
    for (name, parts) in [
        ("normal", 0),
        ("close_only", 0),
        ("head_with_body", 0),
        ("then_close", 2),
        ("chunked", 4),
        ("websocket", 6),
    ] {
        let joined: Vec<u8> = match parts {
            0 => payload(&format!("wire/reply_{name}.bin")).to_vec(),
            _ => (1..=parts)
                .flat_map(|part| payload(&format!("wire/reply_{name}-{part}.bin")))
                .collect(),
        };
        assert_eq!(capture(&format!("wire/client_{name}.bin")), joined, "{name}");
    }
}

// ---- requests ------------------------------------------------------------------------------------

#[test]
fn plain_request_is_decoded() {
    for request in both("get_query_cookies") {
        assert_eq!(request.ident, IDENT);
        assert_eq!(request.conn_id, "2");
        assert_eq!(request.path, "/a/b.html");
        let headers = &request.headers;
        assert_eq!(headers.method().unwrap(), "GET");
        assert_eq!(headers.uri().unwrap(), "/a/b.html?x=1&y=%20z&x=2&flag");
        assert_eq!(headers.query().unwrap(), "x=1&y=%20z&x=2&flag");
        assert_eq!(headers.version().unwrap(), "HTTP/1.1");
        assert_eq!(headers.pattern().unwrap(), "/");
        assert_eq!(headers.url_scheme().unwrap(), "http");
        assert_eq!(headers.remote_addr(), Some([127, 0, 0, 1].into()));
        assert_eq!(headers.get("cookie").unwrap(), r#"sid=abc123; theme="dark"; e="#);
        assert_eq!(headers.get("Cookie"), None);
        assert!(request.body.is_empty());
    }
}

#[test]
fn fragment_is_decoded_and_absent_query_differs_from_empty_query() {
    assert!(
        both("get_minimal")
            .iter()
            .all(|request| request.headers.query().is_none())
    );
    assert!(
        both("get_empty_query")
            .iter()
            .all(|request| request.headers.query().unwrap().is_empty())
    );
    assert!(
        both("get_fragment")
            .iter()
            .all(|request| request.headers.fragment().unwrap() == "frag")
    );
}

#[test]
fn repeated_headers_keep_their_values_in_order() {
    for request in both("dup_headers") {
        let values: Vec<_> = request.headers.get_all("x-a").collect();
        assert_eq!(values, ["one", "two", r#""th\ree""#]);
        assert_eq!(request.headers.get("x-a").unwrap(), "one");
        assert_eq!(request.headers.get_all("cookie").count(), 2);
    }
    for request in both("dup_headers_over_limit") {
        assert_eq!(request.headers.get_all("x-a").count(), 5);
    }
}

#[test]
fn client_headers_cannot_forge_mongrel2_keys() {
    for request in both("forged_special_headers") {
        assert_eq!(request.headers.method().unwrap(), "GET");
        assert_eq!(request.headers.remote_addr(), Some([127, 0, 0, 1].into()));
        let own: Vec<_> = request
            .headers
            .mongrel2_headers()
            .map(|(name, _)| name.clone())
            .collect();
        let mut sorted = own.clone();
        sorted.sort();
        assert_eq!(
            sorted,
            [
                "METHOD",
                "PATH",
                "PATTERN",
                "REMOTE_ADDR",
                "URI",
                "URL_SCHEME",
                "VERSION"
            ]
        );
    }
}

#[test]
fn header_values_keep_control_and_non_utf8_bytes() {
    for request in both("header_control_chars") {
        assert_eq!(request.headers.get("x-c").unwrap(), &b"a\x01b\tc\x1b[0m\x08"[..]);
    }
    for request in both("header_latin1_not_utf8") {
        assert_eq!(request.headers.get("x-b").unwrap(), &b"caf\xe9 \xff\x80"[..]);
    }
}

#[test]
fn backslash_in_a_header_is_not_an_escape() {
    let headers = |block: &str| {
        request(format!("m 1 / {}:{block},0:,", block.len()))
            .headers
            .get("a")
            .unwrap()
            .clone()
    };
    // Mongrel2 doubles each backslash of the client, so `\n`, `\u0041` and `\\"` of the client are not escapes.
    assert_eq!(headers(r#"{"a":"\\n\\u0041"}"#), r"\n\u0041");
    assert_eq!(headers(r#"{"a":"\\\\\""}"#), r#"\\""#);
    // Escapes that JSON libraries write and Mongrel2 does not.
    assert_eq!(
        headers(r#"{ "a" : "\/\n\u00e9\ud83d\ude00\b\f\r\t" }"#),
        "/\n\u{e9}\u{1f600}\u{8}\u{c}\r\t"
    );
    for client in [r"\n", r#"\""#, r"\\", r"\u0041", "\\", "\"", "\"}\"", "\u{1}\\"] {
        let sent: Mongrel2Headers = [("a", client.to_owned())].into_iter().collect();
        for protocol in [Protocol::Json, Protocol::Tnetstring] {
            let frame = Mongrel2Request::new("m", "1", "/", sent.clone(), "").encode(protocol);
            assert_eq!(request(frame).headers, sent);
        }
    }
}

#[test]
fn invalid_json_headers_are_rejected() {
    for block in [
        "",
        "{",
        "[]",
        "null",
        "{}x",
        "{,}",
        r#"{"a"}"#,
        r#"{"a":}"#,
        r#"{"a":1}"#,
        r#"{"a":null}"#,
        r#"{"a":{}}"#,
        r#"{"a":[1]}"#,
        r#"{"a":["b",]}"#,
        r#"{"a":["b""#,
        r#"{"a":"b",}"#,
        r#"{"a":"b""#,
        r#"{"a":"b"#,
        r#"{"a":"\x"}"#,
        r#"{"a":"\u12"}"#,
        r#"{"a":"\ud800"}"#,
        r#"{"a":"\ud800\u0041"}"#,
        r#"{"a":"\udc00"}"#,
        r#"{"a":"\"}"#,
        r#"{a:"b"}"#,
        r#"{"a":[["b"]]}"#,
    ] {
        let error = decode(&format!("m 1 / {}:{block},0:,", block.len()).into()).unwrap_err();
        assert_eq!(error.connection(), Some(("m".into(), "1".into())), "{block}");
    }
}

#[test]
fn invalid_tnetstring_headers_are_rejected() {
    for block in [
        "1:a",
        "1:a,",
        "1:a,1:1#",
        "1:a,0:~",
        "0:~0:,",
        "1:a,3:1:b]",
        "1:a,4:1:b#]",
        "1:a,9:b,",
        "x",
    ] {
        let error = decode(&format!("m 1 / {}:{block}}}0:,", block.len()).into()).unwrap_err();
        assert_eq!(error.connection(), Some(("m".into(), "1".into())), "{block}");
    }
    assert!(request("m 1 / 7:1:a,0:]}0:,").headers.is_empty());
}

#[test]
fn decode_error_carries_the_connection_if_it_was_read() {
    let error = |frame: &'static str| -> Mongrel2DecodeError {
        decode(&Bytes::from_static(frame.as_bytes())).unwrap_err()
    };
    for frame in ["", " ", "m", "m ", "m 1", "m  / 2:{},0:,", " 1 / 2:{},0:,"] {
        assert_eq!(error(frame).connection(), None, "{frame}");
    }
    for frame in [
        "m 1 ",
        "m 1 /",
        "m 1 / ",
        "m 1  2:{},0:,",
        "m 1 / 2:{}",
        "m 1 / 2:{},",
        "m 1 / 2:{};0:,",
        "m 1 / 2:{},0:",
        "m 1 / 2:{},0:}",
        "m 1 / 2:{},1:,",
        "m 1 / 2:{},0:,x",
        "m 1 / 2:{},-1:,",
        "m 1 / 9999999999:{},0:,",
        "m 1 / 12345678901:{},0:,",
        "m 1 / :{},0:,",
    ] {
        assert!(error(frame).connection().is_some(), "{frame}");
    }
    let surplus = error("m 1 / 2:{},0:,x");
    assert_eq!(*surplus.reason(), ParseError::Trailing { at: 14, left: 1 });
}

#[test]
fn header_value_limit_is_enforced() {
    for protocol in [Protocol::Json, Protocol::Tnetstring] {
        let block = |count: usize| {
            let headers: Mongrel2Headers = (0..count).map(|_| ("a", "")).collect();
            decode(&Mongrel2Request::new("m", "1", "/", headers, "").encode(protocol))
        };
        assert!(block(MAX_HEADER_VALUES).is_ok());
        let error = block(MAX_HEADER_VALUES + 1).unwrap_err();
        assert!(matches!(
            error.reason(),
            ParseError::TooMany {
                limit: MAX_HEADER_VALUES,
                ..
            }
        ));
    }
}

#[test]
fn websocket_frame_flags_are_decoded() {
    for (name, flags) in [
        ("ws_text", 0x81),
        ("ws_pong", 0x8A),
        ("ws_rsv1", 0xC1),
        ("ws_close", 0x88),
    ] {
        for request in both(name) {
            assert_eq!(request.headers.method().unwrap(), "WEBSOCKET");
            assert_eq!(request.headers.flags(), Some(flags));
        }
    }
    assert!(
        both("ws_handshake")
            .iter()
            .all(|request| request.body == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    );
    for flags in ["81", "0x", "0x100", "0x+1", "0xG"] {
        assert_eq!(
            [("FLAGS", flags)]
                .into_iter()
                .collect::<Mongrel2Headers>()
                .flags(),
            None,
            "{flags}"
        );
    }
}

#[test]
fn upload_credit_and_certificate_headers_are_decoded() {
    for request in both("upload_stream_first") {
        assert_eq!(request.headers.upload_stream(), Some(0));
        assert!(!request.headers.upload_stream_done());
    }
    for request in both("upload_stream_next-2") {
        assert_eq!(request.headers.method(), None);
        assert!(request.headers.upload_stream().unwrap() > 0);
        assert!(request.headers.upload_stream_done());
    }
    assert!(
        both("flow_control_request")
            .iter()
            .all(|r| r.headers.download_credits() == Some(102_400))
    );
    assert!(
        both("https_client_cert")
            .iter()
            .all(|r| r.headers.peer_cert_sha1().unwrap().len() == 42)
    );
}

#[test]
fn large_body_is_sliced_not_copied() {
    let headers: Mongrel2Headers = [("METHOD", "POST")].into_iter().collect();
    for protocol in [Protocol::Json, Protocol::Tnetstring] {
        let frame =
            Mongrel2Request::new("m", "1", "/", headers.clone(), vec![b'x'; 1 << 20]).encode(protocol);
        let request = request(frame.clone());
        assert_eq!(request.body.len(), 1 << 20);
        assert!(frame.as_ptr_range().contains(&request.body.as_ptr()));
        assert!(
            frame
                .as_ptr_range()
                .contains(&request.headers.method().unwrap().as_ptr())
        );
    }
}

// ---- notices -------------------------------------------------------------------------------------

#[test]
fn disconnect_notice_is_decoded_in_both_protocols() {
    for folder in ["json", "tnetstring"] {
        for name in [
            "client_disconnect_disconnect",
            "ws_protocol_error_disconnect",
            "upload_aborted-2",
        ] {
            let incoming = decode(&capture(&format!("{folder}/{name}.bin"))).unwrap();
            let Incoming::Disconnect { ident, conn_id } = incoming else {
                panic!("{incoming:?}")
            };
            assert_eq!(ident, IDENT);
            assert!(!conn_id.is_empty());
        }
    }
}

#[test]
fn credits_notice_is_decoded_in_both_protocols() {
    for folder in ["json", "tnetstring"] {
        let incoming = decode(&capture(&format!("{folder}/flow_control_credits.bin"))).unwrap();
        let expected = Incoming::Credits {
            ident: IDENT.into(),
            conn_id: "1".into(),
            bytes: 66,
        };
        assert_eq!(incoming, expected);
    }
}

#[test]
fn notice_forged_by_a_client_is_a_request() {
    for request in both("json_socket_forged_disconnect") {
        assert_eq!(request.path, "@chat");
        assert_eq!(request.body, r#"{"type":"disconnect"}"#);
    }
    let disconnect = r#"{"type":"disconnect"}"#;
    let credits = r#"{"type":"credits"}"#;
    for (path, headers, body) in [
        // A route `@` lets clients send to this path, but then Mongrel2 adds their address.
        (
            "@*",
            vec![("METHOD", "JSON"), ("REMOTE_ADDR", "10.0.0.1")],
            disconnect,
        ),
        ("@*", vec![("METHOD", "JSON"), ("PATH", "@*")], disconnect),
        (
            "@*",
            vec![("METHOD", "JSON"), ("x-forwarded-for", "10.0.0.1")],
            disconnect,
        ),
        ("@*", vec![("METHOD", "JSON"), ("METHOD", "JSON")], disconnect),
        ("@*", vec![("METHOD", "GET")], disconnect),
        ("@*", vec![], disconnect),
        ("@*", vec![("method", "JSON")], disconnect),
        ("@*", vec![("METHOD", "JSON")], r#"{"type": "disconnect"}"#),
        ("@*", vec![("METHOD", "JSON")], r#"{"type":"other"}"#),
        ("@*", vec![("METHOD", "JSON")], credits),
        (
            "@*",
            vec![("METHOD", "JSON"), ("DOWNLOAD_CREDITS", "-1")],
            credits,
        ),
        (
            "@*",
            vec![("METHOD", "JSON"), ("DOWNLOAD_CREDITS", "7")],
            disconnect,
        ),
        (
            "@*",
            vec![
                ("METHOD", "JSON"),
                ("DOWNLOAD_CREDITS", "7"),
                ("REMOTE_ADDR", "10.0.0.1"),
            ],
            credits,
        ),
        ("@**", vec![("METHOD", "JSON")], disconnect),
        ("/@*", vec![("METHOD", "JSON")], disconnect),
    ] {
        let sent = Mongrel2Request::new("m", "1", path, headers.into_iter().collect(), body);
        for protocol in [Protocol::Json, Protocol::Tnetstring] {
            assert_eq!(request(sent.encode(protocol)), sent);
        }
    }
}

// ---- replies -------------------------------------------------------------------------------------

#[test]
fn replies_to_many_connections_are_split_by_target_limit() {
    let ids: Vec<String> = (0..300).map(|id: u32| id.to_string()).collect();
    let replies = mongrel2::reply(b"m", &ids, b"hello").unwrap();
    assert_eq!(replies.size_hint(), (3, Some(3)));
    let replies: Vec<Mongrel2Reply> = replies.map(|frame| decode_reply(&frame).unwrap()).collect();
    assert_eq!(
        replies.iter().map(|reply| reply.ids.len()).collect::<Vec<_>>(),
        [128, 128, 44]
    );
    let reached: Vec<_> = replies.iter().flat_map(|reply| &reply.ids).collect();
    assert!(reached.into_iter().eq(ids.iter()));
    assert!(
        replies
            .iter()
            .all(|reply| reply.payload == "hello" && !reply.extended)
    );

    for frame in mongrel2::control(b"m", &ids, ControlCommand::KeepAlive).unwrap() {
        let reply = decode_reply(&frame).unwrap();
        assert!(reply.extended && reply.ids.len() < MAX_TARGETS);
        assert_eq!(reply.payload, "28:3:ctl,18:10:keep-alive,1:1#}]");
    }
}

#[test]
fn credits_of_any_size_are_encoded() {
    for bytes in [0, 1, u32::MAX] {
        let frame = mongrel2::control(b"m", &["1"], ControlCommand::Credits(bytes))
            .unwrap()
            .next()
            .unwrap();
        assert!(frame.ends_with(format!("{bytes}#}}]").as_bytes()));
        brubeck_runtime::wire::tnetstring::decode(&decode_reply(&frame).unwrap().payload).unwrap();
    }
}

#[test]
fn invalid_reply_is_not_encoded() {
    for ident in ["", "a b", "a_b", "a.b", "\u{e9}"] {
        assert_eq!(
            mongrel2::reply(ident.as_bytes(), &["1"], b"x")
                .unwrap_err()
                .field(),
            "ident",
            "{ident}"
        );
    }
    assert_eq!(mongrel2::close(b"m", &[] as &[&str]).unwrap_err().field(), "ids");
    for id in ["", " ", "1 2", "-1", "+1", "1,", "X", "a", "12345678901"] {
        assert_eq!(
            mongrel2::reply(b"m", &["1", id], b"x").unwrap_err().field(),
            "ids",
            "{id}"
        );
    }
    assert_eq!(mongrel2::reply(b"m", &["1"], b"").unwrap_err().field(), "payload");
    assert!(mongrel2::reply(b"m", &["0000000001"], b"x").is_ok());
}

#[test]
fn replies_are_decoded_as_strictly_as_mongrel2_does() {
    let many = (0..=MAX_TARGETS).map(|_| "1").collect::<Vec<_>>().join(" ");
    let many = format!("m {}:{many}, x", many.len());
    for frame in [
        "",
        "m",
        "m 1:1",
        "m 1:1,",
        "m 1:1,x",
        "m 0:, x",
        "m 2:1, x",
        "m 1:1; x",
        "a_b 1:1, x",
        " 1:1, x",
        "m 4:1  2, x",
        "m 3:1,2, x",
        "m 2:X , x",
        "m 2:-1, x",
        "m 3: 12, x",
        "m 1: , x",
        &many,
    ] {
        assert!(
            decode_reply(&Bytes::copy_from_slice(frame.as_bytes())).is_err(),
            "{frame}"
        );
    }
    let spaced = decode_reply(&Bytes::from_static(b"m 4:1 2 ,  x")).unwrap();
    assert_eq!((spaced.ids.len(), spaced.payload.as_ref()), (2, b" x".as_slice()));
}
