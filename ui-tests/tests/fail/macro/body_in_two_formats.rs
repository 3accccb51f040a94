use brubeck::prelude::*;

#[derive(serde::Deserialize)]
struct Order {
    dish: String,
}

#[post("^/order$")]
async fn order(json: Json<Order>, text: Text, tip: Arg<u8>, form: Form<Order>) -> String {
    format!("{} {} {} {}", json.dish, text.len(), *tip, form.dish)
}

const ROUTES: Routes<()> = routes![order];

fn main() {
    let _ = ROUTES;
}
