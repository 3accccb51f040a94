#![deny(warnings)]
use brubeck::prelude::*;

/// Its template extends another one and includes one in a loop.
#[derive(Template)]
#[template("list.html")]
struct List<'a> {
    title: &'a str,
    rows: Vec<u32>,
}

#[derive(Template)]
#[template("success.html")]
struct Success {
    name: Option<String>,
}

#[get("^/list")]
async fn list() -> Page<List<'static>> {
    Page(List { title: "all", rows: vec![1, 2] })
}

#[get("^/success")]
async fn success() -> Result<Page<Success>, Problem> {
    Ok(Page(Success { name: None }))
}

const ROUTES: Routes<()> = routes![list, success];

fn main() {
    assert_eq!(<List<'_> as Template>::NAME, "list.html");
    let names: Vec<_> = <List<'_> as Template>::SOURCES.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["list.html", "base.html", "row.html"]);
    assert!(<Success as Template>::SOURCES[0].1.starts_with("<p>"));
    assert_eq!(ROUTES.len(), 2);
}
