use brubeck::prelude::*;

#[get("^/report$")]
async fn report() -> File {
    File::new("report.pdf").download("report 2026.pdf")
}

fn as_download(file: File) -> File {
    file.download("report.pdf")
}

fn main() {
    let _ = (App::new(routes![report], ()), as_download);
}
