//! Approximate nearest-neighbour search (HNSW) with `usearch`: a few thousand comparisons per query
//! instead of one per image.

use super::{Gallery, Hit, IndexPart};
use crate::error::TrainError;
use crate::open_set::neighbourhoods;
use lsoftmax_metrics::{Matrix, SearchOptions, nearest};
use lsoftmax_record::Neighbourhood;
use usearch::{Index, IndexOptions, MetricKind, ScalarKind};

/// Number of neighbours of a node in the graph.
const CONNECTIVITY: usize = 16;
/// Number of candidates considered while a node is added or a query is answered.
const EXPANSION: usize = 128;
/// Number of candidates per requested neighbour. Their cosines are then computed exactly.
const CANDIDATES: usize = 4;
/// Number of gallery images, each with its nearest neighbours, on which the recall is measured.
const PROBES: usize = 200;
const NEIGHBOURS: usize = 10;

/// A gallery with an open index, for repeated searches.
pub struct ApproximateSearch<'a> {
    gallery: &'a Gallery,
    index: Index,
}

impl std::fmt::Debug for ApproximateSearch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApproximateSearch")
            .field("images", &self.gallery.paths.len())
            .finish_non_exhaustive()
    }
}

fn options(size: usize) -> IndexOptions {
    IndexOptions {
        dimensions: size,
        metric: MetricKind::IP,
        // A quarter of the memory of f32. Candidates are compared again in f32.
        quantization: ScalarKind::I8,
        connectivity: CONNECTIVITY,
        expansion_add: EXPANSION,
        expansion_search: EXPANSION,
        multi: false,
    }
}

fn broken(error: impl std::fmt::Display) -> TrainError {
    TrainError::Index {
        message: error.to_string(),
    }
}

impl Gallery {
    /// Builds an approximate index and measures its recall against the exact search, on images of
    /// the gallery. Runs on one thread, so that the same gallery always gives the same index.
    ///
    /// Building takes about half a millisecond per image. The index takes one byte per value of an
    /// embedding and about 150 bytes more per image.
    ///
    /// # Errors
    /// There is not enough memory, or a value is not finite.
    pub fn build_index(&mut self) -> Result<(), TrainError> {
        let index = Index::new(&options(self.size)).map_err(broken)?;
        index.reserve(self.paths.len()).map_err(broken)?;
        for (key, row) in self.embeddings.chunks_exact(self.size).enumerate() {
            index.add(key as u64, row).map_err(broken)?;
        }
        let mut bytes = vec![0; index.serialized_length()];
        index.save_to_buffer(&mut bytes).map_err(broken)?;
        let search = ApproximateSearch {
            gallery: self,
            index,
        };
        let (recall, probes) = search.recall()?;
        self.index = Some(IndexPart {
            recall_at_10: recall,
            probes,
            bytes,
        });
        Ok(())
    }

    /// Opens the index, if the gallery has one.
    ///
    /// # Errors
    /// The index does not belong to this gallery, or there is not enough memory.
    pub fn approximate(&self) -> Result<Option<ApproximateSearch<'_>>, TrainError> {
        let Some(part) = &self.index else {
            return Ok(None);
        };
        let index = Index::new(&options(self.size)).map_err(broken)?;
        index.load_from_buffer(&part.bytes).map_err(broken)?;
        let (images, size) = (index.size(), index.dimensions());
        if (images, size) != (self.paths.len(), self.size) {
            return Err(broken(format!(
                "an index of {} images of {} numbers expected, {images} of {size} found",
                self.paths.len(),
                self.size
            )));
        }
        index.change_expansion_search(EXPANSION);
        Ok(Some(ApproximateSearch {
            gallery: self,
            index,
        }))
    }
}

impl ApproximateSearch<'_> {
    /// The `k` nearest images of each query among the candidates of the index, with their exact
    /// cosines. Some true neighbours may be missed; [`IndexPart::recall_at_10`] is the measured
    /// share that is found.
    ///
    /// # Shapes
    /// - queries: `[query, size]`, rows of length 1, computed by the model whose digest is `model`
    ///
    /// # Errors
    /// The same as for [`Gallery::search`].
    pub fn search(
        &self,
        model: &str,
        queries: Matrix<'_>,
        k: usize,
    ) -> Result<Vec<Vec<Hit>>, TrainError> {
        self.gallery.check(model, queries.columns())?;
        let hit = |(row, score): (u32, f32)| self.gallery.hit(row, score);
        queries
            .iter_rows()
            .map(|query| Ok(self.nearest(query, k)?.into_iter().map(hit).collect()))
            .collect()
    }

    /// The candidates nearest to one query, with their cosines.
    fn nearest(&self, query: &[f32], k: usize) -> Result<Vec<(u32, f32)>, TrainError> {
        let gallery = self.gallery;
        let k = k.clamp(1, gallery.paths.len());
        let wanted = k.saturating_mul(CANDIDATES).min(gallery.paths.len());
        let found = self.index.search(query, wanted).map_err(broken)?;
        // In gallery order, so that equal cosines are ordered as in the exact search.
        let mut keys: Vec<usize> = found
            .keys
            .iter()
            .filter_map(|&key| usize::try_from(key).ok())
            .filter(|&key| key < gallery.paths.len())
            .collect();
        keys.sort_unstable();
        let row = |&key: &usize| &gallery.embeddings[key * gallery.size..][..gallery.size];
        let rows: Vec<f32> = keys.iter().flat_map(row).copied().collect();
        let found = nearest(
            Matrix::new(query, 1, gallery.size)?,
            Matrix::new(&rows, keys.len(), gallery.size)?,
            k.min(keys.len()).max(1),
            SearchOptions::default(),
        )?;
        let found = found.of(0).into_iter().flatten();
        Ok(found
            .map(|(at, score)| (keys[at as usize] as u32, score))
            .collect())
    }

    /// The share of true neighbours that the index finds, and the number of probes used to measure
    /// it.
    fn recall(&self) -> Result<(f64, usize), TrainError> {
        let gallery = self.gallery;
        let images = gallery.paths.len();
        let probes = PROBES.min(images);
        let k = NEIGHBOURS.min(images - 1);
        if k == 0 {
            return Ok((1.0, probes));
        }
        let exact = neighbourhoods(&gallery.embeddings, images, gallery.size, [probes, k])?;
        let mut found = 0;
        for Neighbourhood { probe, nearest } in exact {
            let row = &gallery.embeddings[probe as usize * gallery.size..][..gallery.size];
            let near = self.nearest(row, k + 1)?;
            let near: Vec<u32> = near.into_iter().map(|(row, _)| row).collect();
            found += nearest.iter().filter(|(row, _)| near.contains(row)).count();
        }
        Ok((found as f64 / (probes * k) as f64, probes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lsoftmax_metrics::unit_rows;

    /// Groups of ten rows, each around a random direction.
    fn gallery(images: usize) -> Gallery {
        let size = 32;
        let mut state = 7_u64;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 40) as f32 / 8_388_608.0 - 1.0
        };
        let mut rows = Vec::new();
        let mut centre = vec![0.0; size];
        for image in 0..images {
            if image % 10 == 0 {
                for value in &mut centre {
                    *value = next();
                }
            }
            rows.extend(centre.iter().map(|value| value + 0.4 * next()));
        }
        let rows = Matrix::new(&rows, images, size).unwrap();
        Gallery {
            model: "m".into(),
            model_file: "run".into(),
            size,
            embeddings: unit_rows(rows).unwrap(),
            paths: (0..images).map(|i| format!("{i}.png")).collect(),
            labels: (0..images).map(|i| (i / 10).to_string()).collect(),
            index: None,
        }
    }

    #[test]
    fn nearly_all_neighbours_are_found_with_their_exact_cosines() {
        let mut gallery = gallery(3_000);
        gallery.build_index().unwrap();
        let index = gallery.index.as_ref().unwrap();
        assert!(index.recall_at_10 > 0.95, "{}", index.recall_at_10);
        assert_eq!(index.probes, 200);
        let queries = Matrix::new(&gallery.embeddings[..50 * 32], 50, 32).unwrap();
        let exact = gallery.search("m", queries, 5).unwrap();
        let search = gallery.approximate().unwrap().unwrap();
        let found = search.search("m", queries, 5).unwrap();
        let mut same = 0;
        for (exact, found) in exact.iter().flatten().zip(found.iter().flatten()) {
            same += usize::from(exact.path == found.path);
            assert!(exact.path != found.path || exact.score == found.score);
        }
        assert!(same > 240, "{same} of 250");
        assert!(search.search("other", queries, 5).is_err());
    }

    #[test]
    fn an_index_is_the_same_each_time_and_goes_through_a_file() {
        let mut gallery = gallery(500);
        gallery.build_index().unwrap();
        let mut again = gallery.clone();
        again.build_index().unwrap();
        assert_eq!(gallery, again);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("g");
        gallery.save(&path).unwrap();
        let loaded = Gallery::load(&path).unwrap();
        assert_eq!(loaded, gallery);
        let query = Matrix::new(&gallery.embeddings[..32], 1, 32).unwrap();
        let search = loaded.approximate().unwrap().unwrap();
        assert_eq!(search.search("m", query, 1).unwrap()[0][0].path, "0.png");
    }

    #[test]
    fn an_index_of_another_gallery_is_refused() {
        let mut small = gallery(20);
        small.build_index().unwrap();
        let mut large = gallery(30);
        large.index = small.index;
        let message = large.approximate().unwrap_err().to_string();
        assert!(
            message.contains("30 images") && message.contains("20 of 32"),
            "{message}"
        );
        large.index.as_mut().unwrap().bytes.clear();
        assert!(large.approximate().is_err());
    }

    #[test]
    fn a_gallery_of_one_image_has_an_index_too() {
        let mut one = gallery(1);
        one.build_index().unwrap();
        assert_eq!(one.index.as_ref().unwrap().recall_at_10, 1.0);
    }
}
