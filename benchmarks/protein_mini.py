"""The shipped protein model: its data, how well it fills in unseen proteins, and the main job.

    python benchmarks/protein_mini.py data             # the sequences of recipes/protein-mini.toml
    lexome pretrain recipes/protein-mini.toml -o runs/protein-mini
    python benchmarks/protein_mini.py heldout          # the table of the card, and its picture
    python benchmarks/protein_mini.py kin              # what of DMS and SCOPe has kin in the corpus
    python benchmarks/protein_mini.py job -o runs/job  # fine-tuned on the main job, three seeds

The data are read from LEXOME_SHARED or ../shared and written to corpora/, which git ignores.
"""

import argparse
import csv
import gzip
import json
import math
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from lexome.batches.shards import Corpus, open_corpus
from lexome.batches.stream import Stream, Windows, split_evenly
from lexome.checkpoints.load import load_checkpoint
from lexome.devices import wait_politely
from lexome.distributed.ranks import Ranks
from lexome.io.sources import read_records
from lexome.plots.pretraining import draw_pretraining
from lexome.tokenizers.character import esm_vocabulary
from lexome.training.pretraining.heldout import heldout_plan, look
from lexome.training.pretraining.loop import LanguageModel
from lexome.training.pretraining.masking import STANDARD
from lexome.training.pretraining.recipe import ObjectiveRecipe
from lexome.training.pretraining.steps import Plan, make_task

ROOT = Path(__file__).resolve().parents[1]
CORPORA = ROOT / "corpora"
CARD = ROOT / "src/lexome/weights/protein-mini"
DRAWS = 1  # times that other residues of each held-out protein are hidden
RESAMPLES = 2000
ORDER = 4  # residues before it that the Markov chain sees
CHAIN_WEIGHT = 1500  # residues' worth of the order below, chosen in the chain's favour
OWN_WEIGHT = 40  # residues' worth of the unigram mixed into a protein's own composition

Floats = NDArray[np.float64]


class Measured(NamedTuple):
    """Loss at hidden residues, summed over each group of similar held-out proteins."""

    name: str
    loss_G: Floats
    count_G: Floats

    def perplexity(self) -> tuple[float, float, float]:
        """exp of the mean loss, with a 95 % interval by bootstrap over groups."""
        generator = np.random.default_rng(0)
        groups = len(self.loss_G)
        weights = generator.multinomial(groups, np.full(groups, 1 / groups), RESAMPLES)
        draws = np.exp((weights @ self.loss_G) / (weights @ self.count_G))
        low, high = np.quantile(draws, [0.025, 0.975])
        return math.exp(self.loss_G.sum() / self.count_G.sum()), float(low), float(high)


def main() -> None:
    """Do what is asked."""
    wait_politely()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["data", "heldout", "kin", "job"])
    parser.add_argument("--corpus", type=Path, default=CORPORA / "protein-mini")
    parser.add_argument("-m", "--model", default="protein-mini")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "runs/protein-mini-job")
    asked = parser.parse_args()
    if asked.what == "data":
        write_data()
    elif asked.what == "kin":
        count_kin(asked.corpus)
    elif asked.what == "heldout":
        show_heldout(open_corpus(asked.corpus), asked.model)
    else:
        show_job(asked.output)


def write_data() -> None:
    """Proteomes and DeepLoc partitions 0-3 to learn from; partition 4 and HPA to keep off."""
    CORPORA.mkdir(exist_ok=True)
    for path in sorted((shared() / "proteomes").glob("*.fasta.gz")):
        shutil.copy(path, CORPORA / path.name)
    folder = shared() / "protein_localization"
    with (
        (CORPORA / "deeploc-train.fasta").open("w") as train,
        (CORPORA / "deeploc-test.fasta").open("w") as test,
    ):
        for row in rows(folder / "deeploc2_swissprot_train_val.csv.gz"):
            sink = test if float(row["Partition"]) == 4 else train
            sink.write(f">{row['ACC']}\n{clean(row['Sequence'])}\n")
        for name in ("deeploc2_hpa_test_1717", "hpa_testset_5523"):
            for row in rows(folder / f"{name}.csv.gz"):
                sequence = row.get("Sequence") or row["fasta"]
                test.write(f">{row.get('ACC') or row['sid']}\n{clean(sequence)}\n")
    print(f"written to {CORPORA}; next: lexome pretrain recipes/protein-mini.toml -o runs/...")


def shared() -> Path:
    """Where the data lie that are not in the repository."""
    return Path(os.environ.get("LEXOME_SHARED", ROOT.parent / "shared")) / "data"


def rows(path: Path) -> Iterator[dict[str, str]]:
    """The rows of a gzipped CSV."""
    csv.field_size_limit(10**9)
    with gzip.open(path, "rt") as file:
        yield from csv.DictReader(file)


def clean(sequence: str) -> str:
    """A sequence without spaces, in capitals."""
    return "".join(sequence.split()).upper()


def count_kin(folder: Path) -> None:
    """How many DMS wild types and SCOPe domains are similar to something that was trained on."""
    from lexome.search.mmseqs import similar
    from lexome.training.pretraining.corpus import make_corpus
    from lexome.training.pretraining.recipe import read_recipe

    data = read_recipe(ROOT / "recipes/protein-mini.toml").data
    corpus = make_corpus(data, folder, ROOT / "recipes", lambda what, text: print(what, text))
    letters = np.frombuffer("".join(t[0] for t in esm_vocabulary()).encode(), np.uint8)
    targets = CORPORA / "trained-on.fasta"
    with targets.open("w") as file:
        for number in range(corpus.train.sequences):
            residues = letters[corpus.train.residues_of(number)].tobytes().decode()
            file.write(f">t{number}\n{residues}\n")
    for name, path in {
        "DMS wild types": "dms/wildtype_sequences.fasta",
        "SCOPe domains": "homology/scope207_astral40.fa.gz",
    }.items():
        queries, asked = CORPORA / "asked.fasta", 0
        with queries.open("w") as file:
            for asked, record in enumerate(read_records(str(shared() / path), proteins=True), 1):
                file.write(f">q{asked}\n{clean(record.sequence)}\n")
        hits = similar(queries, targets, data.identity, data.coverage, CORPORA / "search")
        print(f"{name}: {len({hit.query for hit in hits}):,} of {asked:,}", flush=True)


def show_heldout(corpus: Corpus, model: str) -> None:
    """The table of perplexities, and the picture of the training."""
    checkpoint = load_checkpoint(model)
    tokenizer = checkpoint.tokenizer
    stream = Stream(corpus.train, checkpoint.card.context, 0)
    plan = heldout_plan(Plan(stream, tokenizer, ObjectiveRecipe(), 1, 16_384, 0), corpus)
    windows = plan.stream.windows(0, DRAWS * corpus.heldout.sequences)
    groups_W = corpus.heldout_groups[windows.numbers_W]
    dtype = "fp32"
    found = look(LanguageModel(checkpoint.network), plan, windows, dtype, Ranks(0, 1, "cpu"))
    measured = [Measured(model, *sums(groups_W, found.loss_W, found.count_W))]
    measured += baselines(corpus, plan, windows, groups_W)
    print(
        f"{len(set(groups_W))} groups of {corpus.heldout.sequences} held-out proteins, "
        f"{int(found.count_W.sum()):,} residues hidden in {DRAWS} draws, seen as <mask> among "
        f"15 % chosen 80/10/10; {dtype}, corpus {corpus.fingerprint[:12]}\n"
    )
    print("| model | perplexity at <mask> | 95 % interval |\n|---|--:|--:|")
    for one in measured:
        value, low, high = one.perplexity()
        print(f"| {one.name} | {value:.2f} | {low:.2f} - {high:.2f} |")
    print(
        f"\nnamed right: {found.accuracy:.1%}; by residue: "
        + ", ".join(f"{k} {v:.0%}" for k, v in sorted(found.by_residue().items()))
    )
    lines = [json.loads(line) for line in (CARD / "training.jsonl").read_text().splitlines()]
    curve = [(line["tokens"], line["validation_perplexity"]) for line in lines]
    levels = {one.name: one.perplexity()[0] for one in measured[1:]}
    picture = draw_pretraining(curve, levels, "perplexity at <mask>, held-out proteins")
    picture.savefig(ROOT / "docs/pictures/protein-mini.png", dpi=144, facecolor="white")


def sums(groups_W: NDArray[np.int64], loss_W: Floats, count_W: Floats) -> tuple[Floats, Floats]:
    """Over each group."""
    return np.bincount(groups_W, loss_W), np.bincount(groups_W, count_W)


def baselines(
    corpus: Corpus, plan: Plan, windows: Windows, groups_W: NDArray[np.int64]
) -> list[Measured]:
    """What needs no network, at the very same hidden residues."""
    tokenizer = plan.tokenizer
    standard = np.array([tokenizer.id_of[letter] for letter in STANDARD])
    train = np.concatenate([tokens for tokens, _ in corpus.train.shard_arrays()])
    unigram_V = shares(np.bincount(train, minlength=33), standard)
    by_source = [
        shares(np.array([entry["letters"].get(v, 0) for v in tokenizer.vocabulary]), standard)
        for entry in corpus.manifest["sources"]
    ]
    chain = Markov(train, corpus, standard)
    losses = {name: np.zeros(len(groups_W)) for name in BASELINES}
    counts = np.zeros(len(groups_W))
    sources = corpus.manifest["heldout_sources"]
    first = 0
    for run in split_evenly(windows, 65_536):
        tokens = plan.stream.read(run, tokenizer)
        task = make_task(plan, tokens)
        hidden = task.inputs_T[task.positions_C] == tokenizer.mask_id
        positions, targets = task.positions_C[hidden], task.targets_C[hidden].astype(np.int64)
        ends = np.cumsum(tokens.lengths)
        window = np.searchsorted(ends, positions, side="right")
        for i in range(len(tokens.lengths)):
            mine = window == i
            said = targets[mine]
            ids = tokens.ids_T[ends[i] - tokens.lengths[i] : ends[i]].astype(np.int64)
            own_V = np.bincount(ids[np.isin(ids, standard)], minlength=33) - 0.0
            own = (own_V[said] - 1 + OWN_WEIGHT * unigram_V[said]) / (own_V.sum() - 1 + OWN_WEIGHT)
            places = positions[mine] - (ends[i] - tokens.lengths[i])
            source_V = by_source[sources[int(run.numbers_W[i])]]
            for name, p in zip(
                BASELINES,
                (unigram_V[said], source_V[said], own, chain.probabilities(ids, places)),
                strict=True,
            ):
                losses[name][first + i] = -np.log(p).sum()
            counts[first + i] = len(said)
        first += len(tokens.lengths)
    return [Measured(name, *sums(groups_W, losses[name], counts)) for name in BASELINES]


BASELINES = (
    "residue frequencies of the corpus",
    "residue frequencies of its own source",
    "composition of the protein itself",
    f"order-{ORDER} Markov chain",
)


def shares(counts_V: NDArray[np.int64], standard: NDArray[np.int64]) -> Floats:
    """Frequencies of the standard residues, 0 elsewhere."""
    kept = np.zeros(len(counts_V))
    kept[standard] = counts_V[standard]
    return kept / kept.sum()


class Markov:
    """The next residue from up to four before it; each order leans on the one below it."""

    def __init__(
        self, train: NDArray[np.uint8], corpus: Corpus, standard: NDArray[np.int64]
    ) -> None:
        self.code = np.full(256, -1)
        self.code[standard] = np.arange(20)
        codes = self.code[train]
        starts = np.zeros(len(train), bool)
        offset = 0
        for index, shard in zip(corpus.train._index, corpus.train.shards, strict=True):
            starts[offset + np.asarray(index[:-1])] = True
            offset += shard.residues
        age = np.arange(len(train)) - np.maximum.accumulate(
            np.where(starts, np.arange(len(train)), 0)
        )
        self.counts = [
            np.bincount(contexts(codes, k)[usable(codes, age, k)], minlength=20 ** (k + 1)).reshape(
                -1, 20
            )
            for k in range(ORDER + 1)
        ]

    def probabilities(self, ids: NDArray[np.int64], places: NDArray[np.int64]) -> Floats:
        """Of the true residue at some places of a token sequence."""
        codes = self.code[ids]
        p = np.full(len(places), 1 / 20)
        age = np.arange(len(ids)) - 1  # <cls> stands first
        for k, counts in enumerate(self.counts):
            fits = usable(codes, age, k)[places]
            flat = contexts(codes, k)[places]
            context, said = np.divmod(np.where(fits, flat, 0), 20)
            seen = counts[context].sum(1)
            mixed = (counts[context, said] + CHAIN_WEIGHT * p) / (seen + CHAIN_WEIGHT)
            p = np.where(fits, mixed, p)
        return p


def contexts(codes: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """The residue and the `k` before it as one number."""
    out = codes.copy()
    for back in range(1, k + 1):
        out += np.roll(codes, back) * 20**back
    return out


def usable(codes: NDArray[np.int64], age: NDArray[np.int64], k: int) -> NDArray[np.bool_]:
    """Where all of them are standard residues of one sequence."""
    fits = age >= k
    for back in range(k + 1):
        fits = fits & (np.roll(codes, back) >= 0)
    return fits


def show_job(output: Path) -> None:
    """The main job with the shipped model, and with its shape from random weights.

    An epoch of the latter costs about what making all vectors and training a head on them does.
    """
    sys.path.insert(0, str(ROOT))
    from benchmarks import mitochondrion

    from lexome.suites.deeploc import find_deeploc
    from lexome.training.judge_run import judge_run

    files = find_deeploc(None)
    for model, epochs in (("protein-mini", None), ("new:protein-mini", 1)):
        run = mitochondrion.train(files, model, 3, output / model.replace(":", "-"), epochs)
        judged = {"partition 4": run.metrics}
        if files.hpa is not None:
            judged["HPA"] = judge_run(run.directory, str(files.hpa), mitochondrion.LABEL)
        print(f"\n{model}", mitochondrion.table(judged, with_goals=False))


if __name__ == "__main__":
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    main()
