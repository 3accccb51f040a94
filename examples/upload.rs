//! Uploads of any size, with a progress bar: the handler reads them while they come.
//!
//! `cargo run --example upload`, and with a real Mongrel2 in front `cargo run --example upload -- --mongrel2`

mod front;

use brubeck::prelude::*;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The largest file that is taken, in bytes.
const LARGEST: usize = 2 << 30;

#[derive(AppState)]
struct Desk {
    folder: PathBuf,
    count: Arc<AtomicU64>,
}

#[derive(Template)]
#[template("upload/page.html")]
struct Form {
    largest: usize,
}

#[get("^/$")]
async fn index() -> Page<Form> {
    Page(Form {
        largest: LARGEST >> 20,
    })
}

#[derive(Deserialize)]
struct File {
    name: String,
}

#[derive(Serialize)]
struct Stored {
    name: String,
    size: u64,
}

/// The name of a file is for people; where it is stored, nobody but this application decides.
#[post("^/file$")]
async fn store(
    file: Query<File>,
    upload: Upload,
    folder: State<PathBuf>,
    count: State<Arc<AtomicU64>>,
) -> Result<Json<Stored>, UploadError> {
    let number = count.fetch_add(1, Ordering::Relaxed);
    let size = upload.save(folder.join(number.to_string())).await?;
    Ok(Json(Stored {
        name: file.0.name,
        size,
    }))
}

const ROUTES: Routes<Desk> = routes![index, store];

#[tokio::main]
async fn main() -> brubeck::Result {
    let folder = tempfile::Builder::new().prefix("brubeck-uploads-").tempdir()?;
    println!("files go to {} until the end", folder.path().display());
    let state = Desk {
        folder: folder.path().to_owned(),
        count: Arc::default(),
    };
    let app = App::new(ROUTES, state).limit::<store>(Limits::new().body_limit(LARGEST));
    front::serve(app, ROUTES, |config| config.stream_uploads()).await
}
