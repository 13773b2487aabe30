//! Numbers and text from integers: the same in every language.
//!
//! Owns: the generator, keys, words. Never: seeded by time.

/// Step of the generator.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

fn finish(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Spreads a word over all words, one to one.
#[must_use]
pub fn mix(x: u64) -> u64 {
    finish(x.wrapping_add(STEP))
}

/// The primary key of the record with an index.
#[must_use]
pub fn id(index: u64) -> i64 {
    (mix(index) >> 1).cast_signed()
}

/// A stream of words.
#[derive(Clone, Debug)]
pub struct Rng(pub u64);

impl Rng {
    /// The stream of fields that never change.
    #[must_use]
    pub fn fixed(index: u64) -> Self {
        Self(mix(index ^ 0x5354_4154_4943_0000))
    }

    /// The stream of fields that change with a record's revision.
    #[must_use]
    pub fn changing(index: u64, revision: u64) -> Self {
        Self(mix(
            mix(index ^ 0x4459_4E41_4D49_4300).wrapping_add(revision)
        ))
    }

    /// The next word.
    #[expect(clippy::should_implement_trait, reason = "a stream without an end")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        finish(self.0)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 1) % n
    }
}

/// Number of different words.
pub const WORDS: u64 = 4096;

/// The vocabulary that text is made of.
#[derive(Debug)]
pub struct Words(Vec<String>);

impl Default for Words {
    fn default() -> Self {
        Self((0..WORDS).map(word).collect())
    }
}

fn letter(from: &[u8], rng: &mut Rng) -> char {
    char::from(from[rng.below(from.len() as u64) as usize])
}

fn word(w: u64) -> String {
    let mut rng = Rng(0x574F_5244_0000_0000 + w);
    let mut word = String::new();
    for _ in 0..=rng.below(3) {
        word.push(letter(b"bcdfghjklmnprstvwxyz", &mut rng));
        word.push(letter(b"aeiou", &mut rng));
        if rng.below(4) == 0 {
            word.push(letter(b"nrstlm", &mut rng));
        }
    }
    word
}

impl Words {
    /// One word.
    #[must_use]
    pub fn get(&self, w: u64) -> &str {
        &self.0[w as usize]
    }

    /// A random word.
    pub fn draw(&self, rng: &mut Rng) -> &str {
        self.get(rng.below(WORDS))
    }

    /// Words with spaces between them, cut to a length of `low` to `low + span - 1`.
    pub fn text(&self, rng: &mut Rng, low: u64, span: u64) -> String {
        let length = (low + rng.below(span)) as usize;
        let mut text = String::with_capacity(length + 12);
        while text.len() < length {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(self.draw(rng));
        }
        text.truncate(length);
        text.shrink_to_fit();
        text
    }
}
