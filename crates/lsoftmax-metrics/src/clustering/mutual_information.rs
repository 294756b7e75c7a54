use super::contingency::Contingency;
use crate::Result;

/// Normalised mutual information of two labellings, 0 to 1: `2 I(a; b) / (H(a) + H(b))`, the
/// arithmetic mean of the entropies as in scikit-learn.
///
/// 1 if both have a single group. The value grows with the number of clusters even for random
/// clusters: compare only results with the same number of clusters, or use
/// [`adjusted_mutual_information`].
///
/// # Shapes
/// - first, second: `[sample]`, arbitrary numbers; only equality matters
///
/// # Errors
/// The lengths differ, or there are no samples.
pub fn normalized_mutual_information(first: &[usize], second: &[usize]) -> Result<f64> {
    let table = Contingency::new(first, second)?;
    let mean_entropy = mean_entropy(&table);
    if mean_entropy == 0.0 {
        return Ok(1.0);
    }
    // Rounding may exceed the range.
    Ok((mutual_information(&table) / mean_entropy).clamp(0.0, 1.0))
}

/// Mutual information adjusted for chance (Vinh, Epps and Bailey 2010):
/// `(I - E[I]) / ((H(a) + H(b)) / 2 - E[I])`, where `E[I]` is the mean of `I` over all labellings
/// with groups of the same sizes. About 0 for random clusters, 1 for identical groups, and possibly
/// negative.
///
/// 1 if both have a single group, or both have one group per sample. The mean is exact; its cost is
/// proportional to the product of the numbers of distinct group sizes.
///
/// # Shapes and errors
/// As [`normalized_mutual_information`].
pub fn adjusted_mutual_information(first: &[usize], second: &[usize]) -> Result<f64> {
    let table = Contingency::new(first, second)?;
    let [first, second] = table.sizes.each_ref().map(Vec::len);
    if first == second && (first == 1 || first == table.samples) {
        return Ok(1.0);
    }
    let expected = expected_information(&table);
    let information = mutual_information(&table);
    Ok((information - expected) / (mean_entropy(&table) - expected))
}

/// `I(a; b)` in nats.
fn mutual_information(table: &Contingency) -> f64 {
    let samples = table.samples as f64;
    let [first, second] = &table.sizes;
    let terms = table.cells.iter().map(|&(a, b, both)| {
        information_term(both as f64, first[a] as f64, second[b] as f64, samples)
    });
    terms.sum()
}

/// Contribution of a cell of `both` samples to the mutual information.
fn information_term(both: f64, first: f64, second: f64, samples: f64) -> f64 {
    both / samples * (both * samples / (first * second)).ln()
}

fn mean_entropy(table: &Contingency) -> f64 {
    let samples = table.samples as f64;
    let entropy = |sizes: &[u64]| -> f64 {
        let terms = sizes.iter().map(|&size| {
            let share = size as f64 / samples;
            share * -share.ln()
        });
        terms.sum()
    };
    let [first, second] = &table.sizes;
    f64::midpoint(entropy(first), entropy(second))
}

/// Mean mutual information over all labellings with groups of these sizes.
fn expected_information(table: &Contingency) -> f64 {
    let [first, second] = table.sizes.each_ref().map(|sizes| counted(sizes));
    let mut sum = 0.0;
    for &(a, a_groups) in &first {
        for &(b, b_groups) in &second {
            sum += (a_groups * b_groups) as f64 * expected_term(a, b, table.samples as u64);
        }
    }
    sum
}

/// The distinct sizes and their counts.
fn counted(sizes: &[u64]) -> Vec<(u64, u64)> {
    let mut sizes = sizes.to_vec();
    sizes.sort_unstable();
    sizes
        .chunk_by(|a, b| a == b)
        .map(|equal| (equal[0], equal.len() as u64))
        .collect()
}

/// Mean contribution of one cell when groups of `a` and `b` samples overlap by chance.
///
/// The count in the cell is hypergeometric. Its probabilities are products of neighbouring ratios,
/// starting with 1 at the mode and finally divided by their sum. This avoids factorials, and with
/// them the cancellation of large terms.
fn expected_term(a: u64, b: u64, samples: u64) -> f64 {
    let [a_real, b_real, n] = [a, b, samples].map(|count| count as f64);
    // Samples in neither group; this order of operations keeps it from becoming negative.
    let neither = |both: f64| n - a_real - b_real + both;
    let ratio =
        |both: f64| (a_real - both) * (b_real - both) / ((both + 1.0) * neither(both + 1.0));
    let low = (a + b).saturating_sub(samples);
    let high = a.min(b);
    let mode = ((a as u128 + 1) * (b as u128 + 1) / (samples as u128 + 2)) as u64;
    let mode = mode.clamp(low, high);

    let (mut total, mut mean) = (0.0, 0.0);
    let mut add = |both: f64, weight: f64| {
        total += weight;
        if both > 0.0 {
            mean += weight * information_term(both, a_real, b_real, n);
        }
    };
    add(mode as f64, 1.0);
    let mut weight = 1.0;
    for both in mode..high {
        weight *= ratio(both as f64);
        add(both as f64 + 1.0, weight);
    }
    weight = 1.0;
    for both in (low..mode).rev() {
        weight /= ratio(both as f64);
        add(both as f64, weight);
    }
    mean / total
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    #[test]
    fn by_hand() {
        let labels = [0, 0, 1, 1];
        assert_eq!(
            normalized_mutual_information(&labels, &[7, 7, 3, 3]),
            Ok(1.0)
        );
        assert_eq!(
            normalized_mutual_information(&labels, &[0, 1, 0, 1]),
            Ok(0.0)
        );
        // I = ln 2; the entropies are ln 2 and ln 4.
        let nmi = normalized_mutual_information(&labels, &[0, 1, 2, 3]).unwrap();
        assert!((nmi - 2.0 / 3.0).abs() < 1e-15);
        assert!(
            adjusted_mutual_information(&labels, &[0, 1, 2, 3])
                .unwrap()
                .abs()
                < 1e-15
        );
        // The other table with these sizes has I = 0 and probability 2/3; this one has ln 2.
        let ami = adjusted_mutual_information(&labels, &[0, 1, 0, 1]).unwrap();
        assert!((ami + 0.5).abs() < 1e-15);
    }

    #[test]
    fn one_group_and_one_group_per_sample() {
        for score in [normalized_mutual_information, adjusted_mutual_information] {
            assert_eq!(score(&[5, 5], &[1, 1]), Ok(1.0));
            assert_eq!(score(&[5, 6], &[6, 5]), Ok(1.0));
            assert_eq!(score(&[5], &[6]), Ok(1.0));
            assert!(score(&[0, 0, 1], &[2, 2, 2]).unwrap().abs() < 1e-15);
            assert!(matches!(score(&[], &[]), Err(Error::NoSamples { .. })));
            assert!(matches!(score(&[1], &[]), Err(Error::RowCount { .. })));
        }
    }

    #[test]
    fn the_expected_information_is_the_mean_over_all_orders() {
        // All 720 orders of six samples, instead of the formula.
        let first = [0, 0, 0, 1, 1, 2];
        let mut second = [0, 0, 1, 1, 1, 1];
        let expected = expected_information(&Contingency::new(&first, &second).unwrap());
        let mut sum = 0.0;
        let mut orders = 0;
        permute(&mut second, 0, &mut |order| {
            sum += mutual_information(&Contingency::new(&first, order).unwrap());
            orders += 1;
        });
        assert_eq!(orders, 720);
        assert!((expected - sum / 720.0).abs() < 1e-14);
    }

    fn permute(items: &mut [usize], from: usize, visit: &mut impl FnMut(&[usize])) {
        if from == items.len() {
            visit(items);
            return;
        }
        for i in from..items.len() {
            items.swap(from, i);
            permute(items, from + 1, visit);
            items.swap(from, i);
        }
    }
}
