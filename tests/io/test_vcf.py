"""VCF files: read as pysam reads them, written byte for byte, and clear about what is wrong."""

import gzip
from pathlib import Path
from random import Random

import pysam
import pytest

from lexome.errors import InputError
from lexome.io.vcf import InfoField, annotate_header, annotate_row, is_vcf, open_vcf, write_vcf
from tests.shared_data import shared

HEAD = '##fileformat=VCFv4.2\n##contig=<ID=1,length=1000000>\n##INFO=<ID=DP,Number=1,Type=Integer,Description="d">\n##FORMAT=<ID=GT,Number=1,Type=String,Description="g">\n'
NAMES = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"
ROW = "1\t10\trs1\tA\tC,<DEL>\t.\tPASS\tDP=3"


def write(path: Path, text: str) -> Path:
    data = text.encode("utf-8", "surrogateescape")
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def rows(path: Path, **options: bool) -> list[list[str]]:
    with open_vcf(path, **options) as vcf:
        return [row.fields for row in vcf.rows]


def test_rows_come_with_their_numbers_and_lines(tmp_path: Path):
    path = write(tmp_path / "a.vcf.gz", f"{HEAD}{NAMES}\n{ROW}\n\n{ROW}\n")
    with open_vcf(path) as vcf:
        found = list(vcf.rows)
    assert vcf.header.info_names() == {"DP"}
    assert [(row.number, row.line) for row in found] == [(1, 6), (2, 8)]
    assert found[0].alts == ["C", "<DEL>"]
    assert is_vcf("x.VCF.gz")


@pytest.mark.parametrize("ending", [".vcf", ".vcf.gz", ".vcf.bgz"])
def test_what_is_written_is_what_pysam_reads(tmp_path: Path, ending: str):
    draw = Random(0)
    text = "".join(
        f"1\t{10 * i}\t{draw.random()}\tA\tC\t{draw.random()}\tPASS\tDP={i}\tGT\t0/1\t1/1\n"
        for i in range(1, 9000)
    )
    source = write(tmp_path / "a.vcf", f"{HEAD}{NAMES}\tFORMAT\ts1\ts2\n{text}")
    output = tmp_path / f"b{ending}"
    field = InfoField("LEXOME_SCORE", "A", "Float", 'a "quoted" meaning')
    with open_vcf(source) as vcf, write_vcf(output) as put:
        put(annotate_header(vcf.header, [field], ["##LEXOME_RULE=r"]))
        for row in vcf.rows:
            put(annotate_row(row, f"LEXOME_SCORE={row.number}"))
    with pysam.VariantFile(str(output)) as file:
        found = list(file)
    assert len(found) == 8999
    assert found[41].info["LEXOME_SCORE"] == (42.0,)
    assert (found[41].pos, found[41].info["DP"], found[41].samples["s2"]["GT"]) == (420, 42, (1, 1))
    if ending != ".vcf":
        pysam.tabix_index(str(output), preset="vcf")
        with pysam.VariantFile(str(output)) as file:
            assert [row.pos for row in file.fetch("1", 500, 530)] == [510, 520, 530]
        assert gzip.decompress(output.read_bytes()).count(b"\n") == 8999 + 7


def test_all_else_is_kept_byte_for_byte(tmp_path: Path):
    odd = "1\t10\t\udcff\u00e9\tA\tC\t.\t.\t.\tGT:AD\t0/1:3,4"
    path = write(tmp_path / "a.vcf", f"{HEAD}{NAMES}\tFORMAT\ts\n{odd}\n")
    with open_vcf(path) as vcf:
        row = next(vcf.rows)
        assert annotate_row(row, "") == f"{odd}\n"
        assert annotate_row(row, "A=1") == odd.replace("\t.\tGT", "\tA=1\tGT") + "\n"
        assert annotate_header(vcf.header, [], []) == f"{HEAD}{NAMES}\tFORMAT\ts\n"
    closed = write(tmp_path / "b.vcf", f"{HEAD}{NAMES}\n{ROW};\n")
    with open_vcf(closed) as vcf:
        assert annotate_row(next(vcf.rows), "A=1").endswith("DP=3;A=1\n")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "an empty file"),
        (f"{ROW}\n", r"a\.vcf, line 1: saw a row .* `--no-header`"),
        (f"{HEAD}{ROW}\n", "line 5: saw a row"),
        (HEAD, "line 4: saw no row of column names"),
        (f"{HEAD}#CHROM\tPOS\tREF\n{ROW}\n", "line 5: saw '#CHROM"),
        (f"{HEAD}{NAMES}\n1\t10\t.\tA\n", "line 6: saw 4 columns"),
        (
            f"{HEAD}{NAMES}\n{ROW.replace(chr(9), ' ')}\n",
            "line 6: saw 1 columns .* were tabs made spaces",
        ),
        (f"{HEAD}{NAMES}\n{ROW}\n{HEAD}", "line 7: saw a line of a header among the rows"),
        ("BCF\2\2rest", "bcftools view"),
    ],
)
def test_a_broken_file_is_one_clear_error(tmp_path: Path, text: str, words: str):
    with pytest.raises(InputError, match=words):
        rows(write(tmp_path / "a.vcf", text))


def test_a_file_without_a_header_is_read_when_that_is_asked_for(tmp_path: Path):
    path = shared("data/variants/gpn_msa_example_pathogenic_common.vcf.gz")
    with pytest.raises(InputError, match=r"line 1: saw a row .* `--no-header`"):
        rows(path)
    with open_vcf(path, needs_header=False) as vcf:
        found = list(vcf.rows)
        text = annotate_header(vcf.header, [], [])
    assert len(found) == 2000
    assert text == f"##fileformat=VCFv4.2\n{NAMES}\n"
    assert annotate_row(found[0], "A=1") == "1\t1180851\tCommon_1501\tT\tC\t.\t.\tA=1\n"
    wide = write(tmp_path / "a.vcf", f"{ROW}\tGT\t0/1\t1/1\n")
    with open_vcf(wide, needs_header=False) as vcf:
        assert vcf.header.columns[8:] == ("FORMAT", "sample_1", "sample_2")
    with pytest.raises(InputError, match=r"line 1: saw 4 columns .* at least 5"):
        rows(write(tmp_path / "b.vcf", "1\t10\t.\tA\n"), needs_header=False)


def test_a_field_that_is_there_already_is_refused(tmp_path: Path):
    path = write(tmp_path / "a.vcf", f"{HEAD}{NAMES}\n{ROW}\n")
    with open_vcf(path) as vcf, pytest.raises(InputError, match="bcftools annotate -x INFO/DP"):
        annotate_header(vcf.header, [InfoField("DP", "1", "Float", "")], [])


def test_a_write_that_fails_leaves_nothing(tmp_path: Path):
    def fail() -> None:
        with write_vcf(tmp_path / "a.vcf.gz") as put:
            put("text")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []
