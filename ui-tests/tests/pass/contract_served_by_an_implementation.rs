#![deny(warnings)]
use brubeck::prelude::*;
use ui_tests::contract::*;

struct Slow;

impl SlowEcho for Slow {
    async fn echo(&self, text: String) -> Result<Echoed, Problem> {
        std::future::ready(()).await;
        Ok(Echoed { text })
    }

    async fn user(&self, id: u32) -> Result<Echoed, Problem> {
        Err(Problem::new(404, format!("nobody is {id}")))
    }
}

#[service_handler("^/service/more")]
async fn more() {}

const ROUTES: Routes<Slow> = slow_echo::routes();
const WITH_MORE: Routes<Slow> = routes![..slow_echo::routes::<Slow>(), more];
serves!(ROUTES => slow_echo);
serves!(WITH_MORE => slow_echo, ui_tests::contract::slow_echo);

#[tokio::main(flavor = "current_thread")]
async fn main() {
    // The methods of the contract can be called directly.
    assert_eq!(Slow.echo("hi".into()).await.unwrap().text, "hi");
    assert!(Slow.user(1).await.is_err());
}
