use brubeck::prelude::*;

#[derive(serde::Serialize, TemplateData)]
#[serde(rename_all = "camelCase")]
struct User {
    display_name: String,
}

#[derive(Template)]
#[template("profile_misspelt.html")]
struct Profile {
    user: User,
}

fn main() {
    let _ = |user| Page(Profile { user });
}
