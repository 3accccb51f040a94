#![allow(unused)]
use brubeck::prelude::*;

#[get("/")]
async fn index() {}

const ADMIN: Routes<()> = routes![index];

const REGEX: Routes<()> = routes!["^/admin" => ..ADMIN];
const RELATIVE: Routes<()> = routes!["admin" => ..ADMIN];
const ROOT: Routes<()> = routes!["/" => ..ADMIN];
const SLASH: Routes<()> = routes!["/admin/" => ..ADMIN];
const PARAMETER: Routes<()> = routes!["/{org}/admin" => ..ADMIN];
const DOTS: Routes<()> = routes!["/a/../b" => ..ADMIN];
const HANDLER: Routes<()> = routes!["/admin" => index];

fn main() {}
