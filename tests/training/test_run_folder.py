"""Where a run lies while it is made, and how it takes its place."""

from pathlib import Path

import pytest

from lexome.errors import InputError
from lexome.training.run_folder import (
    already_done,
    move_into_place,
    open_folder,
    unfinished_folder,
)


def test_only_what_a_run_is_made_of_takes_the_place(tmp_path: Path):
    """What kills leave: temporary files of ours and of safetensors, half-made vectors."""
    output = tmp_path / "run"
    folder = open_folder(output, "this run", overwrite=False)
    assert folder == unfinished_folder(output)
    for name in ("run.json", "weights-1.safetensors", "state-1.safetensors", ".tmpQx81Zz"):
        (folder / name).write_text("x")
    for name in ("features.parquet", "features.parquet.meta.json", ".run.json.lexome-part-1.json"):
        (folder / name).write_text("x")
    (folder / ".features.parquet.12.parts").mkdir()
    (folder / ".features.parquet.12.parts" / "part-000000.parquet").write_text("x")
    move_into_place(folder, output)
    assert sorted(p.name for p in output.iterdir()) == ["run.json", "weights-1.safetensors"]
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_a_run_takes_the_place_of_another_and_of_what_a_kill_left_of_that(tmp_path: Path):
    output = tmp_path / "run"
    for folder in (output, tmp_path / ".run.old"):
        folder.mkdir()
        (folder / "old").write_text("x")
    folder = open_folder(output, "this run", overwrite=True)
    (folder / "new").write_text("x")
    move_into_place(folder, output)
    assert [p.name for p in output.iterdir()] == ["new"]
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_the_same_run_finds_its_folder_as_it_left_it_and_another_is_refused(tmp_path: Path):
    output = tmp_path / "run"
    folder = open_folder(output, "this run", overwrite=False)
    (folder / "state-1.safetensors").write_text("x")
    assert open_folder(output, "this run", overwrite=False) == folder
    assert (folder / "state-1.safetensors").exists()
    with pytest.raises(InputError, match="saw an unfinished run with other data"):
        open_folder(output, "another", overwrite=False)
    assert (folder / "state-1.safetensors").exists()
    open_folder(output, "another", overwrite=True)
    assert not (folder / "state-1.safetensors").exists()


def test_a_free_place_is_one_that_is_not_there_or_empty(tmp_path: Path):
    assert already_done(tmp_path / "none", "x", overwrite=False) is None
    (tmp_path / "empty").mkdir()
    assert already_done(tmp_path / "empty", "x", overwrite=False) is None
    (tmp_path / "empty" / "run.json").write_text("no json")
    with pytest.raises(InputError, match="saw files that are no run of Lexome"):
        already_done(tmp_path / "empty", "x", overwrite=True)
