use super::*;
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;

/// What the crate serde_bytes does for `Vec<u8>`.
mod as_bytes {
    use bytes::Bytes;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        Bytes::deserialize(deserializer).map(Vec::from)
    }
}

fn encode<T: Serialize + 'static>(value: &T) -> (Vec<u8>, Vec<Bytes>) {
    let (mut text, mut parts) = (Vec::new(), Vec::new());
    write(&mut text, &mut parts, value).unwrap();
    (text, parts)
}

fn round_trip<T: Serialize + DeserializeOwned + 'static>(value: &T) -> T {
    let (text, parts) = encode(value);
    read_owned(&text, &parts).unwrap()
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Picture {
    name: String,
    data: Bytes,
    #[serde(with = "as_bytes")]
    thumbnail: Vec<u8>,
    pages: Vec<Bytes>,
    note: Option<Bytes>,
    by_name: BTreeMap<String, Bytes>,
    shape: Shape,
    #[serde(flatten)]
    more: More,
    untagged: Untagged,
    tagged: Tagged,
    pair: (u8, Bytes),
    numbers: Vec<u8>,
    big: u128,
    any: Value,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Unit,
    New(Bytes),
    Tuple(Bytes, i64),
    Struct { inside: Bytes },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct More {
    flat: Bytes,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number(i64),
    Blob { blob: Bytes },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Tagged {
    Empty,
    Full { content: Bytes },
}

fn bytes() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..20).prop_map(Bytes::from)
}

fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![
        Just(Shape::Unit),
        bytes().prop_map(Shape::New),
        (bytes(), any::<i64>()).prop_map(|(bytes, number)| Shape::Tuple(bytes, number)),
        bytes().prop_map(|inside| Shape::Struct { inside }),
    ]
}

prop_compose! {
    fn picture()(
        name in ".{0,8}",
        data in bytes(),
        thumbnail in bytes(),
        pages in prop::collection::vec(bytes(), 0..70),
        note in prop::option::of(bytes()),
        by_name in prop::collection::btree_map("[$a-c]{1,3}", bytes(), 0..3),
        shape in shape(),
        flat in bytes(),
        untagged in prop_oneof![any::<i64>().prop_map(Untagged::Number), bytes().prop_map(|blob| Untagged::Blob { blob })],
        tagged in prop_oneof![Just(Tagged::Empty), bytes().prop_map(|content| Tagged::Full { content })],
        last in (any::<u8>(), bytes(), any::<u128>()),
    ) -> Picture {
        Picture {
            name, data, thumbnail: thumbnail.to_vec(), pages, note, by_name, shape, more: More { flat }, untagged, tagged,
            pair: (last.0, last.1), numbers: vec![1, 2], big: last.2, any: json!({"a": [1, null]}),
        }
    }
}

proptest! {
    #[test]
    fn bytes_anywhere_in_a_value_round_trip(picture in picture()) {
        let (text, parts) = encode(&picture);
        prop_assert!(parts.len() <= MAX_PARTS);
        // With more parts than the limit, the bytes beyond it are in the text. A buffered value is an array of numbers then, from
        // which `Bytes` can be read as well.
        prop_assert_eq!(read::<Picture>(&text, &parts).unwrap(), picture.clone());
        // Without parts, as in the dialects.
        let inlined = inline(text.into(), &parts);
        prop_assert_eq!(serde_json::from_slice::<Picture>(&inlined).unwrap(), picture);
    }

    #[test]
    fn arbitrary_text_and_parts_are_read_or_rejected(
        pieces in prop::collection::vec(
            prop::sample::select(vec![
                "{", "}", "[", "]", ",", ":", "\"$bytes\"", "0", "1", "-1", "1.5", "\"name\"", "\"data\"", "null", " ",
                "{\"$bytes\":0}", "{\"$bytes\":7}", "{\"$bytes\":0,\"a\":1}", "\"shape\":\"Unit\"",
            ]),
            0..12,
        ),
        count in 0_usize..3,
    ) {
        let text = pieces.concat();
        let parts = vec![Bytes::from_static(b"part"); count];
        // None of them panics.
        let _ = read::<Picture>(text.as_bytes(), &parts);
        let _ = read::<Untagged>(text.as_bytes(), &parts);
        let _ = read_owned::<Bytes>(text.as_bytes(), &parts);
        let _ = read_owned::<Vec<u8>>(text.as_bytes(), &parts);
        if let Ok(bytes) = read_owned::<Bytes>(text.as_bytes(), &parts) && text.trim_start().starts_with('{') {
            prop_assert_eq!(bytes, "part");
        }
    }
}

#[test]
fn whole_bytes_are_not_copied() {
    let data = Bytes::from(vec![7; 1000]);
    let (text, parts) = encode(&data);
    assert_eq!(text, br#"{"$bytes":0}"#);
    assert_eq!(parts[0].as_ptr(), data.as_ptr());
    let read: Bytes = read_owned(&text, &parts).unwrap();
    assert_eq!(read.as_ptr(), data.as_ptr());

    let vec = vec![7_u8; 1000];
    let at = vec.as_ptr();
    let (mut text, mut parts) = (Vec::new(), Vec::new());
    write_owned(&mut text, &mut parts, vec).unwrap();
    assert_eq!(parts[0].as_ptr(), at);
    assert_eq!(read_owned::<Vec<u8>>(&text, &parts).unwrap(), [7; 1000]);
}

#[test]
fn bytes_are_also_read_from_an_array_or_a_text() {
    let part = [Bytes::from_static(b"p")];
    for parts in [&[][..], &part] {
        assert_eq!(read_owned::<Bytes>(b"[104,105]", parts).unwrap(), "hi");
        assert_eq!(read_owned::<Vec<u8>>(b"[104,105]", parts).unwrap(), b"hi");
        assert_eq!(read_owned::<Bytes>(br#""hi""#, parts).unwrap(), "hi");
    }
}

#[test]
fn a_map_that_looks_like_a_placeholder_stays_a_map() {
    let map = BTreeMap::from([(PLACEHOLDER.to_owned(), 0_u64)]);
    assert_eq!(round_trip(&map), map);
    let both = (map, Bytes::from_static(b"bytes"));
    assert_eq!(round_trip(&both), both);
}

#[test]
fn a_type_that_cannot_hold_bytes_gets_placeholders() {
    let parts = [Bytes::from_static(b"p")];
    let text = br#"[{"$bytes":0},1]"#;
    assert_eq!(read::<Value>(text, &parts).unwrap(), json!([{"$bytes": 0}, 1]));
    assert!(read::<Vec<Vec<u8>>>(text, &parts).is_err());
}

#[test]
fn inlining_changes_nothing_but_placeholders() {
    let parts = [Bytes::from_static(&[1, 255])];
    let inlined = |text: &'static str| inline(text.into(), &parts);
    assert_eq!(
        inlined(r#"[{"$bytes":0},1e400,{"a":{"$bytes":0}}]"#),
        "[[1,255],1e400,{\"a\":[1,255]}]"
    );
    for same in [
        r#"{"$bytes":1}"#,
        r#"{"$bytes":0,"a":1}"#,
        r#"{"$bytes":-0}"#,
        r#""{\"$bytes\":0}""#,
        r#"{"a\\":"{\"$bytes\":0}"}"#,
        r#"{"$bytes":18446744073709551616}"#,
    ] {
        assert_eq!(inlined(same), same);
    }
}

#[test]
fn a_placeholder_without_its_part_is_an_error() {
    let parts = [Bytes::from_static(b"p")];
    let error = |text: &[u8], parts: &[Bytes]| read_owned::<Bytes>(text, parts).unwrap_err().to_string();
    assert!(error(br#"{"$bytes":1}"#, &parts).contains("part 1, but there are 1 parts"));
    assert!(error(br#"{"$bytes":0,"a":1}"#, &parts).contains("stands alone"));
    assert!(error(br#"{"$bytes":0}"#, &[]).contains("invalid type: map"));
}

#[test]
fn failed_serialization_leaves_text_and_parts_as_they_were() {
    struct Fails;
    impl Serialize for Fails {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("no"))
        }
    }
    let (mut text, mut parts) = (b"before".to_vec(), Vec::new());
    assert!(write_borrowed(&mut text, &mut parts, &(Bytes::from_static(b"x"), Fails)).is_err());
    assert_eq!((&text[..], parts.len()), (&b"before"[..], 0));
}
