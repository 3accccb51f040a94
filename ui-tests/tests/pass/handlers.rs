use brubeck::prelude::*;

#[get(r"^/user/(?<id>\d+)(?:/(?<tab>[a-z]+))?$")]
async fn user(id: u64, tab: Option<String>) -> String {
    format!("{id} {tab:?}")
}
#[get("^/$")]
async fn index() -> &'static str { "hi" }
#[derive(Clone)]
struct Db;
#[derive(Clone, AppState)]
struct Site { db: Db, #[state(skip)] _other: Db }

#[service_handler(path = "^/service/slow", method = "request")]
async fn slow(text: Arg<String>, db: State<Db>) -> Reply {
    let _ = db.0;
    Reply::empty().field("text", text.0)
}
#[response_handler("^/service/slow")]
async fn on_slow(reply: Answer) -> usize {
    reply.body.to_string().len()
}
mod admin {
    use super::*;
    #[post("^/admin")]
    pub async fn make(message: Message) -> impl IntoReply { message.path().to_owned() }
    pub const ROUTES: Routes<Site> = routes![make];
}
const ROUTES: Routes<Site> = routes![user, index, slow, on_slow, ..admin::ROUTES];
fn main() {
    println!("{ROUTES:?}");
    ROUTES.check().unwrap();
}
