"""Windows of a suite, scored in parts: the same as at once, also after a kill."""

from pathlib import Path

import polars as pl
import pytest

from lexome.scoring.pairs.pair import PairScorer
from lexome.suites import pair_scores
from lexome.suites.pair_scores import pairs_scorer
from tests.scoring.toy_scorers import gc_scorer

WINDOWS = [(f"17:{i}A>C", "ACGT" * i, "CCGT" * i, 0) for i in range(1, 30)]


def test_parts_survive_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lexome.inference.parts.PART_RECORDS", 10)
    plain = gc_scorer()
    whole = pairs_scorer(plain)(WINDOWS)
    asked: list[int] = []

    def breaking(pairs):
        asked.append(len(pairs))
        if len(asked) == 2:
            raise KeyboardInterrupt
        return plain.compute(pairs)

    scorer: PairScorer = plain._replace(compute=breaking)
    keep = tmp_path / "scores.csv"
    with pytest.raises(KeyboardInterrupt):
        pairs_scorer(scorer, keep)(WINDOWS)
    assert pairs_scorer(scorer, keep)(WINDOWS) == pytest.approx(whole)
    assert asked == [10, 10, 10, 9]  # the first part was not asked again
    assert pl.read_csv(keep)["id"].to_list() == [name for name, *_ in WINDOWS]


def test_reasons_come_back_as_reasons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair_scores, "AT_ONCE", 4)

    def compute(pairs):
        return ["too short" if len(pair.ref) < 20 else 1.5 for pair in pairs]

    scorer = gc_scorer()._replace(compute=compute)
    wanted = ["too short"] * 4 + [1.5] * 25
    assert pairs_scorer(scorer)(WINDOWS) == wanted
    assert pairs_scorer(scorer, tmp_path / "s.parquet")(WINDOWS) == wanted
