"""`make bench` measures: a short part of it, on real Asterisks in a network of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.adapters.asterisk import installed
from tests.lab import namespace
from tests.lab.paths import CHECKOUT

pytestmark = [
    pytest.mark.skipif(namespace.possible() is not None, reason="this machine does not allow namespaces"),
    pytest.mark.skipif(installed() is None, reason="Asterisk is not installed: make test does it"),
    pytest.mark.slow,
]


def run(lab: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.bench", *options],
        cwd=CHECKOUT,
        env={**os.environ, "TELEPHONY_LAB": str(lab)},
        capture_output=True,
        text=True,
        timeout=100,
    )


def test_a_short_run_prints_a_table_and_leaves_its_rows_and_raw_data(tmp_path: Path) -> None:
    lab = tmp_path / "lab"
    done = run(lab, "--only", "presses", "codec", "--presses", "5")
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((lab / "bench.json").read_text(encoding="utf-8"))
    rows = {row["name"]: row for row in found["rows"]}
    assert [row["samples"] for row in rows.values()][:2] == [5, 5]
    assert all(row["ours"] > 0 and row["reference"] > 0 and row["ratio"] > 0 for row in rows.values())
    assert all(name in done.stdout for name in rows)
    raw = (lab / "bench" / "press-to-invite.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(raw) == 10, "ours and the reference in turn"
    assert [json.loads(line)["way"] for line in raw[:2]] == ["ours", "reference"]


def test_a_part_measured_again_takes_the_place_of_its_rows_alone(tmp_path: Path) -> None:
    lab = tmp_path / "lab"
    lab.mkdir()
    results = lab / "bench.json"
    assert run(lab, "--only", "codec").returncode == 0
    rows = json.loads(results.read_text(encoding="utf-8"))["rows"]
    before = [{**row, "ours": 0.0} for row in rows] + [{"name": "of another part", "ours": 0.0}]
    results.write_text(json.dumps({"full": False, "rows": before, "left_out": []}), encoding="utf-8")

    assert run(lab, "--only", "codec").returncode == 0

    after = json.loads(results.read_text(encoding="utf-8"))["rows"]
    assert [row["name"] for row in after] == [row["name"] for row in before]
    assert [row["ours"] > 0 for row in after] == [True] * len(rows) + [False]
