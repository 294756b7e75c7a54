/// Invalid input of a metric.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Somebody asked the work to stop.
    #[error("stopped before the end")]
    Stopped,

    /// The values do not fill the shape.
    #[error("a matrix of {rows} rows and {columns} columns does not hold {found} values")]
    MatrixShape {
        /// Requested rows.
        rows: usize,
        /// Requested columns.
        columns: usize,
        /// Given number of values.
        found: usize,
    },

    /// Two corresponding arrays have different numbers of rows.
    #[error("{what}: expected {expected} rows, found {found}")]
    RowCount {
        /// Name of the array that does not fit.
        what: &'static str,
        /// Required rows.
        expected: usize,
        /// Given rows.
        found: usize,
    },

    /// An array has the wrong number of columns.
    #[error("{what}: expected {expected} columns, found {found}")]
    ColumnCount {
        /// Name of the array that does not fit.
        what: &'static str,
        /// Required columns.
        expected: usize,
        /// Given columns.
        found: usize,
    },

    /// A label is not a class.
    #[error("row {row} has label {label}, but there are {classes} classes (labels start at 0)")]
    LabelOutOfRange {
        /// Row of the label in the batch.
        row: usize,
        /// The label.
        label: usize,
        /// Number of classes.
        classes: usize,
    },

    /// A rate is undefined without samples.
    #[error("{what} needs at least one sample")]
    NoSamples {
        /// Name of the metric.
        what: &'static str,
    },

    /// `k` of a top-k error is zero or exceeds the number of classes.
    #[error("top-{k} of {classes} classes: k must be from 1 to {classes}")]
    TopK {
        /// The requested `k`.
        k: usize,
        /// Number of classes.
        classes: usize,
    },

    /// The edges of a histogram are fewer than two, not finite, or not strictly increasing.
    #[error("histogram edges must be at least two, finite and strictly increasing; {found}")]
    HistogramEdges {
        /// Description of the invalid edges.
        found: String,
    },

    /// An embedding holds a NaN or an infinity.
    #[error("{what}: row {row} holds a NaN or an infinity")]
    NotFinite {
        /// Name of the array.
        what: &'static str,
        /// The first such row.
        row: usize,
    },

    /// A score is NaN or out of range.
    #[error(
        "row {row} has the score {score}: scores must be numbers between {} and {}",
        f32::MIN,
        f32::MAX
    )]
    Score {
        /// Row of the first such score.
        row: usize,
        /// The score.
        score: f32,
    },

    /// A rate is not a share.
    #[error("{what} of {found}: a rate must be from 0 to 1")]
    Rate {
        /// Name of the rate.
        what: &'static str,
        /// Its value.
        found: f64,
    },

    /// A set of verification pairs has only one kind of pairs.
    #[error(
        "{what} holds {same} same and {different} different pairs; at least one of each is needed"
    )]
    PairKinds {
        /// Name of the set.
        what: String,
        /// Number of same pairs.
        same: usize,
        /// Number of different pairs.
        different: usize,
    },

    /// Pairs or classes cannot be split into the requested folds.
    #[error("{folds} folds: {expected} needed, {found} found")]
    Folds {
        /// The number of folds.
        folds: usize,
        /// Requirement of the folds.
        expected: String,
        /// The available number.
        found: usize,
    },

    /// A pair names a row that does not exist.
    #[error("pair {pair} names row {row}, but there are {rows} embeddings (rows start at 0)")]
    PairOutOfRange {
        /// Index of the pair.
        pair: usize,
        /// The row in the pair.
        row: usize,
        /// Number of embeddings.
        rows: usize,
    },

    /// The number of clusters is zero or exceeds the number of points.
    #[error("{k} clusters of {rows} points: k must be from 1 to {rows}")]
    Clusters {
        /// The requested clusters.
        k: usize,
        /// Number of points.
        rows: usize,
    },

    /// There are more rows than a `u32` can index.
    #[error("{what}: {found} rows, but at most {} are supported", u32::MAX)]
    TooManyRows {
        /// Name of the array.
        what: &'static str,
        /// Number of rows.
        found: usize,
    },
    /// A value is not finite, or so large that inner products overflow `f32`.
    #[error(
        "{what}: row {row} has {found} in column {column}; values must be finite and at most \
         {limit:e} in magnitude"
    )]
    Value {
        /// Name of the array.
        what: &'static str,
        /// Row of the value.
        row: usize,
        /// Column of the value.
        column: usize,
        /// The value.
        found: f32,
        /// The largest allowed magnitude.
        limit: f32,
    },

    /// The number of neighbours is zero or exceeds the gallery rows available to each query.
    #[error("{k} neighbours requested; {}", expected_neighbours(.available.as_ref()))]
    NeighbourCount {
        /// The requested `k`.
        k: usize,
        /// Gallery rows that are candidates for each query, if known.
        available: Option<usize>,
    },

    /// A row to exclude is not in the gallery.
    #[error("query {query} excludes row {row}, but the gallery has {rows} rows (rows start at 0)")]
    LeftOut {
        /// Index of the query.
        query: usize,
        /// The row to exclude.
        row: usize,
        /// Rows of the gallery.
        rows: usize,
    },

    /// The gallery has more rows than a `u32` can index.
    #[error("the gallery has {rows} rows, but at most {} are supported", u32::MAX - 1)]
    GallerySize {
        /// Rows of the gallery.
        rows: usize,
    },

    /// A K of Recall@K is 0.
    #[error("Recall@0 is undefined: K must be at least 1")]
    RecallAt,

    /// The allowed memory does not suffice for a single query.
    #[error("the search needs {needed} bytes of memory, but its limit is {given}")]
    Memory {
        /// Bytes needed for one query.
        needed: usize,
        /// Allowed bytes.
        given: usize,
    },
}

fn expected_neighbours(available: Option<&usize>) -> String {
    match available {
        None => "at least 1 is required".into(),
        Some(rows) => format!("the gallery has {rows} candidates for each query"),
    }
}

/// A result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;
