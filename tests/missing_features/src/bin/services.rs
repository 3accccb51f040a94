use brubeck::prelude::*;

#[get("^/$")]
async fn page(services: Services) -> Result<String, CallError> {
    let slow = services.register("ipc://run/slow", "my_shared_secret")?;
    Ok(slow.request("/slow").await?.status.to_string())
}

fn main() {
    let _ = App::new(routes![page], ());
}
