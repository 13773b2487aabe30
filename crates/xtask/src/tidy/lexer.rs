//! Telling Rust code from comments, strings and characters, so that a rule about
//! code does not stumble over prose. Keeps every line where it was. Never parses:
//! it knows tokens that hide text, nothing else.

/// Returns `source` with the content of comments, strings and character literals
/// turned into spaces; line breaks stay.
pub(super) fn code_only(source: &str) -> String {
    let mut lexer = Lexer {
        rest: source,
        code: String::with_capacity(source.len()),
    };
    while let Some(next) = lexer.rest.chars().next() {
        lexer.step(next);
    }
    lexer.code
}

/// The lines, counted from 1, that hold `word` as a whole word followed by `suffix`.
pub(super) fn lines_with_word<'a>(
    code: &'a str,
    word: &'a str,
    suffix: &'a str,
) -> impl Iterator<Item = usize> + 'a {
    code.lines()
        .enumerate()
        .filter(move |(_, line)| has_word(line, word, suffix))
        .map(|(index, _)| index + 1)
}

fn has_word(line: &str, word: &str, suffix: &str) -> bool {
    line.match_indices(word).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        let after = &line[start + word.len()..];
        !before.is_some_and(is_word)
            && !after.chars().next().is_some_and(is_word)
            && after.trim_start().starts_with(suffix)
    })
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

struct Lexer<'a> {
    rest: &'a str,
    code: String,
}

impl Lexer<'_> {
    fn step(&mut self, next: char) {
        if self.rest.starts_with("//") {
            self.blank(line_length(self.rest));
        } else if self.rest.starts_with("/*") {
            self.blank(block_comment_length(self.rest));
        } else if let Some(length) = self.raw_string_length() {
            self.blank(length);
        } else if next == '"' {
            self.blank(string_length(self.rest));
        } else if next == '\'' {
            match character_length(self.rest) {
                Some(length) => self.blank(length),
                None => self.keep(next),
            }
        } else {
            self.keep(next);
        }
    }

    fn keep(&mut self, c: char) {
        self.code.push(c);
        self.rest = &self.rest[c.len_utf8()..];
    }

    fn blank(&mut self, length: usize) {
        let (hidden, rest) = self.rest.split_at(length);
        self.code
            .extend(hidden.chars().map(|c| if c == '\n' { c } else { ' ' }));
        self.rest = rest;
    }

    /// The length of a raw string that starts here, if one does.
    fn raw_string_length(&self) -> Option<usize> {
        if self.code.chars().next_back().is_some_and(is_word) {
            return None;
        }
        let prefix = ["r", "br", "cr"]
            .into_iter()
            .find(|prefix| self.rest.starts_with(prefix))?;
        let after = &self.rest[prefix.len()..];
        let hashes = after.len() - after.trim_start_matches('#').len();
        let body = after[hashes..].strip_prefix('"')?;
        let end = format!("\"{}", "#".repeat(hashes));
        let opening = prefix.len() + hashes + 1;
        let closing = body.find(&end).map_or(body.len(), |at| at + end.len());
        Some(opening + closing)
    }
}

fn line_length(rest: &str) -> usize {
    rest.find('\n').unwrap_or(rest.len())
}

/// Block comments nest.
fn block_comment_length(rest: &str) -> usize {
    let mut depth = 0usize;
    let mut at = 0;
    while at < rest.len() {
        let here = &rest.as_bytes()[at..];
        if here.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if here.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

/// The length of a string literal, both quotes included.
fn string_length(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// The length of a character literal; `None` for a lifetime.
fn character_length(rest: &str) -> Option<usize> {
    let mut chars = rest.char_indices().skip(1);
    let (_, first) = chars.next()?;
    let (second_at, second) = chars.next()?;
    if first == '\\' {
        // The escaped character itself may be a quote.
        let tail = &rest[second_at + second.len_utf8()..];
        return Some(rest.len() - tail.len() + tail.find('\'')? + 1);
    }
    (second == '\'').then_some(second_at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(source: &str, word: &str, suffix: &str) -> Vec<usize> {
        lines_with_word(&code_only(source), word, suffix).collect()
    }

    #[test]
    fn a_word_in_code_is_found_on_its_line() {
        assert_eq!(
            lines("fn a() {}\nunsafe fn b() {}\n", "unsafe", ""),
            [2usize]
        );
    }

    #[test]
    fn comments_hide_words() {
        let source = "// unsafe\n/// unsafe\n/* a\n/* unsafe */ unsafe */ unsafe\n";
        assert_eq!(lines(source, "unsafe", ""), [4usize]);
    }

    #[test]
    fn strings_hide_words_and_end_where_they_end() {
        assert_eq!(
            lines(r#"let a = "unsafe \" unsafe";"#, "unsafe", ""),
            [0usize; 0]
        );
        assert_eq!(lines(r#"let a = "\\"; unsafe {}"#, "unsafe", ""), [1usize]);
        assert_eq!(
            lines("let a = \"one\ntwo\";\nunsafe {}", "unsafe", ""),
            [3usize]
        );
    }

    #[test]
    fn raw_strings_hide_quotes_and_words() {
        let source = "let a = r##\"x\"# unsafe\"##; let b = br\"unsafe\";\nunsafe {}";
        assert_eq!(lines(source, "unsafe", ""), [2usize]);
    }

    #[test]
    fn quotes_in_characters_do_not_open_strings() {
        assert_eq!(
            lines("let a = '\"'; unsafe {} let b = '\"';", "unsafe", ""),
            [1usize]
        );
        assert_eq!(
            lines(r"let a = '\''; unsafe {} let b = b'\\';", "unsafe", ""),
            [1usize]
        );
    }

    #[test]
    fn lifetimes_are_not_characters() {
        assert_eq!(
            lines("fn a<'a>(b: &'a str) { unsafe {} }", "unsafe", ""),
            [1usize]
        );
    }

    #[test]
    fn raw_identifiers_are_not_raw_strings() {
        assert_eq!(
            code_only("let r#type = bar\"x\";"),
            "let r#type = bar   ;".to_owned()
        );
    }

    #[test]
    fn only_whole_words_with_their_suffix_count() {
        assert_eq!(lines("deny(unsafe_code)", "unsafe", ""), [0usize; 0]);
        assert_eq!(lines("let todo = 1;", "todo", "!"), [0usize; 0]);
        assert_eq!(lines("mytodo!()", "todo", "!"), [0usize; 0]);
    }

    #[test]
    fn unfinished_tokens_end_with_the_file() {
        for source in ["\"abc", "/* abc", "r#\"abc", "'", "'\\", "b'\\'"] {
            assert_eq!(code_only(source).len(), source.len(), "{source}");
        }
    }
}
