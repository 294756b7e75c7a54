"""Runs the notebooks cell by cell and displays the last expression of each, as a notebook does."""

import ast
import json
import pathlib

import pytest

pytest.importorskip("sklearn")
pytest.importorskip("pandas")
pytest.importorskip("PIL")

NOTEBOOKS = sorted((pathlib.Path(__file__).parent.parent / "examples").glob("*.ipynb"))


def show(value):
    for name in ("_repr_html_", "_repr_svg_"):
        if hasattr(value, name):
            return getattr(value, name)()
    return repr(value)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_runs(notebook, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    names, shown = {}, []
    for number, cell in enumerate(cells):
        if cell["cell_type"] != "code":
            continue
        assert cell["outputs"] == [], "notebooks are kept without their outputs"
        tree = ast.parse("".join(cell["source"]))
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        where = f"{notebook.name}, cell {number}"
        exec(compile(tree, where, "exec"), names)
        if last is not None:
            shown.append(show(eval(compile(ast.Expression(last.value), where, "eval"), names)))
    assert sum(text.startswith("<svg") for text in shown) == 2
    assert sum("<iframe" in text for text in shown) == 2


def test_there_are_notebooks():
    assert NOTEBOOKS
