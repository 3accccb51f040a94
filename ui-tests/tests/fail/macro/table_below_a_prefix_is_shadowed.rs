#![allow(unused)]
use brubeck::prelude::*;

#[get("/user/{id}")]
async fn user(id: u64) {}

#[get("^/admin")]
async fn all() {}

const ADMIN: Routes<()> = routes![user];
const ROUTES: Routes<()> = routes![all, "/admin" => ..ADMIN];
const TWICE: Routes<()> = routes!["/admin" => ..ADMIN, "/admin" => ..ADMIN];

fn main() {}
