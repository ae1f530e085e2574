"""Long tables in parts: nothing is lost, nothing done twice, nothing mixed up."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from lexome.errors import InputError
from lexome.inference import parts
from lexome.inference.parts import SEQUENCES, Answer, Tally, cut_parts, parts_folder, run_in_parts
from lexome.progress import Progress
from lexome.results.tables import read_provenance
from lexome.sequence.records import Record

RECORDS = [Record(f"p{i}", "MKTAYIAKQR"[: 1 + i % 10]) for i in range(25)]


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PART_RECORDS", 4)


class Worker:
    """Answers with the length; counts what it was asked and breaks where it is told to."""

    def __init__(self, break_at: str = "") -> None:
        self.asked: list[str] = []
        self.break_at = break_at

    def __call__(self, records: list[Record]) -> Answer:
        if any(record.id == self.break_at for record in records):
            raise KeyboardInterrupt
        self.asked += [record.id for record in records]
        table = pl.DataFrame(
            {"id": [r.id for r in records], "length": [len(r.sequence) for r in records]}
        )
        return Answer(table, {"long": sum(len(r.sequence) > 5 for r in records)})


def run(
    worker: Worker, output: Path, records: list[Record] = RECORDS, recipe: str = "a"
) -> tuple[Tally, Progress]:
    progress = Progress("", None, "")
    notes = {"model": "toy"}
    return run_in_parts(
        iter(records), worker, output, [recipe], lambda t: notes, progress, SEQUENCES
    ), progress


def test_all_rows_come_in_order_with_the_counts_added_up(tmp_path):
    output = tmp_path / "out.parquet"
    tally, progress = run(Worker(), output)
    found = pl.read_parquet(output)
    assert found["id"].to_list() == [record.id for record in RECORDS]
    assert found["length"].to_list() == [len(record.sequence) for record in RECORDS]
    assert tally == Tally(25, 0, {"long": 10})
    assert progress.done == sum(len(record.sequence) for record in RECORDS)
    assert read_provenance(output)["model"] == "toy"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.parquet", "out.parquet.meta.json"]


def test_a_stopped_run_asks_only_for_the_parts_that_are_missing(tmp_path):
    output = tmp_path / "out.csv"
    first = Worker(break_at="p17")
    with pytest.raises(KeyboardInterrupt):
        run(first, output)
    assert first.asked == [record.id for record in RECORDS[:16]]
    assert not output.exists()
    second = Worker()
    tally, _ = run(second, output)
    assert second.asked == [record.id for record in RECORDS[16:]]
    assert tally == Tally(25, 16, {"long": 10})
    assert pl.read_csv(output)["id"].to_list() == [record.id for record in RECORDS]


def test_a_part_of_other_records_is_answered_anew(tmp_path):
    output = tmp_path / "out.csv"
    with pytest.raises(KeyboardInterrupt):
        run(Worker(break_at="p17"), output)
    changed = [r._replace(sequence="W") if r.id == "p5" else r for r in RECORDS]
    worker = Worker()
    tally, _ = run(worker, output, changed)
    assert worker.asked == [f"p{i}" for i in (4, 5, 6, 7, *range(16, 25))]
    assert tally.resumed_rows == 12
    assert pl.read_csv(output)["length"][5] == 1


def test_a_renamed_record_is_another_record(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(Worker(break_at="p17"), tmp_path / "out.csv")
    renamed = [r._replace(name="other") if r.id == "p0" else r for r in RECORDS]
    run(Worker(), tmp_path / "out.csv", renamed)
    assert pl.read_csv(tmp_path / "out.csv")["id"][0] == "other"


def test_another_recipe_takes_nothing_up_and_sweeps_what_the_first_began(tmp_path):
    output = tmp_path / "out.csv"
    with pytest.raises(KeyboardInterrupt):
        run(Worker(break_at="p17"), output)
    worker = Worker()
    tally, _ = run(worker, output, recipe="b")
    assert (tally.resumed_rows, len(worker.asked)) == (0, 25)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.csv", "out.csv.meta.json"]


def test_a_repeated_id_stops_the_run_before_its_part_is_answered(tmp_path):
    output = tmp_path / "out.csv"
    records = [*RECORDS[:9], RECORDS[2], *RECORDS[9:]]
    worker = Worker()
    with pytest.raises(InputError, match="record 10: saw the id 'p2', which record 3 has too"):
        run(worker, output, records)
    assert worker.asked == [f"p{i}" for i in range(8)]
    assert not output.exists()


def test_a_resumed_run_sees_ids_of_parts_that_it_does_not_answer_again(tmp_path):
    output = tmp_path / "out.csv"
    with pytest.raises(KeyboardInterrupt):
        run(Worker(break_at="p17"), output)
    worker = Worker()
    with pytest.raises(InputError, match="record 26: saw the id 'p1', which record 2 has too"):
        run(worker, output, [*RECORDS, RECORDS[1]])
    assert worker.asked == [f"p{i}" for i in range(16, 24)]
    assert not output.exists()
    assert run(Worker(), output)[0] == Tally(25, 24, {"long": 10})


def test_a_damaged_part_is_said_and_not_used(tmp_path):
    output = tmp_path / "out.csv"
    with pytest.raises(KeyboardInterrupt):
        run(Worker(break_at="p17"), output)
    (parts_folder(output, ["a"]) / "part-000001.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match="damaged Parquet"):
        run(Worker(), output)


@pytest.mark.parametrize(("name", "said"), [("out.xlsx", "the ending .xlsx"), ("", "a folder")])
def test_an_output_that_cannot_be_written_is_refused_before_the_work(name, said, tmp_path):
    worker = Worker()
    with pytest.raises(InputError, match=said):
        run(worker, tmp_path / name)
    assert worker.asked == []
    assert not list(tmp_path.iterdir())


def test_parts_are_bounded_in_records_and_in_residues(monkeypatch):
    monkeypatch.setattr(parts, "PART_RESIDUES", 10)
    records = [Record(f"p{i}", "A" * n) for i, n in enumerate([4, 4, 4, 25, 1, 1, 1, 1, 1])]
    found = [[len(r.sequence) for r in part.items] for part in cut_parts(records, SEQUENCES)]
    assert found == [[4, 4, 4], [25], [1, 1, 1, 1], [1]]
    again = [part.digest for part in cut_parts(records, SEQUENCES)]
    assert [part.digest for part in cut_parts(records, SEQUENCES)] == again
    assert len(set(again)) == 4


def test_only_one_part_is_held_at_a_time():
    read = []

    def source() -> Iterator[Record]:
        for record in RECORDS:
            read.append(record.id)
            yield record

    next(cut_parts(source(), SEQUENCES))
    assert len(read) == 4
