"""`verify --against`: published scores made by fair-esm's and transformers' own code, met or missed."""

import argparse
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from lexome.errors import InputError
from lexome.evaluation.parity import check_published, find_published
from lexome.inference.model import load
from lexome.sequence.mutations import AMINO_ACIDS, apply_mutant, parse_mutant
from tests.checkpoints.test_live import namespace, save_fair, shake, stripped
from tests.shared_data import shared

esm = pytest.importorskip("esm")
transformers = pytest.importorskip("transformers")

PROTEIN = "MKTAYIAKQRWCHEDFGLNPSV"
SIZE = {"layers": 2, "heads": 2, "width": 16, "ffn": 64, "seed": 4}


def published_scores(logits: torch.Tensor, id_of: dict[str, int], texts: list[str]) -> list[float]:
    """As the published script has it: log-softmax over the vocabulary, <cls> in front, from 1."""
    log_probs = torch.log_softmax(logits, dim=-1)
    scores = []
    for text in texts:
        total = 0.0
        for part in text.split(":"):
            old, place, new = part[0], int(part[1:-1]), part[-1]
            total += (log_probs[place, id_of[new]] - log_probs[place, id_of[old]]).item()
        scores.append(total)
    return scores


def mutants(num: int = 200) -> list[str]:
    rng = np.random.default_rng(0)
    texts = []
    for i in range(num):
        places = sorted(rng.choice(len(PROTEIN), 1 + i % 3, replace=False))
        parts = [
            f"{PROTEIN[p]}{p + 1}{rng.choice([a for a in AMINO_ACIDS if a != PROTEIN[p]])}"
            for p in places
        ]
        texts.append(":".join(parts))
    return texts


def write_table(path: Path, columns: dict[str, list[float]], texts: list[str]) -> Path:
    mutated = [apply_mutant(parse_mutant(text), PROTEIN) for text in texts]
    frame = pl.DataFrame({"mutant": texts, "mutated_sequence": mutated, "DMS_score": 0.0} | columns)
    frame.write_csv(path)
    return path


@pytest.fixture(scope="module")
def esm1v(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A tiny ESM-1v as fair-esm saves one, and a table that its own code has scored."""
    folder = tmp_path_factory.mktemp("esm1v")
    alphabet = esm.data.Alphabet.from_architecture("roberta_large")
    args: argparse.Namespace = stripped(SIZE, arch="roberta_large")
    reference = shake(esm.model.esm1.ProteinBertModel(args, alphabet), SIZE["seed"])
    state = {k: v.clone() for k, v in reference.state_dict().items()}
    state["lm_head.weight"] = state["embed_tokens.weight"]
    with torch.no_grad():
        reference.embed_tokens.weight[32] = 0
    settings = {"args": namespace(SIZE, arch="roberta_large")}
    path = save_fair(folder, "esm1v_t33_650M_UR90S_3", settings, state)
    _, _, tokens = alphabet.get_batch_converter()([("protein1", PROTEIN)])
    texts = mutants()
    with torch.inference_mode():
        logits = reference(tokens)["logits"][0]
    scores = published_scores(logits, alphabet.tok_to_idx, texts)
    columns = {
        "esm1v_t33_650M_UR90_2__wt_marginals": [s + 0.1 for s in scores],
        "esm1v_t33_650M_UR90_3__wt_marginals": scores,
    }
    return path, write_table(folder / "labeled.csv", columns, texts)


def test_scores_of_fair_esm_are_met(esm1v: tuple[Path, Path]) -> None:
    path, table = esm1v
    found = check_published(load(str(path)), table, "esm1v_t33_650M_UR90_3__wt_marginals")
    assert found.passed
    assert found.rows == 200
    assert found.error < 1e-5
    assert found.spearman == pytest.approx(1.0)
    assert found.rule == "wt-marginal"


def test_another_models_scores_are_not_met(esm1v: tuple[Path, Path]) -> None:
    path, table = esm1v
    found = check_published(load(str(path)), table, "esm1v_t33_650M_UR90_2__wt_marginals")
    assert not found.passed
    assert found.error == pytest.approx(0.1, abs=1e-4)
    assert found.worst in mutants()


def test_scores_of_transformers_are_met_masked_too(esm2: Path, tmp_path: Path) -> None:
    """The masked rule: one mask at a time, each place by a pass of its own."""
    reference = transformers.EsmForMaskedLM.from_pretrained(esm2).eval()
    model = load(str(esm2))
    ids = torch.tensor([model.tokenizer.encode(PROTEIN)])
    id_of = {letter: model.tokenizer.encode(letter)[1] for letter in AMINO_ACIDS}
    rows = []
    with torch.inference_mode():
        seen = reference(ids).logits[0]
        for place in range(ids.shape[1]):
            hidden = ids.clone()
            hidden[0, place] = 32
            rows.append(reference(hidden).logits[0, place])
    texts = mutants()
    columns = {
        "toy__wt_marginals": published_scores(seen, id_of, texts),
        "toy__masked_marginals": published_scores(torch.stack(rows), id_of, texts),
    }
    table = write_table(tmp_path / "labeled.csv", columns, texts)
    for column in columns:
        found = check_published(model, table, column)
        assert found.passed, found
        assert found.error < 1e-4


def test_the_column_is_found_by_the_models_name() -> None:
    names = [f"esm1v_t33_650M_UR90_{i}__wt_marginals" for i in range(1, 6)]
    for i in range(1, 6):
        model = (f"esm1v-{i}", f"facebook/esm1v_t33_650M_UR90S_{i}")
        assert find_published(["mutant", *names], model) == names[i - 1]
    with pytest.raises(InputError, match="0 columns of esm2-8m's scores"):
        find_published(names, ("esm2-8m", "facebook/esm2_t6_8M_UR50D"))


def test_the_published_file_goes_back_to_one_wild_type() -> None:
    from lexome.sequence.wild_type import find_wild_type

    table = pl.read_csv(shared("data/dms/BLAT_ECOLX_Stiffler_2015.csv.gz"), infer_schema=False)
    rows = zip(map(parse_mutant, table["mutant"]), table["mutated_sequence"], strict=True)
    assert len(find_wild_type(rows)) == 286
    assert sum(name.endswith("__wt_marginals") for name in table.columns) == 5
