"""Scores against the references', against each other, and worked out by hand."""

import math

import numpy as np
import polars as pl
import pytest
import torch

import lexome
from lexome.errors import InputError
from lexome.inference.model import Model
from lexome.results.tables import read_provenance
from lexome.scoring.likelihood import Reading, read_likelihoods
from lexome.scoring.rules import RULES
from lexome.scoring.score import make_scorer
from lexome.scoring.score_file import score_file
from lexome.scoring.scorers import Scoring
from tests.checkpoints.decoders import read_decoder
from tests.toys import random_proteins, write_esm2, write_fasta

PROTEINS = random_proteins(12, seed=3)


@pytest.fixture(scope="module")
def progen() -> Model:
    return lexome.load(str(read_decoder("progen2-tiny").path), device="cpu")


@pytest.fixture(scope="module")
def protgpt() -> Model:
    return lexome.load(str(read_decoder("gpt2-tiny").path), device="cpu")


@pytest.mark.parametrize("name", ["progen2-tiny", "progen2-official-tiny"])
def test_progen2s_rules_give_its_published_scores(name):
    fixture = read_decoder(name)
    model = lexome.load(str(fixture.path), device="cpu")
    cases = fixture.facts["scores"]
    texts = [case["text"] for case in cases]
    for given in (texts, [text[1:-1] for text in texts]):
        both = lexome.score(model, given, rule="progen2")
        forward = lexome.score(model, given, rule="progen2", direction="forward")
        backward = lexome.score(model, given, rule="progen2", direction="reverse")
        entropy = lexome.score(model, given, rule="progen2-cross-entropy")
        for table, kind in ((both, "bidirectional"), (forward, "ll_lr"), (backward, "ll_rl")):
            sums, means = table["log_likelihood"], table["mean_log_likelihood"]
            assert sums.to_list() == pytest.approx([c[f"{kind}_sum"] for c in cases], abs=2e-3)
            assert means.to_list() == pytest.approx([c[f"{kind}_mean"] for c in cases], abs=2e-5)
        expected = [-c["cross_entropy_full_vocab_incl_terminal"] for c in cases]
        assert entropy["mean_log_likelihood"].to_list() == pytest.approx(expected, abs=2e-5)


def test_gpt2s_plain_means_are_the_references(protgpt):
    cases = read_decoder("gpt2-tiny").facts["inputs"][:2]
    table = lexome.score(protgpt, [("a", cases[0]["text"]), ("b", cases[1]["text"])], rule="plain")
    expected = [-case["mean_token_nll"] for case in cases]
    assert table["mean_log_likelihood"].to_list() == pytest.approx(expected, abs=2e-5)
    assert table["perplexity"].to_list() == pytest.approx(
        [case["perplexity"] for case in cases], rel=1e-4
    )


@pytest.mark.parametrize("name", ["evo1-8k-tiny", "evo1-131k-tiny"])
@pytest.mark.parametrize("rule", ["evo", "lexome"])
def test_evos_scores_are_its_published_ones(name, rule):
    fixture = read_decoder(name)
    model = lexome.load(str(fixture.path), device="cpu")
    cases = fixture.facts["scores"]
    table = lexome.score(model, cases["sequences"], rule=rule)
    assert table["mean_log_likelihood"].to_list() == pytest.approx(cases["mean"], abs=1e-4)
    assert table["log_likelihood"].to_list() == pytest.approx(cases["sum"], rel=1e-5)
    back = lexome.score(model, cases["sequences"], rule=rule, direction="reverse")
    expected = cases["reverse_complement_mean"]
    assert back["mean_log_likelihood"].to_list() == pytest.approx(expected, abs=1e-4)
    both = lexome.score(model, cases["sequences"], rule=rule, direction="both")
    expected = cases["rc_averaged_mean"]
    assert both["mean_log_likelihood"].to_list() == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("name", ["hyenadna-hf-tiny", "hyenadna-orig-tiny"])
def test_hyenadnas_next_token_means_are_the_references(name):
    fixture = read_decoder(name)
    model = lexome.load(str(fixture.path), device="cpu")
    cases = fixture.facts["scores"]
    texts = [case["text"] for case in cases]
    own = lexome.score(model, texts)["mean_log_likelihood"].to_list()
    assert own == pytest.approx([c["mean_next_token_logprob"] for c in cases], abs=1e-4)
    plain = lexome.score(model, texts, rule="plain")["mean_log_likelihood"].to_list()
    assert plain == pytest.approx([c["mean_with_SEP_appended"] for c in cases], abs=1e-4)


def test_our_own_rule_gives_the_terminal_and_scores_every_residue(progen):
    table = lexome.score(progen, PROTEINS)
    assert table.columns[:3] == ["id", "length", "tokens_scored"]
    assert table["tokens_scored"].to_list() == [len(protein) for protein in PROTEINS]
    for protein, row in zip(PROTEINS, table.iter_rows(named=True), strict=True):
        ids = progen.tokenizer.encode(f"1{protein}")
        log_p = torch.from_numpy(progen.run_ids([ids])[0].logits).log_softmax(-1)
        own = log_p[:-1].gather(1, torch.tensor(ids)[1:, None]).double()
        assert row["log_likelihood"] == pytest.approx(float(own.sum()), abs=1e-3)
        assert row["mean_log_likelihood"] == pytest.approx(float(own.mean()), abs=1e-5)
        assert row["perplexity"] == pytest.approx(math.exp(-float(own.mean())), rel=1e-5)


def test_terminals_in_the_text_change_nothing_in_our_rule(progen):
    plain = lexome.score(progen, ["MKTAYIAK"])
    assert lexome.score(progen, ["1MKTAYIAK2"]).equals(plain)
    assert lexome.score(progen, ["2KAIYATKM1"]).equals(plain)


def test_both_directions_are_the_mean_of_the_two(progen):
    by = {d: lexome.score(progen, PROTEINS, direction=d) for d in ("forward", "reverse", "both")}
    for column in ("log_likelihood", "mean_log_likelihood"):
        mean = (by["forward"][column] + by["reverse"][column]) / 2
        assert by["both"][column].to_list() == pytest.approx(mean.to_list(), rel=1e-9)


def test_bits_are_nats_by_another_name_and_the_perplexity_is_the_same(progen):
    nats, bits = (lexome.score(progen, PROTEINS, base=base) for base in ("e", "2"))
    ratio = nats["mean_log_likelihood"] / bits["mean_log_likelihood"]
    assert ratio.to_list() == pytest.approx([math.log(2)] * 12)
    assert nats["perplexity"].equals(bits["perplexity"])


@pytest.mark.parametrize("name", ["progen2-tiny", "gpt2-tiny", "evo1-8k-tiny", "hyenadna-hf-tiny"])
@pytest.mark.parametrize("chunk", [7, 64, 8192])
def test_a_sequence_read_in_turns_scores_as_one_that_is_read_whole(name, chunk):
    model = lexome.load(str(read_decoder(name).path), device="cpu")
    ids = [model.tokenizer.encode("GATC" + p[:90], "reference") for p in PROTEINS]
    readings = [Reading(str(i), tuple(one), 1, len(one)) for i, one in enumerate(ids)]
    readings += [Reading("part", tuple(ids[0]), 5, len(ids[0]) - 2, (5, 6, 7))]
    whole = list(read_likelihoods(model, readings))
    parts = list(read_likelihoods(model, readings, chunk))
    for a, b, one in zip(whole, parts, readings, strict=True):
        assert len(a) == len(b) == one.last - one.first
        np.testing.assert_allclose(a, b, atol=1e-4)


def test_logits_exist_for_a_few_tokens_at_a_time(progen, monkeypatch):
    expected = lexome.score(progen, PROTEINS)
    seen, logits = [], progen.network.logits
    monkeypatch.setattr("lexome.scoring.likelihood.LOGITS_AT_ONCE", 32 * 16)
    monkeypatch.setattr(progen.network, "logits", lambda h: (seen.append(len(h)), logits(h))[1])
    table = lexome.score(progen, PROTEINS)
    assert max(seen) == 16
    assert table["log_likelihood"].to_list() == pytest.approx(expected["log_likelihood"].to_list())


def test_a_score_does_not_depend_on_its_neighbours(progen):
    together = lexome.score(progen, PROTEINS)["log_likelihood"].to_list()
    alone = [lexome.score(progen, [protein])["log_likelihood"][0] for protein in PROTEINS]
    assert together == pytest.approx(alone, rel=1e-5)


def test_positions_add_up_and_name_their_residues(progen, protgpt):
    sequence = "MKTAYIAKQRQISFVKSHFSRQ"
    for model in (progen, protgpt):
        total = lexome.score(model, [sequence])["log_likelihood"][0]
        table = lexome.score(model, [sequence], per_position=True)
        assert table["log_likelihood"].sum() == pytest.approx(total, abs=1e-4)
        assert "".join(table["token"]) == sequence
        starts = np.cumsum([0, *map(len, table["token"])])[:-1] + 1
        assert table["position"].to_list() == starts.tolist()
    back = lexome.score(progen, [sequence], direction="reverse", per_position=True)
    assert back["position"].to_list() == list(range(1, len(sequence) + 1))
    assert "".join(back["token"]) == sequence
    # the residue next to the terminal is the last one, and knows nothing but it
    ids = progen.tokenizer.encode("2")
    log_p = torch.from_numpy(progen.run_ids([ids])[0].logits).log_softmax(-1)[0]
    assert back["log_likelihood"][-1] == pytest.approx(float(log_p[progen.tokenizer.id_of["Q"]]))


def test_line_breaks_of_protgpt2_are_no_residues(protgpt):
    sequence = "MKTAYIAKQRQISFVKSHFSRQ" * 5
    table = lexome.score(protgpt, [sequence], per_position=True)
    tokens = [token for token in table["token"] if token != "\n"]
    assert "".join(tokens).replace("\n", "") == sequence
    assert (table["token"] == "\n").sum() == 1


def test_letters_are_mapped_where_asked_and_counted(progen, tmp_path):
    with pytest.raises(InputError, match="the letter 'k' at position 2"):
        lexome.score(progen, ["MkT"])
    mapped = lexome.score(progen, ["MkT"], unknown="map")
    assert mapped.drop("id").equals(lexome.score(progen, ["MKT"]).drop("id"))
    source = write_fasta(tmp_path / "in.fasta", [("a", "MkT"), ("b", "MKT")])
    scorer = make_scorer(progen, Scoring(unknown="map"))
    done = score_file(scorer, str(source), tmp_path / "out.csv", {}, quiet=True)
    assert (done.rows, done.mapped, done.mapped_rows) == (2, {"k": 1}, 1)


def test_a_file_gives_the_table_and_says_how_it_was_made(progen, tmp_path):
    source = write_fasta(tmp_path / "in.fasta", ((f"p{i}", p) for i, p in enumerate(PROTEINS)))
    scorer = make_scorer(progen, Scoring(rule="progen2", base="2"))
    done = score_file(scorer, str(source), tmp_path / "out.parquet", {"command": "x"}, quiet=True)
    table = pl.read_parquet(tmp_path / "out.parquet")
    assert table["id"].to_list() == [f"p{i}" for i in range(12)]
    expected = lexome.score(progen, PROTEINS, rule="progen2", base="2")
    assert table.drop("id").equals(expected.drop("id"))
    assert done.tokens == sum(map(len, PROTEINS))
    notes = read_provenance(tmp_path / "out.parquet")
    assert notes["rule"] == "progen2"
    assert notes["rule_definition"] == RULES["progen2"].definition
    assert notes["base"] == "2 (bits)"
    assert "the same number in every base" in notes["definitions"]["perplexity"]


WRONG = [
    ({"rule": "evo2"}, "no such rule"),
    ({"rule": "evo"}, "a model that writes as ProGen2 does"),
    ({"direction": "up"}, "saw 'up'"),
    ({"base": "10"}, "saw '10'"),
    ({"long": "window"}, "saw 'window'"),
    ({"unknown": "drop"}, "saw 'drop'"),
    ({"tag": "ec=1.1.1.1"}, "no tag of ProGen2"),
    ({"tag": "c-to-n"}, "--direction reverse"),
    ({"tag": "n-to-c", "rule": "plain"}, "with the rule plain"),
    ({"rule": "progen2", "per_position": True}, "averages two directions"),
]


@pytest.mark.parametrize(("settings", "words"), WRONG)
def test_what_cannot_be_scored_so_is_said(settings, words, progen):
    with pytest.raises(InputError) as problem:
        lexome.score(progen, ["MKT"], **settings)
    assert words in str(problem.value)


def test_sequences_that_cannot_be_scored_are_named(progen, protgpt):
    with pytest.raises(InputError, match="sequence_2: saw no token to score"):
        lexome.score(progen, ["MKT", ""])
    with pytest.raises(InputError, match="at most the context of 640"):
        lexome.score(progen, ["M" * 640])
    whole = lexome.score(progen, ["M" * 700], long="whole")
    assert whole["tokens_scored"][0] == 700
    with pytest.raises(InputError, match="a part of the sequence"):
        lexome.score(protgpt, ["WYC" * 700], long="whole")
    with pytest.raises(InputError, match="this family reads one way"):
        lexome.score(protgpt, ["MKT"], direction="both")


def test_an_encoder_has_no_likelihood(tmp_path):
    encoder = lexome.load(str(write_esm2(tmp_path / "esm2")), device="cpu")
    with pytest.raises(InputError, match="an encoder, which sees both sides"):
        lexome.score(encoder, ["MKT"], rule="lexome")
