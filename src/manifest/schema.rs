//! The types of a manifest to its JSON schema.

use super::document::Document;

/// The JSON schema of a manifest, for editors; `schemas/manifest.schema.json` holds it.
#[must_use]
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Document).to_value()
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::manifest::build::build;
    use crate::manifest::document::SECTIONS;
    use crate::manifest::value::read;
    use crate::manifest::{self, Source};

    /// Set to write the schema instead of comparing it.
    const UPDATE: &str = "DOMICILE_UPDATE_SCHEMAS";

    fn root() -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR"))
    }

    fn as_json(source: &Source) -> serde_json::Value {
        let (tree, faults) = build(&source.text, 0);
        assert_eq!(faults, [], "{}", source.name);
        let problem = |problem| panic!("{}: {problem:?}", source.name);
        read(&tree, tree.root().unwrap(), problem).unwrap()
    }

    #[test]
    fn the_schema_in_the_repository_is_the_one_of_the_types() {
        let path = root().join("schemas/manifest.schema.json");
        let made = format!("{:#}\n", schema());
        if std::env::var_os(UPDATE).is_some() {
            std::fs::write(&path, &made).unwrap();
        }
        let held = std::fs::read_to_string(&path).unwrap_or_default();
        let advice = format!("run `{UPDATE}=1 cargo test schema` and look at the difference");
        assert!(held == made, "the schema differs from the types: {advice}");
    }

    #[test]
    fn the_schema_has_the_sections_that_are_read() {
        let schema = schema();
        let mut fields: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
        let mut sections = SECTIONS.to_vec();
        fields.sort();
        sections.sort_unstable();
        assert_eq!(fields, sections);
    }

    /// Files directly in `examples/` are manifests of their own; a folder there is one manifest.
    fn examples() -> Vec<PathBuf> {
        let is_manifest = |path: &Path| {
            path.extension().is_some_and(|end| end == "yaml") || path.join("hosts.yaml").is_file()
        };
        let entries = root().join("examples").read_dir().unwrap();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| is_manifest(path));
        paths.sort();
        paths
    }

    #[test]
    fn every_example_loads_and_is_right_by_the_schema() {
        let validator = jsonschema::validator_for(&schema()).unwrap();
        let examples = examples();
        assert!(examples.len() >= 4, "{examples:?}");
        for example in examples {
            let sources = manifest::read(&[example]).unwrap();
            if let Err(faults) = manifest::load(&sources) {
                panic!("{}: {faults:#?}", sources[0].name);
            }
            for source in &sources {
                let first = source.text.lines().next().unwrap();
                assert!(
                    first.contains("yaml-language-server: $schema="),
                    "{}",
                    source.name
                );
                let errors: Vec<String> = validator
                    .iter_errors(&as_json(source))
                    .map(|error| format!("{}: {error}", error.instance_path()))
                    .collect();
                assert!(errors.is_empty(), "{}: {errors:#?}", source.name);
            }
        }
    }

    #[test]
    fn the_schema_refuses_what_is_refused_here() {
        let validator = jsonschema::validator_for(&schema()).unwrap();
        for text in [
            "version: 2",
            "version: 1\nvm: {}",
            "version: 1\nhosts: { a: { ur: x } }",
            "version: 1\nmigration: { bandwidth: 800 MB }",
            "version: 1\nmigration: { pairs: [{ from: a }] }",
            "version: 1\nvms: { a: { host: b, method: hot } }",
        ] {
            let source = Source::new(text, text);
            assert!(!validator.is_valid(&as_json(&source)), "{text}");
            assert!(manifest::load(&[source]).is_err(), "{text}");
        }
    }
}
