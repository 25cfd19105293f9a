//! Spoiled copies of good replies, for the file that must end in quarantine.

use super::record::sm3_hex;
use super::{ReturnFile, Style};

/// The upload that broke off: the first two thirds of the file.
pub fn truncated(file: &ReturnFile) -> ReturnFile {
    ReturnFile { name: file.name.clone(), bytes: file.bytes[..file.bytes.len() * 2 / 3].into() }
}

/// The same reply with one wrong total, finished and signed: `.RSP` header amount, `.CTL` amount, `_Rnn` success amount.
pub fn wrong_total(style: Style, file: &ReturnFile) -> ReturnFile {
    let mut bytes = file.bytes.clone();
    let before_trailer = |width: usize| bytes.len() - width;
    match style {
        Style::Rural => {
            let trailer = before_trailer(302);
            spoil(&mut bytes[109]);
            let digest = sm3_hex(&bytes[..trailer]);
            bytes[trailer + 40..trailer + 104].copy_from_slice(digest.as_bytes());
        }
        Style::Postal => spoil(&mut bytes[100]),
        Style::City => {
            let last_digit = before_trailer(127) + 34;
            spoil(&mut bytes[last_digit]);
        }
    }
    ReturnFile { name: file.name.clone(), bytes }
}

/// The same bytes under the name of another agency's file: a bank mixed up two of its customers.
pub fn from_another_agency(file: &ReturnFile) -> ReturnFile {
    ReturnFile { name: file.name.replacen("500199", "500188", 1), bytes: file.bytes.clone() }
}

fn spoil(digit: &mut u8) {
    *digit = if *digit == b'9' { b'0' } else { *digit + 1 };
}
