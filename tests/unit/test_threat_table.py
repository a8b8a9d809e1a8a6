"""Every defence in SECURITY.md is shown by a test that there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.unit.test_coverage_table import EXISTING

TABLE = (Path(__file__).resolve().parents[2] / "SECURITY.md").read_text(encoding="utf-8")
ROWS = [line for line in TABLE.split("## Threats")[1].splitlines() if line.startswith("| ")][2:]


def test_table_is_read() -> None:
    assert len(ROWS) > 40


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[2].strip()[:50])
def test_threat_has_a_test(row: str) -> None:
    named = set(re.findall(r"`(test_\w+)`", row.split("|")[4]))
    assert named
    assert named <= EXISTING, named - EXISTING
