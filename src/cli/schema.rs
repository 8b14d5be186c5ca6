//! `domicile schema`: what the manifest and the documents of Domicile look like.

use super::args::SchemaOf;
use super::console::print;
use super::exit::Exit;
use super::failure::Failure;
use super::saved;
use crate::manifest;
use crate::render::{json, stream};

pub(super) fn run(of: SchemaOf) -> Result<Exit, Failure> {
    let text = serde_json::to_string_pretty(&schema(of)).map_err(|error| {
        Failure::error(format!("the schema cannot be written as JSON: {error}"))
    })?;
    print(&(text + "\n"))?;
    Ok(Exit::DONE)
}

fn schema(of: SchemaOf) -> serde_json::Value {
    match of {
        SchemaOf::Manifest => manifest::schema(),
        SchemaOf::Plan => json::plan_schema(),
        SchemaOf::SavedPlan => saved::schema(),
        SchemaOf::Reading => json::reading_schema(),
        SchemaOf::Drift => json::drift_schema(),
        SchemaOf::Events => stream::schema(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::ValueEnum;

    use super::*;

    #[test]
    fn the_schemas_in_the_repository_are_those_of_the_types() {
        for of in SchemaOf::value_variants() {
            let name = of.to_possible_value().unwrap();
            let file = format!("schemas/{}.schema.json", name.get_name());
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(&file);
            let made = format!("{:#}\n", schema(*of));
            if std::env::var_os("DOMICILE_UPDATE_SCHEMAS").is_some() {
                std::fs::write(&path, &made).unwrap();
            }
            let held = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(
                held == made,
                "{file} differs from the types: run `DOMICILE_UPDATE_SCHEMAS=1 cargo test schema` and look at the difference"
            );
        }
    }
}
