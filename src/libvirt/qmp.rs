//! Answers of QEMU's monitor, as `virDomainQemuMonitorCommand` gives them: JSON with what was asked for in `return`.

use serde::Deserialize;
use serde::de::DeserializeOwned;

#[derive(Deserialize)]
struct Reply<T> {
    #[serde(rename = "return")]
    told: T,
}

/// What an answer tells; an error for one that tells of an error.
pub(super) fn told<T: DeserializeOwned>(answer: &str) -> Result<T, serde_json::Error> {
    Ok(serde_json::from_str::<Reply<T>>(answer)?.told)
}
