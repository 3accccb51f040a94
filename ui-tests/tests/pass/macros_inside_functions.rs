#![deny(warnings)]
//! Every macro in a function, a block, a closure, a constant, and the expansion of another macro.

macro_rules! each_macro {
    ($web:ident, $service:ident, $state:ident, $page:ident, $path:literal) => {
        #[derive(Clone, AppState)]
        struct $state {
            count: u8,
        }
        #[get($path)]
        async fn $web(count: State<u8>) -> String {
            count.0.to_string()
        }
        #[service_handler($path)]
        async fn $service(count: Arg<u8>) -> Json<u8> {
            Json(count.0)
        }
        #[derive(Template)]
        #[template("keyword.html")]
        struct $page {
            r#type: String,
        }
    };
}

const IN_CONSTANT: usize = {
    use brubeck::prelude::*;

    #[get("/constant")]
    async fn constant() {}
    const ROUTES: Routes<()> = routes![constant];
    ROUTES.len()
};

fn in_function() -> usize {
    use brubeck::prelude::*;

    #[derive(Clone, AppState)]
    struct Site {
        count: u8,
    }
    #[derive(Template)]
    #[template("keyword.html")]
    struct Keyword {
        r#type: String,
    }
    #[get("/page")]
    async fn page(count: State<u8>) -> Page<Keyword> {
        Page(Keyword { r#type: count.0.to_string() })
    }
    #[websocket("/socket")]
    async fn socket(socket: WebSocket) {
        drop(socket);
    }
    #[json_socket("@chat")]
    async fn chat(message: Json<u8>) {
        let _ = message;
    }
    #[service_handler("/service", blocking, concurrency = 2)]
    fn service(count: Arg<u8>) -> Json<u8> {
        Json(count.0)
    }
    #[response_handler(path = "/service")]
    async fn response(count: Json<u8>) {
        let _ = count;
    }
    const WEB: Routes<Site> = routes![page, socket];
    const SERVICE: Routes<()> = routes![service, chat, response];
    let nested: Routes<Site> = routes!["/prefix" => ..WEB, page];
    assert_eq!(brubeck::url!(WEB, page).unwrap(), "/page");

    let in_closure = || {
        #[get("/closure")]
        async fn closure() {}
        let routes: Routes<()> = routes![closure];
        routes.len()
    };
    each_macro!(web, other_service, State2, Page2, "/macro");
    let by_macro: (Routes<State2>, Routes<()>) = (routes![web], routes![other_service]);
    drop((Site { count: 1 }, State2 { count: 1 }, Page2 { r#type: String::new() }));
    {
        #[patch("/block")]
        async fn block() {}
        let routes: Routes<()> = routes![block];
        assert_eq!(routes.len(), 1);
    }
    WEB.len() + SERVICE.len() + nested.len() + in_closure() + by_macro.0.len() + by_macro.1.len()
}

fn main() {
    assert_eq!((IN_CONSTANT, in_function()), (1, 11));
}
