//! Pages with generated parts.

use crate::Result;
use std::fs;
use std::path::{Path, PathBuf};

/// Replaces the text between `<!-- name:begin -->` and `<!-- name:end -->` of a page.
///
/// # Errors
///
/// Returns an error if the page cannot be read or written, or if a mark is missing.
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

/// Writes a chart to the folder of the page: `docs/performance/calls.svg` for `docs/performance.md`. Returns its path
/// relative to the page.
///
/// # Errors
///
/// Returns an error if the folder or the file cannot be written.
pub fn write_chart(page: &Path, name: &str, svg: &str) -> Result<String> {
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
    fn only_the_text_between_the_marks_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let page = folder.path().join("page.md");
        fs::write(&page, "a\n<!-- x:begin -->\nold\n<!-- x:end -->\nz\n").unwrap();
        replace(&page, "x", "new\n").unwrap();
        let text = fs::read_to_string(&page).unwrap();
        assert_eq!(text, "a\n<!-- x:begin -->\nnew\n<!-- x:end -->\nz\n");
        assert!(replace(&page, "y", "new").is_err());
        assert_eq!(write_chart(&page, "x.svg", "<svg/>").unwrap(), "page/x.svg");
    }
}
