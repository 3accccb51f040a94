//! The fields of structs that templates use, with the attributes of serde, in structs that contain themselves and that borrow.

use brubeck::prelude::*;
use std::collections::HashMap;

#[derive(serde::Serialize, TemplateData)]
#[serde(rename_all = "camelCase")]
struct User {
    display_name: String,
    friends: Vec<User>,
    address: Option<Box<Address>>,
    scores: HashMap<String, u32>,
    extra: Extra,
    #[serde(skip)]
    _secret: String,
}

#[derive(serde::Serialize, TemplateData)]
struct Address {
    street: String,
    residents: Vec<User>,
}

#[derive(serde::Serialize, TemplateData)]
struct Extra {
    #[serde(flatten)]
    more: HashMap<String, String>,
}

#[derive(serde::Serialize, TemplateData)]
enum Level {
    Low,
    High,
}

/// A type that serializes, but whose fields templates do not know.
#[derive(serde::Serialize)]
struct Other {
    unchecked: Level,
}

#[derive(Template)]
#[template("profile.html", filters = ["shout"], globals = ["site_name"], templates = ["success.html"])]
struct Profile<'a, R: serde::Serialize> {
    user: User,
    borrowed: &'a User,
    other: Other,
    rows: Vec<R>,
    kind: &'static str,
    name: String,
}

fn page(user: &User) -> Page<Profile<'_, u8>> {
    let street = Address { street: "s".to_owned(), residents: Vec::new() };
    let more = Extra { more: HashMap::new() };
    Page(Profile {
        user: User {
            display_name: "Ann".to_owned(),
            friends: Vec::new(),
            address: Some(Box::new(street)),
            scores: HashMap::new(),
            extra: more,
            _secret: String::new(),
        },
        borrowed: user,
        other: Other { unchecked: Level::High },
        rows: vec![1],
        kind: "success.html",
        name: "name".to_owned(),
    })
}

fn main() {
    let _ = page;
    let _ = Level::Low;
}
