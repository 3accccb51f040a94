use brubeck::prelude::*;

#[post("^/photo$")]
async fn photo(upload: Upload, title: Option<Arg<String>>, body: Option<Json<u8>>) -> String {
    format!("{:?} {:?} {}", upload, title, body.is_some())
}

const ROUTES: Routes<()> = routes![photo];

fn main() {
    let _ = ROUTES;
}
