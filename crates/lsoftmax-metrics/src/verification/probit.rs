/// The normal deviate of a rate: the quantile of the standard normal distribution, the scale of
/// both axes of a DET curve (Martin et al. 1997).
///
/// -∞ at 0, ∞ at 1, NaN outside 0 to 1. Algorithm AS 241 (`PPND16`) of Wichura, *The percentage
/// points of the normal distribution*, Applied Statistics 37 (1988), 477-484: rational functions
/// with a relative error of about 1e-16.
pub fn probit(rate: f64) -> f64 {
    if !(0.0..=1.0).contains(&rate) {
        return f64::NAN;
    }
    let centred = rate - 0.5;
    if centred.abs() <= 0.425 {
        let r = 0.180_625 - centred * centred;
        return centred * ratio(&CENTRE, r);
    }
    // 1 - rate is exact in this half.
    let tail = if centred < 0.0 { rate } else { 1.0 - rate };
    if tail == 0.0 {
        return f64::INFINITY.copysign(centred);
    }
    let r = (-tail.ln()).sqrt();
    let deviate = if r <= 5.0 {
        ratio(&TAIL, r - 1.6)
    } else {
        ratio(&FAR_TAIL, r - 5.0)
    };
    deviate.copysign(centred)
}

/// Numerator and denominator, constant term first.
type Rational = [[f64; 8]; 2];

fn ratio([numerator, denominator]: &Rational, x: f64) -> f64 {
    let polynomial = |coefficients: &[f64; 8]| {
        coefficients
            .iter()
            .rev()
            .fold(0.0, |sum, coefficient| sum * x + coefficient)
    };
    polynomial(numerator) / polynomial(denominator)
}

#[rustfmt::skip]
const CENTRE: Rational = [
    [
        3.387_132_872_796_366_6, 133.141_667_891_784_38, 1_971.590_950_306_551_3,
        13_731.693_765_509_46, 45_921.953_931_549_87, 67_265.770_927_008_7,
        33_430.575_583_588_13, 2_509.080_928_730_122_7,
    ],
    [
        1.0, 42.313_330_701_600_91, 687.187_007_492_057_9,
        5_394.196_021_424_751, 21_213.794_301_586_597, 39_307.895_800_092_71,
        28_729.085_735_721_943, 5_226.495_278_852_545,
    ],
];

#[rustfmt::skip]
const TAIL: Rational = [
    [
        1.423_437_110_749_683_5, 4.630_337_846_156_546, 5.769_497_221_460_691,
        3.647_848_324_763_204_5, 1.270_458_252_452_368_4, 0.241_780_725_177_450_6,
        0.022_723_844_989_269_184, 7.745_450_142_783_414e-4,
    ],
    [
        1.0, 2.053_191_626_637_759, 1.676_384_830_183_803_8,
        0.689_767_334_985_1, 0.148_103_976_427_480_08, 0.015_198_666_563_616_457,
        5.475_938_084_995_345e-4, 1.050_750_071_644_416_9e-9,
    ],
];

#[rustfmt::skip]
const FAR_TAIL: Rational = [
    [
        6.657_904_643_501_103, 5.463_784_911_164_114, 1.784_826_539_917_291_3,
        0.296_560_571_828_504_87, 0.026_532_189_526_576_124, 0.001_242_660_947_388_078_4,
        2.711_555_568_743_487_6e-5, 2.010_334_399_292_288_1e-7,
    ],
    [
        1.0, 0.599_832_206_555_887_9, 0.136_929_880_922_735_8,
        0.014_875_361_290_850_615, 7.868_691_311_456_133e-4, 1.846_318_317_510_054_7e-5,
        1.421_511_758_316_446e-7, 2.044_263_103_389_939_8e-15,
    ],
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_and_symmetry() {
        assert_eq!(probit(0.5), 0.0);
        assert_eq!(
            (probit(0.0), probit(1.0)),
            (f64::NEG_INFINITY, f64::INFINITY)
        );
        assert!(
            [-0.1, 1.1, f64::NAN]
                .iter()
                .all(|&rate| probit(rate).is_nan())
        );
        for rate in [0.25, 0.0625, 1.0 / 1024.0] {
            assert_eq!(probit(rate), -probit(1.0 - rate));
        }
    }
}
