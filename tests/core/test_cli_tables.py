"""Tables of a terminal's width: every column and every value is printed, whatever the width."""

from __future__ import annotations

from typing import Any

import pytest

from medgan_core.cli.console import print_rows

DICE = [f"Dice, {part} hippocampus" for part in ("Anterior", "Posterior", "Whole")]
VOLUMES = [f"volume of {part} in ml" for part in ("anterior", "posterior")]
ROWS: list[dict[str, Any]] = [
    {"patient": "msd-hippocampus/hippocampus_004", "visit": "", DICE[0]: 0.81234, VOLUMES[0]: 1.5},
    {"patient": "b", DICE[0]: 0.7, DICE[1]: 0.6123, DICE[2]: 0.9, VOLUMES[0]: 2.0, VOLUMES[1]: 3.25},
]


def printed(
    rows: list[dict[str, Any]], width: int, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> str:
    monkeypatch.setenv("COLUMNS", str(width))
    print_rows(rows)
    return capsys.readouterr().out


@pytest.mark.parametrize("width", [30, 80, 300])
def test_no_column_and_no_value_is_left_out(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = printed(ROWS, width, capsys, monkeypatch)
    for text in (*DICE, *VOLUMES, "0.8123", "0.6123", "0.9", "3.25", ROWS[0]["patient"]):
        assert text in found
    assert width < 80 or max(map(len, found.splitlines())) <= width
    assert found.count("patient") == found.count(ROWS[0]["patient"]), "every table names its rows"
    assert (found.count("patient") == 1) == (width == 300)


def test_long_sentences_are_wrapped_between_words(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sentence = "slices of 1 to 7 mm of a head or brain of an adult, in any order, without implants"
    rows = [{"check": "Slices", "limit": sentence, "found": 3.0}]
    found = printed(rows, 60, capsys, monkeypatch)
    assert found.count("Slices") == 1
    assert max(map(len, found.splitlines())) <= 60
    assert all(word in found for word in sentence.split())


def test_one_column_alone_is_a_table(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "p0" in printed([{"patient": "p0"}], 80, capsys, monkeypatch)
