//! Values that JSON cannot represent are refused before they are sent, and all others arrive as they were.

use brubeck::prelude::*;
use brubeck::{Service, ServiceAddress, TestSite, TestSiteHandle};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const ADDRESS: &str = "ipc://run/values";
const SECRET: &str = "my_shared_secret";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Tree {
    kids: Vec<Tree>,
}

impl Tree {
    fn of_depth(depth: usize) -> Tree {
        (1..depth).fold(Tree { kids: Vec::new() }, |tree, _| Tree { kids: vec![tree] })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Unit;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Inner {
    wide: u128,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Flattened {
    #[serde(flatten)]
    inner: Inner,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Wide(u128),
    Text(String),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Point {
    x: f64,
    y: Option<f32>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Empty,
    Circle(f64),
    Line(i64, i64),
    Box { width: u64, height: Option<i128> },
}

#[service_client]
trait Echo {
    #[call("/echo/float")]
    async fn float(&self, value: f64) -> Result<f64, Problem>;
    #[call("/echo/floats")]
    async fn floats(&self, value: Vec<Option<f32>>) -> Result<Vec<Option<f32>>, Problem>;
    #[call("/echo/option")]
    async fn option(&self, value: Option<f64>) -> Result<Option<f64>, Problem>;
    #[call("/echo/nested")]
    async fn nested(&self, value: Option<Option<u8>>) -> Result<Option<Option<u8>>, Problem>;
    #[call("/echo/unit")]
    async fn unit(&self, value: Option<Unit>) -> Result<Option<Unit>, Problem>;
    #[call("/echo/value")]
    async fn value(&self, value: Option<serde_json::Value>) -> Result<Option<serde_json::Value>, Problem>;
    #[call("/echo/tree")]
    async fn tree(&self, value: Tree) -> Result<Tree, Problem>;
    #[call("/echo/flattened")]
    async fn flattened(&self, value: Flattened) -> Result<Flattened, Problem>;
    #[call("/echo/untagged")]
    async fn untagged(&self, value: Untagged) -> Result<Untagged, Problem>;
    #[call("/echo/point")]
    async fn point(&self, value: Point) -> Result<Point, Problem>;
    #[call("/echo/shape")]
    async fn shape(&self, value: Shape) -> Result<Shape, Problem>;
    #[call("/echo/map")]
    async fn map(&self, value: BTreeMap<String, i128>) -> Result<BTreeMap<String, i128>, Problem>;
    #[call("/made/float")]
    async fn made_float(&self) -> Result<Option<f64>, Problem>;
    #[call("/made/nested")]
    async fn made_nested(&self) -> Result<Option<Option<u8>>, Problem>;
    #[call("/made/tree")]
    async fn made_tree(&self, depth: usize) -> Result<Tree, Problem>;
}

struct Site;

impl Echo for Site {
    async fn float(&self, value: f64) -> Result<f64, Problem> {
        Ok(value)
    }

    async fn floats(&self, value: Vec<Option<f32>>) -> Result<Vec<Option<f32>>, Problem> {
        Ok(value)
    }

    async fn option(&self, value: Option<f64>) -> Result<Option<f64>, Problem> {
        Ok(value)
    }

    async fn nested(&self, value: Option<Option<u8>>) -> Result<Option<Option<u8>>, Problem> {
        Ok(value)
    }

    async fn unit(&self, value: Option<Unit>) -> Result<Option<Unit>, Problem> {
        Ok(value)
    }

    async fn value(&self, value: Option<serde_json::Value>) -> Result<Option<serde_json::Value>, Problem> {
        Ok(value)
    }

    async fn tree(&self, value: Tree) -> Result<Tree, Problem> {
        Ok(value)
    }

    async fn flattened(&self, value: Flattened) -> Result<Flattened, Problem> {
        Ok(value)
    }

    async fn untagged(&self, value: Untagged) -> Result<Untagged, Problem> {
        Ok(value)
    }

    async fn point(&self, value: Point) -> Result<Point, Problem> {
        Ok(value)
    }

    async fn shape(&self, value: Shape) -> Result<Shape, Problem> {
        Ok(value)
    }

    async fn map(&self, value: BTreeMap<String, i128>) -> Result<BTreeMap<String, i128>, Problem> {
        Ok(value)
    }

    async fn made_float(&self) -> Result<Option<f64>, Problem> {
        Ok(Some(f64::NAN))
    }

    async fn made_nested(&self) -> Result<Option<Option<u8>>, Problem> {
        Ok(Some(None))
    }

    async fn made_tree(&self, depth: usize) -> Result<Tree, Problem> {
        Ok(Tree::of_depth(depth))
    }
}

const SERVICE: Routes<Site> = routes![..echo::routes::<Site>()];
const NO_ROUTES: Routes<()> = routes![];

async fn start() -> (TestSiteHandle, EchoClient) {
    let site = TestSite::new(NO_ROUTES, ())
        .service(Service::bind(ADDRESS, SECRET), App::new(SERVICE, Site))
        .start()
        .await
        .unwrap();
    let client = site.client(&ServiceAddress::new(ADDRESS, SECRET)).unwrap();
    (site, EchoClient::new(client))
}

/// Asserts that an argument is refused before it is sent, and that the error contains the reason.
#[track_caller]
fn assert_refused<T: std::fmt::Debug>(result: Result<T, CallError>, reason: &str) {
    match result {
        Err(error @ CallError::Refused(_)) => {
            let text = error.to_string();
            assert!(
                text.contains("the argument `value`") && text.contains(reason),
                "{text}"
            );
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn argument_that_json_cannot_represent_is_refused_with_its_name() {
    let (_site, echo) = start().await;
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_refused(echo.float(value).await, "JSON has no number for");
        assert_refused(echo.option(Some(value)).await, "JSON has no number for");
    }
    assert_refused(
        echo.floats(vec![Some(f32::INFINITY)]).await,
        "JSON has no number for inf",
    );
    let point = Point {
        x: 1.0,
        y: Some(f32::NAN),
    };
    assert_refused(echo.point(point).await, "`y`: JSON has no number for NaN");
    assert_refused(echo.nested(Some(None)).await, "would be read as `None`");
    assert_refused(echo.unit(Some(Unit)).await, "would be read as `None`");
    let null = Some(serde_json::Value::Null);
    assert_refused(echo.value(null).await, "would be read as `None`");
    assert_refused(
        echo.tree(Tree::of_depth(63)).await,
        "nested deeper than 120 levels",
    );
    let flattened = Flattened {
        inner: Inner { wide: 7 },
    };
    assert_refused(echo.flattened(flattened).await, "its type cannot read this value");
    assert_refused(
        echo.untagged(Untagged::Wide(7)).await,
        "its type cannot read this value",
    );
}

#[tokio::test]
async fn result_that_json_cannot_represent_is_an_error_of_the_service() {
    let (_site, echo) = start().await;
    let failures = [
        (
            echo.made_float().await.unwrap_err().to_string(),
            "JSON has no number for NaN",
        ),
        (
            echo.made_nested().await.unwrap_err().to_string(),
            "would be read as `None`",
        ),
        (
            echo.made_tree(100).await.unwrap_err().to_string(),
            "nested deeper than 120 levels",
        ),
    ];
    for (text, reason) in failures {
        assert!(text.contains(reason), "{text}");
    }
    assert_eq!(echo.made_tree(60).await.unwrap(), Tree::of_depth(60));
}

fn shapes() -> impl Strategy<Value = Shape> {
    prop_oneof![
        Just(Shape::Empty),
        any::<f64>().prop_map(Shape::Circle),
        any::<(i64, i64)>().prop_map(|(from, to)| Shape::Line(from, to)),
        any::<(u64, Option<i128>)>().prop_map(|(width, height)| Shape::Box { width, height }),
    ]
}

fn values() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        any::<f64>().prop_map(serde_json::Value::from),
        any::<String>().prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(4, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Asserts that a value has arrived as it was sent, or was refused with its name.
#[track_caller]
fn assert_same<T: PartialEq + std::fmt::Debug>(sent: T, result: Result<T, CallError>) {
    match result {
        Ok(received) => assert_eq!(received, sent),
        Err(CallError::Refused(reason)) => {
            assert!(reason.to_string().contains("the argument `value`"), "{reason}");
        }
        Err(other) => panic!("{sent:?}: {other:?}"),
    }
}

/// Shrinking is bounded, because a call that is lost takes its whole timeout.
fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        max_shrink_iters: 16,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

#[test]
fn every_value_arrives_as_it_was_or_is_refused() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (_site, echo) = runtime.block_on(start());
    let special = prop::num::f64::ANY;
    let small = prop::num::f32::ANY;
    proptest!(config(128), |(
        float in special,
        floats in prop::collection::vec(prop::option::of(small), 0..4),
        nested in any::<Option<Option<u8>>>(),
        value in prop::option::of(values()),
        depth in 1..130_usize,
        wide in any::<u128>(),
        shape in shapes(),
        map in any::<BTreeMap<String, i128>>(),
    )| {
        runtime.block_on(async {
            assert_same(float, echo.float(float).await);
            assert_same(Some(float), echo.option(Some(float)).await);
            assert_same(floats.clone(), echo.floats(floats).await);
            assert_same(nested, echo.nested(nested).await);
            assert_same(value.clone(), echo.value(value).await);
            assert_same(Tree::of_depth(depth), echo.tree(Tree::of_depth(depth)).await);
            assert_same(Untagged::Wide(wide), echo.untagged(Untagged::Wide(wide)).await);
            let flattened = Flattened { inner: Inner { wide } };
            assert_same(flattened.clone(), echo.flattened(flattened).await);
            let point = Point { x: float, y: Some(0.1) };
            assert_same(point.clone(), echo.point(point).await);
            assert_same(shape.clone(), echo.shape(shape).await);
            assert_same(map.clone(), echo.map(map).await);
        });
    });
}
