//! Whether steps that have to do with one volume wait for each other, where it matters which of them comes first.

use std::collections::BTreeMap;

use super::super::history::History;
use super::storage::Place;
use crate::plan::StepId;

/// What a step does with a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Reads,
    /// It makes it, fills it, removes it, or a guest begins or ends to write to it.
    Writes,
}

/// Who had to do with each volume so far.
pub(super) struct Races<'a> {
    history: &'a History<'a>,
    writer: BTreeMap<Place<'a>, StepId>,
    /// Who has read since the last write.
    readers: BTreeMap<Place<'a>, Vec<StepId>>,
}

impl<'a> Races<'a> {
    pub(super) fn new(history: &'a History<'a>) -> Self {
        Self {
            history,
            writer: BTreeMap::new(),
            readers: BTreeMap::new(),
        }
    }

    /// Takes note of an access. A step that should be waited for and is not is returned.
    pub(super) fn note(&mut self, id: StepId, place: Place<'a>, access: Access) -> Option<StepId> {
        let unwaited = |other: &StepId| *other != id && !self.history.is_before(*other, id);
        let written = self.writer.get(&place).copied().filter(unwaited);
        if access == Access::Reads {
            let readers = self.readers.entry(place).or_default();
            if readers.last() != Some(&id) {
                readers.push(id);
            }
            return written;
        }
        self.writer.insert(place, id);
        let readers = self.readers.remove(&place).unwrap_or_default();
        written.or_else(|| readers.into_iter().find(unwaited))
    }
}
