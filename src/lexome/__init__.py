"""Lexome: language models of DNA, RNA and proteins.

Exact, fast on any machine, never silently wrong. These are the names that most people need; each
is imported when it is first used, so that `import lexome` stays quick.

    model = lexome.load("esm2-8m")                      # catalogue name, directory or hub id
    vectors = lexome.embed(model, "proteins.fasta")     # one vector a sequence
    run = lexome.finetune("new:cnn", "proteins.csv", "Mitochondrion", output="runs/mito")
    table = lexome.predict("runs/mito", "new.fasta")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "load": "lexome.inference.model",
    "load_alignment_model": "lexome.inference.model",
    "load_ensemble": "lexome.inference.ensemble",
    "embed": "lexome.inference.embed",
    "embed_residues": "lexome.inference.embed",
    "generate": "lexome.generation.generate",
    "score": "lexome.scoring.score",
    "scan": "lexome.scoring.scan",
    "find_neighbours": "lexome.search.neighbours",
    "score_variants": "lexome.scoring.variants",
    "split": "lexome.evaluation.split_table",
    "audit": "lexome.evaluation.audit",
    "finetune": "lexome.training.finetune",
    "compare": "lexome.training.compare",
    "probe": "lexome.training.probing.probe",
    "predict": "lexome.training.predict",
    "SequenceClassifier": "lexome.training.estimators",
    "SequenceRegressor": "lexome.training.estimators",
}
__all__ = [*_HOMES, "__version__"]

if TYPE_CHECKING:
    from lexome.evaluation.audit import audit as audit
    from lexome.evaluation.split_table import split as split
    from lexome.generation.generate import generate as generate
    from lexome.inference.embed import embed as embed
    from lexome.inference.embed import embed_residues as embed_residues
    from lexome.inference.ensemble import load_ensemble as load_ensemble
    from lexome.inference.model import load as load
    from lexome.inference.model import load_alignment_model as load_alignment_model
    from lexome.scoring.scan import scan as scan
    from lexome.scoring.score import score as score
    from lexome.scoring.variants import score_variants as score_variants
    from lexome.search.neighbours import find_neighbours as find_neighbours
    from lexome.training.compare import compare as compare
    from lexome.training.estimators import SequenceClassifier as SequenceClassifier
    from lexome.training.estimators import SequenceRegressor as SequenceRegressor
    from lexome.training.finetune import finetune as finetune
    from lexome.training.predict import predict as predict
    from lexome.training.probing.probe import probe as probe


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'lexome' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
