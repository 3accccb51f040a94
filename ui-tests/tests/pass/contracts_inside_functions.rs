#![deny(warnings, clippy::all)]
//! A contract may stand wherever a trait may: in a function, a block, a closure, a constant, a test, and in the expansion of a macro.
use brubeck::prelude::*;

macro_rules! contract {
    ($name:ident, $operation:ident, $ty:ty) => {
        #[service_client]
        trait $name {
            #[call("/by_macro/{id}")]
            async fn $operation(&self, id: u64, value: $ty) -> Result<$ty, Problem>;
        }
    };
}

const LEN: usize = {
    #[service_client]
    trait InConstant {
        #[call("/constant")]
        async fn constant(&self) -> Result<(), Problem>;
    }
    in_constant::OPERATIONS.len()
};

fn in_function() -> usize {
    #[derive(Clone, serde::Serialize, serde::Deserialize)]
    struct Local {
        text: String,
    }
    type Outcome<T> = Result<T, Local>;

    #[service_client]
    trait Echo {
        /// Takes and returns a type of the function.
        #[call("/echo/{id}")]
        async fn echo(&self, id: u64, local: Local) -> Outcome<Local>;
    }

    #[derive(Clone)]
    struct Served;
    impl Echo for Served {
        async fn echo(&self, _: u64, local: Local) -> Outcome<Local> {
            Ok(local)
        }
    }

    #[service_handler(echo::echo)]
    async fn echoed(args: Args<echo::echo>) -> Outcome<Local> {
        Ok(args.local.clone())
    }
    #[response_handler(echo::echo)]
    async fn on_echo(response: ServiceResponse<Local>) -> String {
        response.body.text
    }
    #[derive(Clone, AppState)]
    struct Site {
        echo: EchoClient,
    }
    #[get("/call")]
    async fn call(echo: EchoClient) -> Result<String, Problem> {
        let local = Local { text: "late".to_owned() };
        let (response, text) = echo.echo(7, local).handled_by::<on_echo>().await.map_err(|_| Problem::new(500, "no"))?;
        Ok(format!("{text} {}", response.body.text))
    }

    const IMPLEMENTED: Routes<Served> = echo::routes();
    const FUNCTIONS: Routes<()> = routes![echoed];
    const SITE: Routes<Site> = routes![on_echo, call];
    serves!(IMPLEMENTED => echo);
    serves!(FUNCTIONS => echo);
    brubeck::answered!(SITE => echo);
    contract!(ByMacro, send, Local);
    let _ = |client: ByMacroClient| client.send(1, Local { text: String::new() });
    let request = brubeck::Operation::into_request(echo::echo { id: 7, local: Local { text: "a".to_owned() } });
    assert_eq!(request.path(), "/echo/7");
    IMPLEMENTED.len() + FUNCTIONS.len() + SITE.len() + by_macro::OPERATIONS.len()
}

fn main() {
    assert_eq!((LEN, in_function()), (1, 5));
    let in_closure = || {
        #[service_client]
        trait InClosure {
            #[call("/closure")]
            async fn closure(&self) -> Result<(), Problem>;
        }
        in_closure::OPERATIONS[0].name
    };
    assert_eq!(in_closure(), "in_closure::closure");
    {
        #[service_client]
        pub(crate) trait InBlock {
            #[call("/block")]
            async fn block(&self) -> Result<(), Problem>;
        }
        assert_eq!(in_block::OPERATIONS[0].name, "in_block::block");
    }
}
