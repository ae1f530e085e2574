"""Ids that come twice: found wherever they stand, in little memory."""

import io
import pickle

import numpy as np
import polars as pl
import pytest

from lexome.errors import InputError
from lexome.io import unique_ids
from lexome.io.unique_ids import Place, UniqueIds, find_place, refuse_repeats
from lexome.sequence.records import Record

PLACE = Place("in.csv", "row")


def add_in_batches(ids: list[str], size: int) -> UniqueIds:
    seen = UniqueIds(PLACE)
    for start in range(0, len(ids), size):
        seen.add(ids[start : start + size])
    return seen


@pytest.mark.parametrize("size", [1, 3, 10, 64, 1000])
def test_the_first_repeat_is_found_as_a_set_of_all_ids_finds_it(size, monkeypatch):
    monkeypatch.setattr(unique_ids, "BATCH_ROWS", 10)
    monkeypatch.setattr(unique_ids, "LARGEST_RUN", 40)
    generator = np.random.default_rng(0)
    for _ in range(30):
        ids = [f"p{i}" for i in generator.integers(0, 4000, 200)]
        plain: set[str] = set()
        first = next((i for i, id in enumerate(ids) if id in plain or plain.add(id)), None)
        if first is None:
            assert add_in_batches(ids, size).num_rows == 200
            continue
        with pytest.raises(InputError) as caught:
            add_in_batches(ids, size)
        assert caught.value.where == f"in.csv, row {first + 1}"
        earlier = ids.index(ids[first]) + 1
        assert caught.value.seen in (
            f"the id {ids[first]!r}, which row {earlier} has too",
            f"the id {ids[first]!r}, which came before",
        )


def test_a_repeat_tells_where_what_and_what_to_do():
    with pytest.raises(InputError) as caught:
        UniqueIds(PLACE).add(["a", "b", "a"])
    assert str(caught.value) == (
        "in.csv, row 3: saw the id 'a', which row 1 has too, expected each id once. Try unique "
        "ids, another column with `--id COLUMN`, or `--id ''` to number the rows."
    )
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_row_takes_eight_bytes_and_runs_stay_few():
    seen = add_in_batches([f"p{i}" for i in range(300_000)], 2_000)
    held = sum(run.nbytes for run in seen._runs) + 8 * len(seen._recent)
    assert held == 8 * 300_000
    assert len(seen._recent) <= unique_ids.BATCH_ROWS
    assert len(seen._runs) <= 6
    with pytest.raises(InputError, match="row 300,001: saw the id 'p7', which came before"):
        seen.add(["p7"])


def test_records_pass_one_by_one_and_a_repeat_shows_at_the_end_at_the_latest():
    records = [Record("a", "MK"), Record("b", "MK"), Record("b other", "MK")]
    passing = refuse_repeats(iter(records), Place("in.fasta", "record"))
    assert [next(passing) for _ in range(3)] == records
    with pytest.raises(
        InputError, match=r"in\.fasta, record 3: saw the id 'b', which record 2 has"
    ):
        next(passing)


def test_places_are_called_by_what_the_source_is(tmp_path):
    (tmp_path / "t.csv").write_text("id,sequence\n")
    assert find_place(tmp_path / "t.csv") == (str(tmp_path / "t.csv"), "row")
    assert find_place("-") == ("standard input", "record")
    assert find_place(io.BytesIO(b"")) == ("stream", "record")
    assert find_place(pl.DataFrame()) == ("table (a frame)", "row")
    for source in ("MKT", ["MKT"], {"a": "MKT"}, iter([])):
        assert find_place(source) == ("source", "item")
