//! Pages with parts that a lane writes anew.

use crate::Result;
use std::fs;
use std::path::{Path, PathBuf};

/// Puts this text between `<!-- name:begin -->` and `<!-- name:end -->` of a page.
///
/// # Errors
///
/// The page cannot be read or written, or lacks one of the marks.
pub fn replace(page: &Path, name: &str, text: &str) -> Result {
    let old = fs::read_to_string(page).map_err(|error| format!("{}: {error}", page.display()))?;
    let (begin, end) = (format!("<!-- {name}:begin -->"), format!("<!-- {name}:end -->"));
    let parts = old
        .split_once(&begin)
        .and_then(|(head, rest)| Some((head, rest.split_once(&end)?.1)));
    let Some((head, tail)) = parts else {
        return Err(format!("{} has no {begin} .. {end}: add both marks", page.display()).into());
    };
    fs::write(page, format!("{head}{begin}\n{}\n{end}{tail}", text.trim()))?;
    Ok(())
}

/// Writes a picture into the folder of the page: `docs/performance/calls.svg` beside `docs/performance.md`. Gives its
/// address as the page names it.
///
/// # Errors
///
/// It cannot be written.
pub fn picture(page: &Path, name: &str, svg: &str) -> Result<String> {
    let folder: PathBuf = page.with_extension("");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(name), svg)?;
    let folder = folder
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    Ok(format!("{folder}/{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_changes() {
        let folder = tempfile::tempdir().unwrap();
        let page = folder.path().join("page.md");
        fs::write(&page, "a\n<!-- x:begin -->\nold\n<!-- x:end -->\nz\n").unwrap();
        replace(&page, "x", "new\n").unwrap();
        let text = fs::read_to_string(&page).unwrap();
        assert_eq!(text, "a\n<!-- x:begin -->\nnew\n<!-- x:end -->\nz\n");
        assert!(replace(&page, "y", "new").is_err());
        assert_eq!(picture(&page, "x.svg", "<svg/>").unwrap(), "page/x.svg");
    }
}
