fn main() {
    let _ = brubeck::minijinja::Value::from(7);
}
