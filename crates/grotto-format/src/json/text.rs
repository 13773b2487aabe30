//! Values without parts as JSON text.
//!
//! Owns: how numbers, text and bytes are written. Never: knows a record.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt::Write as _;

/// More bytes than the shortest form of any float has.
const LONGEST_FLOAT: usize = 32;

/// Appends values to JSON text.
#[derive(Debug)]
pub struct JsonText<'o>(pub &'o mut String);

impl JsonText<'_> {
    /// Text in quotes.
    pub fn text(&mut self, text: &str) {
        self.0.reserve(text.len() + 2);
        self.0.push('"');
        match has_special(text) {
            false => self.0.push_str(text),
            true => self.escaping(text),
        }
        self.0.push('"');
    }

    /// The name of a field and a colon. A schema takes no name that would have to be escaped.
    pub fn name(&mut self, name: &str) {
        self.0.reserve(name.len() + 3);
        self.0.push('"');
        self.0.push_str(name);
        self.0.push_str("\":");
    }

    fn escaping(&mut self, text: &str) {
        let mut rest = text;
        while let Some(at) = rest.bytes().position(must_be_escaped) {
            let (plain, special) = rest.split_at(at);
            self.0.push_str(plain);
            let mut characters = special.chars();
            if let Some(character) = characters.next() {
                self.escaped(character);
            }
            rest = characters.as_str();
        }
        self.0.push_str(rest);
    }

    fn escaped(&mut self, character: char) {
        match character {
            '"' => self.0.push_str("\\\""),
            '\\' => self.0.push_str("\\\\"),
            '\n' => self.0.push_str("\\n"),
            '\r' => self.0.push_str("\\r"),
            '\t' => self.0.push_str("\\t"),
            '\u{8}' => self.0.push_str("\\b"),
            '\u{c}' => self.0.push_str("\\f"),
            other => self.write(format_args!("\\u{:04x}", u32::from(other))),
        }
    }

    /// Bytes in standard base64.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.0.push('"');
        STANDARD.encode_string(bytes, self.0);
        self.0.push('"');
    }

    /// An int or a long.
    pub fn whole(&mut self, value: i64) {
        // Most of an answer are numbers, and the formatting of the standard library takes several times as long.
        self.0.push_str(itoa::Buffer::new().format(value));
    }

    /// True or false.
    pub fn boolean(&mut self, value: bool) {
        self.0.push_str(if value { "true" } else { "false" });
    }

    /// A double in the shortest form that reads back the same.
    pub fn double(&mut self, value: f64) {
        match serde_json::Number::from_f64(value) {
            Some(number) => self.write(format_args!("{number}")),
            None => self.not_finite(value),
        }
    }

    /// A float in the shortest form that reads back the same.
    pub fn float(&mut self, value: f32) {
        if !value.is_finite() {
            return self.not_finite(f64::from(value));
        }
        let mut room = [0; LONGEST_FLOAT];
        let mut rest = room.as_mut_slice();
        let written = serde_json::to_writer(&mut rest, &value).is_ok();
        let length = LONGEST_FLOAT - rest.len();
        let short = std::str::from_utf8(&room[..length]).ok();
        let short = short.filter(|_| written).unwrap_or_default();
        // Reading goes by way of a double. In the rare case that this rounds the short form to the
        // neighbour, the long form is exact.
        match short.parse::<f64>() {
            Ok(read) if (read as f32).to_bits() == value.to_bits() => self.0.push_str(short),
            _ => self.double(f64::from(value)),
        }
    }

    fn not_finite(&mut self, value: f64) {
        self.0.push_str(match value {
            f64::INFINITY => "\"Infinity\"",
            f64::NEG_INFINITY => "\"-Infinity\"",
            _ => "\"NaN\"",
        });
    }

    fn write(&mut self, what: std::fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = self.0.write_fmt(what);
    }
}

fn must_be_escaped(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// Looks at all bytes, so that many are looked at in one step.
fn has_special(text: &str) -> bool {
    text.bytes()
        .fold(false, |found, byte| found | must_be_escaped(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_have_all_their_digits() {
        let powers = (0..19).map(|power| 10_i64.pow(power));
        let near = powers.flat_map(|power| [power - 1, power, power + 1, 7 * (power / 2)]);
        let all = near.chain([i64::MAX, i64::from(i32::MAX)]);
        for value in all.flat_map(|value| [value, -value]).chain([i64::MIN]) {
            let mut out = String::from("x");
            JsonText(&mut out).whole(value);
            assert_eq!(out, format!("x{value}"));
        }
    }

    #[test]
    fn every_character_is_written_as_a_reader_of_json_expects_it() {
        let all: String = (0..0x300)
            .filter_map(char::from_u32)
            .chain("𝄞 → ü".chars())
            .collect();
        for text in ["", "plain", "\"", "a\\b", "\u{1f}x\u{7f}", all.as_str()] {
            let mut out = String::new();
            JsonText(&mut out).text(text);
            assert_eq!(out, serde_json::to_string(text).unwrap());
        }
    }
}
