//! Number formats of the page.

/// Shown instead of a number that is missing or not finite.
pub(crate) const MISSING: &str = "–";

/// `value` with `decimals` digits after the point, or a dash if it is not finite.
pub(crate) fn fixed(value: f64, decimals: usize) -> String {
    if !value.is_finite() {
        return MISSING.to_owned();
    }
    if value != 0.0 && !(1e-4..1e7).contains(&value.abs()) {
        return scientific(value);
    }
    let text = format!("{value:.decimals$}");
    // Avoids "-0.00".
    let negative_zero = text.starts_with('-') && !text.bytes().any(|b| (b'1'..=b'9').contains(&b));
    let text = if negative_zero { &text[1..] } else { &text };
    text.replace('-', "−")
}

/// `value` with about three significant digits, for values of unknown size.
pub(crate) fn significant(value: f64) -> String {
    if !value.is_finite() {
        return MISSING.to_owned();
    }
    let size = value.abs();
    if size == 0.0 {
        return "0".to_owned();
    }
    if !(1e-3..1e5).contains(&size) {
        return scientific(value);
    }
    let digits = 2 - size.log10().floor() as i32;
    let text = format!("{value:.*}", digits.max(0) as usize);
    let text = match text.split_once('.') {
        Some(_) => text.trim_end_matches('0').trim_end_matches('.'),
        None => &text,
    };
    text.replace('-', "−")
}

/// `value` as 1.2·10⁻⁵, or as 10⁻⁵ when the first factor is one.
pub(crate) fn scientific(value: f64) -> String {
    if !value.is_finite() {
        return MISSING.to_owned();
    }
    let text = format!("{value:.1e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let power = format!("10{}", superscript(exponent));
    match mantissa.strip_suffix(".0").unwrap_or(mantissa) {
        "1" => power,
        mantissa => format!("{}·{power}", mantissa.replace('-', "−")),
    }
}

fn superscript(digits: &str) -> String {
    let raise = |c: char| match c {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        '0' | '4'..='9' => char::from_u32(0x2070 + (c as u32 - '0' as u32)).unwrap_or(c),
        other => other,
    };
    digits.chars().map(raise).collect()
}

/// `count` with thousands separated by commas.
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(fixed(1.25, 1), "1.2");
        assert_eq!(fixed(-0.001, 2), "0.00");
        assert_eq!(fixed(-1.5, 1), "−1.5");
        assert_eq!(fixed(f64::NAN, 2), "–");
        assert_eq!(fixed(3e30, 2), "3·10³⁰");
        assert_eq!(significant(0.012_345), "0.0123");
        assert_eq!(significant(12_345.0), "12345");
        assert_eq!(significant(100.0), "100");
        assert_eq!(significant(2.0), "2");
        assert_eq!(significant(f64::INFINITY), "–");
        assert_eq!(scientific(1e-5), "10⁻⁵");
        assert_eq!(scientific(-2.5e12), "−2.5·10¹²");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(12), "12");
    }
}
