//! What a Mongrel2 is told, and what it must not be told.

use super::*;

fn text(config: &Mongrel2Config) -> Result<String> {
    config.text("m2-1", "127.0.0.1:6767".parse().unwrap(), Path::new("/tmp/m2-1"))
}

fn one() -> Mongrel2Config {
    Mongrel2Config::bind("127.0.0.1:6767").handler("/", Mongrel2Handler::new("ipc://a", "ipc://b"))
}

#[test]
fn every_handler_has_an_identity_of_its_own() {
    let text = text(&one().handler("/b/", Mongrel2Handler::new("ipc://c", "ipc://d").tnetstring())).unwrap();
    assert!(text.contains(
        r#"handler0 = Handler(send_spec="ipc://a", send_ident="m2-1-0000", recv_spec="ipc://b", recv_ident="m2-1-0000", protocol="json", raw_payload=1)"#
    ), "{text}");
    assert!(text.contains(r#"send_ident="m2-1-0001", recv_spec="ipc://d", recv_ident="m2-1-0001", protocol="tnetstring", raw_payload=1)"#), "{text}");
    assert!(
        text.contains(r#"routes={"/": handler0, "/b/": handler1}"#),
        "{text}"
    );
}

#[test]
fn a_setting_replaces_the_one_that_is_there() {
    let config = one()
        .setting("limits.buffer_size", "16384")
        .setting("upload.temp_store", "/tmp/u.XXXXXX");
    let text = text(&config).unwrap();
    assert!(
        text.contains(r#""limits.buffer_size": 16384, "upload.temp_store": "/tmp/u.XXXXXX"}"#),
        "{text}"
    );
    assert!(!text.contains("65536"), "{text}");
}

#[test]
fn what_mongrel2_would_misread_is_refused() {
    for config in [
        Mongrel2Config::bind("127.0.0.1:6767"),
        one().handler("/\"", Mongrel2Handler::new("ipc://a", "ipc://b")),
        one().handler("/b", Mongrel2Handler::new("ipc://a\nservers = []", "ipc://b")),
        one().handler(
            "/b",
            Mongrel2Handler::new("ipc://a", "ipc://b").idents("a_b", "a_b"),
        ),
        one().handler("/b", Mongrel2Handler::new("ipc://a", "ipc://b").idents("", "")),
        one().handler(
            "/b",
            Mongrel2Handler::new("ipc://a", "ipc://b").idents("one", "two"),
        ),
        one().setting("a\"b", "1"),
    ] {
        assert!(text(&config).is_err(), "{config:?}");
    }
    assert!(Mongrel2Config::bind("localhost").address().is_err());
}

#[test]
fn port_zero_becomes_a_free_port() {
    let config = Mongrel2Config::bind("127.0.0.1:0");
    assert!(config.any_port());
    assert_ne!(config.address().unwrap().port(), 0);
}

#[test]
fn two_routes_to_one_handler_have_one_handler() {
    let text = text(&one().handler("/b", Mongrel2Handler::new("ipc://a", "ipc://b"))).unwrap();
    assert!(
        text.contains(r#"routes={"/": handler0, "/b": handler0}"#),
        "{text}"
    );
    assert!(!text.contains("handler1"), "{text}");
}

#[test]
fn an_upload_begins_beyond_what_is_read_at_once() {
    let small = text(&one().body_limit(20_480).uploads("/tmp/u.XXXXXX")).unwrap();
    assert!(small.contains(r#""limits.content_length": 65536"#), "{small}");
    let set = one()
        .body_limit(20_480)
        .stream_uploads()
        .setting("limits.buffer_size", "16384");
    assert!(text(&set).unwrap().contains(r#""limits.content_length": 20480"#));
    assert!(
        text(&one().body_limit(20_480))
            .unwrap()
            .contains(r#""limits.content_length": 20480"#)
    );
}
