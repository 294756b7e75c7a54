use serde::{Deserialize, Serialize};

use super::Identification;
use crate::verification::{accepted, check_rate, rising, share, strict_threshold};
use crate::{Error, Result};

/// A threshold and its rates of open-set identification.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct OpenSetPoint {
    /// Identities with at least this score are reported.
    pub threshold: f32,
    /// Share of the non-mated probes for which an identity is reported.
    pub fpir: f64,
    /// Share of the mated probes whose identity is ranked first and reported.
    pub tpir: f64,
}

/// TPIR at a requested FPIR.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TpirAtFpir {
    /// The requested FPIR.
    pub asked: f64,
    /// The smallest threshold whose FPIR does not exceed the requested one, with its rates. `None`
    /// if the FPIR is not measurable, that is, with fewer than `1 / asked` non-mated probes.
    pub measured: Option<OpenSetPoint>,
}

impl Identification {
    /// Rank-1 identification rate: [`cmc`](Self::cmc) at rank 1.
    ///
    /// # Errors
    /// [`Error::NoSamples`] without a mated probe.
    pub fn rank_1(&self) -> Result<f64> {
        self.cmc(1)
    }

    /// Cumulative match characteristic: the share of mated probes whose identity has this rank or a
    /// better one. Ranks start at 1.
    ///
    /// # Errors
    /// [`Error::NoSamples`] without a mated probe.
    pub fn cmc(&self, rank: usize) -> Result<f64> {
        self.need_mated()?;
        let identified = self.mated.iter().filter(|probe| probe.rank <= rank).count();
        Ok(share(identified, self.mated.len()))
    }

    /// [`cmc`](Self::cmc) at the ranks 1 to `most`, or to the number of identities if that is
    /// smaller: `curve[r - 1]` is the value at rank `r`.
    ///
    /// # Errors
    /// [`Error::NoSamples`] without a mated probe.
    pub fn cmc_curve(&self, most: usize) -> Result<Vec<f64>> {
        self.need_mated()?;
        let mut ranks: Vec<usize> = self.mated.iter().map(|probe| probe.rank).collect();
        ranks.sort_unstable();
        let within = |rank| ranks.partition_point(|&found| found <= rank);
        Ok((1..=most.min(self.identities))
            .map(|rank| share(within(rank), ranks.len()))
            .collect())
    }

    /// Open-set identification: the share of mated probes whose identity ranks first with a score
    /// that reaches the threshold (TPIR, also called detection and identification rate; Phillips,
    /// Grother and Micheals 2011), at the smallest threshold that at most the share `fpir` of the
    /// non-mated probes reaches.
    ///
    /// The threshold is an order statistic of the best scores of the non-mated probes, without
    /// interpolation, as in [`Roc::tar_at_far`](crate::Roc::tar_at_far). With `n` such probes, an
    /// `fpir` below `1 / n` is reported as not measurable.
    ///
    /// # Errors
    /// [`Error::Rate`] if `fpir` is not from 0 to 1; [`Error::NoSamples`] without a mated or
    /// without a non-mated probe.
    pub fn tpir_at_fpir(&self, fpir: f64) -> Result<TpirAtFpir> {
        check_rate("an FPIR", fpir)?;
        self.need_mated()?;
        if self.non_mated.is_empty() {
            return Err(Error::NoSamples {
                what: "the FPIR (a share of the non-mated probes)",
            });
        }
        let impostors = rising(self.non_mated.iter().map(|probe| probe.score).collect());
        let first = self.mated.iter().filter(|probe| probe.rank == 1);
        let genuine = rising(first.map(|probe| probe.score).collect());
        let measured = strict_threshold(&impostors, fpir).map(|threshold| OpenSetPoint {
            threshold,
            fpir: share(accepted(&impostors, threshold), impostors.len()),
            tpir: share(accepted(&genuine, threshold), self.mated.len()),
        });
        Ok(TpirAtFpir {
            asked: fpir,
            measured,
        })
    }

    fn need_mated(&self) -> Result<()> {
        if self.mated.is_empty() {
            Err(Error::NoSamples {
                what: "the identification rate (a share of the mated probes)",
            })
        } else {
            Ok(())
        }
    }
}
