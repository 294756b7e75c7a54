"""Training and comparison, with results as objects and reports that notebooks display."""

from __future__ import annotations

import dataclasses
import html
import json
import logging
import os
import pathlib
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from lsoftmax import _lsoftmax, _settings
from lsoftmax.model import Model

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Comparison", "Figure", "Outcome", "Progress", "compare", "train"]

_log = logging.getLogger("lsoftmax")
_FRAME = (
    '<iframe srcdoc="{}" title="{}" sandbox="allow-scripts" loading="lazy" '
    'style="width: 100%; height: 40rem; border: 1px solid #8884"></iframe>'
)


class Figure(str):
    """A picture as SVG, which notebooks display."""

    def _repr_svg_(self) -> str:
        return str(self)


@dataclasses.dataclass(frozen=True)
class Progress:
    """The state of a training, passed to the callback about ten times a second and at each point of the curve."""

    run: int
    """Index of the run in a comparison; 0 for a single training."""
    runs: int
    """Number of runs."""
    loss: str
    """The loss of the run, such as ``L-Softmax m = 4``."""
    step: int
    """Number of completed steps."""
    iterations: int
    """Number of steps of the whole run."""
    images_per_second: float
    point: dict | None
    """A new point of the curve, if there is one: loss, λ, angles, norms, errors."""
    message: str | None
    """How the training responds to a divergence, if it diverged."""

    def __str__(self) -> str:
        which = f"{self.run + 1}/{self.runs} " if self.runs > 1 else ""
        text = f"{which}{self.loss}: step {self.step} of {self.iterations}"
        if self.message is not None:
            return f"{text}: {self.message}"
        if self.point is None:
            return f"{text}, {self.images_per_second:.0f} images/s"
        numbers = [f"{text}, loss {self.point.get('loss', float('nan')):.4g}"]
        if "test_error_percent" in self.point:
            numbers.append(f"test error {self.point['test_error_percent']:.2f} %")
        return ", ".join(numbers)


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Outcome:
    """A trained run: its results, its model, and its report, which notebooks display."""

    path: pathlib.Path | None
    """The run folder, if there is one."""
    experiment: str
    """All settings of the run, as an experiment file (TOML)."""
    data: dict
    """All results, as in ``outcome.json``: ``evaluation``, ``curve``, ``open_set``, ``frames``, ..."""
    row: dict
    """The main results as single values: ``test_error_percent``, ``mean_target_angle_deg``, ..."""
    model: Model | None
    """The model after the last step; ``None`` if the training left no usable model."""
    report: str
    """The report, as a self-contained HTML page."""
    figures: dict[str, Figure]
    """The pictures of the report by file name, such as ``features-softmax-seed-0.svg``."""

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, device: str = "cpu") -> Outcome:
        """Loads a finished run from its folder, including runs of the command.

        If the run's landmarks file has moved, the model is ``None`` and a warning is given. Pass the new
        path of the file to :meth:`Model.load` to load the model.

        :raises OSError: if a file cannot be read.
        :raises ValueError: if the folder is not a run, the run is not finished, or a file is damaged.
        """
        run, missing = _lsoftmax.load_run(path, device)
        if missing is not None:
            warnings.warn(
                f"the model is left out, as {missing} does not exist: open it with "
                f"lsoftmax.Model.load({os.fspath(path)!r}, landmarks=...)",
                RuntimeWarning,
                stacklevel=2,
            )
        return cls._of(run)

    @classmethod
    def _of(cls, run: tuple) -> Outcome:
        path, experiment, data, row, native, page = run
        model = None if native is None else Model(native)
        report, figures = _page(page)
        return cls(path, experiment, json.loads(data), json.loads(row), model, report, figures)

    @property
    def test_error_percent(self) -> float:
        """Error on the test set in per cent, without margin; NaN if it was not measured."""
        return self.data["evaluation"].get("error_percent", float("nan"))

    @property
    def diverged(self) -> bool:
        """Whether the training diverged."""
        return self.row["diverged"]

    def records(self) -> list[dict]:
        """The training curve, one dict per point: ``pandas.DataFrame(outcome.records())``."""
        return [dict(point) for point in self.data["curve"]]

    def __repr__(self) -> str:
        label = self.row["loss"] + (f" m = {self.row['m']}" if self.row["m"] > 1 else "")
        where = "" if self.path is None else f", {self.path}"
        return (
            f"<lsoftmax.Outcome {label}: {self.test_error_percent:.2f} % test error after "
            f"{self.row['iterations']} steps{where}>"
        )

    def _repr_html_(self) -> str:
        return _FRAME.format(html.escape(self.report), html.escape(repr(self)))


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """A comparison of losses: its runs, and their common report, which notebooks display."""

    path: pathlib.Path | None
    """The folder of the comparison, if there is one."""
    runs: list[Outcome]
    """The runs of the table, ordered by seed."""
    pictures: list[Outcome]
    """The runs with a 2-D feature, one per loss. If only these were trained, they form the table."""
    remarks: list[str]
    """Caveats, such as differences that are within the spread of the seeds."""
    report: str
    """The report, as a self-contained HTML page."""
    figures: dict[str, Figure]
    """The pictures of the report by file name, such as ``features-softmax-seed-0.svg``."""

    def records(self) -> list[dict]:
        """The table, one dict per run: ``pandas.DataFrame(comparison.records())``."""
        return [dict(run.row) for run in self.runs or self.pictures]

    def __repr__(self) -> str:
        where = "" if self.path is None else f", {self.path}"
        return f"<lsoftmax.Comparison of {len(self.runs or self.pictures)} runs{where}>"

    def _repr_html_(self) -> str:
        return _FRAME.format(html.escape(self.report), html.escape(repr(self)))


def train(
    *,
    config: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    resume: str | os.PathLike[str] | None = None,
    device: str = "cpu",
    tensorboard: bool = False,
    progress: Callable[[Progress], object] | None = None,
    **settings: Unpack[_settings.Settings],
) -> Outcome:
    """Trains a model.

    ::

        outcome = lsoftmax.train(data="images", data_dir="faces", open_set="20", progress=print)
        outcome.model.verify("a.png", "b.png")

    The same settings with the same number of threads give the same model, here and in the command.

    :param config: experiment file (TOML). Keyword arguments override it.
    :param out: run folder to create. Without it, nothing is written.
    :param resume: a stopped run, or one of its checkpoints, to continue. Excludes all settings except
        ``data_dir``.
    :param device: ``cpu``, or a device for which the package was built.
    :param tensorboard: also write the curve for TensorBoard.
    :param progress: called with a :class:`Progress`. An exception that it raises stops the training.
    :param settings: the settings of the experiment file with ``_`` for ``-``: ``loss="l-softmax"``,
        ``margin=4``, ``lambda_=5``. ``None`` counts as not given.

    :raises KeyboardInterrupt: on Ctrl-C. The run is saved in its folder; ``resume`` continues it.
    :raises OSError: if a file cannot be read or written.
    :raises ValueError: if a setting does not exist or is out of range, or the data do not suit it.
    """
    asked = {"config": config, "out": out, "resume": resume, **settings}
    found = _lsoftmax.train_run(
        _given(settings),
        _settings.call("train", asked),
        config,
        out,
        resume,
        device,
        tensorboard,
        _callback(progress),
    )
    return Outcome._of(_said(found)[0][0])


def compare(
    *,
    losses: str | Sequence[str] | None = None,
    seeds: Sequence[int] = (0,),
    pictures: bool = True,
    table: bool = True,
    config: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    device: str = "cpu",
    tensorboard: bool = False,
    progress: Callable[[Progress], object] | None = None,
    **settings: Unpack[_settings.Settings],
) -> Comparison:
    """Trains the same network with several losses.

    :param losses: losses as ``NAME`` or ``NAME:M``, with ``@RATE`` for a separate learning rate. Default:
        softmax and L-Softmax with m = 2, 3 and 4.
    :param seeds: train each loss with each of these seeds.
    :param pictures: whether to also train each loss with a 2-D feature, for the pictures.
    :param table: whether to train the networks with a full-sized feature.
    :param out: folder to create for the runs and the report. Without it, nothing is written.

    The other parameters and the exceptions are the same as for :func:`train`.
    """
    if losses is None:
        losses = _lsoftmax.DEFAULT_LOSSES
    if isinstance(losses, str):
        losses = losses.split(",")
    if not (pictures or table):
        raise ValueError("at least one of pictures and table must be true, found neither")
    parts = "all" if pictures and table else "pictures" if pictures else "table"
    asked = {"losses": list(losses), "seeds": list(seeds), "config": config, "out": out, **settings}
    found, rows = _lsoftmax.compare_losses(
        _given(settings),
        _settings.call("compare", asked),
        list(losses),
        list(seeds),
        parts,
        config,
        out,
        device,
        tensorboard,
        _callback(progress),
    )
    runs, page, remarks = _said(found)[:3]
    report, figures = _page(page)
    path = None if out is None else pathlib.Path(out)
    outcomes = [Outcome._of(run) for run in runs]
    return Comparison(path, outcomes[:rows], outcomes[rows:], remarks, report, figures)


def _given(settings: dict[str, object]) -> str:
    given = {name: value for name, value in settings.items() if value is not None}
    return _settings.to_json(_settings.keys(given, _lsoftmax.setting_keys(), "an experiment"))


def _callback(progress: Callable[[Progress], object] | None):
    if progress is None:
        return None
    if not callable(progress):
        kind = type(progress).__name__
        raise TypeError(f"progress must be a function, such as print, found {kind}")

    def tell(run, runs, loss, step, iterations, images_per_second, point, message) -> None:
        point = None if point is None else json.loads(point)
        progress(Progress(run, runs, loss, step, iterations, images_per_second, point, message))

    return tell


def _page(page: tuple) -> tuple[str, dict[str, Figure]]:
    report, figures = page
    return report, {name: Figure(svg) for name, svg in figures}


def _said(found: tuple) -> tuple:
    """Logs the remarks and gives the warnings about the data and about failed trainings."""
    *_, failures, data_warnings, remarks = found
    for remark in remarks:
        _log.info(remark)
    for warning in data_warnings:
        warnings.warn(warning, stacklevel=3)
    for failure in failures:
        warnings.warn(failure, RuntimeWarning, stacklevel=3)
    return found
