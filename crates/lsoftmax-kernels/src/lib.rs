//! lsoftmax-kernels
