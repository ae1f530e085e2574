"""Models that answer together: the mean of what each says by itself."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.special import log_softmax

import lexome
from lexome.checkpoints import catalogue
from lexome.errors import InputError
from tests.checkpoints.families import read_fixture
from tests.commands import run_process
from tests.mock_hub import serve_hub

PROTEIN = "MKTAYIAKQRQISFVKSHFSRQ"


@pytest.fixture
def members(tmp_path: Path) -> list[str]:
    """Two models of one vocabulary whose weights differ."""
    from safetensors.torch import load_file, save_file

    first = read_fixture("esm1v-hf-tiny").path
    second = tmp_path / "second"
    shutil.copytree(first, second)
    weights = second / "model.safetensors"
    tensors = load_file(weights)
    weights.chmod(0o644)
    second.chmod(0o755)
    weights.unlink()
    save_file({name: tensor * 0.9 for name, tensor in tensors.items()}, weights)
    return [str(first), str(second)]


def test_log_probabilities_are_the_mean_of_the_members(members: list[str]) -> None:
    ensemble = lexome.load_ensemble(members, device="cpu")
    (found,) = ensemble.run(PROTEIN)
    alone = [lexome.load(name, device="cpu").run(PROTEIN)[0].logits for name in members]
    each = np.stack([log_softmax(logits, -1) for logits in alone])
    np.testing.assert_allclose(found.log_probabilities, each.mean(0), atol=1e-5)
    np.testing.assert_allclose(found.spread, each.std(0), atol=1e-5)
    assert found.spread.max() > 1e-3
    (again,) = ensemble.run_ids([found.ids])
    np.testing.assert_array_equal(again.log_probabilities, found.log_probabilities)


def test_one_model_is_its_own_ensemble(members: list[str]) -> None:
    (found,) = lexome.load_ensemble(members[:1], device="cpu").run(PROTEIN)
    assert not found.spread.any()


def test_another_vocabulary_is_refused(members: list[str]) -> None:
    other = str(read_fixture("nt-v2-tiny").path)
    with pytest.raises(InputError, match="another vocabulary"):
        lexome.load_ensemble([members[0], other], device="cpu")


def test_every_member_of_the_catalogue_is_a_checkpoint() -> None:
    assert catalogue.ensembles()["esm1v"] == [f"esm1v-{i}" for i in range(1, 6)]
    for names in catalogue.ensembles().values():
        assert set(names) <= set(catalogue.catalogue())


def test_commands_for_one_model_name_its_members(tmp_path: Path) -> None:
    done = run_process("embed", "x.fasta", "-m", "esm1v", "-o", str(tmp_path / "x.parquet"))
    assert done.code != 0
    assert "5 models that answer together" in done.err
    assert "--model esm1v-1" in done.err


def test_the_command_line_shows_the_members() -> None:
    shown = run_process("models", "show", "esm1v")
    assert shown.code == 0, shown.err
    assert "esm1v-1, esm1v-2, esm1v-3, esm1v-4, esm1v-5 together" in shown.out
    told = json.loads(run_process("models", "show", "esm1v", "--json").out)
    assert told["members"] == [f"esm1v-{i}" for i in range(1, 6)]


def test_all_members_are_fetched_and_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fixture = read_fixture("esm1v-hf-tiny").path
    names = {f"facebook/esm1v_t33_650M_UR90S_{i}": fixture for i in range(1, 6)}
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with serve_hub(names) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.address)
        done = run_process("fetch", "esm1v", "--quiet", "--json")
    assert done.code == 0, done.err
    assert [json.loads(line)["name"] for line in done.out.splitlines()] == [
        f"esm1v-{i}" for i in range(1, 6)
    ]
    done = run_process("verify", "esm1v", "--offline")
    assert done.code == 0, done.err
    assert done.err.count("Verified") == 5
