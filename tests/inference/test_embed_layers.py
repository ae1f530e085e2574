"""All layers in one pass: the vectors are those of `embed`, a kill costs a part, files are found."""

from pathlib import Path

import numpy as np
import pytest

import lexome
from lexome.errors import InputError
from lexome.inference import embed_layers as module
from lexome.inference import parts
from lexome.inference.embed_layers import Cell, embed_layers, find_layers, read_cell, write_layers
from lexome.inference.model import Model
from lexome.inference.poolings import check_windows, parse_poolings, usual_poolings
from lexome.progress import Progress
from lexome.sequence.records import RowRecord
from tests.toy_causal import write_progen2
from tests.toys import random_proteins

CELLS = [Cell(layer, name) for layer in (0, 1, 2) for name in ("mean", "max", "cls", "last")]


@pytest.fixture(scope="module")
def model(esm2: Path) -> Model:
    return lexome.load(str(esm2), device="cpu")


@pytest.fixture(scope="module")
def records() -> list[RowRecord]:
    return [RowRecord(f"p{i}", s) for i, s in enumerate(random_proteins(9, low=10, high=60))]


def test_every_layer_and_pooling_is_that_of_embed(model, records) -> None:
    rows = list(embed_layers(model, records, CELLS))
    source = {record.id: record.sequence for record in records}
    for layer in (0, 1, 2):
        for pooling in ("mean", "max", "cls"):
            theirs = lexome.embed(model, source, pooling=pooling, layer=layer).vectors
            ours = np.stack([row[Cell(layer, pooling)] for row in rows])
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
    # the last token is the one behind the residues
    hidden = model.run(source, ["hidden"])[3].hidden
    assert hidden is not None
    np.testing.assert_allclose(rows[3][Cell(2, "last")], hidden[-1], rtol=1e-5, atol=1e-5)


def test_windows_are_joined_as_embed_joins_them(model, records, monkeypatch) -> None:
    monkeypatch.setattr(model, "card", model.card._replace(context=22))
    cells = [cell for cell in CELLS if cell.pooling in ("mean", "max")]
    rows = list(embed_layers(model, records, cells, "window"))
    source = {record.id: record.sequence for record in records}
    for cell in cells:
        theirs = lexome.embed(model, source, cell.pooling, cell.layer, long="window")  # type: ignore[arg-type]
        assert max(theirs.windows) > 2
        ours = np.stack([row[cell] for row in rows])
        np.testing.assert_allclose(ours, theirs.vectors, rtol=1e-4, atol=1e-5)


def test_one_pass_serves_all_cells_and_a_kill_costs_one_part(
    model, records, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(parts, "PART_RECORDS", 3)
    asked: list[int] = []

    def counted(model, part, cells, long):
        asked.append(len(part))
        if len(asked) == 3:
            raise KeyboardInterrupt
        return embed_layers(model, part, cells, long)

    monkeypatch.setattr(module, "embed_layers", counted)
    notes: dict[str, object] = {"model": "toy", "rows": "nine"}
    path = tmp_path / "layers-1.parquet"

    def write() -> None:
        write_layers(model, records, CELLS, path, "refuse", notes, Progress("", None, ""))

    with pytest.raises(KeyboardInterrupt):
        write()
    assert not path.exists()
    write()
    assert asked == [3, 3, 3, 3]
    found = find_layers(tmp_path, notes)
    assert set(found) == set(CELLS)
    assert find_layers(tmp_path, notes | {"rows": "others"}) == {}
    whole = np.stack([row[CELLS[5]] for row in embed_layers(model, records, CELLS)])
    np.testing.assert_allclose(read_cell(path, CELLS[5]), whole, rtol=1e-5, atol=1e-5)


def test_poolings_that_suit_are_those_that_have_seen_something(model, tmp_path) -> None:
    causal = lexome.load(str(write_progen2(tmp_path)), device="cpu")
    assert usual_poolings(model.network, "refuse") == ["mean", "max", "cls", "mean+max"]
    assert usual_poolings(causal.network, "refuse") == ["mean", "max", "last", "mean+max"]
    assert usual_poolings(model.network, "window") == ["mean", "max", "mean+max"]


@pytest.mark.parametrize("names", [["median"], ["mean+"], ["mean+mean"], []])
def test_poolings_that_there_are_not_are_refused(names) -> None:
    with pytest.raises(InputError, match="poolings: saw"):
        parse_poolings(names)


def test_windows_have_no_first_token() -> None:
    with pytest.raises(InputError, match="mean\\+cls with windows"):
        check_windows(parse_poolings(["mean+cls"]), "window")
