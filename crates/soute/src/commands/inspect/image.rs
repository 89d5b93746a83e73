//! An image as Docker describes it.

use serde_json::{Value, json};
use soute_image::{Image, Reference};

/// Docker's fields.
pub fn describe(image: &Image) -> Value {
    let named = |wanted: &dyn Fn(&Reference) -> bool| -> Vec<String> {
        let names = image.references.iter().filter(|name| wanted(name));
        names.map(Reference::familiar).collect()
    };
    json!({
        "Id": image.id.to_string(),
        "RepoTags": named(&|name| name.tag().is_some()),
        "RepoDigests": named(&|name| name.digest().is_some()),
        "Created": image.created,
        "Config": image.config,
        "Architecture": image.architecture,
        "Variant": image.variant,
        "Os": image.os,
        "Size": image.size,
        "ManifestDigest": image.manifest_digest.to_string(),
        "RootFS": {
            "Type": "layers",
            "Layers": image.diff_ids.iter().map(ToString::to_string).collect::<Vec<_>>(),
        },
        "GraphDriver": {"Name": "overlay", "Data": {"LowerDirs": image.layers}},
    })
}
