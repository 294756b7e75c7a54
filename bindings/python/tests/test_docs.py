"""Runs the Python code of the README and the guide."""

import pathlib
import re

import pytest

pytest.importorskip("torch")

PACKAGE = pathlib.Path(__file__).resolve().parent.parent
PAGES = [PACKAGE / "README.md", PACKAGE.parent.parent / "docs" / "guide" / "python.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_code_of_a_page_runs(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    assert blocks
    names = {}
    for block in blocks:
        if "import lightning" in block:
            pytest.importorskip("lightning")
        exec(compile(block, str(page), "exec"), names)
