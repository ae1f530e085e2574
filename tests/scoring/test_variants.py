"""Tables of mutations: a row in, a row out, with a score or the reason why not."""

import polars as pl
import pytest

import lexome
from lexome.errors import InputError
from lexome.inference import parts
from lexome.results.tables import read_provenance
from lexome.scoring.mutants.rules import make_mutant_scorer
from lexome.scoring.variant_rows import read_references
from lexome.scoring.variants import Asked, score_variants
from lexome.scoring.variants_file import score_variants_file
from tests.commands import call_main
from tests.toy_masked import LOG_9, copycat
from tests.toys import write_fasta

REFERENCE = "ACCAGGHKLM"


def write(path, header, rows):
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_a_table_is_scored_in_its_order_and_carries_its_other_columns(tmp_path):
    source = write(
        tmp_path / "t.csv", "mutant,DMS_score,assay", ["C2A,1.5,x", "C2A:C3A,0.5,y", "p.Cys3Ala,,z"]
    )
    table = score_variants(copycat(), source, REFERENCE)
    assert table.columns == [
        *("row", "id", "mutant", "score", "rule", "reason", "input_DMS_score", "input_assay")
    ]
    assert table["row"].to_list() == [1, 2, 3]
    assert table["mutant"].to_list() == ["C2A", "C2A:C3A", "C3A"]
    assert table["score"].to_list() == pytest.approx([-LOG_9, -2 * LOG_9, -LOG_9])
    assert table["input_DMS_score"].to_list() == ["1.5", "0.5", ""]


def test_no_row_is_ever_dropped():
    """Every kind of row that cannot be scored, each with its reason in words."""
    wanted = {
        "A1C": "",
        "C1A": "the reference has A at 1, not C",
        "A99C": "position 99 lies outside",
        "A1*": "a stop is no amino acid",
        "A1Ter": "a stop is no amino acid",
        "A1=": "synonymous",
        "A1X": "X is none of the 20",
        "A1del": "only substitutions",
        "A1": "saw 'A1', expected a change",
        "": "the row has no mutant",
        "A1C:A1G": "saw two changes of residue 1",
        "WT": "",
    }
    frame = pl.DataFrame({"mutant": list(wanted)})
    table = score_variants(copycat(), frame, REFERENCE)
    assert table.height == len(wanted)
    for (text, words), score, reason in zip(
        wanted.items(), table["score"], table["reason"], strict=True
    ):
        assert (score is None) == bool(words), text
        assert words in reason, (text, reason)


def test_a_mutated_sequence_says_what_is_changed_and_must_agree():
    frame = pl.DataFrame({"mutated_sequence": ["AACAGGHKLM", REFERENCE, "ACCAGGHKL"]})
    table = score_variants(copycat(), frame, REFERENCE)
    assert table["mutant"].to_list() == ["C2A", "=", "M10del"]
    assert table["score"].to_list()[:2] == pytest.approx([-LOG_9, 0.0])
    assert "only substitutions" in table["reason"][2]
    both = pl.DataFrame(
        {"mutant": ["C2A", "C2A"], "mutated_sequence": ["AACAGGHKLM", "ACAAGGHKLM"]}
    )
    reasons = score_variants(copycat(), both, REFERENCE)["reason"]
    assert reasons[0] == ""
    assert "is not the reference with this change" in reasons[1]


def test_a_shifted_numbering_is_refused_with_the_offset_that_fits():
    frame = pl.DataFrame({"mutant": [f"{a}{i + 24}W" for i, a in enumerate(REFERENCE)]})
    with pytest.raises(
        InputError, match=r"10 of 10 rows.*-23 added to them 100.0% agree.*--offset -23"
    ):
        score_variants(copycat(), frame, REFERENCE)
    table = score_variants(copycat(), frame, REFERENCE, offset=-23)
    assert table["reason"].unique().to_list() == [""]
    assert table["mutant"][0] == "A1W"
    with pytest.raises(InputError, match="--offset -23"):
        score_variants(copycat(), frame, REFERENCE, offset=1)


def test_some_wrong_rows_are_only_told():
    frame = pl.DataFrame({"mutant": ["A1C", "C2A", "C3A", "W4A"]})
    table = score_variants(copycat(), frame, REFERENCE)
    assert [bool(reason) for reason in table["reason"]] == [False, False, False, True]


def test_each_row_has_its_reference(tmp_path):
    fasta = write_fasta(tmp_path / "two.fasta", [("a", "ACCA"), ("b", "CCCC")])
    frame = pl.DataFrame({"protein": ["b", "a", "c", "b"], "mutant": ["C1A", "C2A", "C1A", "A1C"]})
    table = score_variants(copycat(), frame, fasta)
    assert table["id"].to_list() == ["b", "a", "c", "b"]
    assert table["score"].to_list()[:2] == pytest.approx([-LOG_9, -LOG_9])
    assert table["reason"].to_list()[2:] == [
        "no reference is called 'c'",
        "the reference has C at 1, not A",
    ]
    with pytest.raises(InputError, match="--reference COLUMN"):
        score_variants(copycat(), frame.drop("protein"), fasta)
    with pytest.raises(InputError, match="'a' twice"):
        read_references(write_fasta(tmp_path / "twice.fasta", [("a", "AC"), ("a", "CC")]))


@pytest.mark.parametrize(
    ("header", "options", "words"),
    [
        ("x,y", {}, "one of changes such as A12G"),
        ("mutant,y", {"mutant": "z"}, "no column 'z'"),
        ("mutant,y", {"reference_column": "z"}, "no column 'z'"),
    ],
)
def test_a_table_without_its_columns_is_refused(tmp_path, header, options, words):
    source = write(tmp_path / "t.csv", header, ["A1C,1"])
    with pytest.raises(InputError, match=words):
        score_variants(copycat(), source, REFERENCE, **options)


def test_a_list_of_changes_will_do():
    assert score_variants(copycat(), ["C2A", "C3A"], REFERENCE).height == 2
    assert score_variants(copycat(), (t for t in ["C2A"]), REFERENCE).height == 1
    assert score_variants(copycat(), "C2A", REFERENCE).height == 1


def test_a_killed_run_goes_on_and_gives_the_same_file(esm2, tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "PART_RECORDS", 3)
    source = write(
        tmp_path / "t.csv", "mutant,y", [f"{REFERENCE[i % 10]}{i % 10 + 1}W,{i}" for i in range(20)]
    )
    scorer = make_mutant_scorer(lexome.load(str(esm2), device="cpu"), "masked-marginal")
    calls = 0

    def broken(sequence, mutants):
        nonlocal calls
        calls += 1
        if calls == 4:
            raise KeyboardInterrupt
        return scorer.compute(sequence, mutants)

    output = tmp_path / "out.csv"
    asked = Asked(scorer._replace(compute=broken), {"a": REFERENCE})
    with pytest.raises(KeyboardInterrupt):
        score_variants_file(asked, source, output, {}, quiet=True)
    assert not output.exists()
    done = score_variants_file(Asked(scorer, {"a": REFERENCE}), source, output, {}, quiet=True)
    assert (done.rows, done.resumed_rows) == (20, 9)
    whole = score_variants(scorer, source, {"a": REFERENCE})
    assert pl.read_csv(output)["score"].to_list() == pytest.approx(whole["score"].to_list())
    # Another offset is another job: nothing of this one is taken up.
    again = Asked(scorer, {"a": REFERENCE}, 0)
    assert score_variants_file(again, source, tmp_path / "o.csv", {}, quiet=True).resumed_rows == 0


def test_the_command_scores_a_table_and_says_what_it_did(tmp_path, capsys, monkeypatch):
    source = write(tmp_path / "t.tsv", "mutant\ty", ["M1A\t1", "K2R\t2", "A3C\t3"])
    output = tmp_path / "out.parquet"
    done = call_main(
        *(capsys, monkeypatch, "variants", source, "--fasta", "MKTAYIAKQRQISFVK", "-o", output),
        *("--device", "cpu", "--json"),
    )
    assert done.code == 4, done.err
    assert '"without_score": 1' in done.out
    table = pl.read_parquet(output)
    assert table["reason"].to_list() == ["", "", "the reference has T at 3, not A"]
    notes = read_provenance(output)
    assert notes["rule"] == "wt-marginal"
    assert notes["sha256"]
    assert notes["without_score"] == 1
    shown = call_main(
        capsys, monkeypatch, "variants", source, "--fasta", "MKTAYIAKQRQISFVK", "--device", "cpu"
    )
    assert shown.code == 4
    assert len(shown.out.splitlines()) == 4


def test_the_command_refuses_a_shifted_table_and_writes_nothing(tmp_path, capsys, monkeypatch):
    source = write(tmp_path / "t.csv", "mutant", ["M24A", "K25R", "T26C"])
    done = call_main(
        *(capsys, monkeypatch, "variants", source, "--fasta", "MKTAYIAKQRQISFVK"),
        *("-o", tmp_path / "out.csv", "--device", "cpu"),
    )
    assert done.code == 2
    assert "--offset -23" in done.error
    assert [p.name for p in tmp_path.iterdir()] == ["t.csv"]
