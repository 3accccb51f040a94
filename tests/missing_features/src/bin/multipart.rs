use brubeck::prelude::*;

#[post("^/upload$")]
async fn upload(form: Multipart) -> Result<String, Rejection> {
    Ok(form.file("image")?.media_type().unwrap_or_default().to_owned())
}

fn main() {
    let _ = App::new(routes![upload], ());
}
