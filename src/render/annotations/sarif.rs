//! SARIF 2.1.0, the format of static analysis results that GitHub and others take.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Annotation, Place};
use crate::render::progress::Level;

/// The report, of the tool in this version. Readers want a place: what has none stands at the first line of `file`.
/// `summary` gives the title of a rule by its code, where it has one.
///
/// # Errors
/// Never: all that is written are texts and numbers.
pub fn sarif(
    annotations: &[Annotation],
    file: &str,
    version: &str,
    summary: impl Fn(&str) -> Option<String>,
) -> serde_json::Result<String> {
    let codes: BTreeMap<&str, usize> = annotations
        .iter()
        .map(|one| (one.code.as_str(), 0))
        .collect::<BTreeMap<_, _>>()
        .into_keys()
        .enumerate()
        .map(|(index, code)| (code, index))
        .collect();
    let rules: Vec<Value> = codes
        .keys()
        .map(|code| match summary(code) {
            Some(title) => json!({ "id": code, "shortDescription": { "text": title } }),
            None => json!({ "id": code }),
        })
        .collect();
    let results: Vec<Value> = annotations
        .iter()
        .map(|one| result(one, file, codes.get(one.code.as_str())))
        .collect();
    let driver = json!({ "name": "Domicile", "version": version, "rules": rules });
    let report = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": driver },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    Ok(serde_json::to_string_pretty(&report)? + "\n")
}

fn result(one: &Annotation, file: &str, rule: Option<&usize>) -> Value {
    let first = || Place {
        file: file.to_owned(),
        line: 1,
        column: 1,
        end: 1,
    };
    let place = one.place.clone().unwrap_or_else(first);
    let level = match one.level {
        Level::Error => "error",
        Level::Warn => "warning",
        Level::Info => "note",
    };
    let mut result = json!({
        "ruleId": one.code,
        "level": level,
        "message": { "text": one.text() },
        "locations": [{ "physicalLocation": physical(&place) }],
        "partialFingerprints": { "domicile/v1": one.fingerprint },
    });
    if let Some(index) = rule {
        result["ruleIndex"] = json!(index);
    }
    result
}

fn physical(place: &Place) -> Value {
    json!({
        "artifactLocation": { "uri": uri(&place.file) },
        "region": {
            "startLine": place.line,
            "startColumn": place.column,
            "endLine": place.line,
            "endColumn": place.end.max(place.column),
        },
    })
}

/// A path as a URI reference.
fn uri(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}
