"""Fetching: a real HTTP server, asked by huggingface_hub itself; hashes; no socket when offline."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file

from lexome.architectures.families import build
from lexome.checkpoints.blank import no_values
from lexome.checkpoints.catalogue import catalogue, find_entry
from lexome.checkpoints.from_esm import VARIANTS
from lexome.checkpoints.hub import held_path, read_held
from lexome.checkpoints.load import find_source
from lexome.errors import EnvironmentProblem, InputError
from lexome.results.files import hash_file
from tests.commands import ROOT, run_process
from tests.mock_hub import serve_hub

NAME = "facebook/esm2_t6_8M_UR50D"
# Any socket that anybody opens in this process is an error.
WITHOUT_SOCKETS = """
import socket, sys
def refuse(*args, **kwargs): raise AssertionError("a socket was opened")
socket.socket.connect = socket.socket.connect_ex = socket.create_connection = refuse
socket.getaddrinfo = refuse
from lexome.cli.main import main
main()
"""


@pytest.fixture
def hub(esm2, tmp_path, monkeypatch):
    """A hub with one model, and empty caches; commands that are started see both."""
    with serve_hub({NAME: esm2}) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.address)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        yield served


def fetch(*args):
    done = run_process("fetch", "esm2-8m", "--json", *args)
    return done, json.loads(done.out) if done.code == 0 else None


def test_a_model_is_fetched_once_and_used_without_a_socket_from_then_on(hub, tmp_path):
    done, told = fetch()
    assert done.code == 0, done.err
    assert told["revision"] == hub.commit
    assert any(path.startswith("/cdn/") for _, path, _ in hub.asked)  # redirects are followed
    held = read_held(NAME)
    assert held["revision"] == hub.commit
    assert set(held["files"]) == {"model.safetensors"}
    hub.status = 500
    (tmp_path / "in.fasta").write_text(">a\nMKTAYIAK\n")
    out = tmp_path / "v.parquet"
    command = ["embed", tmp_path / "in.fasta", "-m", "esm2-8m", "--offline", "-o", out]
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT_SOCKETS, *map(str, command)],
        env=os.environ,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    assert out.exists()


def test_the_held_revision_stays_where_the_branch_moves_on(hub):
    first = fetch()[1]["revision"]
    hub.commit = "d" * 40
    assert fetch()[1]["revision"] == first
    assert fetch("--revision", "main")[1]["revision"] == "d" * 40
    assert fetch()[1]["revision"] == first


def test_a_file_that_is_not_what_the_hub_says_is_refused(hub):
    hub.wrong_hash = True
    done, _ = fetch()
    assert "as the hub said" in done.error
    assert not held_path(NAME).exists()


def test_a_file_that_changed_since_the_first_time_is_refused(hub):
    fetch()
    held = json.loads(held_path(NAME).read_text())
    held["files"]["model.safetensors"] |= {"sha256": "0" * 64, "stamp": 0}
    held_path(NAME).write_text(json.dumps(held))
    done, _ = fetch()
    assert "000000000000..., as the first time said" in done.error


@pytest.mark.parametrize("status", [404, 500])
def test_a_hub_that_answers_with_an_error_is_one_clear_line(hub, status):
    hub.status = status
    done, _ = fetch()
    assert done.code == 2
    assert NAME in done.error


def test_a_download_that_breaks_off_goes_on_where_it_stopped(esm2, hub, tmp_path):
    big = tmp_path / "big"
    shutil.copytree(esm2, big)
    save_file({"x": torch.zeros(6_000_000)}, big / "model.safetensors")  # the library writes 10 MB
    hub.repositories[NAME] = big
    hub.cut_after = 15_000_000
    fetch()  # the library itself may ask again for the rest
    hub.cut_after = None
    done, told = fetch()
    assert done.code == 0, done.err
    ranges = [asked for _, path, asked in hub.asked if asked and "safetensors" in path]
    assert any(int(asked.removeprefix("bytes=").rstrip("-")) >= 10_000_000 for asked in ranges)
    assert told["sha256"] == hash_file(big / "model.safetensors")


def test_no_network_is_one_clear_line(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name in ("nt-v2-50m-multi", "msa1b"):
        with pytest.raises(EnvironmentProblem, match="nothing in the local cache"):
            find_source(name, offline=True, revision=None)


def test_every_entry_of_the_catalogue_says_all_there_is_to_say():
    for name, entry in catalogue().items():
        assert entry.parameters > 4e5
        assert entry.width % entry.heads == 0
        assert entry.licence
        assert entry.code_licence
        assert sum(map(bool, (entry.hub, entry.url, entry.shipped))) == 1, name
        assert "special tokens left out" in entry.recipe or "<cls> left out" in entry.recipe
    with pytest.raises(InputError, match="Try `esm2-650m`"):
        find_entry("esm2_650m")


def esm_switches(entry):
    variant = VARIANTS[entry.layout]
    return "encoder", {
        "vocabulary_size": entry.vocabulary,
        "positions": variant.positions,
        "embedding_norm": variant.embedding_norm,
        "feed_forward": variant.feed_forward,
        "tied_head": variant.is_tied,
        "contact_head": variant.contacts and not entry.shipped,
    }


def bert_switches(entry):
    is_second = entry.layout == "dnabert-2"
    return "bert", {
        "vocabulary_size": entry.vocabulary,
        "mask_id": 4,
        "positions": "alibi" if is_second else "learned",
        "feed_forward": "geglu" if is_second else "gelu",
        "pooler": not is_second,
    }


def decoder_switches(entry):
    sizes = {"vocabulary_size": entry.vocabulary}
    if entry.layout == "gpt2":
        return "decoder", sizes
    return "decoder", sizes | {
        "positions": "rotary",
        "parallel": True,
        "attention_bias": False,
        "tied_head": False,
        "head_bias": True,
    }


def t5_switches(entry):
    is_gated = entry.layout == "ankh"
    return "t5", {
        "vocabulary_size": entry.vocabulary,
        "head_width": entry.head_width,
        "decoder": entry.decoder_layers > 0,
        "decoder_layers": entry.decoder_layers,
        "feed_forward": "gated-silu" if is_gated else "relu",
        "num_buckets": 64 if is_gated else 32,
        "head": "own" if is_gated else "tied",
    }


def hyena_switches(entry):
    if entry.layout == "evo-1":
        return "striped-hyena", {"attention_layers": [8, 16, 24]}
    return "hyena", {}


SWITCHES = {
    **dict.fromkeys(VARIANTS, esm_switches),
    **dict.fromkeys(("bert", "dnabert", "dnabert-2"), bert_switches),
    **dict.fromkeys(("gpt2", "progen2"), decoder_switches),
    **dict.fromkeys(("prott5", "prostt5", "ankh"), t5_switches),
    **dict.fromkeys(("evo-1", "hyenadna"), hyena_switches),
    "fair-msa": lambda entry: ("msa", {}),
}


def test_parameters_of_the_catalogue_are_those_of_the_networks():
    for name, entry in catalogue().items():
        sizes = {
            "num_layers": entry.layers,
            "width": entry.width,
            "num_heads": entry.heads,
            "ffn_width": entry.ffn_width,
            "context": entry.context,
        }
        family, switches = SWITCHES[entry.layout](entry)
        if "hyena" in family:
            sizes["inner_width"] = sizes.pop("ffn_width")
        if family == "hyena":
            del sizes["num_heads"]
        with no_values():
            network = build(family, sizes | switches)
        assert sum(p.numel() for p in network.parameters()) == entry.parameters, name


def test_models_are_listed_and_shown():
    listed = run_process("models")
    assert listed.code == 0
    assert "nt-v2-250m-multi" in listed.out
    shown = run_process("models", "show", "dnabert-6")
    assert "weights unknown" in shown.out
    assert "about" in shown.out
    wrong = run_process("models", "show", "dnabert-7")
    assert wrong.code == 2
    assert "Try `dnabert-6`" in wrong.err
