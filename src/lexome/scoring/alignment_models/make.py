"""The rules that score by a fitted family model, by name."""

from collections.abc import Callable

from lexome.errors import InputError
from lexome.scoring.alignment_models.combined import make_combined_scorer
from lexome.scoring.alignment_models.family import FamilyModel
from lexome.scoring.alignment_models.hmm import make_hmm_scorer
from lexome.scoring.alignment_models.potts import make_potts_scorer
from lexome.scoring.alignment_models.site import make_site_scorer
from lexome.scoring.alignment_models.vae import make_vae_scorer
from lexome.scoring.mutants.scorer import MutantScorer

FAMILY_RULES: dict[str, Callable[[FamilyModel], MutantScorer]] = {
    "site": make_site_scorer,
    "hmm": make_hmm_scorer,
    "potts": make_potts_scorer,
    "vae": make_vae_scorer,
    "vae+potts": make_combined_scorer,
}


def make_family_scorer(model: FamilyModel) -> MutantScorer:
    """The scorer of a fitted family model, by the rule that it was fitted for."""
    check_family_rule(model.rule)
    return FAMILY_RULES[model.rule](model)


def check_family_rule(rule: str) -> None:
    """Refuse a rule that there is not.

    Raises:
        InputError: as said.
    """
    if rule not in FAMILY_RULES:
        listed = ", ".join(FAMILY_RULES)
        raise InputError(f"rule {rule!r}", "no such rule of alignments", listed, "`--rule potts`")
