//! Uploads of large files with a progress bar. The handler reads a file while it arrives.
//!
//! Run it with `cargo run --example upload`, or behind Mongrel2 with `cargo run --example upload -- --mongrel2`

mod front;

use brubeck::prelude::*;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The maximum size of a file, in bytes.
const MAX_FILE_SIZE: usize = 2 << 30;

#[derive(AppState)]
struct UploadState {
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
        largest: MAX_FILE_SIZE >> 20,
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

/// Stores a file. Its path contains a number instead of the name from the request, which could be any path.
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

const ROUTES: Routes<UploadState> = routes![index, store];

#[tokio::main]
async fn main() -> brubeck::Result {
    let folder = tempfile::Builder::new().prefix("brubeck-uploads-").tempdir()?;
    println!(
        "storing files in {}, which is removed at exit",
        folder.path().display()
    );
    let state = UploadState {
        folder: folder.path().to_owned(),
        count: Arc::default(),
    };
    let app = App::new(ROUTES, state).limit::<store>(Limits::new().body_limit(MAX_FILE_SIZE));
    front::serve(app, ROUTES, |config| config.stream_uploads()).await
}
