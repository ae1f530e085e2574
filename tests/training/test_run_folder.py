"""Where a run lies while it is made, and how it takes its place."""

from pathlib import Path

import pytest

from lexome.errors import InputError
from lexome.training.identity import differences, known_to
from lexome.training.run_folder import (
    already_done,
    move_into_place,
    open_folder,
    unfinished_folder,
)

THIS = {"device": "cpu", "dtype": "fp32", "seed": "1", "rows": "5f" * 12}
OTHER = THIS | {"seed": "2"}


def test_only_what_a_run_is_made_of_takes_the_place(tmp_path: Path):
    """What kills leave: temporary files of ours and of safetensors, half-made vectors."""
    output = tmp_path / "run"
    folder = open_folder(output, THIS, overwrite=False)
    assert folder == unfinished_folder(output)
    for name in ("run.json", "weights-1.safetensors", "state-1.safetensors", ".tmpQx81Zz"):
        (folder / name).write_text("x")
    for name in (
        "features.parquet",
        "features.npy",
        "features.parquet.meta.json",
        ".run.json.lexome-part-1.json",
    ):
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
    folder = open_folder(output, THIS, overwrite=True)
    (folder / "new").write_text("x")
    move_into_place(folder, output)
    assert [p.name for p in output.iterdir()] == ["new"]
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_the_same_run_finds_its_folder_as_it_left_it_and_another_is_refused(tmp_path: Path):
    output = tmp_path / "run"
    folder = open_folder(output, THIS, overwrite=False)
    (folder / "state-1.safetensors").write_text("x")
    assert open_folder(output, THIS, overwrite=False) == folder
    assert (folder / "state-1.safetensors").exists()
    with pytest.raises(InputError, match=r"run with seed 1 \(here 2\).* Try the earlier command"):
        open_folder(output, OTHER, overwrite=False)
    assert (folder / "state-1.safetensors").exists()
    open_folder(output, OTHER, overwrite=True)
    assert not (folder / "state-1.safetensors").exists()


def test_a_free_place_is_one_that_is_not_there_or_empty(tmp_path: Path):
    assert already_done(tmp_path / "none", THIS, overwrite=False) is None
    (tmp_path / "empty").mkdir()
    assert already_done(tmp_path / "empty", THIS, overwrite=False) is None
    (tmp_path / "empty" / "run.json").write_text("no json")
    with pytest.raises(InputError, match="saw files that are no run of Lexome"):
        already_done(tmp_path / "empty", THIS, overwrite=True)


def test_a_run_begun_on_another_device_says_how_to_go_on(tmp_path: Path):
    output = tmp_path / "run"
    folder = open_folder(output, THIS | {"device": "cuda", "dtype": "bf16"}, overwrite=False)
    with pytest.raises(InputError) as caught:
        open_folder(output, THIS, overwrite=False)
    assert str(caught.value) == (
        f"{folder}: saw an unfinished run with device cuda (here cpu), dtype bf16 (here fp32), "
        "expected this run's own. Try `--device cuda` to go on with it, or `--overwrite` to give "
        "it up."
    )
    (folder / "fingerprint.txt").write_text("of an earlier version")
    with pytest.raises(InputError, match=r"with other data.* Try the earlier command"):
        open_folder(output, THIS, overwrite=False)


def test_what_differs_is_told_by_name_and_hashes_are_not_shown():
    theirs = THIS | {"rows": "a0" * 12, "seed": "7"}
    assert differences(theirs, THIS) == "seed 7 (here 1), other rows"
    assert differences({}, THIS) == ""


def test_a_run_from_before_a_setting_was_there_is_the_run_with_its_default(tmp_path):
    identity = known_to({"seeds": "2", "device": "cpu"})
    earlier = {name: value for name, value in identity.items() if name != "both_strands"}
    assert known_to(earlier) == identity
    assert known_to(earlier | {"both_strands": "True"}) != identity
    folder = open_folder(tmp_path / "run", earlier, overwrite=False)
    assert open_folder(tmp_path / "run", identity, overwrite=False) == folder
