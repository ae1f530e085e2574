"""GenBank: sequences and translations as Biopython gives them, and nothing cut short."""

import io
import random

import pytest
from Bio import SeqIO
from Bio.Seq import Seq
from Bio.SeqFeature import FeatureLocation, SeqFeature
from Bio.SeqRecord import SeqRecord

from lexome.errors import InputError
from lexome.io.genbank import read_genbank
from lexome.sequence.records import Record

ONE = """GBREL.TXT   a header of a release
LOCUS       TOY1                      21 bp    DNA     linear   SYN 01-JAN-2000
DEFINITION  A toy gene that needs
            two lines.
ACCESSION   TOY1
VERSION     TOY1.2
FEATURES             Location/Qualifiers
     source          1..21
                     /organism="Escherichia coli"
     CDS             join(1..9,
                     13..21)
                     /gene="toy"
                     /note="says ""hello"" and
                     /product="no product""
                     /codon_start=1
                     /product="toy protein"
                     /protein_id="AAA1.1"
                     /translation="MKT
                     LV"
     CDS             complement(1..9)
                     /gene="broken"
                     /pseudo
     CDS             4..9
                     /locus_tag="TOY_3"
                     /translation="KT"
ORIGIN
        1 atgaaaacgt aaatgctggt t
//
"""


def read(text: str, **options) -> list[Record]:
    return list(read_genbank(io.BytesIO(text.encode()), **options))


def test_a_record_is_named_by_version_and_definition_and_comes_in_capitals():
    expected = Record("TOY1.2 A toy gene that needs two lines", "ATGAAAACGTAAATGCTGGTT")
    assert read(ONE) == [expected]


def test_coding_regions_give_their_translations_and_pseudogenes_none():
    text = ONE.replace('/product="no product""', 'product of none"')
    assert read(text, proteins=True) == [
        Record("AAA1.1 toy protein", "MKTLV"),
        Record("TOY_3", "KT"),
    ]


def random_records(seed: int) -> list[SeqRecord]:
    random.seed(seed)
    records = []
    for number in range(5):
        length = random.randrange(60, 3000)
        record = SeqRecord(
            Seq("".join(random.choices("ACGTN", k=length))),
            id=f"SYN{number}.1",
            name=f"SYN{number}",
            description=f"synthetic construct {number} of" + " many words" * random.randrange(12),
            annotations={"molecule_type": "DNA"},
        )
        for gene in range(random.randrange(4)):
            translation = "".join(
                random.choices("ACDEFGHIKLMNPQRSTVWY", k=random.randrange(1, 400))
            )
            qualifiers = {
                "locus_tag": [f"G{gene}"],
                "product": ["an enzyme; " * random.randrange(9) + 'the "best"'],
                "protein_id": [f"P{number}{gene}.1"],
                "db_xref": ["GI:1", "GI:2"],
                "translation": [translation],
            }
            record.features.append(SeqFeature(FeatureLocation(0, 30, 1), "gene"))
            record.features.append(
                SeqFeature(FeatureLocation(0, 30, -1), "CDS", qualifiers=qualifiers)
            )
        records.append(record)
    return records


@pytest.mark.parametrize("seed", range(5))
def test_random_files_read_as_biopython_reads_them(seed, tmp_path):
    path = tmp_path / "records.gb"
    SeqIO.write(random_records(seed), path, "genbank")
    with path.open() as lines:
        written = list(SeqIO.parse(lines, "genbank"))
    expected, proteins = [], []
    for record in written:
        expected.append(Record(f"{record.id} {record.description}", str(record.seq)))
        for feature in record.features:
            if feature.type == "CDS":
                values = feature.qualifiers
                name = f"{values['protein_id'][0]} {values['product'][0]}"
                proteins.append(Record(name, values["translation"][0]))
    assert list(read_genbank(path)) == expected
    assert list(read_genbank(path, proteins=True)) == proteins


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "saw an empty file"),
        (">a\nMK\n", "saw '>a', expected a line that begins with LOCUS"),
        (ONE.replace("//\n", ""), "line 2: saw a record of 26 lines without its end"),
        (
            ONE.replace("//\n", "") + ONE.split("\n", 1)[1],
            "line 2: saw a record of 26 lines without its end",
        ),
        (ONE.replace("ctggt t", "ctg"), "line 2: saw 18 letters, expected 21"),
        (ONE.replace("ORIGIN", "CONTIG      join(X:1..21)"), "saw a record without ORIGIN"),
    ],
)
def test_broken_files_are_refused_with_the_line_of_locus(text, message):
    with pytest.raises(InputError, match=message):
        read(text)
