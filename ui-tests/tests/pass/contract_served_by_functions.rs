#![deny(warnings)]
use brubeck::prelude::*;
use ui_tests::contract::*;

#[service_handler(slow_echo::echo)]
async fn echo(Args(args): Args<slow_echo::echo>) -> Result<Echoed, Problem> {
    Ok(Echoed { text: args.text })
}

#[service_handler(slow_echo::user)]
async fn user(headers: Headers, args: Args<slow_echo::user>) -> Result<Echoed, Problem> {
    drop(headers);
    Ok(Echoed { text: args.0.id.to_string() })
}

#[response_handler(slow_echo::echo)]
async fn on_echo(reply: ServiceResponse<Echoed>, status: brubeck::Status) -> (usize, i32) {
    (reply.body.text.len(), status.code())
}

#[get("^/")]
async fn call(slow: SlowEchoClient) -> Result<String, Problem> {
    let (reply, (length, code)): (ServiceResponse<Echoed>, (usize, i32)) = slow.echo("hi".into()).handled_by::<on_echo>().await?;
    slow.user(1).header("a", "b").nowait();
    Ok(format!("{} {length} {code}", reply.body.text))
}

#[derive(Clone, AppState)]
struct Caller {
    slow: SlowEchoClient,
}

const SERVICE: Routes<()> = routes![echo, user];
const CALLER: Routes<Caller> = routes![on_echo, call];
serves!(SERVICE => slow_echo);

fn main() {
    let _ = (CALLER, |client| Caller { slow: SlowEchoClient::new(client) });
}
