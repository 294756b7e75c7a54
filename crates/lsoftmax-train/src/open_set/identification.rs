//! Open-set identification (1:N): some classes of the open set are enrolled in a gallery, the
//! others are unknown.

use crate::error::TrainError;
use lsoftmax_metrics::{Matrix, identify};
use lsoftmax_record::IdentificationRates;
use std::collections::BTreeMap;

/// The ranks of the cumulative match characteristic.
const RANKS: [usize; 3] = [1, 5, 10];
/// The FPIRs at which a TPIR is reported.
const FPIRS: [f64; 2] = [1e-1, 1e-2];

/// The identification rates, or `None` if there are no enrolled or no unknown probes.
pub(super) fn identification(
    rows: &[f32],
    size: usize,
    labels: &[usize],
) -> Result<Option<IdentificationRates>, TrainError> {
    let mut images = BTreeMap::<usize, Vec<usize>>::new();
    for (image, &label) in labels.iter().enumerate() {
        images.entry(label).or_default().push(image);
    }
    let with_two = images.values().filter(|images| images.len() > 1);
    let gallery: Vec<usize> = with_two.step_by(2).map(|images| images[0]).collect();
    let mut in_gallery = vec![false; labels.len()];
    for &image in &gallery {
        in_gallery[image] = true;
    }
    let probes: Vec<usize> = (0..labels.len()).filter(|&i| !in_gallery[i]).collect();
    let of = |images: &[usize]| -> (Vec<f32>, Vec<usize>) {
        let rows = images.iter().flat_map(|&i| &rows[i * size..][..size]);
        (
            rows.copied().collect(),
            images.iter().map(|&i| labels[i]).collect(),
        )
    };
    if gallery.is_empty() {
        return Ok(None);
    }
    let (gallery_rows, gallery_labels) = of(&gallery);
    let (probe_rows, probe_labels) = of(&probes);
    let found = identify(
        Matrix::new(&probe_rows, probes.len(), size)?,
        &probe_labels,
        Matrix::new(&gallery_rows, gallery.len(), size)?,
        &gallery_labels,
    )?;
    if found.non_mated.is_empty() {
        return Ok(None);
    }
    Ok(Some(IdentificationRates {
        enrolled: gallery.len(),
        mated_probes: found.mated.len(),
        non_mated_probes: found.non_mated.len(),
        cmc: RANKS
            .iter()
            .filter(|&&rank| rank <= gallery.len())
            .map(|&rank| Ok((rank, found.cmc(rank)?)))
            .collect::<Result<_, TrainError>>()?,
        tpir_at_fpir: FPIRS
            .iter()
            .map(|&fpir| found.tpir_at_fpir(fpir))
            .collect::<Result<_, _>>()?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_second_class_is_enrolled_with_one_image() {
        // Classes 0 and 2 are enrolled, class 1 is unknown, class 3 has only one image.
        let labels = [0, 0, 1, 1, 2, 2, 2, 3];
        let at = |degrees: f32| [degrees.to_radians().cos(), degrees.to_radians().sin()];
        let angles = [0.0, 10.0, 45.0, 50.0, 90.0, 95.0, 20.0, 180.0];
        let rows: Vec<f32> = angles.iter().flat_map(|&angle| at(angle)).collect();
        let found = identification(&rows, 2, &labels).unwrap().unwrap();
        assert_eq!(
            (found.enrolled, found.mated_probes, found.non_mated_probes),
            (2, 3, 3)
        );
        // The image at 20° is nearer to class 0 than to its own.
        assert_eq!(found.cmc, [(1, 2.0 / 3.0)]);
        // The best cosine of the unknown probes is cos 40°. With three of them, an FPIR of 0.1 has
        // no threshold.
        assert!(
            found
                .tpir_at_fpir
                .iter()
                .all(|point| point.measured.is_none())
        );
    }

    #[test]
    fn without_strangers_there_are_no_rates() {
        assert_eq!(identification(&[1.0, 0.5], 1, &[0, 0]).unwrap(), None);
        assert_eq!(identification(&[1.0, 0.5], 1, &[0, 1]).unwrap(), None);
    }
}
