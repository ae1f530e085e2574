"""Regions of FASTA files: plain, gzipped and odd ones give the same bases as pyfaidx."""

import gzip
import stat
from pathlib import Path
from random import Random

import pyfaidx
import pytest

from lexome.errors import InputError
from lexome.io import genome as module
from lexome.io.genome import Genome
from tests.shared_data import shared


def random_contigs(seed: int = 0) -> dict[str, str]:
    draw = Random(seed)
    return {
        f"c{i}": "".join(draw.choices("ACGTacgtNR", k=size))
        for i, size in enumerate([1, 59, 60, 61, 120, 5000])
    }


def fasta_text(contigs: dict[str, str], width: int = 60, end: str = "\n") -> str:
    lines = []
    for name, bases in contigs.items():
        lines += [
            f">{name} a comment",
            *(bases[i : i + width] for i in range(0, len(bases), width)),
        ]
    return end.join(lines) + end


def write(path: Path, text: str) -> Path:
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_bytes(text.encode())
    return path


FORMS = {
    "plain": ("g.fa", lambda c: fasta_text(c)),
    "zipped": ("g.fa.gz", lambda c: fasta_text(c)),
    "crlf": ("g.fa", lambda c: fasta_text(c, end="\r\n")),
    "one line a record": ("g.fa", lambda c: fasta_text(c, width=10_000)),
    "no end of line": ("g.fa", lambda c: fasta_text(c).rstrip("\n")),
    "blank lines": ("g.fa", lambda c: "\n\n" + fasta_text(c).replace(">", "\n>") + "\n\n"),
    "uneven lines": ("g.fa", lambda c: fasta_text(c).replace("g", "g\n")),
    "spaces at ends": ("g.fa", lambda c: fasta_text(c, end=" \n")),
}


@pytest.mark.parametrize("form", list(FORMS))
@pytest.mark.parametrize("block", [7, 64, 1 << 22])
def test_every_form_of_a_file_gives_the_same_bases(
    tmp_path: Path, form: str, block: int, monkeypatch
):
    monkeypatch.setattr(module, "BLOCK", block)
    monkeypatch.setattr("lexome.io.streams.BLOCK_BYTES", block)
    contigs = random_contigs()
    name, make = FORMS[form]
    path = write(tmp_path / name, make(contigs))
    draw = Random(1)
    with Genome(path) as genome:
        assert {c.name: c.length for c in genome.contigs.values()} == {
            n: len(b) for n, b in contigs.items()
        }
        for contig_name, bases in contigs.items():
            contig = genome.find(contig_name)
            assert "".join(text for _, text in genome.blocks(contig)) == bases.upper()
            for _ in range(40):
                start = draw.randrange(-5, len(bases) + 5)
                end = start + draw.randrange(0, 200)
                assert (
                    genome.fetch(contig, start, end) == bases[max(start, 0) : max(end, 0)].upper()
                )
    assert [one.name for one in tmp_path.iterdir()] == [name]  # nothing is written beside it


def test_bases_are_those_of_pyfaidx(tmp_path: Path):
    zipped = shared("data/genomes/C.elegans_slice.fa.gz")
    plain = tmp_path / "worm.fa"
    plain.write_bytes(gzip.decompress(zipped.read_bytes()))
    theirs, draw = pyfaidx.Fasta(str(plain), as_raw=True, sequence_always_upper=True), Random(2)
    with Genome(zipped) as one, Genome(plain) as other:
        assert list(one.contigs) == list(other.contigs) == list(theirs.keys())
        for _ in range(500):
            name = draw.choice(list(one.contigs))
            start = draw.randrange(len(theirs[name]))
            end = start + draw.randrange(9000)
            expected = theirs[name][start:end]
            assert one.fetch(one.contigs[name], start, end) == expected
            assert other.fetch(other.contigs[name], start, end) == expected


@pytest.mark.parametrize("block", [3, 10, 1 << 22])
def test_runs_of_bases_end_at_n(tmp_path: Path, block: int, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", block)
    path = write(tmp_path / "g.fa", ">c\nNNacgtNACGRTT\n>all\nACGT\n>none\nNNN\n")
    with Genome(path) as genome:
        c = genome.contigs["c"]
        assert [genome.stretch(c, i) for i in (0, 2, 5, 6, 7, 9, 10, 12)] == [
            *[(0, 0), (2, 6), (2, 6), (6, 6), (7, 10), (7, 10), (10, 10), (11, 13)]
        ]
        assert genome.stretch(genome.contigs["all"], 3) == (0, 4)
        assert genome.stretch(genome.contigs["none"], 1) == (1, 1)


def test_a_region_counts_as_the_genome_does(tmp_path: Path):
    path = write(tmp_path / "g.fa", ">17:101-104 a region\nACGT\n")
    with Genome(path, "17:101") as genome:
        contig = genome.find("17")
        assert (contig.first, contig.last) == (100, 104)
        assert genome.fetch(contig, 101, 103) == "CG"
        assert genome.fetch(contig, 0, 102) == "AC"
        assert genome.stretch(contig, 101) == (100, 104)
    for bad in ("17", "17:", ":5", "17:0", "17:x"):
        with pytest.raises(InputError, match="no CONTIG:POSITION"):
            Genome(path, bad)
    two = write(tmp_path / "two.fa", ">a\nAC\n>b\nAC\n")
    with pytest.raises(InputError, match="2 records"):
        Genome(two, "17:101")


def test_names_are_changed_only_when_that_is_asked_for(tmp_path: Path):
    path = write(tmp_path / "g.fa", ">chr1\nAC\n>2\nAC\n")
    with Genome(path) as genome:
        assert (genome.find("1"), genome.find("chr1").name) == (None, "chr1")
    with Genome(path, rename="add-chr") as genome:
        assert (genome.find("1").name, genome.find("2")) == ("chr1", None)
    with Genome(path, rename="remove-chr") as genome:
        assert genome.find("chr2").name == "2"
    with pytest.raises(InputError, match="'guess'"):
        Genome(path, rename="guess")


def test_what_is_no_genome_is_refused(tmp_path: Path):
    for name, text, words in [
        ("twice.fa", ">a\nAC\n>a\nAC\n", "two records called 'a'"),
        ("text.fa", "hello\n", "without '>'"),
        ("empty.fa", "", "without '>'"),
        ("bare.fa", ">a\n", "no base"),
    ]:
        with pytest.raises(InputError, match=words):
            Genome(write(tmp_path / name, text))
    with pytest.raises(InputError, match="no such file"):
        Genome(tmp_path / "lost.fa")
    cut = tmp_path / "cut.fa.gz"
    cut.write_bytes(gzip.compress(b">a\n" + b"ACGT" * 9999)[:-20])
    with pytest.raises(InputError, match="ends in the middle"):
        Genome(cut)


def test_a_folder_that_cannot_be_written_does_not_matter(tmp_path: Path):
    folder = tmp_path / "locked"
    folder.mkdir()
    path = write(folder / "g.fa.gz", ">a\nACGT\n")
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        with Genome(path) as genome:
            assert genome.fetch(genome.contigs["a"], 0, 4) == "ACGT"
    finally:
        folder.chmod(stat.S_IRWXU)
