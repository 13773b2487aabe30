//! Stages of a rollout, as people write them.
//!
//! Owns: reading and printing shares. Never: knows who goes.

use grotto::engine::format::log::WHOLE;

/// Shares of 10,000, ascending, with all of them last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stages(pub(super) Vec<u16>);

/// Reads stages such as `1%,10%,100%`.
pub(super) fn parse(text: &str) -> Result<Stages, String> {
    let mut shares = Vec::new();
    for part in text.split(',') {
        let share = share(part.trim())?;
        if shares.last().is_some_and(|last| *last >= share) {
            return Err(format!("expected shares that ascend, found {text:?}"));
        }
        shares.push(share);
    }
    if shares.last() != Some(&WHOLE) {
        return Err(format!("expected 100% as the last stage, found {text:?}"));
    }
    if shares.len() > 32 {
        return Err(format!(
            "expected at most 32 stages, found {}",
            shares.len()
        ));
    }
    Ok(Stages(shares))
}

fn share(text: &str) -> Result<u16, String> {
    let refused =
        || format!("expected a share of 0.01% to 100%, such as 1% or 0.5%, found {text:?}");
    let number = text.strip_suffix('%').ok_or_else(refused)?;
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || whole.len() > 3 || part.len() > 2 || !plain(whole) || !plain(part) {
        return Err(refused());
    }
    let digits = format!("{whole}{part:0<2}");
    match digits.parse::<u32>() {
        Ok(share @ 1..=10_000) => u16::try_from(share).map_err(|_| refused()),
        _ => Err(refused()),
    }
}

/// `10%` or `0.5%`
pub(super) fn share_text(share: u16) -> String {
    let (whole, part) = (share / 100, share % 100);
    match part {
        0 => format!("{whole}%"),
        part => format!("{whole}.{part:02}%").replace("0%", "%"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_read_as_people_write_them() {
        let read = |text: &str| parse(text).map(|stages| stages.0);
        assert_eq!(read("1%,10%,100%"), Ok(vec![100, 1_000, 10_000]));
        assert_eq!(read("0.01%, 0.5%, 100%"), Ok(vec![1, 50, 10_000]));
        assert_eq!(read("100%"), Ok(vec![10_000]));
        for (text, part) in [
            ("1%,10%", "100% as the last"),
            ("10%,1%,100%", "ascend"),
            ("1%,1%,100%", "ascend"),
            ("0%,100%", "0.01%"),
            ("1,100%", "such as 1%"),
            ("", "such as 1%"),
            ("1%,101%", "0.01%"),
            ("0.001%,100%", "0.01%"),
            ("-1%,100%", "0.01%"),
            ("%,100%", "0.01%"),
        ] {
            let refused = parse(text).unwrap_err();
            assert!(refused.contains(part), "{text}: {refused}");
        }
    }

    #[test]
    fn shares_are_printed_as_they_are_read() {
        for text in ["0.01%", "0.5%", "1%", "12.25%", "10%", "100%", "10.5%"] {
            assert_eq!(share_text(share(text).unwrap()), text);
        }
    }
}
