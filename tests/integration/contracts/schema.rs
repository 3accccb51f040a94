//! The schemas in `/.brubeck/info`, compared with the expected ones and with the messages of actual calls.

use crate::support::served_app::{socket_address, socket_folder};
use crate::support::with_timeout;
use brubeck::prelude::*;
use brubeck::schemars::JsonSchema;
use brubeck::{Running, Service};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tempfile::TempDir;

const SECRET: &str = "my_shared_secret";
const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(crate = "brubeck::schemars")]
struct Echo {
    text: String,
    #[serde(default)]
    times: u32,
}

/// A part of a piece.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(crate = "brubeck::schemars")]
struct Part {
    name: String,
    #[serde(default)]
    parts: Vec<Part>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(crate = "brubeck::schemars")]
struct Broken {
    why: String,
}

/// A type without a schema.
#[derive(Serialize, Deserialize)]
struct Plain(u8);

#[service_client]
trait Scores {
    #[call("/scores/{id}", timeout = "5s")]
    async fn add(&self, id: u64, part: Part, note: Option<String>) -> Result<Part, Broken>;

    #[call("/scores")]
    async fn clear(&self, plain: Plain) -> Result<(), Problem>;
}

#[derive(Clone, AppState)]
struct Library {
    shelf: String,
}

impl Scores for Library {
    async fn add(&self, id: u64, part: Part, note: Option<String>) -> Result<Part, Broken> {
        match id {
            0 => Err(Broken {
                why: format!("nothing is on {} for {note:?}", self.shelf),
            }),
            _ => Ok(part),
        }
    }

    async fn clear(&self, _: Plain) -> Result<(), Problem> {
        Ok(())
    }
}

#[service_handler(path = "^/echo$", method = "post")]
async fn echo(
    _shelf: State<String>,
    Json(echo): Json<Echo>,
    _headers: Headers,
) -> Option<([(&'static str, &'static str); 1], String)> {
    Some(([("x-echo", "1")], echo.text.repeat(echo.times as usize)))
}

#[service_handler(path = "^/mix/(?<room>[0-9]+)(?:/(?<seat>[a-z]))?$")]
async fn mix(
    room: u64,
    seat: Option<char>,
    text: Arg<String>,
    times: Option<Arg<u32>>,
    part: Result<Arg<Part>, Rejection>,
    plain: Arg<Plain>,
    limit: Arg<Option<u8>>,
) -> Result<Reply<Vec<Part>>, Json<Broken>> {
    let _ = (room, seat, text, times, plain, limit);
    Ok(Reply::new(part.into_iter().map(|part| part.0).collect()).status(201, "Mixed"))
}

#[service_handler(path = "^/plain$")]
async fn plain(Json(plain): Json<Plain>) -> Result<(Status, Json<Plain>), Problem> {
    Ok((Status::OK, Json(plain)))
}

#[service_handler(path = "^/none$")]
async fn none() {}

const LIBRARY: Routes<Library> = routes![..scores::routes::<Library>(), echo, mix, plain, none];

async fn start(folder: &TempDir, change: impl FnOnce(Service) -> Service) -> (Running, Client) {
    serve(folder, LIBRARY, change).await
}

async fn serve(
    folder: &TempDir,
    routes: Routes<Library>,
    change: impl FnOnce(Service) -> Service,
) -> (Running, Client) {
    let address = socket_address(folder, "library");
    let library = Library {
        shelf: "the shelf".to_owned(),
    };
    let service = change(Service::bind(&address, SECRET));
    let running = with_timeout(App::new(routes, library).start(service))
        .await
        .unwrap();
    (
        running,
        Client::connect(&brubeck::ServiceAddress::new(&address, SECRET)).unwrap(),
    )
}

async fn operations(client: &Client) -> Vec<Value> {
    let info = with_timeout(client.request("/.brubeck/info").into_future())
        .await
        .unwrap();
    info.body["operations"].as_array().unwrap().clone()
}

/// Returns the schemas of an operation, without its other properties.
fn schemas(operations: &[Value], name: &str) -> Value {
    let named = operations
        .iter()
        .find(|operation| operation["name"] == name)
        .unwrap();
    let mut schemas = named.as_object().unwrap().clone();
    schemas.retain(|key, _| ["arguments", "body", "answer", "error"].contains(&key.as_str()));
    schemas.into()
}

fn part(definition: bool) -> Value {
    let itself = if definition { "#/$defs/Part" } else { "#" };
    json!({
        "description": "A part of a piece.",
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "parts": {"type": "array", "items": {"$ref": itself}, "default": []},
        },
        "required": ["name"],
    })
}

/// Returns the object with additional members.
fn with(mut object: Value, members: Value) -> Value {
    let Value::Object(members) = members else {
        unreachable!()
    };
    object.as_object_mut().unwrap().extend(members);
    object
}

fn broken() -> Value {
    json!({
        "$schema": DRAFT, "title": "Broken", "type": "object",
        "properties": {"why": {"type": "string"}}, "required": ["why"],
    })
}

#[tokio::test]
async fn info_lists_the_schemas_of_a_contract() {
    let folder = socket_folder();
    let (running, client) = start(&folder, |service| service).await;
    let operations = operations(&client).await;
    // A nullable argument is optional. The schema of a response requires every field, because all are serialized.
    let response = with(
        part(false),
        json!({"$schema": DRAFT, "title": "Part", "required": ["name", "parts"]}),
    );
    let unsigned = json!({"type": "integer", "format": "uint64", "minimum": 0});
    assert_eq!(
        schemas(&operations, "scores::add"),
        json!({
            "arguments": {
                "$schema": DRAFT,
                "type": "object",
                "properties": {"id": unsigned, "part": {"$ref": "#/$defs/Part"}, "note": {"type": ["string", "null"]}},
                "required": ["id", "part"],
                "$defs": {"Part": part(true)},
            },
            "answer": response,
            "error": broken(),
        })
    );
    assert_eq!(
        schemas(&operations, "scores::clear"),
        json!({
            "arguments": {"$schema": DRAFT, "type": "object", "properties": {"plain": true}, "required": ["plain"]},
            "answer": {"$schema": DRAFT, "title": "null", "type": "null"},
            "error": {
                "$schema": DRAFT,
                "title": "Problem",
                "description": "The failure of an operation, as in RFC 9457.",
                "type": "object",
                "properties": {
                    "type": {"type": "string", "default": "about:blank"},
                    "title": {"type": "string"},
                    "status": {"type": "integer", "minimum": 100, "maximum": 999},
                    "detail": {"type": "string"},
                    "instance": {"type": "string"},
                    "errors": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "properties": {"field": {"type": "string"}, "reason": {"type": "string"}},
                            "required": ["field", "reason"],
                        },
                    },
                },
                "required": ["type", "title", "status", "detail"],
            },
        })
    );
    with_timeout(running.stop()).await.unwrap();
}

#[tokio::test]
async fn info_lists_the_schemas_of_a_plain_handler() {
    let folder = socket_folder();
    let (running, client) = start(&folder, |service| service).await;
    let operations = operations(&client).await;
    let nothing = json!({"$schema": DRAFT, "type": "object", "properties": {}});
    let echo = json!({
        "arguments": nothing,
        "body": {
            "$schema": DRAFT,
            "title": "Echo",
            "type": "object",
            "properties": {
                "text": {"type": "string"},
                "times": {"type": "integer", "format": "uint32", "minimum": 0, "default": 0},
            },
            "required": ["text"],
        },
        "answer": {"$schema": DRAFT, "title": "string", "type": "string"},
    });
    assert_eq!(schemas(&operations, "echo"), echo);
    let mix = json!({
        "arguments": {
            "$schema": DRAFT,
            "type": "object",
            "properties": {
                "room": {"type": "integer", "format": "uint64", "minimum": 0},
                "seat": {"type": "string", "minLength": 1, "maxLength": 1},
                "text": {"type": "string"},
                "times": {"type": "integer", "format": "uint32", "minimum": 0},
                "part": {"$ref": "#/$defs/Part"},
                "plain": true,
                "limit": {"type": ["integer", "null"], "format": "uint8", "minimum": 0, "maximum": 255},
            },
            "required": ["room", "text", "plain", "limit"],
            "$defs": {"Part": part(true)},
        },
        "answer": {
            "$schema": DRAFT,
            "title": "Array_of_Part",
            "type": "array",
            "items": {"$ref": "#/$defs/Part"},
            "$defs": {"Part": with(part(true), json!({"required": ["name", "parts"]}))},
        },
        "error": broken(),
    });
    assert_eq!(schemas(&operations, "mix"), mix);
    // `error` is missing, because the status represents the failure; `answer` is missing, because `Plain` has no schema.
    assert_eq!(
        schemas(&operations, "plain"),
        json!({"arguments": nothing, "body": true})
    );
    assert_eq!(schemas(&operations, "none"), json!({"arguments": nothing}));
    with_timeout(running.stop()).await.unwrap();
}

/// Returns `true` if the value is valid against the schema. Its references are resolved in `root`. Panics if the schema has
/// a keyword that these tests do not use.
fn fits(value: &Value, schema: &Value, root: &Value) -> bool {
    let Value::Object(keywords) = schema else {
        return schema.as_bool().unwrap();
    };
    keywords
        .iter()
        .all(|(keyword, constraint)| match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" | "default" | "format" => true,
            "$ref" => fits(
                value,
                root.pointer(constraint.as_str().unwrap().trim_start_matches('#'))
                    .unwrap(),
                root,
            ),
            "type" => constraint
                .as_array()
                .unwrap_or(&vec![constraint.clone()])
                .iter()
                .any(|constraint| match constraint.as_str().unwrap() {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "integer" => value.is_i64() || value.is_u64(),
                    "null" => value.is_null(),
                    other => panic!("unknown type {other}"),
                }),
            "properties" => constraint
                .as_object()
                .unwrap()
                .iter()
                .all(|(name, schema)| value.get(name).is_none_or(|value| fits(value, schema, root))),
            "required" => constraint
                .as_array()
                .unwrap()
                .iter()
                .all(|name| value.get(name.as_str().unwrap()).is_some()),
            "items" => value
                .as_array()
                .is_none_or(|items| items.iter().all(|item| fits(item, constraint, root))),
            "minimum" => value
                .as_f64()
                .is_none_or(|value| value >= constraint.as_f64().unwrap()),
            other => panic!("unknown keyword {other}"),
        })
}

#[tokio::test]
async fn schemas_agree_with_accepted_arguments_and_responses() {
    let folder = socket_folder();
    let (running, client) = start(&folder, |service| service).await;
    let operations = operations(&client).await;
    let add = schemas(&operations, "scores::add");
    let accepts = |arguments: &Value| fits(arguments, &add["arguments"], &add["arguments"]);
    let tree =
        json!({"name": "a", "parts": [{"name": "b"}, {"name": "c", "parts": [{"name": "d", "parts": []}]}]});
    let cases = [
        json!({"part": tree, "note": "n"}),
        json!({"part": {"name": "a"}, "note": null}),
        json!({"part": {"name": "a"}, "more": 1}),
        json!({"note": "n"}),
        json!({"part": {"name": "a", "parts": [{"name": "b", "parts": [{}]}]}}),
        json!({"part": {"name": 7}}),
        json!({"part": {"name": "a"}, "note": 7}),
    ];
    for (i, case) in cases.iter().enumerate() {
        let mut call = client.request("/scores/7");
        for (name, value) in case.as_object().unwrap() {
            call = call.argument(name, value);
        }
        let response = with_timeout(call.into_future()).await.unwrap();
        let (accepted, fits_schema) = (
            response.status.is_success(),
            accepts(&with(case.clone(), json!({"id": 7}))),
        );
        assert_eq!(
            (accepted, fits_schema),
            (i < 3, i < 3),
            "{case}: response {:?}",
            response
        );
        assert!(
            !accepted || fits(&response.body, &add["answer"], &add["answer"]),
            "{response:?}"
        );
    }

    let part: Part = serde_json::from_value(tree).unwrap();
    let typed = ScoresClient::new(client.clone());
    let arguments = typed
        .add(7, part.clone(), None)
        .into_request()
        .arguments()
        .clone();
    assert!(accepts(&with(arguments.into(), json!({"id": 7}))));
    let failed = client.request("/scores/0").argument("part", &part);
    let failed = with_timeout(failed.into_future()).await.unwrap();
    assert_eq!(failed.status.code(), 400);
    assert!(fits(&failed.body, &add["error"], &add["error"]), "{failed:?}");
    assert!(!fits(&failed.body, &add["answer"], &add["answer"]), "{failed:?}");
    with_timeout(running.stop()).await.unwrap();
}

#[tokio::test]
async fn info_over_the_body_limit_fails_without_affecting_other_calls() {
    let folder = socket_folder();
    let (running, client) = start(&folder, |service| service.body_limit(2_000)).await;
    let refused = with_timeout(client.request("/.brubeck/info").into_future())
        .await
        .unwrap_err();
    assert!(
        matches!(&refused, CallError::BadReply(reason) if reason.contains("exceeds the limit of")),
        "{refused:?}"
    );
    let response = with_timeout(client.request("/none").into_future()).await.unwrap();
    assert_eq!(response.status.code(), 200);
    with_timeout(running.stop()).await.unwrap();
}

/// A type whose schema panics.
#[derive(Serialize)]
struct PanickingSchema;

impl JsonSchema for PanickingSchema {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PanickingSchema".into()
    }

    fn json_schema(_: &mut brubeck::schemars::SchemaGenerator) -> brubeck::schemars::Schema {
        panic!("on purpose")
    }
}

#[service_handler(path = "^/panicking_schema$")]
async fn panicking_schema() -> Json<PanickingSchema> {
    Json(PanickingSchema)
}

#[tokio::test]
async fn panicking_schema_fails_info_without_affecting_other_calls() {
    let folder = socket_folder();
    let (running, client) = serve(&folder, routes![panicking_schema], |service| service).await;
    for _ in 0..2 {
        let info = with_timeout(client.request("/.brubeck/info").into_future())
            .await
            .unwrap();
        assert_eq!(info.status.code(), 500);
        let response = with_timeout(client.request("/panicking_schema").into_future())
            .await
            .unwrap();
        assert_eq!(response.status.code(), 200);
    }
    with_timeout(running.stop()).await.unwrap();
}
