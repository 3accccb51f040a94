#![deny(warnings)]
use brubeck::prelude::*;
use std::sync::Arc;

#[derive(Clone)]
struct Db(Arc<str>);

#[derive(Clone, AppState)]
struct Named {
    db: Db,
    limit: u32,
    #[state(skip)]
    other: u32,
}

#[derive(Clone, AppState)]
struct Tuple(Db, u32);

#[derive(Clone, AppState)]
struct Unit;

#[derive(Clone, AppState)]
struct Generic<T: Clone>
where
    T: Send,
{
    db: Db,
    #[state(skip)]
    own: T,
}

#[get("^/db")]
async fn of_db(db: State<Db>) -> String {
    db.0.0.to_string()
}

#[get("^/limit")]
async fn of_limit(State(limit): State<u32>, db: State<Db>) -> String {
    format!("{limit}{}", db.0.0)
}

#[get("^/all")]
async fn of_all(all: State<Named>) -> String {
    format!("{}{}", all.limit, all.other)
}

const NAMED: Routes<Named> = routes![of_db, of_limit, of_all];
const TUPLE: Routes<Tuple> = routes![of_db, of_limit];
const GENERIC: Routes<Generic<String>> = routes![of_db];
const DB: Routes<Db> = routes![of_db];
const UNIT: Routes<Unit> = routes![];

fn main() {
    let db = Db("db".into());
    let _ = (Named { db: db.clone(), limit: 1, other: 2 }, Tuple(db.clone(), 1), Unit);
    let generic = Generic { db, own: String::new() };
    drop(generic.own);
    assert_eq!(NAMED.len() + TUPLE.len() + GENERIC.len() + DB.len() + UNIT.len(), 7);
}
