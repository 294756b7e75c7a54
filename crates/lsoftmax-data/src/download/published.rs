//! The published data sets and their checksums.

/// A file as published by its authors.
#[derive(Clone, Copy, Debug)]
pub struct Published {
    /// File name, the last part of every address.
    pub name: &'static str,
    /// Length in bytes.
    pub bytes: u64,
    /// SHA-256 of the content.
    pub sha256: &'static str,
}

/// A data set that can be downloaded.
#[derive(Clone, Copy, Debug)]
pub struct Download {
    /// The name in `--data`.
    pub name: &'static str,
    /// The folder of the data set below the root.
    pub folder: &'static str,
    /// Its files.
    pub files: &'static [Published],
    /// Whether the files are archives (`.tar.gz`) of the folder rather than its content.
    pub archive: bool,
    /// Base addresses of the files, in the order in which they are tried.
    pub mirrors: &'static [&'static str],
}

const fn file(name: &'static str, bytes: u64, sha256: &'static str) -> Published {
    Published {
        name,
        bytes,
        sha256,
    }
}

/// All available data sets. The SHA-256 checksums are those of the files as first published;
/// TensorFlow Datasets, Chainer and others list the same.
pub const DOWNLOADS: &[Download] = &[
    Download {
        name: "mnist",
        folder: "mnist",
        files: &[
            file(
                "train-images-idx3-ubyte.gz",
                9_912_422,
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            ),
            file(
                "train-labels-idx1-ubyte.gz",
                28_881,
                "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            ),
            file(
                "t10k-images-idx3-ubyte.gz",
                1_648_877,
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            ),
            file(
                "t10k-labels-idx1-ubyte.gz",
                4_542,
                "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            ),
        ],
        archive: false,
        mirrors: &[
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
        ],
    },
    Download {
        name: "fashion-mnist",
        folder: "fashion-mnist",
        files: &[
            file(
                "train-images-idx3-ubyte.gz",
                26_421_880,
                "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            ),
            file(
                "train-labels-idx1-ubyte.gz",
                29_515,
                "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            ),
            file(
                "t10k-images-idx3-ubyte.gz",
                4_422_102,
                "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            ),
            file(
                "t10k-labels-idx1-ubyte.gz",
                5_148,
                "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            ),
        ],
        archive: false,
        mirrors: &[
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        ],
    },
    Download {
        name: "cifar10",
        folder: "cifar-10-batches-bin",
        files: &[file(
            "cifar-10-binary.tar.gz",
            170_052_171,
            "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        )],
        archive: true,
        mirrors: &["https://www.cs.toronto.edu/~kriz/"],
    },
    Download {
        name: "cifar100",
        folder: "cifar-100-binary",
        files: &[file(
            "cifar-100-binary.tar.gz",
            168_513_733,
            "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
        )],
        archive: true,
        mirrors: &["https://www.cs.toronto.edu/~kriz/"],
    },
];
