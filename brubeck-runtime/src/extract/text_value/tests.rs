use super::*;
use crate::extract::FromCapture;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::num::NonZeroU8;
use std::str::FromStr;

fn query<T: DeserializeOwned>(text: &str) -> Result<T, FieldError> {
    from_pairs(form_urlencoded::parse(text.as_bytes()))
}

fn argument<T: DeserializeOwned>(text: &str) -> Result<T, FieldError> {
    from_texts(vec![Cow::Borrowed(text)])
}

fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[derive(Debug, PartialEq, serde::Deserialize)]
struct One<T> {
    v: T,
}

#[derive(Debug, PartialEq, serde::Deserialize)]
struct Flat<T> {
    #[serde(flatten)]
    one: One<T>,
}

#[derive(Debug, PartialEq, serde::Deserialize)]
struct FlatOption<T> {
    #[serde(flatten)]
    one: One<Option<T>>,
}

/// Reads a text in each way, and returns the value that all of them agree on.
fn read<T: DeserializeOwned + FromStr + PartialEq + Debug + Clone>(text: &str) -> Option<T> {
    let captured = T::from_capture(text);
    let field = format!("x=y&v={}", encoded(text));
    let is = |way: &str, value: Option<T>| assert_eq!(value, captured, "{way}, {text:?}");
    is("argument", argument(text).ok());
    is("field", query::<One<T>>(&field).ok().map(|one| one.v));
    is(
        "flattened field",
        query::<Flat<T>>(&field).ok().map(|flat| flat.one.v),
    );
    is(
        "last of two",
        query::<One<T>>(&format!("v=_&{field}")).ok().map(|one| one.v),
    );
    is(
        "list",
        query::<One<Vec<T>>>(&field)
            .ok()
            .and_then(|one| one.v.first().cloned()),
    );
    is(
        "flattened list",
        query::<Flat<Vec<T>>>(&field)
            .ok()
            .and_then(|flat| flat.one.v.first().cloned()),
    );
    is(
        "map",
        query::<BTreeMap<String, T>>(&format!("v={}", encoded(text)))
            .ok()
            .and_then(|map| map.get("v").cloned()),
    );
    let optional = captured
        .clone()
        .map(Some)
        .or_else(|| text.is_empty().then_some(None));
    assert_eq!(
        argument::<Option<T>>(text).ok(),
        optional,
        "optional argument {text:?}"
    );
    assert_eq!(
        query::<One<Option<T>>>(&field).ok().map(|one| one.v),
        optional,
        "optional field {text:?}"
    );
    assert_eq!(
        query::<FlatOption<T>>(&field).ok().map(|flat| flat.one.v),
        optional,
        "flattened optional field {text:?}"
    );
    captured
}

fn read_as_every_type(text: &str) {
    read::<u8>(text);
    read::<u16>(text);
    read::<u32>(text);
    read::<u64>(text);
    read::<usize>(text);
    read::<i8>(text);
    read::<i16>(text);
    read::<i32>(text);
    read::<i64>(text);
    read::<isize>(text);
    read::<NonZeroU8>(text);
    read::<bool>(text);
    read::<char>(text);
    read::<String>(text);
    read::<std::net::Ipv4Addr>(text);
    if !text.to_ascii_lowercase().contains("nan") {
        read::<f64>(text);
        read::<f32>(text);
    }
}

proptest! {
    #[test]
    fn query_form_argument_and_capture_read_every_text_alike(
        text in prop_oneof![
            any::<String>(),
            "[+-]?0{0,2}[0-9]{0,5}",
            "[+-]?[0-9]{0,3}[.]?[0-9]{0,3}(e[+-]?[0-9]{1,2})?",
            any::<u64>().prop_map(|n| n.to_string()),
            any::<i64>().prop_map(|n| n.to_string()),
            any::<f64>().prop_map(|n| n.to_string()),
            prop::sample::select(vec![
                "", " ", "true", "false", "on", "off", "yes", "1", "0", "True", "\"a\"", "[1]", "null", "{}", " 12 ", "01", "+5",
                "-0", ".5", "5.", "+1.5", "inf", "1e999", "255", "256", "-128", "18446744073709551616", "٣", "1_000", "0x10",
                "127.0.0.1", "é", "\u{301}e",
            ]).prop_map(str::to_owned),
        ],
    ) {
        read_as_every_type(&text);
    }
}

#[test]
fn scalars_have_one_documented_form() {
    assert_eq!(read::<u32>("007"), Some(7));
    assert_eq!(read::<u32>("+5"), Some(5));
    assert_eq!(read::<f64>(".5"), Some(0.5));
    assert_eq!(read::<f64>("5."), Some(5.0));
    assert_eq!(read::<f64>("+1.5"), Some(1.5));
    assert_eq!(read::<u32>(" 12 "), None);
    assert_eq!(read::<u32>("null"), None);
    assert_eq!(read::<String>("\"a\""), Some("\"a\"".to_owned()));
    for (text, value) in [
        ("true", true),
        ("on", true),
        ("1", true),
        ("false", false),
        ("off", false),
        ("0", false),
    ] {
        assert_eq!(read::<bool>(text), Some(value), "{text}");
    }
    for text in ["", "True", "yes", "2", " true"] {
        assert_eq!(read::<bool>(text), None, "{text}");
    }
    assert_eq!(argument::<u128>(&u128::MAX.to_string()), Ok(u128::MAX));
    assert_eq!(argument::<i128>(&i128::MIN.to_string()), Ok(i128::MIN));
}

#[derive(Debug, PartialEq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum Order {
    Asc,
    Desc,
}

#[test]
fn last_value_of_a_name_is_used_and_a_list_has_all() {
    assert_eq!(query::<One<u32>>("v=1&v=2").unwrap().v, 2);
    assert!(query::<One<bool>>("v=false&v=true").unwrap().v);
    assert_eq!(query::<One<Vec<u32>>>("v=1&v=2").unwrap().v, [1, 2]);
    assert_eq!(query::<Flat<Vec<u32>>>("v=1&v=02").unwrap().one.v, [1, 2]);
    assert_eq!(
        query::<One<(u8, String)>>("v=1&v=b").unwrap().v,
        (1, "b".to_owned())
    );
    assert_eq!(
        query::<One<Vec<Order>>>("v=asc&v=desc").unwrap().v,
        [Order::Asc, Order::Desc]
    );
    assert_eq!(
        query::<One<Vec<Option<u8>>>>("v=&v=2").unwrap().v,
        [None, Some(2)]
    );
    assert_eq!(
        query::<Vec<(String, String)>>("a=1&b=2").unwrap(),
        [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())]
    );
}

#[derive(Debug, PartialEq, serde::Deserialize)]
struct Search {
    q: String,
    #[serde(flatten)]
    paging: Paging,
    #[serde(flatten)]
    rest: BTreeMap<String, String>,
}

#[derive(Debug, PartialEq, serde::Deserialize)]
struct Paging {
    page: Option<u32>,
    #[serde(default)]
    tag: Vec<String>,
    #[serde(default)]
    price: Option<f32>,
    #[serde(default)]
    exact: bool,
    label: Option<String>,
    order: Option<Order>,
}

#[test]
fn flattened_fields_have_their_types() {
    let search: Search =
        query("q=2&page=2&tag=2&tag=b&price=2&exact=on&label=2&order=asc&other=2&another=true").unwrap();
    let rest = |pairs: &[(&str, &str)]| {
        pairs
            .iter()
            .map(|(a, b)| (a.to_string(), b.to_string()))
            .collect()
    };
    assert_eq!(
        search,
        Search {
            q: "2".to_owned(),
            paging: Paging {
                page: Some(2),
                tag: vec!["2".to_owned(), "b".to_owned()],
                price: Some(2.0),
                exact: true,
                label: Some("2".to_owned()),
                order: Some(Order::Asc),
            },
            rest: rest(
                &[
                    ("another", "true"),
                    ("exact", "on"),
                    ("label", "2"),
                    ("order", "asc"),
                    ("other", "2"),
                    ("page", "2"),
                    ("price", "2"),
                    ("tag", "b"),
                ]
                .into_iter()
                .filter(|(name, _)| ["another", "other"].contains(name))
                .collect::<Vec<_>>()
            ),
        }
    );
}

#[derive(Debug, PartialEq, serde::Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Tagged {
    Page { page: u32, size: Option<u8> },
    All,
}

#[derive(Debug, PartialEq, serde::Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number(u32),
    Text(String),
}

#[test]
fn tagged_and_untagged_enums_are_read() {
    assert_eq!(
        query("kind=page&page=3&size="),
        Ok(Tagged::Page { page: 3, size: None })
    );
    assert_eq!(query("kind=all"), Ok(Tagged::All));
    assert_eq!(
        query::<One<Untagged>>("v=3").unwrap().v,
        Untagged::Text("3".to_owned())
    );
    assert_eq!(argument::<Option<Order>>(""), Ok(None));
    assert_eq!(argument::<Option<String>>(""), Ok(Some(String::new())));
}

#[test]
fn errors_name_the_field_the_value_and_what_is_expected() {
    fn error<T: DeserializeOwned + Debug>(text: &str) -> (String, String) {
        let FieldError { field, reason } = query::<T>(text).unwrap_err();
        (field.unwrap_or_default(), reason)
    }
    for (error, field, reason) in [
        (
            error::<One<u8>>("v=300"),
            "v",
            "expected a whole number from 0 to 255, got `300`",
        ),
        (
            error::<Flat<u8>>("x=300&v=300"),
            "v",
            "expected a whole number from 0 to 255, got `300`",
        ),
        (
            error::<Flat<i8>>("v=1O"),
            "v",
            "expected a whole number from -128 to 127, got `1O`",
        ),
        (
            error::<Flat<bool>>("v=maybe"),
            "v",
            "expected `true`, `on` or `1`, or `false`, `off` or `0`, got `maybe`",
        ),
        (
            error::<One<NonZeroU8>>("v=0"),
            "v",
            "expected a whole number from 0 to 255, but not 0, got `0`",
        ),
        (
            error::<One<f64>>("v=x%0a"),
            "v",
            "expected a number, got `x\u{fffd}`",
        ),
        (
            error::<One<char>>("v=ab"),
            "v",
            "expected a single character, got `ab`",
        ),
        (
            error::<One<Order>>("v=up"),
            "v",
            "expected one of `asc`, `desc`, got `up`",
        ),
        (
            error::<One<Vec<u8>>>("v=1&v=x"),
            "v",
            "expected a whole number from 0 to 255, got `x`",
        ),
        (error::<One<u8>>("x=1"), "v", "the field is missing"),
        (error::<One<One<u8>>>("v=1"), "v", "expected struct One, got `1`"),
        (
            error::<One<std::net::Ipv4Addr>>("v=1"),
            "v",
            "invalid IPv4 address syntax, got `1`",
        ),
    ] {
        assert_eq!((error.0.as_str(), error.1.as_str()), (field, reason));
    }
    let long = format!("v={}", "x".repeat(1000));
    assert!(error::<One<u8>>(&long).1.len() < 200);
}
