use super::*;

fn to_text(config: &Mongrel2Config) -> Result<String> {
    config.to_text("m2-1", "127.0.0.1:6767".parse().unwrap(), Path::new("/tmp/m2-1"))
}

/// A configuration with one handler.
fn config() -> Mongrel2Config {
    Mongrel2Config::bind("127.0.0.1:6767").handler("/", Mongrel2Handler::new("ipc://a", "ipc://b"))
}

#[test]
fn handlers_have_distinct_default_identities() {
    let text =
        to_text(&config().handler("/b/", Mongrel2Handler::new("ipc://c", "ipc://d").tnetstring())).unwrap();
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
fn setting_replaces_default() {
    let config = config()
        .setting("limits.buffer_size", "16384")
        .setting("upload.temp_store", "/tmp/u.XXXXXX");
    let text = to_text(&config).unwrap();
    assert!(
        text.contains(r#""limits.buffer_size": 16384, "upload.temp_store": "/tmp/u.XXXXXX"}"#),
        "{text}"
    );
    assert!(!text.contains("65536"), "{text}");
}

#[test]
fn rejects_invalid_configurations() {
    for config in [
        Mongrel2Config::bind("127.0.0.1:6767"),
        config().handler("/\"", Mongrel2Handler::new("ipc://a", "ipc://b")),
        config().handler("/b", Mongrel2Handler::new("ipc://a\nservers = []", "ipc://b")),
        config().handler(
            "/b",
            Mongrel2Handler::new("ipc://a", "ipc://b").idents("a_b", "a_b"),
        ),
        config().handler("/b", Mongrel2Handler::new("ipc://a", "ipc://b").idents("", "")),
        config().handler(
            "/b",
            Mongrel2Handler::new("ipc://a", "ipc://b").idents("one", "two"),
        ),
        config().setting("a\"b", "1"),
    ] {
        assert!(to_text(&config).is_err(), "{config:?}");
    }
    assert!(Mongrel2Config::bind("localhost").address().is_err());
}

#[test]
fn port_zero_selects_a_free_port() {
    let config = Mongrel2Config::bind("127.0.0.1:0");
    assert!(config.uses_any_port());
    assert_ne!(config.address().unwrap().port(), 0);
}

#[test]
fn routes_with_equal_handlers_share_one() {
    let text = to_text(&config().handler("/b", Mongrel2Handler::new("ipc://a", "ipc://b"))).unwrap();
    assert!(
        text.contains(r#"routes={"/": handler0, "/b": handler0}"#),
        "{text}"
    );
    assert!(!text.contains("handler1"), "{text}");
}

#[test]
fn upload_threshold_is_at_least_the_buffer_size() {
    let small = to_text(&config().body_limit(20_480).uploads("/tmp/u.XXXXXX")).unwrap();
    assert!(small.contains(r#""limits.content_length": 65536"#), "{small}");
    let set = config()
        .body_limit(20_480)
        .stream_uploads()
        .setting("limits.buffer_size", "16384");
    assert!(
        to_text(&set)
            .unwrap()
            .contains(r#""limits.content_length": 20480"#)
    );
    assert!(
        to_text(&config().body_limit(20_480))
            .unwrap()
            .contains(r#""limits.content_length": 20480"#)
    );
}
