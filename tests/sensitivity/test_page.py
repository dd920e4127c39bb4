"""What docs/statistics.md shows of sensitivity runs, with the numbers there."""

import re

import numpy as np
import pytest

from tests.command import ROOT
from tests.test_readme import _run


@pytest.mark.slow
def test_the_section_on_sensitivity_runs_as_printed(tmp_path):
    text = (ROOT / "docs" / "statistics.md").read_text("utf-8")
    section = text.split("\n## Sensitivity")[1].split("\n## ")[0]
    scripts = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    told = _run("".join(scripts), tmp_path)
    shown = re.search(r"prints\n\n((?: .*\n)+)", section)[1]
    lines = [line.split() for line in shown.strip().splitlines()]
    assert len(lines) == 7
    told = [line.split() for line in told.splitlines()]
    assert lines[0] == told[0]
    for line, other in zip(lines[1:-1], told[1:]):
        assert line[-1] == other[-1]
        numbers = [np.array(x[:-1], float) for x in (line, other)]
        np.testing.assert_allclose(*numbers, rtol=0.05, atol=0.05)
    assert (tmp_path / "tipping.png").exists()
