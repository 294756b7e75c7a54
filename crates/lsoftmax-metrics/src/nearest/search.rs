use rayon::prelude::*;

use super::panel::{Machine, Panel, TILE_ROWS};
use super::top::{self, Lists};
use super::{Neighbours, SearchOptions, check_row, check_rows, largest_value};
use crate::matrix::check_columns;
use crate::{Error, Matrix, Result};

/// Maximum number of gallery parts searched in parallel.
const MAX_PARTS: usize = 64;
/// Gallery rows of a part in the first and in the last round. After each round the lists of all
/// parts are merged, and their worst score becomes the threshold of the next round. Early on almost
/// every row passes the threshold, so the first rounds are short and each is twice as long as the
/// one before.
const PART_ROWS: [usize; 2] = [64, 1024];
/// Bytes of gallery rows compared with all queries at once: they stay in a core's second-level
/// cache together with a panel of queries.
const BLOCK: usize = 256 << 10;
/// Queries searched together if memory allows. Fewer would read the gallery too often.
const MIN_QUERY_GROUP: usize = 256;

/// A search in a gallery that arrives block by block.
///
/// ```
/// use lsoftmax_metrics::{Matrix, Search, SearchOptions};
///
/// let probes = Matrix::new(&[1.0, 0.0, 0.0, 1.0], 2, 2)?;
/// let mut search = Search::new(probes, 1, SearchOptions::default())?;
/// search.push(Matrix::new(&[0.6, 0.8], 1, 2)?)?;
/// search.push(Matrix::new(&[0.8, 0.6], 1, 2)?)?;
/// assert_eq!(search.finish()?.indices, [1, 0]);
/// # Ok::<(), lsoftmax_metrics::Error>(())
/// ```
///
/// # Memory
/// Besides the caller's arrays, a search holds `8 * queries * k` bytes of results (16 while
/// [`Search::finish`] converts them to [`Neighbours`]) and, during a push, at most
/// [`SearchOptions::memory`]: `4 * columns` bytes for each query in the current group and, for each
/// of up to 64 parts of the gallery, `8 * max(2 k, k + 32) + 8`. A group has as many queries as
/// fit; the gallery is read once per group. A thread that merges lists holds those of one query a
/// second time. Memory does not grow with the gallery.
#[derive(Debug)]
pub struct Search<'a> {
    queries: Matrix<'a>,
    k: usize,
    leave_out: Option<&'a [u32]>,
    machine: Machine,
    /// Number of gallery parts, and of queries searched together.
    parts: usize,
    together: usize,
    /// `[query, k]` keys, best first.
    best: Vec<u64>,
    /// Number of gallery rows so far.
    rows: usize,
    failed: Option<Error>,
}

impl<'a> Search<'a> {
    /// Creates a search for the `k` nearest rows of each query `[query, column]`.
    ///
    /// # Errors
    /// - [`Error::NeighbourCount`] if `k` is 0.
    /// - [`Error::ColumnCount`] if queries have no columns.
    /// - [`Error::Value`] if a query has a value that is not finite, or so large that inner
    ///   products overflow `f32`.
    /// - [`Error::RowCount`] if `leave_out` does not have one entry per query.
    /// - [`Error::Memory`] if the memory does not suffice for one query, or the results exceed the
    ///   address space.
    pub fn new(queries: Matrix<'a>, k: usize, options: SearchOptions<'a>) -> Result<Self> {
        if k == 0 {
            return Err(Error::NeighbourCount { k, available: None });
        }
        if queries.columns() == 0 {
            return Err(Error::ColumnCount {
                what: "queries",
                expected: 1,
                found: 0,
            });
        }
        check_rows("queries", queries)?;
        if let Some(leave_out) = options.leave_out
            && leave_out.len() != queries.rows()
        {
            return Err(Error::RowCount {
                what: "rows to leave out",
                expected: queries.rows(),
                found: leave_out.len(),
            });
        }
        let machine = Machine::detect();
        let (parts, together) = plan(machine, queries, k, options.memory)?;
        let results = queries.rows().saturating_mul(k);
        if results > isize::MAX as usize / 16 {
            return Err(Error::Memory {
                needed: usize::MAX,
                given: options.memory,
            });
        }
        Ok(Self {
            queries,
            k,
            leave_out: options.leave_out,
            machine,
            parts,
            together,
            best: vec![top::NONE; results],
            rows: 0,
            failed: None,
        })
    }

    /// Searches the next rows of the gallery, `[row, column]`. Rows are numbered across blocks.
    ///
    /// # Errors
    /// - [`Error::ColumnCount`] if the number of columns differs from that of the queries.
    /// - [`Error::Value`] if a row has a value that is not finite, or so large that inner products
    ///   overflow `f32`. The row is numbered across blocks. The search cannot continue: every later
    ///   call returns the same error.
    /// - [`Error::GallerySize`] if there are more rows than a `u32` can index.
    pub fn push(&mut self, block: Matrix<'_>) -> Result<()> {
        self.check_failed()?;
        check_columns("gallery", block, self.queries.columns())?;
        let total = self.rows.saturating_add(block.rows());
        if total >= u32::MAX as usize {
            return Err(Error::GallerySize { rows: total });
        }
        let mut first = 0;
        while first < self.queries.rows() {
            let end = self.queries.rows().min(first + self.together);
            if let Err(error) = self.search(first, end, block) {
                self.failed = Some(error.clone());
                return Err(error);
            }
            first = end;
        }
        self.rows = total;
        Ok(())
    }

    /// Returns the neighbours.
    ///
    /// # Errors
    /// - [`Error::NeighbourCount`] if the gallery has fewer than `k` rows for each query.
    /// - [`Error::LeftOut`] if a row to exclude is past the end of the gallery.
    pub fn finish(self) -> Result<Neighbours> {
        self.check_failed()?;
        let available = self
            .rows
            .saturating_sub(usize::from(self.leave_out.is_some()));
        if self.k > available {
            let (k, available) = (self.k, Some(available));
            return Err(Error::NeighbourCount { k, available });
        }
        for (query, &row) in self.leave_out.unwrap_or_default().iter().enumerate() {
            if row as usize >= self.rows {
                let (row, rows) = (row as usize, self.rows);
                return Err(Error::LeftOut { query, row, rows });
            }
        }
        Ok(Neighbours {
            k: self.k,
            indices: self.best.iter().map(|&key| top::index(key)).collect(),
            scores: self.best.iter().map(|&key| top::score(key)).collect(),
        })
    }

    fn check_failed(&self) -> Result<()> {
        self.failed.clone().map_or(Ok(()), Err)
    }

    /// Searches a block for the queries `first..end`.
    fn search(&mut self, first: usize, end: usize, block: Matrix<'_>) -> Result<()> {
        let (machine, columns, k) = (self.machine, block.columns(), self.k);
        let queries = self.queries;
        let width = machine.width();
        let panels: Vec<Panel> = (first..end)
            .into_par_iter()
            .step_by(width)
            .map(|at| {
                let rows = at..end.min(at + width);
                Panel::new(
                    machine,
                    columns,
                    rows.map(|query| queries.row(query).unwrap_or_default()),
                )
            })
            .collect();
        let count = self.parts.min(block.rows().div_ceil(PART_ROWS[0]));
        let part = || Part::new(first, end, &panels, k);
        let mut parts: Vec<Part> = (0..count).map(|_| part()).collect();
        let (mut done, mut longest) = (0, PART_ROWS[0]);
        while done < block.rows() {
            let each = (block.rows() - done).div_ceil(count).min(longest);
            let each = each.next_multiple_of(TILE_ROWS);
            longest = PART_ROWS[1].min(2 * longest);
            let best = &self.best[first * k..end * k];
            let searched: Vec<Result<()>> = parts
                .par_iter_mut()
                .enumerate()
                .map(|(at, part)| {
                    let from = block.rows().min(done + at * each);
                    let rows = from..block.rows().min(from + each);
                    part.begin(best, k);
                    part.search(&panels, block, rows, self.rows, self.leave_out)
                })
                .collect();
            // The first error in order, not in time.
            searched.into_iter().collect::<Result<()>>()?;
            let best = &mut self.best[first * k..end * k];
            best.par_chunks_mut(k)
                .enumerate()
                .for_each_init(Vec::new, |keys, (query, best)| {
                    join(keys, query, best, &parts);
                });
            done += count * each;
        }
        Ok(())
    }
}

/// The numbers of gallery parts and of queries per group that fit into `memory` bytes.
fn plan(machine: Machine, queries: Matrix<'_>, k: usize, memory: usize) -> Result<(usize, usize)> {
    let list = Lists::capacity(k).saturating_mul(size_of::<u64>());
    let list = list.saturating_add(size_of::<f32>() + size_of::<u32>());
    let query = queries.columns().saturating_mul(size_of::<f32>());
    // A panel is padded and starts on a cache line.
    let spare = machine.padded(1).saturating_mul(query).saturating_add(4096);
    let cost = |parts: usize| list.saturating_mul(parts).saturating_add(query);
    let together = |parts: usize| memory.saturating_sub(spare) / cost(parts);
    let mut parts = MAX_PARTS;
    while parts > 1 && together(parts) < MIN_QUERY_GROUP.min(queries.rows()) {
        parts /= 2;
    }
    match together(parts) {
        0 => Err(Error::Memory {
            needed: spare.saturating_add(cost(1)),
            given: memory,
        }),
        // Round down to whole panels.
        fitting if fitting > machine.width() => Ok((parts, fitting - fitting % machine.width())),
        fitting => Ok((parts, fitting)),
    }
}

/// The candidates from one part of the gallery.
struct Part {
    /// The first query.
    first: usize,
    lists: Lists,
    /// Scores that candidates must exceed, for each query of each panel.
    thresholds: Vec<f32>,
}

impl Part {
    fn new(first: usize, end: usize, panels: &[Panel], k: usize) -> Self {
        let padded = panels.iter().map(Panel::padded).sum();
        Self {
            first,
            lists: Lists::new(end - first, k),
            thresholds: vec![f32::INFINITY; padded],
        }
    }

    /// Drops all candidates; new ones must exceed the last of the best.
    fn begin(&mut self, best: &[u64], k: usize) {
        self.lists.clear();
        // Only the last panel is padded, so a query's index is its position.
        for (threshold, best) in self.thresholds.iter_mut().zip(best.chunks_exact(k)) {
            *threshold = top::score(best[k - 1]);
        }
    }

    fn search(
        &mut self,
        panels: &[Panel],
        block: Matrix<'_>,
        rows: std::ops::Range<usize>,
        offset: usize,
        leave_out: Option<&[u32]>,
    ) -> Result<()> {
        let limit = largest_value(block.columns());
        let step = BLOCK / size_of::<f32>() / block.columns();
        let step = (step - step % TILE_ROWS).max(TILE_ROWS);
        let end = rows.end;
        for from in rows.step_by(step) {
            let to = end.min(from + step);
            for at in from..to {
                check_row(
                    "gallery",
                    offset + at,
                    block.row(at).unwrap_or_default(),
                    limit,
                )?;
            }
            let mut query = 0;
            for panel in panels {
                let thresholds = &mut self.thresholds[query..][..panel.padded()];
                panel.scan(
                    |at| block.row(from + at).unwrap_or_default(),
                    to - from,
                    thresholds,
                    |lane, at, score, threshold| {
                        let (query, index) = (query + lane, (offset + from + at) as u32);
                        if leave_out.is_some_and(|rows| rows[self.first + query] == index) {
                            return;
                        }
                        if let Some(last) = self.lists.push(query, top::key(score, index)) {
                            *threshold = last;
                        }
                    },
                );
                query += panel.padded();
            }
        }
        Ok(())
    }
}

/// Merges a query's previous best with the candidates of all parts.
fn join(keys: &mut Vec<u64>, query: usize, best: &mut [u64], parts: &[Part]) {
    keys.clear();
    for part in parts {
        keys.extend_from_slice(part.lists.list(query));
    }
    if keys.is_empty() {
        return;
    }
    keys.extend_from_slice(best);
    top::select(keys, best.len());
    keys.truncate(best.len());
    keys.sort_unstable_by(|a, b| b.cmp(a));
    best.copy_from_slice(keys);
}
