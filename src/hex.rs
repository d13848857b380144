//! Digests as people compare them.

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Bytes as lower-case hex digits, two a byte.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from(DIGITS[usize::from(half)]);
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        text.push(digit(byte >> 4));
        text.push(digit(byte & 15));
    }
    text
}

/// Bytes from twice as many lower-case hex digits.
pub fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let (mut bytes, mut others) = ([0; N], 0);
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let halves = [pair[0], pair[1]].map(|digit| HALVES[usize::from(digit)]);
        others |= halves[0] | halves[1];
        *byte = halves[0] << 4 | halves[1] & 15;
    }
    (others & NO_DIGIT == 0).then_some(bytes)
}

/// Each character's value as a digit: a look into a table does not depend on what stands there, and a branch that does is
/// guessed wrong at every second digit of a hash.
const HALVES: [u8; 256] = {
    let mut halves = [NO_DIGIT; 256];
    let mut value = 0;
    while value < 16 {
        halves[DIGITS[value as usize] as usize] = value;
        value += 1;
    }
    halves
};
const NO_DIGIT: u8 = 0x80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_comes_back_and_nothing_else_is_taken() {
        let bytes: [u8; 256] = std::array::from_fn(|n| u8::try_from(n).unwrap());
        assert_eq!(hex(&bytes[..3]), "000102");
        assert_eq!(unhex(&hex(&bytes)), Some(bytes));
        for text in ["", "0", "0g", "0A", "000", "é"] {
            assert_eq!(unhex::<1>(text), None, "{text}");
        }
    }
}
