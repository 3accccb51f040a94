use brubeck::prelude::*;

#[get("^/user$")]
#[post("^/user$")]
async fn user() {}

const ROUTES: Routes<()> = routes![user];

fn main() {}
