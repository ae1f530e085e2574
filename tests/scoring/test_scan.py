"""Every substitution of a sequence: the table, the file, the pictures."""

import math
import re

import polars as pl
import pytest

import lexome
from lexome.errors import InputError
from lexome.inference import parts
from lexome.plots.variant_map import GROUPS, draw_variant_map, read_map
from lexome.results.tables import read_provenance
from lexome.scoring import scan_pictures
from lexome.scoring.mutants.rules import make_mutant_scorer
from lexome.scoring.scan import parse_positions, rank_positions, scan
from lexome.scoring.scan_file import scan_file
from tests.commands import call_main
from tests.toy_masked import LOG_3, copycat
from tests.toys import random_proteins, write_fasta

UBIQUITIN = "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG"


def test_a_scan_is_worked_out_on_paper():
    """At a mask A has 0.75 and C 0.25, so C -> A is log 3 and A -> C its opposite."""
    table = scan(copycat(), "AC", rule="masked-marginal")
    assert table.columns == ["id", "position", "ref", "alt", "score", "rule", "reason"]
    assert table.height == 38
    found = {
        f"{r}{p}{a}": s for p, r, a, s in table.select("position", "ref", "alt", "score").rows()
    }
    assert found["A1C"] == pytest.approx(-LOG_3)
    assert found["C2A"] == pytest.approx(LOG_3)
    assert "A1A" not in found


def test_residues_that_no_rule_can_score_keep_their_rows():
    table = scan(copycat(), "AXC")
    lacking = table.filter(pl.col("position") == 2)
    assert lacking.height == 20
    assert lacking["score"].null_count() == 20
    assert all("X is none of the 20" in reason for reason in lacking["reason"])
    assert table.filter(pl.col("position") != 2)["score"].null_count() == 0


def test_positions_are_counted_from_one_and_checked():
    assert parse_positions("3,1-2", 5, "x") == [1, 2, 3]
    table = scan(copycat(), [("a", "ACCA"), ("b", "CCCC")], positions="2-3")
    assert table["position"].unique().to_list() == [2, 3]
    assert table["id"].unique(maintain_order=True).to_list() == ["a", "b"]
    for text in ("0-2", "3-2", "4-6", "x", "1-", "-2", "1..2"):
        with pytest.raises(InputError, match="positions"):
            parse_positions(text, 5, "x")


def test_a_scan_equals_the_rule_applied_to_each(esm2):
    model = lexome.load(str(esm2), device="cpu")
    whole = scan(model, UBIQUITIN[:12], rule="mutant-marginal")
    additive = scan(model, UBIQUITIN[:12], rule="wt-marginal")
    assert whole.height == additive.height == 12 * 19
    matrix = make_mutant_scorer(model, "wt-marginal").table(UBIQUITIN[:12])
    letters = "ACDEFGHIKLMNPQRSTVWY"
    for position, alt, score in additive.select("position", "alt", "score").rows()[:40]:
        assert score == pytest.approx(matrix[position - 1, letters.index(alt)], abs=1e-6)


def test_a_file_is_scanned_in_parts_and_resumed(esm2, tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "PART_RECORDS", 2)
    proteins = random_proteins(5, seed=2)
    source = write_fasta(tmp_path / "in.fasta", [(f"p{i}", s) for i, s in enumerate(proteins)])
    model = lexome.load(str(esm2), device="cpu")
    scorer, output = make_mutant_scorer(model), tmp_path / "out.parquet"
    calls = 0

    def broken(sequence, mutants):
        nonlocal calls
        calls += 1
        if calls == 4:
            raise KeyboardInterrupt
        return scorer.compute(sequence, mutants)

    notes = {"model": "toy", "lexome_version": "0", "command": "test"}
    with pytest.raises(KeyboardInterrupt):
        scan_file(scorer._replace(compute=broken), source, output, notes, quiet=True)
    assert not output.exists()
    done = scan_file(scorer, source, output, notes, quiet=True)
    assert done.resumed_sequences == 2
    assert done.rows == sum(19 * len(s) for s in proteins)
    assert pl.read_parquet(output).equals(scan(model, source))
    assert read_provenance(output)["rule"] == "wt-marginal"


def test_the_command_writes_table_picture_and_report(tmp_path, capsys, monkeypatch):
    output = tmp_path / "ubiquitin.csv"
    done = call_main(capsys, monkeypatch, "scan", UBIQUITIN, "-o", output, "--device", "cpu")
    assert done.code == 0, done.err
    assert "most tolerant" in done.err
    table = pl.read_csv(output)
    assert table.height == 76 * 19
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        *("ubiquitin.csv", "ubiquitin.csv.meta.json", "ubiquitin.html", "ubiquitin.svg")
    ]
    page = (tmp_path / "ubiquitin.html").read_text()
    assert "<image" not in page, "an image inside would be blocked by the page's own policy"
    assert "wt-marginal" in page
    assert not re.search(r"https?://(?!www\.w3\.org)", page), "the page must load nothing"
    svg = (tmp_path / "ubiquitin.svg").read_text()
    # A cell a substitution, the wild types masked, a row of means and the scale.
    assert svg.count("<path") > 76 * 19
    assert read_provenance(output)["sha256"]


def test_rows_without_score_end_the_command_with_four(tmp_path, capsys, monkeypatch):
    output = tmp_path / "x.tsv"
    done = call_main(capsys, monkeypatch, "scan", "MKTXAYIA", "-o", output, "--device", "cpu")
    assert done.code == 4
    assert "20 rows have no score" in done.err


def test_the_terminal_gets_the_table_alone(capsys, monkeypatch):
    done = call_main(capsys, monkeypatch, "scan", "MKTAYIA", "--positions", "2", "--device", "cpu")
    assert done.code == 0
    assert len(done.out.splitlines()) == 20


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--rule", "marginal"], "no such rule"),
        (["--positions", "9"], "1 to 7"),
        (["--picture", "x.gif"], ".svg or .png or .pdf"),
        (["-o", "x.txt"], "ending"),
        (["--long", "crop:1+1"], "refuse, whole or window"),
    ],
)
def test_a_mistaken_option_is_told_before_anything_is_written(
    args, words, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    done = call_main(capsys, monkeypatch, "scan", "MKTAYIA", *args, "--device", "cpu")
    assert done.code == 2
    assert words in done.error
    assert not list(tmp_path.iterdir())


def test_a_map_has_a_row_a_letter_and_a_hole_a_wild_type():
    table = scan(copycat(), "ACDEF", rule="masked-marginal")
    drawn = read_map(table)
    assert drawn.refs == list("ACDEF")
    assert sorted(drawn.letters) == sorted("ACDEFGHIKLMNPQRSTVWY")
    assert drawn.letters == "".join(GROUPS["protein"].values())
    for column, ref in enumerate(drawn.refs):
        holes = [
            a
            for a, s in zip(drawn.letters, drawn.scores_AL[:, column], strict=True)
            if math.isnan(s)
        ]
        assert holes == [ref]
    row = drawn.letters.index("A")
    assert drawn.scores_AL[row, 1] == pytest.approx(LOG_3)


@pytest.mark.parametrize("length", [1, 80, 81, 400])
def test_a_long_sequence_is_drawn_in_lines(length):
    sequence = ("ACDEFGHIKL" * 40)[:length]
    rows = [
        (p, r, a, -1.0) for p, r in enumerate(sequence, 1) for a in "ACDEFGHIKLMNPQRSTVWY" if a != r
    ]
    table = pl.DataFrame(rows, schema=["position", "ref", "alt", "score"], orient="row")
    figure = draw_variant_map(table, "toy")
    assert len(figure.axes) == 1 + -(-length // 80)
    letters = [text.get_text() for axes in figure.axes[1:] for text in axes.texts]
    assert "".join(t for t in letters if len(t) == 1) == sequence


def test_a_map_of_bases_has_four_rows():
    rows = [(p, r, a, 0.5) for p, r in enumerate("ACGT", 1) for a in "ACGT" if a != r]
    table = pl.DataFrame(rows, schema=["position", "ref", "alt", "score"], orient="row")
    assert read_map(table).letters == "ACGT"
    assert draw_variant_map(table, "toy").axes


def test_what_is_too_much_for_a_page_is_not_drawn(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(scan_pictures, "MOST_CELLS", 100)
    output = tmp_path / "x.csv"
    done = call_main(capsys, monkeypatch, "scan", "MKTAYIA", "-o", output, "--device", "cpu")
    assert done.code == 0
    assert "too many positions" in done.err
    assert not (tmp_path / "x.html").exists()


def test_positions_are_ranked_by_their_mean():
    rows = [(1, "A", "C", -3.0), (2, "C", "A", 1.0), (2, "C", "D", 2.0), (3, "D", "A", 0.0)]
    table = pl.DataFrame(rows, schema=["position", "ref", "alt", "score"], orient="row")
    assert rank_positions(table, 2) == (["A1", "D3"], ["C2", "D3"])
