"""What is said of a look into a database of advisories."""

import json

import pytest

from experiments.audit import report_of, told

SKIPPED = {"name": "a", "skip_reason": "Dependency not found on PyPI"}
CLEAN = {"name": "b", "version": "1", "vulns": []}
KNOWN = {
    "name": "c",
    "version": "2",
    "vulns": [
        {"id": "PYSEC-1", "fix_versions": ["3"]},
        {"id": "PYSEC-2", "fix_versions": []},
    ],
}


@pytest.mark.parametrize(
    ("found", "lines", "status"),
    [
        (None, ["no advisory database is reachable; none was checked"], 0),
        ([SKIPPED], ["no advisory database is reachable; none was checked"], 0),
        ([CLEAN], ["1 versions checked, 0 advisories"], 0),
        (
            [CLEAN, SKIPPED],
            ["1 versions checked, 0 advisories; not checked: a"],
            0,
        ),
        (
            [CLEAN, KNOWN],
            [
                "c 2: PYSEC-1, mended in 3",
                "c 2: PYSEC-2, mended in no version",
                "2 versions checked, 2 advisories",
            ],
            1,
        ),
    ],
)
def test_what_was_not_looked_up_is_said(found, lines, status):
    report = "" if found is None else json.dumps({"dependencies": found})
    said, code = told(report)
    assert [x.removeprefix("audit: ") for x in said] == lines
    assert code == status


def test_without_the_program_there_is_no_report(monkeypatch, tmp_path):
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    assert report_of("constraints.txt") == ""
