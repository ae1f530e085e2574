"""Encoder-decoders go on beside a source: the published text, and the same sample in any company."""

import pytest
from safetensors.torch import load_file

import lexome
from lexome.errors import InputError
from lexome.inference.model import load
from tests.checkpoints.t5_models import make_t5, write_t5
from tests.checkpoints.test_t5_fixtures import sources
from tests.commands import run_process
from tests.shared_data import shared

NAMES = ("t5-prott5-tiny", "t5-ankh-tiny")


@pytest.fixture(params=NAMES)
def fixture(request):
    path = shared(f"reference/fixtures/{request.param}")
    expected = load_file(path / "expected.safetensors")
    new = expected["greedy.new_ids"].tolist()
    return load(str(path), device="cpu"), sources(expected), new


def test_greedy_text_is_the_published_one(fixture):
    model, given, expected = fixture
    assert model.continue_ids(given, max_new=32) == expected
    found = lexome.generate(model, given, temperature=0, max_new=32, letters="any")
    stop = model.tokenizer.eos_id
    for sample, ids in zip(found, expected, strict=True):
        assert sample.ids == ids[: ids.index(stop) + 1 if stop in ids else None]


def test_a_sample_does_not_change_with_its_company(fixture):
    model, given, _ = fixture
    asked = {"n": 3, "seed": 4, "max_new": 12, "letters": "any"}
    base = lexome.generate(model, given, **asked)
    few = lexome.generate(model, given, **asked, max_rows=2)
    assert [s.ids for s in few] == [s.ids for s in base]
    assert [s.log_likelihood for s in few] == [s.log_likelihood for s in base]
    alone = lexome.generate(model, given[:1], **asked)
    assert [s.ids for s in alone] == [s.ids for s in base[:3]]


def test_beams_are_likelier_than_the_greedy_text(fixture):
    model, given, _ = fixture
    asked = {"max_new": 6, "letters": "any"}
    greedy = lexome.generate(model, given[:1], temperature=0, **asked)[0]
    best = lexome.generate(model, given[:1], beams=4, **asked)[0]
    assert best.log_likelihood >= greedy.log_likelihood - 1e-4


def test_residues_are_the_source_and_not_part_of_the_answer(tmp_path):
    write_t5(tmp_path, make_t5(6))
    model = load(str(tmp_path), device="cpu")
    (sample,) = lexome.generate(model, "MKTAYIAK", max_new=10, letters="standard")
    assert sample.prompt_ids == model.tokenizer.encode("MKTAYIAK")
    assert len(sample.sequence) == len([i for i in sample.ids if i != model.tokenizer.eos_id])
    done = run_process("generate", "-m", tmp_path, "--prompt", "MKTAYIAK", "-n", "2")
    assert done.code == 0, done.err
    assert done.out.count(">") == 2


def test_ids_go_in_where_there_are_no_letters():
    path = shared("reference/fixtures/t5-prott5-tiny")
    asked = ("generate", "-m", path, "--max-new", "4", "--letters", "any")
    done = run_process(*asked, "--prompt-ids", "5 6 1")
    assert done.code == 0, done.err
    assert "prompt_ids=5,6,1" in done.out
    assert "no tokenizer" in run_process(*asked, "--prompt", "MKT").err
    assert "the id 9999" in run_process(*asked, "--prompt-ids", "5 9999").err
    assert "whole numbers" in run_process(*asked, "--prompt-ids", "MKT").err


def test_an_encoder_alone_cannot_answer(tmp_path):
    write_t5(tmp_path, make_t5(5, decoder=False))
    with pytest.raises(InputError, match="weights of an encoder alone"):
        lexome.generate(load(str(tmp_path), device="cpu"), "MKT")
