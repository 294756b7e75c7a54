use super::{OperatingPoint, Roc};

impl Roc {
    /// Points of the curve for drawing, from (0, 0) to (1, 1), with FAR and TAR ascending.
    ///
    /// Returns all corners of the curve if there are at most `most`. Otherwise returns a selection
    /// at even steps of FAR, of FRR, and of the logarithm of each. The curve can therefore be drawn
    /// with a linear or a logarithmic FAR, or as a DET curve. Both ends are always included, so
    /// there are at least two points.
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

/// `part` of the way from 0 to `count` and, logarithmically, from 1 to `count`; less than `count`.
fn ruler(count: usize, part: f64) -> [usize; 2] {
    let count_f64 = count as f64;
    [part * count_f64, count_f64.powf(part)].map(|number| (number as usize).min(count - 1))
}
