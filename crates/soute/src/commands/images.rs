//! `soute images`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use jiff::Timestamp;
use soute_engine::Places;
use soute_image::{Image, Reference};

use crate::cli::CommandLine;
use crate::output::{Format, Rows, age, decimal_size, print, print_foreign};

/// The images that are here, a line per name.
#[derive(Debug, Args)]
pub struct Images {
    /// Ids alone
    #[arg(short, long)]
    quiet: bool,

    /// Ids in full
    #[arg(long)]
    no_trunc: bool,

    /// The digests of their manifests, too
    #[arg(long)]
    digests: bool,

    /// table, table TEMPLATE, json, or a Go template for each
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: Format,

    /// Only those of this name
    #[arg(value_name = "REPOSITORY[:TAG]")]
    name: Option<String>,
}

const FIELDS: &[(&str, &str)] = &[
    ("Repository", "REPOSITORY"),
    ("Tag", "TAG"),
    ("Digest", "DIGEST"),
    ("ID", "IMAGE ID"),
    ("CreatedSince", "CREATED"),
    ("CreatedAt", "CREATED AT"),
    ("Size", "SIZE"),
];

const COLUMNS: &[&str] = &["Repository", "Tag", "ID", "CreatedSince", "Size"];
const COLUMNS_WITH_DIGESTS: &[&str] =
    &["Repository", "Tag", "Digest", "ID", "CreatedSince", "Size"];

impl CommandLine for Images {
    const USAGE: &'static str = "[OPTIONS] [REPOSITORY[:TAG]]";

    fn run(self, places: &Places) -> Result<ExitCode> {
        let engine = super::open(places)?;
        let wanted = self.name.as_deref().map(Wanted::parse).transpose()?;
        let now = Timestamp::now();
        let mut rows = Rows::new(FIELDS);
        let mut ids = Vec::new();
        for image in engine.images().list()? {
            let id = match self.no_trunc {
                true => image.id.to_string(),
                false => image.id.short(),
            };
            for (repository, tag) in names(&image, wanted.as_ref()) {
                ids.push(id.clone());
                rows.push([
                    repository,
                    tag,
                    image.manifest_digest.to_string(),
                    id.clone(),
                    image
                        .created
                        .map_or("N/A".to_owned(), |created| age(created, now)),
                    image
                        .created
                        .map_or("N/A".to_owned(), |created| created.to_string()),
                    decimal_size(image.size),
                ]);
            }
        }
        if self.quiet {
            ids.dedup();
            print(&ids.into_iter().map(|id| id + "\n").collect::<String>())?;
            return Ok(ExitCode::SUCCESS);
        }
        let columns = match self.digests {
            true => COLUMNS_WITH_DIGESTS,
            false => COLUMNS,
        };
        print_foreign(&rows.render(&self.format, columns)?)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// A repository, and perhaps one tag of it.
struct Wanted {
    reference: Reference,
    any_tag: bool,
}

impl Wanted {
    fn parse(text: &str) -> Result<Self> {
        // Without a tag, the parser means `latest`; the user means all.
        let last = text.rsplit('/').next().unwrap_or(text);
        Ok(Self {
            reference: Reference::parse(text)?,
            any_tag: !last.contains([':', '@']),
        })
    }

    fn accepts(&self, reference: &Reference) -> bool {
        match self.any_tag {
            true => self.reference.name() == reference.name(),
            false => self.reference == *reference,
        }
    }
}

const NONE: &str = "<none>";

/// Repository and tag of each line for `image`.
fn names(image: &Image, wanted: Option<&Wanted>) -> Vec<(String, String)> {
    let accepted = |reference: &&Reference| wanted.is_none_or(|wanted| wanted.accepts(reference));
    let references: Vec<&Reference> = image.references.iter().filter(accepted).collect();
    if references.is_empty() && wanted.is_none() {
        return vec![(NONE.to_owned(), NONE.to_owned())];
    }
    // A digest is worth a line where no tag names the repository already.
    let has_tag = |name: &str| {
        references
            .iter()
            .any(|other| other.tag().is_some() && other.name() == name)
    };
    let lines = references
        .iter()
        .filter(|reference| reference.tag().is_some() || !has_tag(&reference.name()));
    lines
        .map(|reference| {
            let tag = reference.tag().unwrap_or(NONE).to_owned();
            (reference.familiar_name(), tag)
        })
        .collect()
}
