//! Complaints about a configuration file in the words of the other messages.
//!
//! Owns: where the line goes, and which words. Never: reads the file.

/// The line, if there is one, then what is wrong there.
pub(super) fn complaint(error: &serde_yaml::Error) -> String {
    let text = error.to_string();
    let Some(place) = error.location() else {
        return words(&text);
    };
    let (line, column) = (place.line(), place.column());
    // The reader appends the place; it belongs in front.
    let at = format!(" at line {line} column {column}");
    let text = text.replacen(&at, "", 1);
    format!("line {line}, column {column}: {}", words(&text))
}

/// Uses one word for one thing: settings are keys, not fields.
fn words(text: &str) -> String {
    text.replace("unknown field", "unknown key")
        .replace("duplicate field", "duplicate key")
        .replace("invalid type: ", "wrong type: found ")
        .replace("found unit value", "found nothing")
}
