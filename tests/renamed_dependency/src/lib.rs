//! An application that has brubeck as `trio` in Cargo.toml, and depends on a framework that has it under another name.

use trio::prelude::*;

const SECRET: &str = "my_shared_secret";
const DOUBLES: &str = "ipc://double";
const TRIPLES: &str = "ipc://triple";

/// brubeck under one more path.
pub mod reexports {
    pub use trio as ensemble;
}

/// Every attribute of web handlers.
pub mod pages {
    use super::Site;
    use trio::prelude::*;

    /// The key as a path.
    #[get(r"^/double/(?<number>\d+)$", crate = trio)]
    pub async fn double(number: u32, services: Services) -> Result<String, CallError> {
        let doubler = framework::DoublerClient::new(services.register(super::DOUBLES, super::SECRET)?);
        Ok(doubler.double(number).await?.to_string())
    }

    /// A client that the state provides.
    #[get("^/operations$", crate = trio)]
    pub async fn operations(tripler: super::contracts::TriplerClient) -> String {
        tripler.triple(1, 2).into_request().path().to_owned()
    }

    /// The key as a string.
    #[web_handler(path = "^/web$", method = "get", crate = "trio")]
    pub async fn web(name: State<String>) -> Page<super::Name> {
        Page(super::Name { name: name.0 })
    }

    /// A path that begins with `crate`.
    #[post("^/web$", crate = crate::reexports::ensemble)]
    pub async fn post_it() {}

    /// A path that begins with `super`, as a string.
    #[put("^/web$", crate = "super::reexports::ensemble")]
    pub async fn put_it() {}

    /// An absolute path.
    #[patch("^/web$", crate = ::trio)]
    pub async fn patch_it() {}

    /// The path of a framework.
    #[delete("^/web$", crate = framework::quartet)]
    pub async fn delete_it() {}

    /// HEAD.
    #[head("^/head$", crate = trio)]
    pub async fn head_it() {}

    /// OPTIONS.
    #[options("^/web$", crate = trio)]
    pub async fn options_it() {}

    /// TRACE.
    #[trio::trace("^/web$", crate = trio)]
    pub async fn trace_it() {}

    /// CONNECT.
    #[trio::connect("^/web$", crate = trio)]
    pub async fn connect_it() {}

    /// A WebSocket.
    #[websocket("^/chat$", protocols = ["chat.v1"], crate = trio)]
    pub async fn chat(mut socket: WebSocket) {
        while let Some(message) = socket.recv().await {
            if socket.send(message).await.is_err() {
                return;
            }
        }
    }

    /// A message socket.
    #[json_socket("@lobby", crate = trio)]
    pub async fn lobby(text: Arg<String>) -> Json<String> {
        Json(text.0)
    }

    framework::text_page!(about, "^/about$", "about us");

    /// The routes of this module.
    pub const ROUTES: Routes<Site> = routes![
        double, operations, web, post_it, put_it, patch_it, delete_it, head_it, options_it, trace_it,
        connect_it, chat, lobby, about,
    ];
}

/// The state, which provides the client of the framework's contract.
#[derive(Clone, AppState)]
#[state(crate = trio)]
pub struct Site {
    name: String,
    tripler: contracts::TriplerClient,
    #[state(skip)]
    #[allow(dead_code)]
    secret: String,
}

/// A page.
#[derive(Template)]
#[template("name.html", crate = "trio")]
pub struct Name {
    name: String,
}

/// Serves the contract of the framework.
#[service_handler(framework::doubler::double, crate = "trio")]
pub async fn double(args: Args<framework::doubler::double>) -> Result<u32, Problem> {
    Ok(args.number * 2)
}

/// A service handler without a contract, whose requests are built by name.
#[service_handler(path = r"^/square/(?<number>\d+)$", blocking, concurrency = 2, crate = trio)]
pub fn square(number: u32, plus: Arg<u32>) -> Json<u32> {
    Json(number * number + plus.0)
}

/// Contracts whose path of brubeck is relative to a module.
pub mod contracts {
    use trio as band;
    use trio::prelude::*;

    /// A contract that is implemented.
    #[service_client(crate = self::band)]
    pub trait Tripler {
        /// Triples a number.
        #[call("/triple/{number}", timeout = "5s", idempotent)]
        async fn triple(&self, number: u32, plus: u32) -> Result<u32, Problem>;
    }

    /// Implements the contract.
    pub struct Triples;

    impl Tripler for Triples {
        async fn triple(&self, number: u32, plus: u32) -> Result<u32, Problem> {
            Ok(number * 3 + plus)
        }
    }

    framework::constant_service!(Constant, constant::seven, seven, "/seven", 7);
}

/// Handles the responses to calls that were sent with `nowait`.
#[response_handler(contracts::tripler::triple, crate = trio)]
pub async fn tripled(response: ServiceResponse<u32>) -> u32 {
    response.body
}

/// Sends a call with `nowait`.
#[get("^/triple$", crate = trio)]
pub async fn triple(services: Services) -> Result<String, CallError> {
    let tripler = contracts::TriplerClient::new(services.register(TRIPLES, SECRET)?);
    let (_, handled) = tripler.triple(5, 1).handled_by::<tripled>().await?;
    Ok(handled.to_string())
}

/// The routes of the services.
pub const SERVICE: Routes<()> = routes![double, square, contracts::seven];
trio::serves!(SERVICE => framework::doubler, contracts::constant);

/// The routes of the pages.
pub const WEB: Routes<Site> = framework::list![tripled, triple];
trio::answered!(WEB => contracts::tripler);

/// All pages.
pub const ALL: Routes<Site> = routes![..WEB, ..pages::ROUTES];

#[cfg(test)]
mod tests {
    use super::*;
    use trio::Service;

    #[tokio::test]
    async fn attributes_work_under_another_crate_name() {
        let state = Site {
            name: "Dave".to_owned(),
            tripler: contracts::TriplerClient::at(TRIPLES, SECRET),
            secret: String::new(),
        };
        let site = trio::TestSite::new(ALL, state)
            .service(Service::bind(DOUBLES, SECRET), App::new(SERVICE, ()))
            .service(
                Service::bind(TRIPLES, SECRET),
                App::new(contracts::tripler::routes(), contracts::Triples),
            )
            .start()
            .await
            .unwrap();
        for (path, text) in [
            ("/double/21", "42"),
            ("/triple", "16"),
            ("/operations", "/triple/1"),
            ("/web", "<p>Dave</p>"),
            ("/about", "about us"),
        ] {
            site.browser()
                .get(path)
                .await
                .assert_status(200)
                .assert_text(text);
        }
        let request: trio::ServiceRequest = square::request(4u32).plus(1u32).into();
        assert_eq!(request.path(), "/square/4");
        assert_eq!(framework::ROUTES.len() + ALL.len() + SERVICE.len(), 20);
        site.stop().await;
    }
}
