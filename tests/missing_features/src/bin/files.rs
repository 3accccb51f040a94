use brubeck::prelude::*;

#[get("^/report$")]
async fn report() -> File {
    File::new("report.pdf")
}

fn main() {
    let _ = App::new(routes![report], ());
}
