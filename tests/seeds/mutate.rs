//! Real inputs, changed at random: bytes of a text, or values in a tree of JSON.

use std::ops::Range;

use serde_json::Value;

use crate::dice::Dice;

fn any_range(dice: &mut Dice, of: usize, longest: usize) -> Range<usize> {
    let start = dice.below(of + 1);
    let length = dice.below(longest.min(of - start) + 1);
    start..start + length
}

/// Values at the edges of what numbers, sizes, times and names can be.
const EDGES: [&str; 26] = [
    "",
    "0",
    "-1",
    "1e999",
    "NaN",
    "4294967296",
    "9223372036854775807",
    "18446744073709551615",
    "18446744073709551616",
    "../../etc/passwd",
    "..",
    "/",
    "/dev/sda",
    "a/../b",
    "$(reboot)",
    "`reboot`",
    "'; reboot; '",
    "<script>",
    "]]>",
    "&lt;!ENTITY x",
    "\u{202e}gnp",
    "\u{1b}[2J",
    "\0",
    "\r\n",
    "\u{feff}",
    "16777216TiB",
];

/// A text with a few changes: bytes lost, doubled, taken from another text, or set to what is at the edges.
pub(crate) fn text(dice: &mut Dice, from: &str, other: &str) -> String {
    let mut bytes = from.as_bytes().to_vec();
    for _ in 0..=dice.below(4) {
        let range = any_range(dice, bytes.len(), 40);
        match dice.below(7) {
            0 => drop(bytes.drain(range)),
            1 => {
                let part = other.as_bytes();
                let part = part[any_range(dice, part.len(), 200)].to_vec();
                drop(bytes.splice(range, part));
            }
            2 => {
                let times = *dice.one_of(&[2, 3, 70, 700]);
                let part = bytes[range.clone()].repeat(times);
                drop(bytes.splice(range, part));
            }
            3 => {
                let edge = dice.one_of(&EDGES).as_bytes().to_vec();
                drop(bytes.splice(range, edge));
            }
            4 => bytes.truncate(range.start),
            5 => {
                let at = number_in(&bytes, range.start);
                let edge = dice.one_of(&EDGES[..9]).as_bytes().to_vec();
                drop(bytes.splice(at, edge));
            }
            _ => {
                let flip = dice.next().to_le_bytes()[0];
                if let Some(byte) = bytes.get_mut(range.start) {
                    *byte ^= flip;
                }
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The digits that follow a place.
fn number_in(bytes: &[u8], from: usize) -> Range<usize> {
    let tail = bytes.get(from..).unwrap_or_default();
    let start = tail.iter().position(u8::is_ascii_digit);
    let start = from + start.unwrap_or(0);
    let digits = bytes[start.min(bytes.len())..].iter();
    let length = digits.take_while(|byte| byte.is_ascii_digit()).count();
    let start = start.min(bytes.len());
    start..start + length
}

/// A tree with a few changes: values lost, exchanged for each other, or set to what is at the edges.
pub(crate) fn tree(dice: &mut Dice, value: &mut Value, other: &Value) {
    for _ in 0..=dice.below(4) {
        let count = size(value);
        let at = dice.below(count);
        let taken = part(other, &mut dice.below(size(other))).cloned();
        let Some(part) = part_mut(value, &mut { at }) else {
            continue;
        };
        match dice.below(6) {
            0 => *part = taken.unwrap_or(Value::Null),
            1 => lose(dice, part),
            2 => double(dice, part),
            _ => edge(dice, part),
        }
    }
}

fn lose(dice: &mut Dice, part: &mut Value) {
    match part {
        Value::Array(all) if !all.is_empty() => drop(all.remove(dice.below(all.len()))),
        Value::Object(all) if !all.is_empty() => {
            let key = all.keys().nth(dice.below(all.len())).cloned();
            drop(key.and_then(|key| all.remove(&key)));
        }
        _ => *part = Value::Null,
    }
}

fn double(dice: &mut Dice, part: &mut Value) {
    match part {
        Value::Array(all) if !all.is_empty() => all.push(dice.one_of(all).clone()),
        Value::Object(all) if !all.is_empty() => {
            let pick = |dice: &mut Dice| all.keys().nth(dice.below(all.len())).cloned();
            if let (Some(one), Some(other)) = (pick(dice), pick(dice)) {
                let value = all[&one].clone();
                all.insert(other, value);
            }
        }
        Value::String(text) => *text = text.repeat(3),
        _ => edge(dice, part),
    }
}

fn edge(dice: &mut Dice, part: &mut Value) {
    match part {
        Value::Number(_) => {
            let numbers = [
                0,
                1,
                2,
                u64::from(u32::MAX) + 1,
                u64::MAX / 2,
                u64::MAX - 1,
                u64::MAX,
            ];
            *part = (*dice.one_of(&numbers)).into();
        }
        Value::Bool(is) => *is = !*is,
        Value::String(text) => {
            let edge = *dice.one_of(&EDGES);
            *text = if dice.below(2) == 0 {
                edge.to_owned()
            } else {
                format!("{text}{edge}")
            };
        }
        Value::Null | Value::Array(_) | Value::Object(_) => {
            *part = (*dice.one_of(&EDGES)).into();
        }
    }
}

fn size(value: &Value) -> usize {
    1 + match value {
        Value::Array(all) => all.iter().map(size).sum(),
        Value::Object(all) => all.values().map(size).sum(),
        _ => 0,
    }
}

fn part<'v>(value: &'v Value, left: &mut usize) -> Option<&'v Value> {
    if *left == 0 {
        return Some(value);
    }
    *left -= 1;
    match value {
        Value::Array(all) => all.iter().find_map(|value| part(value, left)),
        Value::Object(all) => all.values().find_map(|value| part(value, left)),
        _ => None,
    }
}

fn part_mut<'v>(value: &'v mut Value, left: &mut usize) -> Option<&'v mut Value> {
    if *left == 0 {
        return Some(value);
    }
    *left -= 1;
    match value {
        Value::Array(all) => all.iter_mut().find_map(|value| part_mut(value, left)),
        Value::Object(all) => all.values_mut().find_map(|value| part_mut(value, left)),
        _ => None,
    }
}
