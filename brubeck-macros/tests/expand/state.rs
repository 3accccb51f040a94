// #[derive(AppState)]
// struct App {
//     db: Db,
//     #[state(skip)]
//     started: Instant,
// }

#[automatically_derived]
#[allow(deprecated)]
impl ::brubeck::__private::Provides<Db> for App {
    fn provide(&self) -> Db {
        <Db as ::core::clone::Clone>::clone(&self.db)
    }
}
