use std::ops::Range;
use std::sync::atomic::AtomicBool;

use rayon::prelude::*;

use super::{Identification, MatedProbe, NonMatedProbe};
use crate::matrix::check_columns;
use crate::unit::{check_embeddings, dot_f32, push_unit};
use crate::{Error, Matrix, Result, stop};

/// Probes compared with the gallery together, and gallery images that stay in the cache meanwhile.
/// Neither affects the result.
const PROBES: usize = 32;
const IMAGES: usize = 32;

/// Compares every probe with every gallery image by cosine in `f32`. A zero vector has cosine 0 to
/// all.
///
/// The cost is proportional to probes times gallery images; memory is that of a copy of the
/// gallery. Give each distractor (an image of no particular identity) a label of its own.
///
/// # Shapes
/// - probes: `[probe, feature]`, `probe_labels`: `[probe]`
/// - gallery: `[image, feature]`, `gallery_labels`: `[image]`; labels may be any numbers
///
/// # Errors
/// The shapes do not fit, an embedding holds a NaN or an infinity (the error names the row), or
/// there are no probes or no gallery.
pub fn identify(
    probes: Matrix<'_>,
    probe_labels: &[usize],
    gallery: Matrix<'_>,
    gallery_labels: &[usize],
) -> Result<Identification> {
    identify_until(probes, probe_labels, gallery, gallery_labels, &stop::NEVER)
}

/// [`identify`] that ends soon after `stop` is set.
///
/// # Errors
/// As [`identify`], and [`Error::Stopped`].
pub fn identify_until(
    probes: Matrix<'_>,
    probe_labels: &[usize],
    gallery: Matrix<'_>,
    gallery_labels: &[usize],
    stop: &AtomicBool,
) -> Result<Identification> {
    check_columns("probes", probes, gallery.columns())?;
    check_set("probes", "probe labels", probes, probe_labels)?;
    check_set("gallery", "gallery labels", gallery, gallery_labels)?;

    let gallery = Gallery::new(gallery, gallery_labels);
    let blocks: Vec<Vec<ProbeResult>> = probe_labels
        .par_chunks(PROBES)
        .enumerate()
        .map(|(block, labels)| {
            stop::check(stop)?;
            Ok(gallery.search(probes, block * PROBES, labels))
        })
        .collect::<Result<_>>()?;

    let mut found = Identification {
        identities: gallery.identities.len(),
        mated: Vec::new(),
        non_mated: Vec::new(),
    };
    for (probe, result) in blocks.into_iter().flatten().enumerate() {
        match result.own {
            Some((_, score)) => found.mated.push(MatedProbe {
                probe,
                rank: result.ahead + 1,
                score,
            }),
            None => found.non_mated.push(NonMatedProbe {
                probe,
                score: result.best,
            }),
        }
    }
    Ok(found)
}

fn check_set(
    rows_name: &'static str,
    labels_name: &'static str,
    rows: Matrix<'_>,
    labels: &[usize],
) -> Result<()> {
    if labels.len() != rows.rows() {
        return Err(Error::RowCount {
            what: labels_name,
            expected: rows.rows(),
            found: labels.len(),
        });
    }
    if labels.is_empty() {
        return Err(Error::NoSamples {
            what: "identification",
        });
    }
    check_embeddings(rows_name, rows)
}

/// The gallery, with the images of an identity stored together.
struct Gallery {
    /// `[image, feature]`, of unit length.
    rows: Vec<f32>,
    columns: usize,
    /// The identities in the order of their labels, with their images.
    identities: Vec<(usize, Range<usize>)>,
    /// Blocks of identities: at least one identity each, and otherwise at most [`IMAGES`] images.
    blocks: Vec<Range<usize>>,
}

/// Results of one probe during the search.
struct ProbeResult {
    /// Index and score of the probe's own identity.
    own: Option<(usize, f32)>,
    /// Other identities with an equal or higher score.
    ahead: usize,
    /// The best score of any identity.
    best: f32,
}

impl Gallery {
    fn new(gallery: Matrix<'_>, labels: &[usize]) -> Self {
        let mut order: Vec<usize> = (0..labels.len()).collect();
        order.sort_by_key(|&row| labels[row]);
        let mut rows = Vec::with_capacity(gallery.rows() * gallery.columns());
        let mut identities: Vec<(usize, Range<usize>)> = Vec::new();
        for (position, &row) in order.iter().enumerate() {
            push_unit(&mut rows, gallery.row(row).unwrap_or_default());
            match identities.last_mut() {
                Some((label, images)) if *label == labels[row] => images.end += 1,
                _ => identities.push((labels[row], position..position + 1)),
            }
        }

        let mut blocks: Vec<Range<usize>> = Vec::new();
        let mut images_in_block = 0;
        for (number, (_, images)) in identities.iter().enumerate() {
            images_in_block += images.len();
            match blocks.last_mut() {
                Some(block) if images_in_block <= IMAGES => block.end += 1,
                _ => {
                    blocks.push(number..number + 1);
                    images_in_block = images.len();
                }
            }
        }
        Self {
            rows,
            columns: gallery.columns(),
            identities,
            blocks,
        }
    }

    /// The best score among an identity's images.
    fn score(&self, unit: &[f32], identity: usize) -> f32 {
        let images = self.identities[identity].1.clone();
        images
            .map(|image| dot_f32(unit, row(&self.rows, self.columns, image)))
            .fold(f32::NEG_INFINITY, f32::max)
    }

    /// Compares the probes from row `first` on, one per label, with the whole gallery.
    fn search(&self, probes: Matrix<'_>, first: usize, labels: &[usize]) -> Vec<ProbeResult> {
        let mut units = Vec::with_capacity(labels.len() * self.columns);
        for probe in first..first + labels.len() {
            push_unit(&mut units, probes.row(probe).unwrap_or_default());
        }
        let unit = |probe| row(&units, self.columns, probe);

        let own = |(probe, label)| {
            let identities = &self.identities;
            let own = identities.binary_search_by_key(label, |&(label, _)| label);
            own.ok().map(|own| (own, self.score(unit(probe), own)))
        };
        let mut results: Vec<ProbeResult> = labels
            .iter()
            .enumerate()
            .map(|labelled| ProbeResult {
                own: own(labelled),
                ahead: 0,
                best: f32::NEG_INFINITY,
            })
            .collect();

        for block in &self.blocks {
            for (probe, result) in results.iter_mut().enumerate() {
                for identity in block.clone() {
                    result.update(identity, self.score(unit(probe), identity));
                }
            }
        }
        results
    }
}

impl ProbeResult {
    fn update(&mut self, identity: usize, score: f32) {
        self.best = self.best.max(score);
        if let Some((own, own_score)) = self.own {
            self.ahead += usize::from(identity != own && score >= own_score);
        }
    }
}

fn row(values: &[f32], columns: usize, row: usize) -> &[f32] {
    &values[row * columns..(row + 1) * columns]
}
