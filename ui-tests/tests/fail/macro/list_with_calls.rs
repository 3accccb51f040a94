use brubeck::prelude::*;

#[get("^/$")]
async fn index() {}

const CALLED: Routes<()> = routes![index()];
const SEPARATED: Routes<()> = routes![index; index];

fn main() {}
