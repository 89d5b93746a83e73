//! The guide is replayed: every command of `docs/guide`, and what it prints.
//!
//! A scene is one page in English and one in French, with the same `console` blocks. A line `# COMMAND` is what root
//! types (`> ` goes on with it), the lines below are what is seen. The commands of a scene are given one after the other
//! to one shell, on an engine of the test's own in a mount and a network namespace of its own, with the image `python`.
//! What they print is compared with the page ([`compare`]): numbers that another run has otherwise may be others, but the
//! same ones everywhere; `…` stands for any words of a line, and alone in its line for any lines.
//!
//! To write a scene, write its commands. To have what they print put into both pages and `docs/guide/pictures`, there and
//! wherever a command prints something else than the page says:
//!
//! ```text
//! SOUTE_GUIDE_RENEW=1 cargo xtask test guide
//! ```
//!
//! Then read what has changed, and shorten with `…` what does not matter. Pages in French need only as many `console` blocks
//! as the English ones, empty or not.

mod compare;
mod page;
mod replay;
mod tokens;

use std::collections::BTreeSet;
use std::fs;

use page::Page;

/// A test of its own for each scene.
macro_rules! scenes {
    ($($name:ident = $number:literal),* $(,)?) => {
        $(#[test]
        fn $name() {
            replay::scene($number);
        })*

        const SCENES: &[u32] = &[$($number),*];
    };
}

scenes! {
    guide01 = 1,
    guide02 = 2,
    guide03 = 3,
    guide04 = 4,
    guide05 = 5,
    guide06 = 6,
    guide07 = 7,
    guide08 = 8,
    guide09 = 9,
    guide10 = 10,
    guide11 = 11,
    guide12 = 12,
    guide13 = 13,
    guide14 = 14,
}

/// What a page links to is there, no page and no picture is left out of both the index and the test.
#[test]
fn the_links_of_the_guide_lead_somewhere() {
    let index = fs::read_to_string(page::folder().join("README.md")).expect("the index");
    let mut pages = vec![(page::folder(), index)];
    for language in page::LANGUAGES {
        let folder = page::folder().join(language);
        let found = SCENES.iter().map(|number| Page::read(language, *number));
        let found: Vec<Page> = found.collect();
        let written = fs::read_dir(&folder).expect("a folder of pages").count();
        assert_eq!(written, found.len(), "pages in {language}");
        for page in found {
            let name = page.path.file_name().expect("a name").to_string_lossy();
            let link = format!("({language}/{name})");
            assert!(pages[0].1.contains(&link), "the index lacks {link}");
            pages.push((folder.clone(), page.text));
        }
    }
    let mut reached = BTreeSet::new();
    for (folder, text) in &pages {
        for link in page::links(text) {
            let path = folder.join(link);
            let whole = path.canonicalize();
            reached.insert(whole.unwrap_or_else(|error| panic!("{}: {error}", path.display())));
        }
    }
    for picture in fs::read_dir(page::folder().join("pictures"))
        .into_iter()
        .flatten()
    {
        let path = picture.expect("a picture").path().canonicalize().unwrap();
        assert!(reached.contains(&path), "no page shows {}", path.display());
    }
}
