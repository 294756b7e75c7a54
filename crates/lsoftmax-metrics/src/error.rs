/// What can be wrong with the arrays handed to a metric.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The values do not fill the shape.
    #[error("a matrix of {rows} rows and {columns} columns does not hold {found} values")]
    MatrixShape {
        /// Rows asked for.
        rows: usize,
        /// Columns asked for.
        columns: usize,
        /// Number of values given.
        found: usize,
    },

    /// Two arrays that go together have different numbers of rows.
    #[error("{what}: expected {expected} rows, found {found}")]
    RowCount {
        /// The array that does not fit.
        what: &'static str,
        /// The rows it should have.
        expected: usize,
        /// The rows it has.
        found: usize,
    },

    /// An array has the wrong number of columns.
    #[error("{what}: expected {expected} columns, found {found}")]
    ColumnCount {
        /// The array that does not fit.
        what: &'static str,
        /// The columns it should have.
        expected: usize,
        /// The columns it has.
        found: usize,
    },

    /// A label names a class that does not exist.
    #[error("row {row} has label {label}, but there are {classes} classes (labels start at 0)")]
    LabelOutOfRange {
        /// Row of the label in the batch that was handed in.
        row: usize,
        /// The label found there.
        label: usize,
        /// Number of classes.
        classes: usize,
    },

    /// A rate over no samples has no value.
    #[error("{what} of no samples has no value")]
    NoSamples {
        /// The metric that was asked for.
        what: &'static str,
    },

    /// `k` of a top-k error is zero or more than there are classes.
    #[error("top-{k} has no meaning with {classes} classes: k is 1 to {classes}")]
    TopK {
        /// The `k` asked for.
        k: usize,
        /// Number of classes.
        classes: usize,
    },

    /// The edges of a histogram are not finite and strictly increasing, or fewer than two.
    #[error("histogram edges must be at least two, finite and strictly increasing; {found}")]
    HistogramEdges {
        /// What was found instead.
        found: String,
    },

    /// An embedding holds a NaN or an infinity.
    #[error("{what}: row {row} holds a NaN or an infinity")]
    NotFinite {
        /// The array.
        what: &'static str,
        /// The first such row.
        row: usize,
    },

    /// A score cannot be put in order.
    #[error(
        "row {row} has the score {score}: a score is a number between {} and {}",
        f32::MIN,
        f32::MAX
    )]
    Score {
        /// Row of the first such score.
        row: usize,
        /// The score.
        score: f32,
    },

    /// A rate is no share.
    #[error("{what} of {found}: a rate is from 0 to 1")]
    Rate {
        /// The rate that was asked for.
        what: &'static str,
        /// Its value.
        found: f64,
    },

    /// Verification without one of the two kinds of pairs.
    #[error(
        "{what} holds {same} same and {different} different pairs; at least one of each is needed"
    )]
    PairKinds {
        /// The pairs concerned.
        what: String,
        /// Pairs of one identity.
        same: usize,
        /// Pairs of two identities.
        different: usize,
    },

    /// Pairs or classes cannot be split into the folds asked for.
    #[error("{folds} folds: {expected} needed, {found} found")]
    Folds {
        /// The number of folds.
        folds: usize,
        /// What the folds need.
        expected: String,
        /// What there is of it.
        found: usize,
    },

    /// A pair names a row that does not exist.
    #[error("pair {pair} names row {row}, but there are {rows} embeddings (rows start at 0)")]
    PairOutOfRange {
        /// The pair.
        pair: usize,
        /// The row it names.
        row: usize,
        /// Number of embeddings.
        rows: usize,
    },

    /// More clusters than points, or none.
    #[error("{k} clusters of {rows} points: k is 1 to {rows}")]
    Clusters {
        /// The clusters asked for.
        k: usize,
        /// Number of points.
        rows: usize,
    },

    /// More rows than an index of 32 bits can name.
    #[error("{what}: {found} rows, at most {} can be told apart", u32::MAX)]
    TooManyRows {
        /// The array.
        what: &'static str,
        /// Its rows.
        found: usize,
    },
    /// A value is not finite, or so large that inner products leave `f32`.
    #[error(
        "{what}: row {row} has {found} in column {column}; values must be finite and at most \
         {limit:e} in magnitude"
    )]
    Value {
        /// The array with the value.
        what: &'static str,
        /// The row of the value.
        row: usize,
        /// The column of the value.
        column: usize,
        /// The value.
        found: f32,
        /// The largest magnitude that is allowed.
        limit: f32,
    },

    /// The number of neighbours is zero, or more than the gallery has for each query.
    #[error("{k} neighbours were asked for; {}", expected_neighbours(.available.as_ref()))]
    NeighbourCount {
        /// The `k` asked for.
        k: usize,
        /// Gallery rows that are candidates for each query, where they are known.
        available: Option<usize>,
    },

    /// A row to leave out is not in the gallery.
    #[error("query {query} leaves out row {row} of a gallery of {rows} rows (rows start at 0)")]
    LeftOut {
        /// The query.
        query: usize,
        /// The row that it leaves out.
        row: usize,
        /// Rows of the gallery.
        rows: usize,
    },

    /// The gallery has more rows than a `u32` can number.
    #[error("a gallery of {rows} rows: there may be at most {}", u32::MAX - 1)]
    GallerySize {
        /// Rows of the gallery.
        rows: usize,
    },

    /// A K of Recall@K is 0.
    #[error("Recall@0 has no meaning: K is at least 1")]
    RecallAt,

    /// The memory that a search may use is too little for a single query.
    #[error("the search needs {needed} bytes of memory, but may use {given}")]
    Memory {
        /// Bytes that are needed for one query.
        needed: usize,
        /// Bytes that may be used.
        given: usize,
    },
}

fn expected_neighbours(available: Option<&usize>) -> String {
    match available {
        None => "it must be at least 1".into(),
        Some(rows) => format!("the gallery has {rows} candidates for each query"),
    }
}

/// A result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;
