"""Alignments from file to vectors and contacts: reading, thinning, the model, the command line."""

import json

import numpy as np
import polars as pl
import pytest

import lexome
from lexome.errors import InputError
from lexome.inference import embed_alignments as embedding
from lexome.inference import parts
from lexome.inference.embed_alignments import embed_alignment_files, embed_alignments
from lexome.interpretation.contacts import contact_table, find_contacts
from lexome.io.alignments import read_alignment, read_alignments
from lexome.sequence.alignment import Alignment, thin
from tests.commands import call_main
from tests.shared_data import shared

A3M = ">q\nMKTV-RQXA\n>s1 x\nMRTVaaA-Q.EC\n>s2\n-KSIARQ-C\n"


@pytest.fixture(scope="module")
def path():
    return shared("reference/fixtures/msa1b-fair-tiny")


@pytest.fixture(scope="module")
def model(path):
    return lexome.load_alignment_model(str(path), device="cpu")


@pytest.fixture
def a3m(tmp_path):
    (tmp_path / "toy.a3m").write_text(A3M)
    return tmp_path / "toy.a3m"


def test_insertions_and_dots_stand_in_no_column(a3m):
    found = read_alignment(a3m)
    assert (found.name, found.ids) == ("toy", ["q", "s1", "s2"])
    assert found.rows == ["MKTV-RQXA", "MRTVA-QEC", "-KSIARQ-C"]


def test_unequal_rows_and_other_files_are_refused(tmp_path):
    (tmp_path / "x.a3m").write_text(">q\nMKT\n>s\nMK\n")
    with pytest.raises(InputError, match=r"x, row 2 \(s\): saw 2 columns, expected 3"):
        read_alignment(tmp_path / "x.a3m")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no alignment"):
        list(read_alignments(tmp_path / "empty"))
    with pytest.raises(InputError, match="ending"):
        read_alignment(tmp_path / "x.fasta")


def test_a_real_alignment_is_read_and_thinned():
    found = read_alignment(shared("data/msa") / "1a3a_1_A.a3m.gz")
    assert found.depth > 100
    assert "-" not in found.rows[0]
    few = thin(found, 32)
    assert few.depth == 32
    assert few.ids[0] == found.ids[0]
    assert set(few.rows) <= set(found.rows)

    def spread(rows):
        letters = np.array([list(row) for row in rows])
        return np.mean([(letters != one).mean() for one in letters])

    assert spread(few.rows) > spread(found.rows[:32])


def test_thinning_is_the_published_greedy_choice():
    from scipy.spatial.distance import cdist

    generator = np.random.default_rng(3)
    rows = ["".join(generator.choice(list("ACDE-"), 12)) for _ in range(30)]
    array = np.array([list(row.encode()) for row in rows])
    chosen = [0]
    while len(chosen) < 9:
        distance = cdist(array[chosen], array, "hamming").mean(0)
        distance[chosen] = -1
        chosen.append(int(distance.argmax()))
    found = thin(Alignment("x", [str(i) for i in range(30)], rows), 9)
    assert [int(id) for id in found.ids] == sorted(chosen)


def test_the_published_outputs_through_the_model(path, model):
    from safetensors.torch import load_file

    tensors = load_file(path / "expected.safetensors")
    facts = json.loads((path / "expected.json").read_text())
    compared = 0
    for number, rows in facts["msas"].items():
        outputs = ["logits", "hidden", "row_attentions", "column_attentions", "contacts"]
        found = model.run_ids(tensors[f"single.{number}.tokens"][0].tolist(), outputs)
        names = {"logits": "logits", "contacts": "contacts", "row_attentions": "row_attentions"}
        names |= {"column_attentions": "col_attentions", "hidden": "hidden.2"}
        for ours, theirs in names.items():
            wanted = tensors[f"single.{number}.{theirs}"][0].numpy()
            np.testing.assert_allclose(getattr(found, ours), wanted, atol=5e-5, rtol=1e-5)
            compared += 1
        texts = [row for _, row in rows]
        assert model.run(texts)[0].ids == found.ids
    assert compared == 15


def test_vectors_are_the_querys(model):
    rows = ["MKTVARQXA", "MRTVA-QEC"]
    hidden = model.run(rows, ["hidden"])[0].hidden
    for pooling, wanted in {
        "mean": hidden[0, 1:].mean(0),
        "max": hidden[0, 1:].max(0),
        "cls": hidden[0, 0],
        "none": hidden[0, 1:],
    }.items():
        found = embed_alignments(model, rows, pooling)[0]
        np.testing.assert_allclose(found.values, wanted, atol=1e-6)
    first = embed_alignments(model, rows, layer=0)[0].values
    layers = model.run(rows, ["hidden_layers"])[0].hidden_layers
    np.testing.assert_allclose(first, layers[0][0, 1:].mean(0), atol=1e-6)


def test_too_many_columns_or_rows_are_refused(model):
    with pytest.raises(InputError, match="16 columns, expected at most 15"):
        model.run(["A" * 16])
    with pytest.raises(InputError, match=r"1,025 rows, expected at most 1,024\. Try `--depth"):
        model.run(["AC"] * 1025)
    assert len(model.run(["AC"] * 1025, depth=3)[0].ids) == 3
    with pytest.raises(InputError, match="letter 'J'"):
        model.run(["AJ"])


def test_contacts_of_alignments_and_of_sequences(model, esm2):
    found = next(find_contacts(model, ["MKTVARQXA", "MRTVA-QEC"]))
    table = contact_table(found, separation=2)
    assert table.height == 8 * 7 // 2
    assert table["probability"].is_sorted(descending=True)
    row = table.row(0, named=True)
    value = found.probabilities[row["position_1"] - 1, row["position_2"] - 1]
    assert row["probability"] == pytest.approx(float(value))
    assert row["residue_1"] == "MKTVARQXA"[row["position_1"] - 1]
    single = next(find_contacts(lexome.load(str(esm2), device="cpu"), ["MKTAYIAK"]))
    assert single.probabilities.shape == (8, 8)


def test_models_and_inputs_of_the_other_kind_are_refused(path, esm2):
    with pytest.raises(InputError, match="a model of alignments"):
        lexome.load(str(path))
    with pytest.raises(InputError, match="a model of single sequences"):
        lexome.load_alignment_model(str(esm2))


def test_the_command_line(path, a3m, tmp_path, capsys, monkeypatch):
    out = tmp_path / "v.parquet"
    done = call_main(capsys, monkeypatch, "embed", a3m, "-m", path, "-o", out)
    assert done.code == 0, done.err
    table = pl.read_parquet(out)
    assert table.select("id", "length", "depth", "rows_used").row(0) == ("toy", 9, 3, 3)
    done = call_main(
        capsys, monkeypatch, "explain", a3m, "-m", path, "-o", tmp_path / "c.csv",
        "--separation", "1", "--pictures", tmp_path / "maps", "--depth", "2",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert pl.read_csv(tmp_path / "c.csv", comment_prefix="#").height == 36
    assert [p.name for p in (tmp_path / "maps").iterdir()] == ["0001-toy.png"]
    table = tmp_path / "t.csv"
    table.write_text("sequence,label\nMKT,0\nMKV,1\n")
    done = call_main(
        capsys, monkeypatch, "finetune", table, "-m", path, "--label", "label", "-o", tmp_path / "r"
    )
    assert "a model of alignments" in done.error


def test_a_later_sequence_that_is_too_long_stops_contacts_before_the_first(esm2):
    single = lexome.load(str(esm2), device="cpu")
    with pytest.raises(InputError, match="1,023 residues, expected at most 1,022"):
        next(find_contacts(single, ["MKTAYIAK", "A" * 1023]))


@pytest.fixture
def folder(tmp_path):
    """Ten alignments, of which each has one column more than the one before."""
    (tmp_path / "in").mkdir()
    for i in range(10):
        rows = ["MKTVARQECDFGHIK"[: 3 + i], "MRTVA-QECDYGHIK"[: 3 + i]]
        text = "".join(f">s{j}\n{row}\n" for j, row in enumerate(rows))
        (tmp_path / "in" / f"a{i}.a3m").write_text(text)
    return tmp_path / "in"


@pytest.mark.parametrize("pooling", ["mean", "none"])
def test_a_folder_is_written_part_by_part_and_one_part_is_held(
    pooling, model, folder, tmp_path, monkeypatch
):
    monkeypatch.setattr(parts, "PART_RECORDS", 3)
    written, read = [], embedding.read_alignments

    def watched(source):
        for alignment in read(source):
            written.append(len(list(tmp_path.glob(".v.parquet.*.parts/*.parquet"))))
            yield alignment

    monkeypatch.setattr(embedding, "read_alignments", watched)
    output = tmp_path / "v.parquet"
    tally = embed_alignment_files(model, folder, output, pooling, -1, None, {}, quiet=True)
    assert written == [0] * 10 + [0, 0, 0, 1, 1, 1, 2, 2, 2, 3]  # checked first, then run
    assert (tally.rows, tally.resumed_rows) == (10, 0)
    table = pl.read_parquet(output)
    element = pl.Array(pl.Float32, model.network.width)
    assert table["vector"].dtype == (pl.List(element) if pooling == "none" else element)
    expected = embed_alignments(model, folder, pooling)
    assert table["id"].to_list() == [one.id for one in expected]
    for row, one in zip(table["vector"], expected, strict=True):
        np.testing.assert_array_equal(np.array(row), one.values)


def test_a_part_is_bounded_in_the_letters_that_are_held(model, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "PART_RESIDUES", 20)
    sizes, write = [], parts.write_table

    def watched(table, path, provenance):
        if ".parts" in str(path):
            sizes.append(table["length"].to_list())
        write(table, path, provenance)

    monkeypatch.setattr(parts, "write_table", watched)
    embed_alignment_files(model, folder, tmp_path / "v.pq", "mean", -1, 1, {}, quiet=True)
    assert sizes == [[3, 4, 5], [6, 7], [8, 9], [10], [11], [12]]  # of two rows each


@pytest.mark.parametrize(
    ("last", "message"),
    [
        (">q\nMKJ\n", "a9, q: saw the letter 'J' at position 3"),
        (">q\n" + "A" * 16 + "\n", "a9: saw 16 columns"),
        (">q\nMKT\n>s\nMK\n", "a9, row 2"),
    ],
)
def test_a_mistake_in_the_last_alignment_stops_the_run_before_the_first(
    last, message, model, folder, tmp_path, monkeypatch
):
    (folder / "a9.a3m").write_text(last)
    monkeypatch.setattr(embedding, "_embed", None)
    with pytest.raises(InputError, match=message):
        embed_alignment_files(model, folder, tmp_path / "v.pq", "mean", -1, None, {}, quiet=True)
    assert list(tmp_path.iterdir()) == [folder]


def test_a_letter_in_a_row_that_is_not_taken_does_no_harm(model, folder, tmp_path):
    rows = [">q\nMKTVA\n", ">far\nWWWWW\n", ">near\nMKTJA\n"]
    (folder / "a9.a3m").write_text("".join(rows))
    done = embed_alignment_files(model, folder, tmp_path / "v.pq", "mean", -1, 2, {}, quiet=True)
    assert done.rows == 10


def test_two_files_of_one_name_are_refused(model, folder, tmp_path):
    (folder / "a3.a2m").write_text(">q\nMKT\n")
    with pytest.raises(InputError, match=r"alignment 5: saw the id 'a3', which alignment 4 has"):
        embed_alignment_files(model, folder, tmp_path / "v.pq", "mean", -1, None, {}, quiet=True)


def test_vectors_of_half_the_size_and_outputs_that_are_no_parquet(model, folder, tmp_path):
    half, full = tmp_path / "h.pq", tmp_path / "f.pq"
    for path, kind in ((half, "float16"), (full, "float32")):
        embed_alignment_files(model, folder, path, "mean", -1, None, {}, kind, quiet=True)
    vectors = pl.read_parquet(half)["vector"].to_numpy()
    assert vectors.dtype == np.float16
    np.testing.assert_allclose(
        vectors, pl.read_parquet(full)["vector"].to_numpy(), rtol=1e-3, atol=1e-3
    )
    for name, depth, message in (("v.csv", None, r"\.csv"), ("v.pq", 0, "depth")):
        with pytest.raises(InputError, match=message):
            embed_alignment_files(model, folder, tmp_path / name, "mean", -1, depth, {}, quiet=True)
