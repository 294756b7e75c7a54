"""Makes the tables that the tests of parquet_file read.

    pip install pyarrow==26.0.1
    python3 tables.py

It writes kinds.parquet, bad.parquet, bomb.parquet, gzip.parquet and list.parquet beside itself.
"""

import datetime
import pathlib

import pyarrow as pa
import pyarrow.parquet as pq

HERE = pathlib.Path(__file__).parent


def write(name, columns, compression="snappy"):
    pq.write_table(pa.table(columns), HERE / name, compression=compression)


write(
    "kinds.parquet",
    {
        "text": pa.array(["a", "ü", "a"]).dictionary_encode(),
        "small": pa.array([-1, 2, 3], pa.int8()),
        "big": pa.array([1 << 40, 0, -5], pa.int64()),
        "half": pa.array([0.5, -1.25, 3.0], pa.float64()),
        "list": pa.array([[1, 2], [3, 4], [5, 6]], pa.list_(pa.float32())),
    },
)
write(
    "bad.parquet",
    {
        "empty": pa.array(["a", None, "b"]),
        "ragged": pa.array([[1.0], [2.0], [3.0, 4.0]], pa.list_(pa.float32())),
        "date": pa.array([datetime.date(2020, 1, 1)] * 3),
    },
)
write("bomb.parquet", {"label": pa.array(["the same label"]).take(pa.array([0] * 10_000_000))})
write("gzip.parquet", {"text": pa.array(["a", "b"])}, compression="gzip")
write(
    "list.parquet",
    {
        "label": pa.array([7, 12, 7], pa.int32()),
        "path": pa.array(["1.png", "2.png", "3.png"]),
        "split": pa.array(["train", "train", "test"]),
    },
)
