//! Vectors of `f32` at each width that the CPU may support.
//!
//! Kernels are written once, generic over [`Vector`], and compiled for each [`Level`] by
//! [`multiversion!`]. Everything here is `#[inline(always)]`, so that the intrinsics are inlined
//! into a function with the target feature enabled.

// All unsafe functions here share one contract: the CPU has the feature of the vector type, and
// pointers are valid for the lanes read or written. One unsafe block per line would hide the
// arithmetic.
#![allow(unsafe_code, unsafe_op_in_unsafe_fn, clippy::inline_always)]

use std::sync::OnceLock;

/// The instruction set of a kernel. Only [`Level::available`] makes a value other than `Portable`,
/// and only where the CPU has the features.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Arrays of four, which LLVM compiles to the baseline's vectors (SSE2, NEON).
    Portable,
    /// AVX2 with FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 F, BW, DQ and VL.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

#[cfg(test)]
thread_local! {
    static FORCED: std::cell::Cell<Option<Level>> = const { std::cell::Cell::new(None) };
}

impl Level {
    /// All levels that this machine supports, slowest first.
    pub(crate) fn available() -> Vec<Self> {
        #[allow(unused_mut)]
        let mut levels = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            use std::is_x86_feature_detected as has;
            if has!("avx2") && has!("fma") {
                levels.push(Self::Avx2);
                if has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl") {
                    levels.push(Self::Avx512);
                }
            }
        }
        levels
    }

    /// The level to use: the fastest, or the cap set by the environment variable
    /// `LSOFTMAX_KERNELS_LEVEL` (`portable`, `avx2`, `avx512`).
    pub(crate) fn get() -> Self {
        static LEVEL: OnceLock<Level> = OnceLock::new();
        #[cfg(test)]
        if let Some(level) = FORCED.get() {
            return level;
        }
        *LEVEL.get_or_init(|| {
            let levels = Self::available();
            let wanted = std::env::var("LSOFTMAX_KERNELS_LEVEL").unwrap_or_default();
            let named = levels.iter().find(|level| level.name() == wanted);
            *named.or(levels.last()).unwrap_or(&Self::Portable)
        })
    }

    /// Runs `f` with this level on the current thread. Public functions read the level before they
    /// start parallel work.
    #[cfg(test)]
    pub(crate) fn force<T>(self, f: impl FnOnce() -> T) -> T {
        FORCED.set(Some(self));
        let result = f();
        FORCED.set(None);
        result
    }

    /// Floats in a row of the matrix product's widest panel.
    pub(crate) fn panel(self) -> usize {
        const fn width<V: Vector>() -> usize {
            V::LANES * V::PANEL
        }
        match self {
            Self::Portable => width::<Portable>(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => width::<Avx2>(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => width::<Avx512>(),
        }
    }

    /// The level's name in the environment variable.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => "avx512",
        }
    }
}

/// Adding this to a float of magnitude at most 2^22 rounds it to an integer, which ends up in the
/// low bits: 1.5 times 2^23.
pub(crate) const WHOLE: f32 = 12_582_912.0;

/// A register of `LANES` floats.
///
/// # Safety
/// All functions need a CPU with the type's feature. Pointers must be valid for `LANES` floats, or
/// for `n < LANES` in the `_part` functions.
pub(crate) trait Vector: Copy {
    /// Floats in a register; divides 16.
    const LANES: usize;
    /// Width in registers of the matrix product's widest panel.
    const PANEL: usize;
    /// Rows of the matrix product's register tile by panel width (index 0 unused).
    const ROWS: [usize; 5];

    unsafe fn splat(value: f32) -> Self;
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn load_part(from: *const f32, n: usize) -> Self;
    unsafe fn store(self, to: *mut f32);
    unsafe fn store_part(self, to: *mut f32, n: usize);
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn sub(self, other: Self) -> Self;
    unsafe fn mul(self, other: Self) -> Self;
    /// `self * factor + addend`
    unsafe fn fma(self, factor: Self, addend: Self) -> Self;
    /// Lane by lane: `then` where `self > 0`, else `otherwise` (also where `self` is NaN).
    unsafe fn if_positive(self, then: Self, otherwise: Self) -> Self;
    /// Lane by lane: `then` where `self > other` or `self` is NaN, else `otherwise`.
    unsafe fn if_greater_or_nan(self, other: Self, then: Self, otherwise: Self) -> Self;
    /// `2^n` for `n` in -126..=127, given as `n` + [`WHOLE`].
    unsafe fn power_of_two(self) -> Self;

    #[inline(always)]
    unsafe fn zero() -> Self {
        Self::splat(0.0)
    }
    /// All lanes, or the first `n` if `PART`.
    #[inline(always)]
    unsafe fn load_if<const PART: bool>(from: *const f32, n: usize) -> Self {
        if PART {
            Self::load_part(from, n)
        } else {
            Self::load(from)
        }
    }
    /// All lanes, or the first `n` if `PART`.
    #[inline(always)]
    unsafe fn store_if<const PART: bool>(self, to: *mut f32, n: usize) {
        if PART {
            self.store_part(to, n);
        } else {
            self.store(to);
        }
    }
}

/// Prefetches memory into the second-level cache. `from` is only a hint and may point anywhere.
#[inline(always)]
pub(crate) fn prefetch(from: *const f32, floats: usize) {
    #[cfg(target_arch = "x86_64")]
    for line in (0..floats).step_by(16) {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // SAFETY: SSE is part of x86-64, and a prefetch has no visible effect.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(from.wrapping_add(line).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (from, floats);
}

/// Four floats in an array.
#[derive(Clone, Copy)]
#[repr(align(16))]
pub(crate) struct Portable([f32; 4]);

impl Portable {
    #[inline(always)]
    fn zip(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        Self(std::array::from_fn(|lane| f(self.0[lane], other.0[lane])))
    }
}

impl Vector for Portable {
    const LANES: usize = 4;
    const PANEL: usize = 2;
    const ROWS: [usize; 5] = [0, 6, 4, 2, 2];

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self([value; 4])
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        Self(from.cast::<[f32; 4]>().read_unaligned())
    }
    #[inline(always)]
    unsafe fn load_part(from: *const f32, n: usize) -> Self {
        Self(std::array::from_fn(|lane| {
            if lane < n { *from.add(lane) } else { 0.0 }
        }))
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        to.cast::<[f32; 4]>().write_unaligned(self.0);
    }
    #[inline(always)]
    unsafe fn store_part(self, to: *mut f32, n: usize) {
        for lane in 0..n.min(4) {
            *to.add(lane) = self.0[lane];
        }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }
    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }
    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        self.zip(other, |a, b| a * b)
    }
    #[inline(always)]
    unsafe fn fma(self, factor: Self, addend: Self) -> Self {
        Self(std::array::from_fn(|lane| {
            // `mul_add` is a slow library call where the baseline has no fused instruction.
            if cfg!(target_arch = "aarch64") {
                self.0[lane].mul_add(factor.0[lane], addend.0[lane])
            } else {
                self.0[lane] * factor.0[lane] + addend.0[lane]
            }
        }))
    }
    #[inline(always)]
    unsafe fn if_positive(self, then: Self, otherwise: Self) -> Self {
        Self(std::array::from_fn(|lane| {
            if self.0[lane] > 0.0 {
                then.0[lane]
            } else {
                otherwise.0[lane]
            }
        }))
    }
    #[inline(always)]
    unsafe fn if_greater_or_nan(self, other: Self, then: Self, otherwise: Self) -> Self {
        Self(std::array::from_fn(|lane| {
            if self.0[lane] > other.0[lane] || self.0[lane].is_nan() {
                then.0[lane]
            } else {
                otherwise.0[lane]
            }
        }))
    }
    #[inline(always)]
    unsafe fn power_of_two(self) -> Self {
        let one = 1f32.to_bits();
        Self(
            self.0
                .map(|n| f32::from_bits((n.to_bits() << 23).wrapping_add(one))),
        )
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Vector;
    use std::arch::x86_64::{
        __m256, __m256i, __m512, __mmask16, _CMP_GT_OQ, _CMP_UNORD_Q, _mm256_add_epi32,
        _mm256_add_ps, _mm256_blendv_ps, _mm256_castps_si256, _mm256_castsi256_ps, _mm256_cmp_ps,
        _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_loadu_si256, _mm256_maskload_ps,
        _mm256_maskstore_ps, _mm256_mul_ps, _mm256_or_ps, _mm256_set1_ps, _mm256_setzero_ps,
        _mm256_slli_epi32, _mm256_storeu_ps, _mm256_sub_ps, _mm512_add_epi32, _mm512_add_ps,
        _mm512_castps_si512, _mm512_castsi512_ps, _mm512_cmp_ps_mask, _mm512_fmadd_ps,
        _mm512_loadu_ps, _mm512_mask_blend_ps, _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps,
        _mm512_mul_ps, _mm512_set1_ps, _mm512_setzero_ps, _mm512_slli_epi32, _mm512_storeu_ps,
        _mm512_sub_ps,
    };

    /// Eight floats.
    #[derive(Clone, Copy)]
    pub(crate) struct Avx2(__m256);

    /// Eight set words, then eight clear ones: an offset into it is a mask of the first `n` lanes.
    static MASKS: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

    impl Avx2 {
        #[inline(always)]
        unsafe fn mask(n: usize) -> __m256i {
            _mm256_loadu_si256(MASKS.as_ptr().add(8 - n.min(8)).cast())
        }
    }

    impl Vector for Avx2 {
        const LANES: usize = 8;
        const PANEL: usize = 2;
        const ROWS: [usize; 5] = [0, 8, 6, 4, 3];

        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            Self(_mm256_set1_ps(value))
        }
        #[inline(always)]
        unsafe fn zero() -> Self {
            Self(_mm256_setzero_ps())
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            Self(_mm256_loadu_ps(from))
        }
        #[inline(always)]
        unsafe fn load_part(from: *const f32, n: usize) -> Self {
            Self(_mm256_maskload_ps(from, Self::mask(n)))
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            _mm256_storeu_ps(to, self.0);
        }
        #[inline(always)]
        unsafe fn store_part(self, to: *mut f32, n: usize) {
            _mm256_maskstore_ps(to, Self::mask(n), self.0);
        }
        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            Self(_mm256_add_ps(self.0, other.0))
        }
        #[inline(always)]
        unsafe fn sub(self, other: Self) -> Self {
            Self(_mm256_sub_ps(self.0, other.0))
        }
        #[inline(always)]
        unsafe fn mul(self, other: Self) -> Self {
            Self(_mm256_mul_ps(self.0, other.0))
        }
        #[inline(always)]
        unsafe fn fma(self, factor: Self, addend: Self) -> Self {
            Self(_mm256_fmadd_ps(self.0, factor.0, addend.0))
        }
        #[inline(always)]
        unsafe fn if_positive(self, then: Self, otherwise: Self) -> Self {
            let mask = _mm256_cmp_ps::<_CMP_GT_OQ>(self.0, _mm256_setzero_ps());
            Self(_mm256_blendv_ps(otherwise.0, then.0, mask))
        }
        #[inline(always)]
        unsafe fn if_greater_or_nan(self, other: Self, then: Self, otherwise: Self) -> Self {
            let greater = _mm256_cmp_ps::<_CMP_GT_OQ>(self.0, other.0);
            let nan = _mm256_cmp_ps::<_CMP_UNORD_Q>(self.0, self.0);
            Self(_mm256_blendv_ps(
                otherwise.0,
                then.0,
                _mm256_or_ps(greater, nan),
            ))
        }
        #[inline(always)]
        unsafe fn power_of_two(self) -> Self {
            let shifted = _mm256_slli_epi32::<23>(_mm256_castps_si256(self.0));
            let one = _mm256_castps_si256(_mm256_set1_ps(1.0));
            Self(_mm256_castsi256_ps(_mm256_add_epi32(shifted, one)))
        }
    }

    /// Sixteen floats.
    #[derive(Clone, Copy)]
    pub(crate) struct Avx512(__m512);

    impl Avx512 {
        #[inline(always)]
        fn mask(n: usize) -> __mmask16 {
            ((1u32 << n.min(16)) - 1) as __mmask16
        }
    }

    impl Vector for Avx512 {
        const LANES: usize = 16;
        const PANEL: usize = 4;
        const ROWS: [usize; 5] = [0, 8, 8, 8, 6];

        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            Self(_mm512_set1_ps(value))
        }
        #[inline(always)]
        unsafe fn zero() -> Self {
            Self(_mm512_setzero_ps())
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            Self(_mm512_loadu_ps(from))
        }
        #[inline(always)]
        unsafe fn load_part(from: *const f32, n: usize) -> Self {
            Self(_mm512_maskz_loadu_ps(Self::mask(n), from))
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            _mm512_storeu_ps(to, self.0);
        }
        #[inline(always)]
        unsafe fn store_part(self, to: *mut f32, n: usize) {
            _mm512_mask_storeu_ps(to, Self::mask(n), self.0);
        }
        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            Self(_mm512_add_ps(self.0, other.0))
        }
        #[inline(always)]
        unsafe fn sub(self, other: Self) -> Self {
            Self(_mm512_sub_ps(self.0, other.0))
        }
        #[inline(always)]
        unsafe fn mul(self, other: Self) -> Self {
            Self(_mm512_mul_ps(self.0, other.0))
        }
        #[inline(always)]
        unsafe fn fma(self, factor: Self, addend: Self) -> Self {
            Self(_mm512_fmadd_ps(self.0, factor.0, addend.0))
        }
        #[inline(always)]
        unsafe fn if_positive(self, then: Self, otherwise: Self) -> Self {
            let mask = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(self.0, _mm512_setzero_ps());
            Self(_mm512_mask_blend_ps(mask, otherwise.0, then.0))
        }
        #[inline(always)]
        unsafe fn if_greater_or_nan(self, other: Self, then: Self, otherwise: Self) -> Self {
            let greater = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(self.0, other.0);
            let nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(self.0, self.0);
            Self(_mm512_mask_blend_ps(greater | nan, otherwise.0, then.0))
        }
        #[inline(always)]
        unsafe fn power_of_two(self) -> Self {
            let shifted = _mm512_slli_epi32::<23>(_mm512_castps_si512(self.0));
            let one = _mm512_castps_si512(_mm512_set1_ps(1.0));
            Self(_mm512_castsi512_ps(_mm512_add_epi32(shifted, one)))
        }
    }
}

/// Declares a function that takes a [`Level`] as first argument and runs `$body::<V>` compiled for
/// it.
///
/// `$body` is an `unsafe fn` whose only requirement is that the CPU has `V`'s feature. The macro
/// meets it, because a `Level` exists only where the CPU has its features.
macro_rules! multiversion {
    ($(#[$meta:meta])* $vis:vis fn $name:ident = $body:ident ( $($arg:ident : $ty:ty),* $(,)? );) => {
        $(#[$meta])*
        #[inline]
        $vis fn $name(level: $crate::simd::Level, $($arg: $ty),*) {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            unsafe fn avx2($($arg: $ty),*) {
                // SAFETY: this function has the features of `Avx2`.
                unsafe { $body::<$crate::simd::Avx2>($($arg),*) }
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
            unsafe fn avx512($($arg: $ty),*) {
                // SAFETY: this function has the features of `Avx512`.
                unsafe { $body::<$crate::simd::Avx512>($($arg),*) }
            }
            match level {
                // SAFETY: the portable vector needs no feature.
                $crate::simd::Level::Portable => unsafe {
                    $body::<$crate::simd::Portable>($($arg),*);
                },
                // SAFETY: a level exists only after its features were detected.
                #[cfg(target_arch = "x86_64")]
                $crate::simd::Level::Avx2 => unsafe { avx2($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                $crate::simd::Level::Avx512 => unsafe { avx512($($arg),*) },
            }
        }
    };
}
pub(crate) use multiversion;
