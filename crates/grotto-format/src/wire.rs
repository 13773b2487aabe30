//! Reading and writing of the small pieces every format here is made of.
//!
//! Owns: checked cursors over untrusted bytes, variable-length integers, bit packing.
//! Never knows what the pieces mean. Spec: `docs/format/spec.md`, section "Primitives".

/// Why bytes could not be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone)]
#[error("damaged at byte {at}: expected {expected}")]
pub struct WireError {
    /// Offset from the start of the piece being read.
    pub at: usize,
    /// What should have been there.
    pub expected: &'static str,
}

/// Checked front-to-back reader.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn fail<T>(&self, expected: &'static str) -> Result<T, WireError> {
        Err(WireError {
            at: self.at,
            expected,
        })
    }

    pub(crate) fn take(
        &mut self,
        length: usize,
        expected: &'static str,
    ) -> Result<&'a [u8], WireError> {
        match self
            .at
            .checked_add(length)
            .and_then(|end| Some((end, self.bytes.get(self.at..end)?)))
        {
            Some((end, taken)) => {
                self.at = end;
                Ok(taken)
            }
            None => self.fail(expected),
        }
    }

    pub(crate) fn u8(&mut self, expected: &'static str) -> Result<u8, WireError> {
        Ok(self.take(1, expected)?[0])
    }

    pub(crate) fn u64(&mut self, expected: &'static str) -> Result<u64, WireError> {
        let mut word = [0; 8];
        word.copy_from_slice(self.take(8, expected)?);
        Ok(u64::from_le_bytes(word))
    }

    pub(crate) fn varint(&mut self, expected: &'static str) -> Result<u64, WireError> {
        let start = self.at;
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8(expected)?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(WireError {
            at: start,
            expected,
        })
    }

    /// A varint that counts things which take at least one byte each in what follows, or is bounded
    /// by `max`: refuses counts that would make a caller allocate more than the limit.
    pub(crate) fn count(&mut self, max: u64, expected: &'static str) -> Result<usize, WireError> {
        let at = self.at;
        let value = self.varint(expected)?;
        usize::try_from(value)
            .ok()
            .filter(|_| value <= max)
            .ok_or(WireError { at, expected })
    }

    pub(crate) fn text(&mut self, max: u64, expected: &'static str) -> Result<&'a str, WireError> {
        let length = self.count(max, expected)?;
        let at = self.at;
        std::str::from_utf8(self.take(length, expected)?).map_err(|_| WireError { at, expected })
    }

    pub(crate) fn end(&self, expected: &'static str) -> Result<(), WireError> {
        if self.at == self.bytes.len() {
            Ok(())
        } else {
            self.fail(expected)
        }
    }
}

pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Bits needed to hold `value`.
pub(crate) fn bits(value: u64) -> u32 {
    u64::BITS - value.leading_zeros()
}

/// Writes `values` as offsets from their minimum, bit-packed: i64 base, u8 width, packed bits.
pub(crate) fn put_packed(out: &mut Vec<u8>, values: impl Iterator<Item = u64> + Clone) {
    let (mut min, mut max) = (i64::MAX, i64::MIN);
    for value in values.clone() {
        min = min.min(value as i64);
        max = max.max(value as i64);
    }
    if min > max {
        (min, max) = (0, 0);
    }
    let width = bits((max as u64).wrapping_sub(min as u64));
    out.extend_from_slice(&min.to_le_bytes());
    out.push(width as u8);
    if width == 0 {
        return;
    }
    let (mut word, mut filled) = (0_u128, 0_u32);
    for value in values {
        word |= u128::from(value.wrapping_sub(min as u64)) << filled;
        filled += width;
        if filled >= 64 {
            out.extend_from_slice(&(word as u64).to_le_bytes());
            word >>= 64;
            filled -= 64;
        }
    }
    out.extend_from_slice(&(word as u64).to_le_bytes()[..(filled as usize).div_ceil(8)]);
}

/// Values written by [`put_packed`], one at a time. They may take no bytes at all (width 0), so
/// whoever collects them has bounded `rows`.
pub(crate) struct Packed<'a> {
    bytes: &'a [u8],
    base: u64,
    width: usize,
    mask: u64,
    row: usize,
    rows: usize,
}

impl<'a> Packed<'a> {
    pub(crate) fn read(reader: &mut Reader<'a>, rows: usize) -> Result<Self, WireError> {
        let base = reader.u64("base of packed values")?;
        let width = usize::from(reader.u8("width of packed values")?);
        if width > 64 {
            return reader.fail("width of at most 64 bits");
        }
        let Some(bits) = rows.checked_mul(width) else {
            return reader.fail("packed values");
        };
        let bytes = reader.take(bits.div_ceil(8), "packed values")?;
        let mask = if width == 64 {
            u64::MAX
        } else {
            (1 << width) - 1
        };
        Ok(Self {
            bytes,
            base,
            width,
            mask,
            row: 0,
            rows,
        })
    }
}

impl Packed<'_> {
    /// Appends all values: one load, shift and mask each, unless they are wide.
    pub(crate) fn append_to(self, words: &mut Vec<u64>) {
        // Up to 57 bits at any bit offset lie within eight bytes.
        let narrow = if self.width <= 57 { self.rows } else { 0 };
        // Values whose eight bytes are all there.
        let whole = (self.bytes.len().saturating_sub(8) * 8)
            .checked_div(self.width)
            .map_or(narrow, |rows| rows.min(narrow));
        words.reserve(self.rows);
        words.extend((0..whole).map(|row| {
            let bit = row * self.width;
            let word = self.bytes.get(bit / 8..bit / 8 + 8);
            let word = word
                .and_then(|w| w.try_into().ok())
                .map_or(0, u64::from_le_bytes);
            self.base.wrapping_add(word >> (bit % 8) & self.mask)
        }));
        words.extend(Self { row: whole, ..self });
    }
}

impl Iterator for Packed<'_> {
    type Item = u64;

    #[inline]
    fn next(&mut self) -> Option<u64> {
        if self.row == self.rows {
            return None;
        }
        let bit = self.row * self.width;
        self.row += 1;
        let raw = (load(self.bytes, bit / 8) >> (bit % 8)) as u64 & self.mask;
        Some(self.base.wrapping_add(raw))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.rows - self.row, Some(self.rows - self.row))
    }
}

impl ExactSizeIterator for Packed<'_> {}

/// Sixteen bytes from `at`, zero beyond the end: enough for any 64 bits at any bit offset.
#[inline]
fn load(bytes: &[u8], at: usize) -> u128 {
    let mut word = [0_u8; 16];
    match bytes.get(at..at + 16) {
        Some(full) => word.copy_from_slice(full),
        None => {
            let rest = bytes.get(at..).unwrap_or_default();
            word[..rest.len()].copy_from_slice(rest);
        }
    }
    u128::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn packed_values_come_back(values in proptest::collection::vec(any::<u64>(), 0..200), shift in 0_u32..64) {
            let values: Vec<u64> = values.into_iter().map(|v| ((v as i64) >> shift) as u64).collect();
            let mut out = Vec::new();
            put_packed(&mut out, values.iter().copied());
            let mut reader = Reader::new(&out);
            prop_assert_eq!(Packed::read(&mut reader, values.len()).unwrap().collect::<Vec<_>>(), &values[..]);
            prop_assert!(reader.end("end").is_ok());
            let mut words = vec![9];
            Packed::read(&mut Reader::new(&out), values.len()).unwrap().append_to(&mut words);
            prop_assert_eq!(&words[1..], &values[..]);
        }

        #[test]
        fn varints_come_back(value: u64) {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            prop_assert_eq!(Reader::new(&out).varint("varint").unwrap(), value);
        }
    }

    fn published() -> serde_json::Value {
        serde_json::from_str(include_str!("../../../docs/format/vectors/primitives.json")).unwrap()
    }

    fn bytes(hex: &serde_json::Value) -> Vec<u8> {
        let hex = hex.as_str().unwrap();
        (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect()
    }

    #[test]
    fn varints_are_written_and_read_as_published() {
        let published = published();
        for (name, written) in [("varints", true), ("varints_read_but_not_written", false)] {
            for case in published[name].as_array().unwrap() {
                let (value, bytes) = (
                    case["value"].as_str().unwrap().parse().unwrap(),
                    bytes(&case["hex"]),
                );
                let mut reader = Reader::new(&bytes);
                assert_eq!(reader.varint("varint").unwrap(), value);
                assert!(reader.end("end").is_ok());
                let mut out = Vec::new();
                put_varint(&mut out, value);
                assert_eq!(out == bytes, written, "{value}");
            }
        }
        for hex in published["no_varints"].as_array().unwrap() {
            assert!(Reader::new(&bytes(hex)).varint("varint").is_err(), "{hex}");
        }
    }

    #[test]
    fn packed_values_are_written_and_read_as_published() {
        let published = published();
        for case in published["packed"].as_array().unwrap() {
            let values = case["values"].as_array().unwrap().iter();
            let values: Vec<u64> = values
                .map(|v| v.as_str().unwrap().parse::<i64>().unwrap() as u64)
                .collect();
            let mut out = Vec::new();
            put_packed(&mut out, values.iter().copied());
            assert_eq!(out, bytes(&case["hex"]));
            let mut reader = Reader::new(&out);
            assert_eq!(
                Packed::read(&mut reader, values.len())
                    .unwrap()
                    .collect::<Vec<_>>(),
                values
            );
        }
        for case in published["no_packed"].as_array().unwrap() {
            let (bytes, count) = (
                bytes(&case["hex"]),
                case["count"].as_u64().unwrap() as usize,
            );
            assert!(
                Packed::read(&mut Reader::new(&bytes), count).is_err(),
                "{case}"
            );
        }
    }

    #[test]
    fn a_varint_past_64_bits_is_refused() {
        assert!(Reader::new(&[0xff; 11]).varint("varint").is_err());
        assert!(
            Reader::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2])
                .varint("v")
                .is_err()
        );
    }
}
