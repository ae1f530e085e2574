"""GFF3: features, and the transcripts of WormBase, TAIR, NCBI and files without ids."""

from pathlib import Path

import pytest

from lexome.errors import InputError
from lexome.io.gff import read_features, read_transcripts
from lexome.sequence.transcripts import TranscriptIndex
from tests.shared_data import shared


def gff(path: Path, *rows: str) -> Path:
    path.write_text(
        "##gff-version 3\n" + "".join("\t".join(row.split(" ", 8)) + "\n" for row in rows)
    )
    return path


def test_a_feature_is_counted_from_0_and_its_text_unescaped(tmp_path: Path):
    path = gff(tmp_path / "a.gff", "c%201 s CDS 3 5 . + 2 ID=x%3By;Parent=a,b%2Cc;Name=n")
    (found,) = read_features(path)
    assert (found.contig, found.start, found.end, found.phase) == ("c 1", 2, 5, 2)
    assert (found.parents, found.attribute("ID")) == (["a", "b,c"], "x;y")


def test_one_cds_may_belong_to_several_transcripts(tmp_path: Path):
    path = gff(
        tmp_path / "a.gff",
        "c s gene 1 100 . - . ID=g;Name=gene-1",
        "c s mRNA 1 100 . - . ID=t1;Parent=g;Name=T1",
        "c s mRNA 1 90 . - . ID=t2;Parent=g",
        "c s exon 1 30 . - . Parent=t1,t2",
        "c s exon 61 100 . - . Parent=t1",
        "c s CDS 61 69 . - 0 ID=p;Parent=t1,t2",
        "c s CDS 10 30 . - 0 ID=p;Parent=t1,t2",
    )
    one, two = read_transcripts(path)
    assert (one.name, two.name, one.gene, one.strand) == ("T1", "t2", "gene-1", "-")
    assert one.cds == two.cds == ((9, 30), (60, 69))
    assert (one.exons, two.exons) == (((0, 30), (60, 100)), ((0, 30),))
    assert one.introns() == [(30, 60)]


def test_rows_with_an_id_each_are_one_transcript_and_genes_of_bacteria_are_several(tmp_path: Path):
    path = gff(
        tmp_path / "a.gff",
        "c s mRNA 1 100 . + . ID=t",
        "c s CDS 1 30 . + 0 ID=t.1;Parent=t",
        "c s CDS 51 80 . + 0 ID=t.2;Parent=t",
        "c s gene 200 400 . + . ID=g;Name=dnaX",
        "c s CDS 200 299 . + 0 ID=p1;Parent=g;Name=P1;transl_table=11",
        "c s CDS 200 259 . + 0 ID=p2;Parent=g;Name=P2;transl_table=11",
        "c s CDS 500 529 . + 0 ID=alone",
    )
    found = {one.name: one for one in read_transcripts(path)}
    assert list(found) == ["t", "P1", "P2", "alone"]
    assert found["t"].cds == ((0, 30), (50, 80))
    assert (found["P2"].gene, found["P2"].code, found["alone"].code) == ("dnaX", 11, None)


def test_flaws_of_the_annotation_are_told(tmp_path: Path):
    path = gff(
        tmp_path / "a.gff",
        "c s gene 1 9 . + . ID=g1",
        "c s CDS 1 9 . + 0 ID=a;Parent=g1;pseudo=true",
        "c s CDS 1 9 . + . ID=b",
        "c s CDS 1 9 . + 0 ID=d",
        "c s CDS 20 28 . - 0 ID=d",
        "c s CDS 1 9 . + 0 ID=e",
        "c s CDS 20 28 . + 1 ID=e",
        "c s CDS 1 9 . ? 0 ID=f",
        "c s CDS 20 28 . - 1 ID=h",
        "c s CDS 1 7 . - 1 ID=h",
    )
    flaws = {one.name: one.flaw for one in read_transcripts(path)}
    assert flaws == {
        "a": "it is a pseudogene",
        "b": "a coding part has no phase",
        "d": "its coding parts lie on several strands or contigs",
        "e": "the phase of its coding part at 20 does not fit those before",
        "f": "its strand is not told",
        "h": "",
    }


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("c s CDS 1 9 . + 0", "line 2: saw 8 columns"),
        ('c s CDS 1 9 . + 0 gene_id "x"; transcript_id "y";', "line 2: saw GTF .*gffread"),
        ("c s CDS 9 1 . + 0 ID=x", "line 2: saw the coordinates '9' and '1'"),
        ("c s CDS 1 9 . + 3 ID=x", "line 2: saw the phase '3'"),
        ("c s CDS 1 9 . + 0 Name=x", "line 2: saw a CDS with neither ID nor Parent"),
        ("c s gene 1 9 . + . ID=x", "saw no CDS"),
    ],
)
def test_a_broken_file_is_one_clear_error(tmp_path: Path, row: str, words: str):
    with pytest.raises(InputError, match=words):
        read_transcripts(gff(tmp_path / "a.gff", row))


def test_bases_of_a_fasta_behind_the_features_are_left_alone(tmp_path: Path):
    path = gff(tmp_path / "a.gff", "c s CDS 1 9 . + 0 ID=x")
    path.write_text(path.read_text() + "##FASTA\n>c\nACGT\n")
    assert len(list(read_features(path))) == 1


def test_wormbase_names_and_isoforms():
    found = read_transcripts(shared("data/genomes/C.elegans_slice.gff.gz"))
    isoforms = [one for one in found if one.gene == "WBGene00022276"]
    assert {one.name for one in isoforms} >= {
        "Y74C9A.2a.1",
        "Y74C9A.2a.2",
        "Y74C9A.2a.3",
        "Y74C9A.2b.1",
    }
    first = next(one for one in isoforms if one.name == "Y74C9A.2a.1")
    assert first.cds == ((11640, 11689), (14950, 15160), (16472, 16585))
    assert first.exons[0] == (11494, 11561)
    assert sum(len(one.introns()) > 0 for one in found) > 250


def test_the_index_finds_what_a_plain_search_finds():
    found = read_transcripts(shared("data/genomes/C.elegans_slice.gff.gz"))
    index = TranscriptIndex(found)
    for start in range(0, 200_000, 1777):
        for size in (0, 1, 40_000):
            plain = [
                t
                for t in found
                if t.contig == "V"
                and (t.start < start + size and t.end > start if size else t.start < start < t.end)
            ]
            assert index.find("V", start, start + size) == plain
