use brubeck::schemars::JsonSchema;

#[derive(JsonSchema)]
struct Size {
    _width: u32,
}

fn main() {}
