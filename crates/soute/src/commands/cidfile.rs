//! `--cidfile`.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

/// A file that the container's id will go into; gone again if there is no container.
#[derive(Debug)]
pub struct CidFile {
    path: PathBuf,
    file: File,
    filled: bool,
}

impl CidFile {
    /// Makes the file, which must not be there yet: it may be the only note of another container.
    pub fn reserve(path: PathBuf) -> Result<Self> {
        let file = File::options().write(true).create_new(true).open(&path);
        let file = file.with_context(|| format!("--cidfile {}", path.display()))?;
        Ok(Self {
            path,
            file,
            filled: false,
        })
    }

    /// Writes the id.
    pub fn fill(mut self, id: &str) -> std::io::Result<()> {
        let written = self.file.write_all(id.as_bytes());
        let named = |e: std::io::Error| {
            let message = format!("--cidfile {}: {e}", self.path.display());
            std::io::Error::new(e.kind(), message)
        };
        written.map_err(named)?;
        self.filled = true;
        Ok(())
    }
}

impl Drop for CidFile {
    fn drop(&mut self) {
        if !self.filled {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_new_and_goes_without_a_container() {
        let path = std::env::temp_dir().join(format!("soute-cidfile-{}", std::process::id()));
        drop(CidFile::reserve(path.clone()).unwrap());
        assert!(!path.exists());

        CidFile::reserve(path.clone()).unwrap().fill("abc").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "abc");
        assert!(CidFile::reserve(path.clone()).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "abc");
        std::fs::remove_file(&path).unwrap();
    }
}
