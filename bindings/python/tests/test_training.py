"""Training and comparing: the same models as with the command, interruption, resuming, and display."""

import ast
import html
import json
import os
import pathlib
import re
import signal
import subprocess
import sys

import lsoftmax
import pytest
from conftest import SMALL
from lsoftmax import _lsoftmax, _settings


def flags(settings):
    return [word for key, value in settings.items() for word in (f"--{key.replace('_', '-')}", value)]


def model_bytes(run):
    return (pathlib.Path(run) / "model.safetensors").read_bytes()


def figures(data):
    """The results of an outcome, without times."""
    data = json.loads(json.dumps(data))
    for name in ("seconds", "images_per_second"):
        data.pop(name)
    for point in data["curve"]:
        point.pop("images_per_second", None)
    return data


def test_the_model_is_that_of_the_command(command, outcome, tmp_path):
    command("train", *flags(SMALL), "--out", tmp_path / "run")
    assert model_bytes(tmp_path / "run") == model_bytes(outcome.path)
    written = json.loads((tmp_path / "run" / "outcome.json").read_text())
    assert figures(written) == figures(outcome.data)
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert {path.name for path in outcome.path.iterdir()} == names
    loaded = lsoftmax.Outcome.load(tmp_path / "run")
    assert loaded.data == written
    assert loaded.model.digest == outcome.model.digest
    assert loaded.experiment == outcome.experiment


def test_an_outcome_is_shown(outcome):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(outcome.records())
    assert frame["step"].iloc[-1] == SMALL["iterations"]
    assert frame["loss"].notna().all()
    assert outcome.row["test_error_percent"] == outcome.test_error_percent
    shown = outcome._repr_html_()
    inner = html.unescape(re.search(r'srcdoc="([^"]*)"', shown).group(1))
    assert inner == outcome.report == (outcome.path / "report.html").read_text()
    assert "lsoftmax.train(" in outcome.report
    assert outcome.figures and all(svg.startswith("<svg") for svg in outcome.figures.values())
    written = {path.name for path in (outcome.path / "figures").iterdir()}
    assert set(outcome.figures) == written
    assert next(iter(outcome.figures.values()))._repr_svg_().startswith("<svg")
    assert "test error after 40 steps" in repr(outcome)
    assert not outcome.diverged


def test_without_a_folder_nothing_is_written(tmp_path, monkeypatch, outcome):
    monkeypatch.chdir(tmp_path)
    in_memory = lsoftmax.train(**SMALL)
    assert list(tmp_path.iterdir()) == []
    assert in_memory.path is None
    assert in_memory.model.digest == outcome.model.digest


def test_a_file_and_keywords(tmp_path, outcome):
    file = tmp_path / "experiment.toml"
    file.write_text(outcome.experiment)
    again = lsoftmax.train(config=file)
    assert again.model.digest == outcome.model.digest
    other = lsoftmax.train(config=file, seed=1, margin=None)
    assert other.model.digest != outcome.model.digest
    assert other.row["seed"] == 1


def test_the_keywords_are_the_keys_of_experiment_files():
    names = {name.rstrip("_").replace("_", "-") for name in _settings.Settings.__annotations__}
    assert names == set(_lsoftmax.setting_keys())


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"iteration": 3}, ValueError, "did you mean 'iterations'"),
        ({"iterations": 0}, ValueError, "iterations must be"),
        ({"iterations": 1.5}, ValueError, "iterations: .*1.5.*expected u64"),
        ({"iterations": -1}, ValueError, "iterations: .*-1.*expected u64"),
        ({"learning_rate": float("nan")}, ValueError, "finite"),
        ({"loss": "softmx"}, ValueError, "softmax"),
        ({"loss": 3}, ValueError, "loss: .*expected a string"),
        ({"data": "mnits"}, ValueError, "did you mean mnist"),
        ({"data": object()}, TypeError, "a setting must be"),
        ({"data": "images"}, ValueError, "data-dir"),
        ({"data": "images", "data_dir": "no-such-folder"}, OSError, "no-such-folder"),
        ({"config": "none.toml"}, FileNotFoundError, "none.toml"),
        ({"device": "abacus"}, ValueError, "device must be"),
        ({"device": "cuda"}, ValueError, "this build has no cuda"),
        ({"progress": 3}, TypeError, "progress must be a function"),
        ({"resume": "no-such/run"}, ValueError, "no-such/run is neither a run nor"),
        ({"network": "lenet"}, ValueError, "lenet"),
        ({"batch": 10**30}, ValueError, "batch"),
    ],
)
def test_what_cannot_be_trained_is_refused(settings, error, message):
    with pytest.raises(error, match=message):
        lsoftmax.train(**settings)


def test_a_folder_is_not_used_twice(outcome):
    before = model_bytes(outcome.path)
    with pytest.raises(ValueError, match="exists already"):
        lsoftmax.train(**SMALL, out=outcome.path)
    with pytest.raises(ValueError, match="is finished"):
        lsoftmax.train(resume=outcome.path)
    with pytest.raises(ValueError, match="own settings"):
        lsoftmax.train(resume=outcome.path, batch=3)
    assert model_bytes(outcome.path) == before


def test_a_damaged_outcome_is_refused(tmp_path, outcome):
    run = tmp_path / "run"
    run.mkdir()
    (run / "experiment.toml").write_text(outcome.experiment)
    with pytest.raises(ValueError, match="is not finished"):
        lsoftmax.Outcome.load(run)
    (run / "outcome.json").write_text('{"evaluation": ')
    with pytest.raises(ValueError, match="outcome.json"):
        lsoftmax.Outcome.load(run)
    with pytest.raises(FileNotFoundError):
        lsoftmax.Outcome.load(tmp_path / "none")


def test_without_its_landmarks_a_run_has_no_model(shapes, tmp_path):
    points = tmp_path / "points.csv"
    names = [path.relative_to(shapes).as_posix() for path in sorted(shapes.rglob("*.png"))]
    header = "path,x1,y1,x2,y2,x3,y3,x4,y4,x5,y5"
    points.write_text("\n".join([header] + [f"{name},9,12,19,12,14,17,10,21,18,21" for name in names]))
    trained = lsoftmax.train(
        data="images", data_dir=shapes, align="112x96", image_size="28x28", landmarks=points,
        network="compact", iterations=2, batch=8, out=tmp_path / "run",
    )
    assert lsoftmax.Outcome.load(trained.path).model.digest == trained.model.digest
    points.rename(tmp_path / "moved.csv")
    with pytest.warns(RuntimeWarning, match="points.csv does not exist: open it with"):
        loaded = lsoftmax.Outcome.load(trained.path)
    assert loaded.model is None and loaded.data == trained.data
    model = lsoftmax.Model.load(trained.path, landmarks=tmp_path / "moved.csv")
    assert model.digest == trained.model.digest


def test_progress_is_told_and_can_stop(tmp_path, outcome):
    told = []

    def stop_in_the_middle(progress):
        told.append(progress)
        if progress.step >= 10:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        lsoftmax.train(**SMALL, out=tmp_path / "run", progress=stop_in_the_middle)
    assert [it.step for it in told] == sorted(it.step for it in told)
    assert told[-1].iterations == SMALL["iterations"] and told[-1].loss == "L-Softmax m = 4"
    # It may already have finished by then.
    if not (tmp_path / "run" / "outcome.json").exists():
        assert list((tmp_path / "run" / "checkpoints").iterdir())
        lines = []
        resumed = lsoftmax.train(resume=tmp_path / "run", progress=lambda it: lines.append(str(it)))
        assert resumed.path == tmp_path / "run"
        assert any("loss" in line for line in lines)
    assert model_bytes(tmp_path / "run") == model_bytes(outcome.path)


# Signals may be ignored where the tests themselves run in the background.
CHILD = """
import signal, lsoftmax
signal.signal(signal.SIGINT, signal.default_int_handler)
settings = {settings!r}
lsoftmax.train(**settings, out={out!r}, progress=lambda it: print(it, flush=True))
"""


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_ctrl_c_saves_and_a_resume_goes_on_to_the_bit(tmp_path):
    settings = SMALL | {"iterations": 400}
    out = str(tmp_path / "run")
    code = CHILD.format(settings=settings, out=out)
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    child.stdout.readline()
    child.send_signal(signal.SIGINT)
    errors = child.communicate(timeout=120)[1]
    assert "KeyboardInterrupt: stopped after step" in errors, errors
    assert f"lsoftmax.train(resume={json.dumps(out)})" in errors
    assert child.returncode == -signal.SIGINT
    resumed = lsoftmax.train(resume=out)
    whole = lsoftmax.train(**settings)
    assert resumed.model.digest == whole.model.digest


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_ctrl_c_while_data_are_read_leaves_nothing(tmp_path):
    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.02)
    try:
        # Generating these images takes far longer than the signal.
        with pytest.raises(KeyboardInterrupt):
            lsoftmax.train(**SMALL | {"train_samples": 100_000}, out=tmp_path / "run")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert list(tmp_path.iterdir()) == []


def test_a_training_that_dies_warns():
    with pytest.warns(RuntimeWarning, match="L-Softmax m = 4: the training diverged: step"):
        outcome = lsoftmax.train(**SMALL | {"learning_rate": 1000, "iterations": 60})
    assert outcome.diverged


def test_losses_are_compared(command, tmp_path):
    settings = SMALL | {"iterations": 60}
    told = []
    found = lsoftmax.compare(
        **settings, losses=["softmax", "l-softmax:2"], seeds=[0, 1], out=tmp_path / "here",
        progress=told.append,
    )
    assert len(found.runs) == 4 and len(found.pictures) == 2
    assert {it.run for it in told} == set(range(6)) and told[0].runs == 6
    words = ["--losses", "softmax,l-softmax:2", "--seeds", "0,1", "--out", tmp_path / "there"]
    expected = command("compare", *flags(settings), *words)
    timed = ("images_per_second", "seconds")

    def rows(records):
        return [{k: v for k, v in row.items() if k not in timed} for row in records]

    assert rows(found.records()) == rows(expected["rows"])
    assert rows(run.row for run in found.pictures) == rows(expected["pictures"])
    assert found.remarks == expected["remarks"]
    here, there = (
        {path.relative_to(tmp_path / name) for path in (tmp_path / name).rglob("*")}
        for name in ("here", "there")
    )
    assert here == there
    for run in found.runs + found.pictures:
        other = tmp_path / "there" / run.path.relative_to(tmp_path / "here")
        assert model_bytes(run.path) == model_bytes(other)
        assert run.report == (run.path / "report.html").read_text()
    assert found.report == (tmp_path / "here" / "report.html").read_text()
    assert "features-softmax-seed-0.svg" in found.figures
    assert "<iframe" in found._repr_html_() and "4 runs" in repr(found)


def test_only_pictures():
    with pytest.warns(RuntimeWarning, match="softmax: the training diverged"):
        found = lsoftmax.compare(**SMALL | {"iterations": 4}, losses="softmax", table=False)
    assert found.runs == [] and len(found.pictures) == 1 and len(found.records()) == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"losses": []}, "losses must be at least one"),
        ({"losses": ["softmax"], "seeds": []}, "seeds must be at least one"),
        ({"losses": ["softmax:"]}, "losses must be NAME"),
        ({"loss": "softmax"}, "loss must be left out"),
        ({"seed": 1}, "seed must be left out"),
        ({"pictures": False, "table": False}, "at least one of pictures and table"),
    ],
)
def test_what_cannot_be_compared_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        lsoftmax.compare(**settings)


def test_the_stub_has_all_that_the_native_part_has():
    stub = pathlib.Path(lsoftmax.__file__).with_name("_lsoftmax.pyi")
    declared = {}
    for node in ast.parse(stub.read_text()).body:
        if isinstance(node, ast.ClassDef):
            members = [it.name for it in node.body if isinstance(it, ast.FunctionDef)]
            declared[node.name] = {name for name in members if name != "__new__"}
        elif isinstance(node, ast.FunctionDef):
            names = [argument.arg for argument in node.args.args]
            declared[node.name] = names
    for name, found in vars(_lsoftmax).items():
        if isinstance(found, type):
            members = {member for member in vars(found) if not member.startswith("__")}
            assert declared[name] == members, name
        elif callable(found):
            signature = re.findall(r"\w+", re.sub(r"=[^,)]*", "", found.__text_signature__))
            assert declared[name] == signature, name
