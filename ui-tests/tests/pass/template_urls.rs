#![deny(warnings)]
use brubeck::prelude::*;
use brubeck::testing::TestClient;

mod admin {
    use brubeck::prelude::*;

    #[get("/")]
    pub async fn index() {}

    #[get("/person/{name}")]
    pub async fn person(name: String) -> String {
        name
    }

    pub const ROUTES: Routes<()> = routes![index, person];
}

#[get("/user/{id}")]
async fn user(id: u64) -> String {
    id.to_string()
}

#[derive(Template)]
#[template("links.html")]
struct Links<T: serde::Serialize> {
    id: T,
    names: Vec<&'static str>,
}

#[get("/links")]
async fn links() -> Page<Links<u64>> {
    Page(Links {
        id: 7,
        names: vec!["Eve / <b>"],
    })
}

const ROUTES: Routes<()> = routes![user, links, "/admin" => ..admin::ROUTES];

/// The handler and the page are local to a function.
fn local() -> Routes<()> {
    #[get("/local/{id}")]
    async fn user(id: u64) -> Page<Local> {
        Page(Local { id, names: vec![id] })
    }

    #[derive(Template)]
    #[template("links.html")]
    struct Local {
        id: u64,
        names: Vec<u64>,
    }

    const ROUTES: Routes<()> = routes![user, "/admin" => ..admin::ROUTES];
    ROUTES
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let page = |routes, path: &str| {
        let client = TestClient::new(App::new(routes, ()));
        let response = runtime.block_on(async { client.get(path).await });
        assert_eq!(response.status(), 200, "{}", response.text());
        response.text().to_owned()
    };
    let text = page(ROUTES, "/links");
    for link in ["\"/admin\"", "\"/user/7\"", "\"/admin/person/Eve%20%2F%20%3Cb%3E\""] {
        assert!(text.contains(&format!("<a href={link}>")), "{text}");
    }
    let text = page(local(), "/local/8");
    assert!(text.contains("\"/local/8\"") && text.contains("\"/admin/person/8\""), "{text}");
}
