//! Parts of a comment to texts that together fit into it.

use std::fmt::Write as _;

/// Rows of one kind, the most important first.
pub(super) struct Part {
    /// What stands above the rows.
    pub(super) head: String,
    pub(super) rows: Vec<String>,
    /// What stands below them.
    pub(super) tail: String,
    /// What the rows are, for the word on how many were left out.
    pub(super) what: &'static str,
    /// Of what is left of the comment, the part in hundredths that the rows may take.
    pub(super) share: usize,
}

/// The parts as texts, in their order, within the room.
pub(super) fn filled(parts: &mut [(usize, Part)], mut room: usize) -> Vec<String> {
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by_key(|place| parts[*place].0);
    let mut texts = vec![String::new(); parts.len()];
    for place in order {
        let part = &parts[place].1;
        if part.rows.is_empty() {
            continue;
        }
        let frame = part.head.len() + part.tail.len();
        let allowed = (room / 100).saturating_mul(part.share);
        let mut text = part.head.clone();
        let mut left = allowed.saturating_sub(frame);
        let mut shown = 0;
        for row in &part.rows {
            if row.len() > left {
                // A row that is too long does not hide the shorter ones behind it.
                continue;
            }
            left -= row.len();
            text.push_str(row);
            shown += 1;
        }
        let hidden = part.rows.len() - shown;
        if shown == 0 {
            text.clear();
        } else {
            text.push_str(&part.tail);
        }
        if hidden > 0 {
            let _ = write!(
                text,
                "\n{hidden} of {} {} left out here: a comment holds no more. `domicile plan` shows them.\n\n",
                part.rows.len(),
                part.what
            );
        }
        room = room.saturating_sub(text.len());
        texts[place] = text;
    }
    texts
}
