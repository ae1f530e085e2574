"""Vectors by their recipe: against the plain network, in any company, under every policy."""

import json

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.numpy import load_file

from lexome.batches.packing import pack
from lexome.batches.windows import plan_windows
from lexome.errors import InputError
from lexome.inference.embed import (
    LetterCounts,
    Recipe,
    embed,
    embed_records,
    embed_residues,
)
from lexome.inference.model import load
from lexome.sequence.records import Record
from lexome.tokenizers.character import CharacterTokenizer
from tests.shared_data import shared
from tests.toys import random_encoder, random_proteins

PROTEINS = random_proteins(20, low=1, high=150)
TOKENIZER = CharacterTokenizer()


def plain_hidden(protein: str, layer: int = -1) -> np.ndarray:
    """(L, D) of the toy by the network's plain bricks, without residues' special tokens."""
    network = random_encoder()
    with torch.inference_mode():
        traced = network.trace(*pack([TOKENIZER.encode(protein)]))
    hidden: np.ndarray = traced.layers[layer].numpy()
    return hidden


def close(one: np.ndarray, other: np.ndarray) -> bool:
    """PROMISES 5: no difference beyond 1e-5 of the largest value."""
    return bool(np.abs(one - other).max() <= 1e-5 * np.abs(other).max())


@pytest.mark.parametrize("layer", [0, 1, 2, -1, -3])
@pytest.mark.parametrize("pooling", ["mean", "max", "cls"])
def test_a_vector_is_what_the_plain_network_gives_pooled_by_hand(pooling, layer, model):
    found = embed(model, PROTEINS, pooling=pooling, layer=layer)
    assert found.vectors.shape == (20, 32)
    for protein, vector in zip(PROTEINS, found.vectors, strict=True):
        hidden_TD = plain_hidden(protein, layer)
        residues_LD = hidden_TD[1:-1]
        expected = {"mean": residues_LD.mean(0), "max": residues_LD.max(0), "cls": hidden_TD[0]}
        assert close(vector, expected[pooling])


def test_the_default_recipe_is_the_mean_of_the_last_layer_and_is_told(model):
    found = embed(model, PROTEINS[:3])
    assert found.ids == ["sequence_1", "sequence_2", "sequence_3"]
    assert found.recipe == {"pooling": "mean", "layer": -1, "unknown": "refuse", "long": "refuse"}
    assert np.array_equal(found.vectors, embed(model, PROTEINS[:3], "mean", 2).vectors)


def test_residues_get_a_vector_each(model):
    found = embed_residues(model, PROTEINS)
    assert [len(matrix) for matrix in found.matrices] == [len(protein) for protein in PROTEINS]
    for protein, matrix in zip(PROTEINS, found.matrices, strict=True):
        assert close(matrix, plain_hidden(protein)[1:-1])


@pytest.mark.parametrize("max_tokens", [1, 64, 100_000])
def test_a_vector_does_not_depend_on_its_batch_or_on_the_order(max_tokens, model):
    records = [Record(f"p{i}", protein) for i, protein in enumerate(PROTEINS)]
    expected = {record.id: embed(model, [record]).vectors[0] for record in records}
    for some in (records, records[::-1]):
        rows = list(embed_records(model, some, Recipe(), None, max_tokens))
        assert [row.id for row in rows] == [record.id for record in some]
        assert all(close(row.values, expected[row.id]) for row in rows)


def test_records_are_read_only_as_far_as_the_batch_needs(model):
    """Bounded memory: the first row comes before the source is read to its end."""
    read = []

    def source():
        for i in range(1000):
            read.append(i)
            yield Record(f"p{i}", "MKTAYIAKQR")

    rows = embed_records(model, source(), Recipe(), None, max_tokens=120)
    assert next(rows).id == "p0"
    assert len(read) < 25


def test_a_sequence_that_fits_is_embedded_in_one_window_as_if_it_were_refused_otherwise(model):
    direct = embed(model, PROTEINS)
    assert close(embed(model, PROTEINS, long="window").vectors, direct.vectors)
    assert np.array_equal(embed(model, PROTEINS, long="whole").vectors, direct.vectors)
    assert np.array_equal(embed(model, PROTEINS, long="crop:99+99").vectors, direct.vectors)


@pytest.mark.parametrize("length", [30, 31, 45, 46, 100])
def test_windows_give_each_residue_the_vector_of_the_window_that_keeps_it(length, narrow):
    protein = random_proteins(1, seed=5, low=length, high=length + 1)[0]
    found = embed_residues(narrow, [protein], long="window").matrices[0]
    assert found.shape == (length, 32)
    for window in plan_windows(length, 30):
        hidden_LD = plain_hidden(protein[window.start : window.end])[1:-1]
        kept = hidden_LD[window.keep_start - window.start : window.keep_end - window.start]
        assert close(found[window.keep_start : window.keep_end], kept)
    pooled = embed(narrow, [protein], long="window").vectors[0]
    assert close(pooled, found.mean(0))
    highest = embed(narrow, [protein], pooling="max", long="window").vectors[0]
    assert close(highest, found.max(0))


def test_windows_of_several_sequences_are_not_mixed_up(narrow):
    rows = list(
        embed_records(
            narrow,
            [Record(f"p{i}", protein) for i, protein in enumerate(PROTEINS)],
            Recipe(long="window"),
            max_tokens=50,
        )
    )
    assert [row.length for row in rows] == [len(protein) for protein in PROTEINS]
    assert [row.windows for row in rows] == [len(plan_windows(len(p), 30)) for p in PROTEINS]
    for protein, row in zip(PROTEINS, rows, strict=True):
        assert close(row.values, embed(narrow, [protein], long="window").vectors[0])


def test_a_crop_is_the_model_on_both_ends_joined(narrow):
    protein = PROTEINS[0] + "W" * 60
    found = embed(narrow, [protein], long="crop:20+10").vectors[0]
    assert close(found, plain_hidden(protein[:20] + protein[-10:])[1:-1].mean(0))
    assert len(embed_residues(narrow, [protein], long="crop:20+10").matrices[0]) == 30


def test_too_long_is_refused_by_name_with_the_limit(narrow):
    with pytest.raises(InputError, match="big: saw 31 residues, expected at most 30"):
        embed(narrow, [("small", "MKT"), ("big", "A" * 31)])
    with pytest.raises(InputError, match="big: saw 31 residues, expected at most 30"):
        embed(narrow, [("big", "A" * 40)], long="crop:16+15")
    assert embed(narrow, ["A" * 40], long="whole").vectors.shape == (1, 32)


def test_unknown_letters_are_refused_mapped_or_treated_as_the_published_model_does(model):
    with pytest.raises(InputError, match="odd: saw the letter 'J' at position 2 and 1 more"):
        embed(model, [("fine", "MKT"), ("odd", "MJt")])
    counts = LetterCounts()
    records = [Record("a", "MJt*"), Record("b", "MKT")]
    rows = list(embed_records(model, records, Recipe(unknown="map"), counts))
    assert close(rows[0].values, embed(model, ["MXT"]).vectors[0])
    assert (rows[0].length, rows[0].residues_used, counts.rows) == (3, 3, 1)
    assert dict(counts.letters) == {"J": 1, "t": 1, "*": 1}
    assert str(counts) == "3 letters mapped in 1 rows (J 1, t 1, * 1)"
    # transformers' EsmTokenizer makes one <unk> of a run of unknown letters
    reference = embed(model, ["MJtK"], unknown="reference").vectors[0]
    with torch.inference_mode():
        hidden_TD = random_encoder()(*pack([[0, 20, 3, 15, 2]])).numpy()
    assert close(reference, hidden_TD[1:-1].mean(0))


@pytest.mark.parametrize(
    ("sequences", "unknown", "mapped"),
    [
        (["MKT", "GAV"], "map", {}),
        (["MJt", "J", "MKT*"], "map", {"J": 2, "t": 1, "*": 1}),
        (["Mj<mask>JK"], "map", {"j": 1, "J": 1}),
        (["MJtK", "M<unk>K"], "reference", {"J": 1, "t": 1}),
    ],
)
def test_what_was_replaced_is_given_with_the_vectors(sequences, unknown, mapped, model):
    assert embed(model, sequences, unknown=unknown).mapped == mapped
    assert embed_residues(model, sequences, unknown=unknown).mapped == mapped


def test_what_was_cropped_or_windowed_is_given_with_the_vectors(narrow):
    sequences = ["A" * 30, "C" * 100, "D" * 12 + "<mask>"]
    for give in (embed, embed_residues):
        found = give(narrow, sequences, long="window")
        assert (found.lengths, found.residues_used) == ([30, 100, 13], [30, 100, 13])
        assert found.windows == [1, 6, 1]
        found = give(narrow, sequences, long="crop:8+4")
        assert (found.lengths, found.residues_used) == ([30, 100, 13], [12, 12, 12])
        assert found.windows == [1, 1, 1]


def test_an_id_that_stands_twice_is_refused(model):
    for give in (embed, embed_residues):
        with pytest.raises(InputError, match="source, item 3: saw the id 'a', which item 1 has"):
            give(model, [("a", "MKT"), ("b", "MKT"), ("a", "GAV")])
    frame = pl.DataFrame({"id": ["x", "x"], "sequence": ["MKT", "GAV"]})
    with pytest.raises(InputError, match="frame\\), row 2: saw the id 'x', which row 1 has too"):
        embed(model, frame)
    assert embed(model, ["MKT", "MKT"]).ids == ["sequence_1", "sequence_2"]


def test_gaps_and_ambiguous_letters_are_letters_of_the_model(model):
    assert embed(model, ["MK-T.BXZ"]).vectors.shape == (1, 32)


def test_a_nan_is_an_error_that_names_the_row(model):
    with torch.no_grad():
        model.network.embedding.tokens.weight[TOKENIZER.id_of["W"]] = float("nan")
    assert embed(model, [("fine", "MKT")]).vectors.shape == (1, 32)
    with pytest.raises(InputError, match="bad: saw a NaN in its vector"):
        embed(model, [("fine", "MKT"), ("bad", "MKW")])
    with pytest.raises(InputError, match="bad: saw a NaN in its vector"):
        embed_residues(model, [("fine", "MKT"), ("bad", "MKW")])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"pooling": "median"}, "pooling: saw 'median'"),
        ({"pooling": "none"}, "Try `lexome.embed_residues`"),
        ({"pooling": "cls", "long": "window"}, "pooling: saw cls with windows"),
        ({"layer": 3}, "layer: saw 3, expected 0 to 2"),
        ({"layer": -4}, "layer: saw -4"),
        ({"unknown": "guess"}, "unknown: saw 'guess'"),
        ({"long": "crop:0+0"}, "long: saw 'crop:0\\+0'"),
        ({"long": "cut"}, "long: saw 'cut'"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused(options, said, model):
    with pytest.raises(InputError, match=said):
        embed(model, ["MKT"], **options)


def test_frames_dictionaries_and_single_sequences_are_sources(model):
    frame = pl.DataFrame({"id": ["a", "b"], "sequence": ["MKT", "GAVL"]})
    expected = embed(model, ["MKT", "GAVL"]).vectors
    for source in (frame, {"a": "MKT", "b": "GAVL"}, [("a", "MKT"), ("b", "GAVL")]):
        found = embed(model, source)
        assert found.ids == ["a", "b"]
        assert np.array_equal(found.vectors, expected)
    assert close(embed(model, "MKT").vectors[0], expected[0])


def test_bf16_stays_near_fp32(esm2, model):
    found = embed(load(str(esm2), dtype="bf16"), PROTEINS).vectors
    expected = embed(model, PROTEINS).vectors
    cosine = (found * expected).sum(1) / np.linalg.norm(found, axis=1)
    assert (cosine / np.linalg.norm(expected, axis=1)).min() > 0.999


def test_a_published_layout_gives_the_vectors_that_transformers_gave():
    folder = shared("reference/fixtures/esm2-hf-tiny")
    told = json.loads((folder / "expected.json").read_text())["sequences"]
    expected = load_file(folder / "expected.safetensors")
    model = load(str(folder))
    # 1, 3 and 4 hold <mask>, or letters of which the published tokenizer makes <unk>
    policies = {0: "refuse", 1: "reference", 2: "refuse", 3: "reference", 4: "reference"}
    for i, unknown in policies.items():
        found = embed_residues(model, [told[i]], unknown=unknown).matrices[0]
        reference = expected[f"single.{i}.hidden.3"][0, 1:-1]
        assert np.allclose(found, reference, atol=5e-5, rtol=1e-5), told[i]
        pooled = embed(model, [told[i]], unknown=unknown).vectors[0]
        assert np.allclose(pooled, reference.mean(0), atol=5e-5, rtol=1e-5)


def test_a_mask_may_be_written_in_a_sequence_and_counts_as_one_residue(model):
    """It is the one special token that a user may write, also beside a crop."""
    vectors = embed_residues(model, ["MK<mask>GAVL"]).matrices
    assert vectors[0].shape[0] == 7
    expected = model.run_ids([[0, 20, 15, 32, 6, 5, 7, 4, 2]], ["hidden"])[0].hidden[1:-1]
    assert vectors[0] == pytest.approx(expected, rel=1e-5, abs=1e-5)
    cropped = embed_residues(model, ["MK<mask>GAVL"], long="crop:3+1").matrices
    expected = model.run_ids([[0, 20, 15, 32, 4, 2]], ["hidden"])[0].hidden[1:-1]
    assert cropped[0] == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_padding_inside_of_a_sequence_is_refused(model):
    """No learned position counts it in transformers, and fair-esm hides it: there is no answer."""
    for run in (
        lambda: embed(model, ["M<pad>K"], unknown="reference"),
        lambda: model.run(["M<pad>K"], unknown="reference"),
        lambda: model.run_ids([[0, 20, 1, 15, 2]]),
    ):
        with pytest.raises(InputError, match=r"sequence_1: saw padding \(id 1\) as token 3"):
            run()
