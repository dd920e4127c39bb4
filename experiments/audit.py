"""Advisories on the versions of constraints.txt, where a database is reachable.

    .venv-audit/bin/python experiments/audit.py constraints.txt

which `make audit` makes ready. By itself `pip-audit` says "No known
vulnerabilities found", and ends well, where it could look up none of the
versions; here that is said.
"""

import json
import pathlib
import subprocess
import sys


def report_of(constraints: str) -> str:
    """What pip-audit finds, as JSON; "" where it is not there or breaks off."""
    command = pathlib.Path(sys.executable).with_name("pip-audit")
    words = ("-r", constraints, "--no-deps", "--disable-pip", "-f", "json")
    try:
        made = subprocess.run([command, *words], capture_output=True, text=True)
    except OSError:
        return ""
    return made.stdout


def told(report: str) -> tuple[list[str], int]:
    """Lines on a report, and the exit status: 1 where something is known.

    Args:
      report: of `report_of`.
    """
    every = json.loads(report)["dependencies"] if report.strip() else []
    looked_up = [one for one in every if "skip_reason" not in one]
    if not looked_up:
        return ["audit: no advisory database is reachable; none was checked"], 0
    lines = [
        f"{one['name']} {one['version']}: {known['id']}, mended in"
        f" {', '.join(known['fix_versions']) or 'no version'}"
        for one in looked_up
        for known in one["vulns"]
    ]
    skipped = [one["name"] for one in every if "skip_reason" in one]
    end = f"audit: {len(looked_up)} versions checked, {len(lines)} advisories"
    if skipped:
        end += f"; not checked: {', '.join(skipped)}"
    return [*lines, end], int(bool(lines))


if __name__ == "__main__":
    found, status = told(report_of(sys.argv[1]))
    print("\n".join(found))
    sys.exit(status)
