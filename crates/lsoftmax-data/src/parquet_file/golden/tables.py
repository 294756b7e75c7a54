"""Generates the tables for the tests of parquet_file.

    pip install pyarrow==26.0.1
    python3 tables.py

Writes next to this script: kinds, header, twice, bad, bomb, list, a file for each compression and
string encoding, and `deep`, whose schema has 3,000 nested groups.
"""

import datetime
import pathlib

import pyarrow as pa
import pyarrow.parquet as pq

HERE = pathlib.Path(__file__).parent


def write(name, columns, compression="snappy", **options):
    pq.write_table(pa.table(columns), HERE / name, compression=compression, **options)


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
write("header.parquet", {"Path": pa.array(["a.png"]), " LABEL": pa.array(["b"]), "Split": pa.array(["test"])})
write("twice.parquet", {"path": pa.array(["a.png"]), "Path": pa.array(["b.png"]), "label": pa.array(["c"])})
write(
    "bad.parquet",
    {
        "empty": pa.array(["a", None, "b"]),
        "ragged": pa.array([[1.0], [2.0], [3.0, 4.0]], pa.list_(pa.float32())),
        "date": pa.array([datetime.date(2020, 1, 1)] * 3),
    },
)
write("bomb.parquet", {"label": pa.array(["the same label"]).take(pa.array([0] * 10_000_000))})
TEXTS = {"text": pa.array([f"name {i % 7}/{i}" for i in range(300)])}
for compression in ("none", "snappy", "gzip", "zstd", "lz4", "brotli"):
    write(f"{compression}.parquet", TEXTS, compression=compression)
write("two_versions.parquet", TEXTS, compression="zstd", data_page_version="2.0", row_group_size=110)
for encoding in ("DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY", "PLAIN"):
    write(f"{encoding.lower()}.parquet", TEXTS, use_dictionary=False, column_encoding={"text": encoding})
write("empty.parquet", {"text": pa.array([], pa.string())})
write("nullable.parquet", {"text": pa.array(["a", "b"], pa.large_string()), "number": pa.array([1, 2], pa.uint64())})
write(
    "list.parquet",
    {
        "label": pa.array([7, 12, 7], pa.int32()),
        "path": pa.array(["1.png", "2.png", "3.png"]),
        "split": pa.array(["train", "train", "test"]),
    },
)


def varint(number):
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def deep(groups):
    """A file whose footer holds only a schema of nested groups (Thrift's compact protocol)."""
    # Named `g`, with one child.
    group = b"\x48\x01g\x15" + varint(2) + b"\x00"
    leaf = b"\x15" + varint(2) + b"\x38\x01g\x00"
    footer = b"\x15\x02\x19\xfc" + varint(groups + 1) + group * groups + leaf + b"\x16\x00\x19\x0c\x00"
    return b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1"


(HERE / "deep.parquet").write_bytes(deep(3000))
