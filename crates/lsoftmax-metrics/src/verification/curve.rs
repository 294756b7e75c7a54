use super::{OperatingPoint, Roc};

impl Roc {
    /// Points of the curve for drawing, from (0, 0) to (1, 1), FAR and TAR rising.
    ///
    /// These are all corners of the curve where they are no more than `most`; else a choice of
    /// them with four rulers: FAR and FRR, each in even steps of the rate and of its logarithm.
    /// So the curve can be drawn with a linear or a logarithmic FAR, or as DET curve. Both ends
    /// are always there, and so at least two points.
    pub fn points(&self, most: usize) -> Vec<OperatingPoint> {
        let start = self.at(self.above_all());
        let corners = self.corners().map(|corner| self.rates(corner));
        let all: Vec<OperatingPoint> = std::iter::once(start)
            .chain(corners)
            .take(most.saturating_add(1))
            .collect();
        if all.len() <= most {
            return all;
        }

        let mut thresholds = vec![start.threshold, self.lowest()];
        let steps = most.saturating_sub(2) / 4;
        for step in 0..steps {
            let part = step as f64 / steps as f64;
            thresholds.extend(
                ruler(self.different.len(), part)
                    .map(|accepts| self.different[self.different.len() - 1 - accepts].next_up()),
            );
            thresholds.extend(ruler(self.same.len(), part).map(|rejects| self.same[rejects]));
        }
        thresholds.sort_unstable_by(|a, b| b.total_cmp(a));
        let mut points: Vec<OperatingPoint> = thresholds
            .iter()
            .map(|&threshold| self.at(threshold))
            .collect();
        points.dedup_by_key(|point| (point.far, point.tar));
        points
    }

    /// The smallest score: the largest threshold that accepts everything.
    fn lowest(&self) -> f32 {
        self.same[0].min(self.different[0])
    }
}

/// `part` of the way from 0 to `count` and, by the logarithm, from 1 to `count`; less than `count`.
fn ruler(count: usize, part: f64) -> [usize; 2] {
    let count_f64 = count as f64;
    [part * count_f64, count_f64.powf(part)].map(|number| (number as usize).min(count - 1))
}
