use brubeck::prelude::*;

#[get("^/std$")]
async fn std() -> std::string::String {
    Default::default()
}

#[get(r"^/(?<id>\d+)$")]
async fn u64(id: u64) -> String {
    id.to_string()
}

fn main() {}
