"""A trained model gives the same numbers as the command, for files, Pillow images and arrays."""

import concurrent.futures
import csv
import math
import os
import sys

import lsoftmax
import numpy as np
import pytest
from conftest import SMALL, picture

Image = pytest.importorskip("PIL.Image")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Images of several kinds and sizes."""
    rng = np.random.default_rng(5)
    folder = tmp_path_factory.mktemp("images")
    grey = Image.fromarray(picture(rng, "disc"))
    large = Image.fromarray(picture(rng, "ring", (61, 47)))
    colour = Image.fromarray(rng.integers(0, 256, (40, 30, 3), dtype=np.uint8))
    faded = colour.copy()
    faded.putalpha(Image.fromarray(rng.integers(0, 256, (40, 30), dtype=np.uint8)))
    wide = rng.integers(0, 65536, (28, 28), dtype=np.uint16)
    images = {
        "grey": grey,
        "large": large,
        "colour": colour,
        "faded": faded,
        "faded-grey": faded.convert("LA"),
        "palette": colour.quantize(16),
        "black-and-white": grey.convert("1"),
        "sixteen-bits": Image.fromarray(wide),
    }
    for name, image in images.items():
        image.save(folder / f"{name}.png")
    palette = colour.quantize(16)
    palette.save(folder / "hole.png", transparency=3)
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by 90 degrees
    large.save(folder / "turned.png", exif=exif)
    return sorted(folder.iterdir())


def command_rows(command, model_path, images, out):
    command("embed", model_path, *images, "--out", out)
    return np.load(out)


def test_files_and_images_embed_as_by_the_command(command, outcome, model, files, tmp_path):
    expected = command_rows(command, outcome.path, files, tmp_path / "all.npy")
    found = np.concatenate([model.embed(file) for file in files])
    assert found.dtype == np.float32 and found.flags.c_contiguous
    np.testing.assert_array_equal(found, expected)
    for file, row in zip(files, expected):
        with Image.open(file) as image:
            np.testing.assert_array_equal(model.embed(image)[0], row, err_msg=file.name)
    np.testing.assert_allclose(model.embed(files), expected, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)


def test_arrays_embed_as_their_files(model, files):
    for name in ("grey", "large", "colour"):
        file = next(file for file in files if file.stem == name)
        array = np.asarray(Image.open(file))
        expected = model.embed(str(file))
        np.testing.assert_array_equal(model.embed(array), expected, err_msg=name)
        np.testing.assert_array_equal(model.embed([array]), expected)
        np.testing.assert_array_equal(model.embed(array[None]), expected)
        # Views with other strides are read by their values.
        np.testing.assert_array_equal(model.embed(np.asfortranarray(array)), expected)


def test_batches_are_rows_in_order(model, rng):
    batch = rng.integers(0, 256, (5, 28, 28), dtype=np.uint8)
    rows = model.embed(batch)
    assert rows.shape == (5, model.embedding_size)
    np.testing.assert_array_equal(model.embed(batch[..., None]), rows)
    np.testing.assert_array_equal(model.embed(list(batch)), rows)
    np.testing.assert_allclose(model.embed(batch[3])[0], rows[3], atol=1e-6)
    np.testing.assert_allclose(model.embed(np.stack([batch] * 3, -1)), rows, atol=1e-6)
    assert model.embed([]).shape == (0, model.embedding_size)
    assert model.embed(batch[:0]).shape == (0, model.embedding_size)
    assert model.predict([]).scores.shape == (0, 10)


def test_a_folder_embeds_as_by_the_command(command, outcome, model, shapes, tmp_path):
    expected = command_rows(command, outcome.path, [shapes], tmp_path / "rows.npy")
    found = model.embed_folder(shapes)
    np.testing.assert_array_equal(found.embeddings, expected)
    with open(tmp_path / "rows.csv", newline="", encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    assert [row["path"] for row in rows] == found.paths
    assert [row["label"] for row in rows] == found.labels
    assert found.left_out == []


def test_broken_images_of_a_folder_are_listed(model, tmp_path, rng):
    Image.fromarray(picture(rng, "disc")).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    found = model.embed_folder(tmp_path)
    assert len(found.paths) == 1
    assert [path.name for path, _ in found.left_out] == ["bad.png"]


def test_pairs_are_judged_as_by_the_command(command, outcome, model, files):
    for left, right in [(files[0], files[1]), (files[2], files[2])]:
        expected = command("verify", outcome.path, left, right)
        found = model.verify(left, right)
        assert found.cosine == pytest.approx(expected["score"], abs=0)
        assert np.float32(found.threshold) == np.float32(expected["threshold"])
        assert found.same == expected["same"]
        assert found.false_accept_rate == expected["false_accept_rate"]
        assert found.true_accept_rate == expected["true_accept_rate"]
    assert model.threshold == found.threshold
    assert found.same and found.cosine == pytest.approx(1, abs=1e-6)
    stricter = model.verify(files[0], files[1], far=0.01)
    assert stricter.false_accept_rate <= 0.01
    given = model.verify(files[0], files[1], threshold=-1)
    assert given.same and given.false_accept_rate is None
    with pytest.raises(ValueError, match="far must be"):
        model.verify(files[0], files[1], far=1e-12)
    for threshold in (math.nan, math.inf, 1.5):
        with pytest.raises(ValueError, match="threshold must be a cosine"):
            model.verify(files[0], files[1], threshold=threshold)


def test_predictions_have_the_error_of_the_test(shapes, tmp_path):
    outcome = lsoftmax.train(
        data="images", data_dir=shapes, image_size="28x28", network="compact", iterations=60,
        batch=32, out=tmp_path / "run",
    )
    with open(tmp_path / "run" / "images.csv", newline="", encoding="utf-8") as table:
        test = [row for row in csv.DictReader(table) if row["part"] == "test"]
    found = outcome.model.predict([shapes / row["path"] for row in test])
    wrong = [row["class"] != name for row, name in zip(test, found.names)]
    assert 100 * np.mean(wrong) == pytest.approx(outcome.test_error_percent)
    assert found.kind == "probabilities"
    np.testing.assert_allclose(found.scores.sum(1), 1, atol=1e-5)
    np.testing.assert_array_equal(found.scores.argmax(1), found.classes)
    assert [outcome.model.class_names[index] for index in found.classes] == found.names
    reloaded = lsoftmax.Model.load(tmp_path / "run" / "model.safetensors")
    assert reloaded.digest == outcome.model.digest
    assert reloaded.info == outcome.model.info
    again = reloaded.predict([shapes / row["path"] for row in test])
    np.testing.assert_array_equal(again.scores, found.scores)


def test_a_loss_on_distances_predicts_by_cosine():
    model = lsoftmax.train(**SMALL, loss="triplet").model
    images = np.zeros((2, 28, 28), np.uint8)
    images[1, 10:20] = 200
    found = model.predict(images)
    assert found.kind == "cosines"
    assert (np.abs(found.scores) <= 1 + 1e-6).all()
    assert model.info["pairs"]["alone"]


def test_what_a_model_says_of_itself(model):
    assert model.image_size == (1, 28, 28)
    assert len(model.class_names) == 10
    assert model.loss == "L-Softmax m = 4"
    assert model.info["step"] == SMALL["iterations"]
    assert len(model.digest) == 64
    assert "L-Softmax m = 4" in repr(model) and "1x28x28" in repr(model)


def test_threads_share_a_model(model, rng):
    batches = [rng.integers(0, 256, (8, 28, 28), dtype=np.uint8) for _ in range(16)]
    expected = [model.embed(batch) for batch in batches]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for found, rows in zip(pool.map(model.embed, batches), expected):
            np.testing.assert_array_equal(found, rows)


GREY = np.zeros((28, 28), np.uint8)


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (GREY.astype(np.float32), TypeError, "uint8.*float32"),
        (GREY.astype(np.int64), TypeError, "uint8.*int64"),
        (GREY.astype(bool), TypeError, "uint8.*bool"),
        (GREY.astype(object), TypeError, "uint8.*object"),
        (GREY[0], ValueError, r"shape .*found \[28\]"),
        (np.zeros((2, 28, 28, 2), np.uint8), ValueError, r"found \[2, 28, 28, 2\]"),
        (np.zeros((1, 2, 28, 28, 1), np.uint8), ValueError, "shape"),
        (np.zeros((0, 28), np.uint8), ValueError, "shape"),
        (np.zeros((3, 28, 0), np.uint8), ValueError, "shape"),
        (None, TypeError, "NoneType"),
        (7, TypeError, "int"),
        (b"bytes", TypeError, "image 0 must be"),
        ([GREY, None], TypeError, "image 1 must be"),
        ([[0, 1], [2, 3]], TypeError, "image 0 must be"),
        ([np.zeros((2, 28, 28), np.uint8)], ValueError, "image 0 must be one image, found 2"),
        ("no-such-file.png", FileNotFoundError, "cannot read no-such-file.png"),
        (["no-such-file.png"], FileNotFoundError, "cannot read"),
        ("bad\0name.png", ValueError, ""),
        (__file__, ValueError, "unknown file signature"),
        (os.path.dirname(__file__), ValueError, "expected"),
        (np.zeros((1, 20_000, 1), np.uint8), ValueError, ""),
    ],
)
def test_what_is_no_image_is_refused(model, images, error, message):
    if message == "":
        # Whatever the result, the interpreter must survive.
        try:
            model.embed(images)
        except (OSError, ValueError):
            pass
        return
    with pytest.raises(error, match=message):
        model.embed(images)
    with pytest.raises(error, match=message):
        model.predict(images)


def test_a_pair_is_two_images(model):
    with pytest.raises(ValueError, match="left must be one image, found 2"):
        model.verify(np.zeros((2, 28, 28), np.uint8), GREY)
    with pytest.raises(TypeError, match="right must be"):
        model.verify(GREY, [GREY])


def test_a_closed_image_is_an_error(model, files):
    image = Image.open(files[0])
    image.close()
    with pytest.raises(ValueError):
        model.embed(image)


def test_files_that_are_no_models(outcome, tmp_path):
    whole = (outcome.path / "model.safetensors").read_bytes()
    for length in [0, 1, 7, 8, 9, 100, len(whole) // 2, len(whole) - 1]:
        file = tmp_path / f"{length}.safetensors"
        file.write_bytes(whole[:length])
        with pytest.raises((OSError, ValueError), match=file.name):
            lsoftmax.Model.load(file)
    for place in range(0, len(whole), len(whole) // 40):
        changed = bytearray(whole)
        changed[place] ^= 0x41
        file = tmp_path / "changed.safetensors"
        file.write_bytes(changed)
        with pytest.raises((OSError, ValueError)):
            lsoftmax.Model.load(file)
    with pytest.raises(FileNotFoundError):
        lsoftmax.Model.load(tmp_path / "none")
    with pytest.raises(OSError, match="model.safetensors"):
        lsoftmax.Model.load(tmp_path)
    with pytest.raises(TypeError):
        lsoftmax.Model.load(3)
    with pytest.raises(ValueError, match="device must be"):
        lsoftmax.Model.load(outcome.path, device="abacus")
    with pytest.raises(ValueError, match="landmarks must be left out"):
        lsoftmax.Model.load(outcome.path, landmarks="points.csv")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_fork_is_refused_rather_than_left_waiting(model):
    child = os.fork()
    if child == 0:
        try:
            model.embed(np.zeros((64, 28, 28), np.uint8))
        except RuntimeError as error:
            os._exit(0 if "spawn" in str(error) else 2)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_pillow_is_not_needed(outcome):
    import subprocess

    code = (
        "import sys; sys.modules['PIL'] = None; import numpy, lsoftmax; "
        f"model = lsoftmax.Model.load({str(outcome.path)!r}); "
        "print(model.embed(numpy.zeros((2, 28, 28), numpy.uint8)).shape)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.startswith("(2, "), done.stderr
