"""From an alignment to a scorer: reads, weighs, fits by a rule's name, saves, and uses again."""

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lexome import __version__
from lexome.errors import InputError
from lexome.grammars.profile_hmm import build_profile, count_insertions
from lexome.io.alignments import read_focus_alignment
from lexome.progress import Progress, show_progress
from lexome.results.files import hash_file, json_text
from lexome.scoring.alignment_models.family import (
    FACTS,
    FORMAT,
    FamilyModel,
    hash_tensors,
    load_family_model,
    refuse_taken,
    save_family_model,
)
from lexome.scoring.alignment_models.make import check_family_rule, make_family_scorer
from lexome.scoring.mutants.scorer import MutantScorer
from lexome.sequence.family_rows import FamilyRows, Floats, encode_rows, row_weights
from lexome.sequence.focus import FocusAlignment
from lexome.training.alignment_models.pace import Watch, product_dtype
from lexome.training.alignment_models.potts import fit_potts, letter_counts
from lexome.training.alignment_models.settings import FamilySettings
from lexome.training.alignment_models.vae import fit_vae, vae_config

SITE_PRIOR = 0.5  # counts added to each letter (Jeffreys)
HASH_LETTERS = 12  # of a cache folder's name


class Family(NamedTuple):
    """An alignment made ready for a fit."""

    aligned: FocusAlignment
    rows: FamilyRows
    weights_R: Floats
    sha256: str  # of the file


class Fitted(NamedTuple):
    """What a rule's fit gives back."""

    tensors: dict[str, Tensor]
    facts: dict[str, Any]


Fit = Callable[[Family, FamilySettings, Progress, Watch | None], Fitted]


def read_family(alignment: str | Path, settings: FamilySettings) -> Family:
    """The rows of a file that are kept, and their weights.

    Raises:
        InputError: no alignment, unequal rows, a query in lower case, too few rows left.
    """
    path = Path(alignment)
    aligned = read_focus_alignment(path)
    rows = encode_rows(aligned, settings.row_gaps, settings.column_gaps)
    weights_R = row_weights(rows.codes_RC, settings.theta, settings.identity)
    return Family(aligned, rows, weights_R, hash_file(path))


def fit_family_model(
    alignment: str | Path,
    rule: str,
    output: str | Path | None = None,
    settings: FamilySettings | None = None,
    quiet: bool = False,
    watch: Watch | None = None,
) -> FamilyModel:
    """Fit the model that a rule of alignments scores with.

    Args:
        alignment: A3M, A2M, Stockholm or aligned FASTA (.gz); the first row is the query.
        rule: site, hmm, potts, vae or vae+potts.
        output: a directory to keep the model in. What stands there is used where it is this very
            fit (same rule, settings and alignment); a killed fit leaves nothing there.
        watch: told of the parameters as a fit goes on, for curves against time.

    Raises:
        InputError: an alignment that cannot be used, or another model or files at `output`.
    """
    check_family_rule(rule)
    settings = settings or FamilySettings()
    place = Path(output) if output is not None else None
    sha256 = hash_file(_existing(alignment))
    identity = identify(rule, settings, sha256)
    if place is not None and (place / FACTS).is_file():
        found = load_family_model(place)
        refuse_other(found, identity, str(place), settings_too=True)
        return found
    if place is not None:
        refuse_taken(place)
    family = read_family(alignment, settings)
    began = time.monotonic()
    with show_progress(f"Fitting {rule}", 100.0 * (1 + ("+" in rule)), "%", quiet) as progress:
        fitted = FITS[rule](family, settings, progress, watch)
    if "vae" in rule:
        identity["network"] = asdict(vae_config(family.rows.codes_RC))
    facts = {
        **_describe(family, Path(alignment)),
        "fit": fitted.facts,
        "fit_seconds": round(time.monotonic() - began, 2),
        "threads": torch.get_num_threads(),
        "dtype": str(product_dtype(settings)).removeprefix("torch."),
        "lexome_version": __version__,
        "torch_version": str(torch.__version__),
        "tensors_sha256": hash_tensors(fitted.tensors),
    }
    focus, columns = family.aligned.focus, family.rows.columns
    model = FamilyModel(rule, focus, columns, fitted.tensors, identity, facts)
    if place is not None:
        save_family_model(model, place)
    return model


def combine_family_models(vae: FamilyModel, potts: FamilyModel) -> FamilyModel:
    """What a fit of the rule `vae+potts` gives, from one of each with the same settings.

    Raises:
        InputError: other rules, settings or alignments than these.
    """
    rule = "vae+potts"
    for found, name in ((vae, "vae"), (potts, "potts")):
        refuse_other(found, vae.identity | {"rule": name}, f"a model to combine ({name})", True)
    tensors = {f"vae.{name}": value for name, value in vae.tensors.items()}
    tensors |= {f"potts.{name}": value for name, value in potts.tensors.items()}
    fits = {"vae": vae.facts["fit"], "potts": potts.facts["fit"]}
    seconds = vae.facts["fit_seconds"] + potts.facts["fit_seconds"]
    facts = {"fit": fits, "fit_seconds": seconds, "tensors_sha256": hash_tensors(tensors)}
    return FamilyModel(
        rule, vae.focus, vae.columns, tensors, vae.identity | {"rule": rule}, vae.facts | facts
    )


def family_scorer(
    alignment: str | Path | None,
    rule: str,
    saved: str | Path | None = None,
    settings: FamilySettings | None = None,
    quiet: bool = False,
) -> MutantScorer:
    """What `lexome variants --alignment FILE --rule potts` scores with.

    Args:
        alignment: the file; None: the model at `saved` is taken as it is.
        saved: a directory of a fitted model (`--family-model`): used where there is one of this
            rule and alignment, else it is fitted and kept there; None: fitted and not kept.
        settings: None: the default ones, or those of the saved model, whatever they are.

    Raises:
        InputError: as of `fit_family_model`; a saved model of another rule, alignment or settings.
    """
    check_family_rule(rule)
    if saved is not None and (alignment is None or (Path(saved) / FACTS).is_file()):
        model = load_family_model(saved)
        sha256 = model.identity["alignment_sha256"]
        if alignment is not None:
            sha256 = hash_file(_existing(alignment))
        wanted = identify(rule, settings or FamilySettings(), sha256)
        refuse_other(model, wanted, str(saved), settings_too=settings is not None)
        return make_family_scorer(model)
    if alignment is None:
        raise InputError("alignment", "none", "an alignment or a saved model", "`--alignment FILE`")
    return make_family_scorer(fit_family_model(alignment, rule, saved, settings, quiet))


def family_folder(
    output: str | Path, alignment: str | Path, rule: str, settings: FamilySettings | None = None
) -> Path:
    """Where beside an output file a fit is kept, by its rule, settings and alignment's content.

    The same command so finds its model again, and another alignment or setting never does.
    """
    import hashlib

    identity = identify(rule, settings or FamilySettings(), hash_file(_existing(alignment)))
    digest = hashlib.sha256(json_text(identity).encode()).hexdigest()[:HASH_LETTERS]
    path = Path(output)
    return path.with_name(f"{path.name}.family-{rule}-{digest}")


def identify(rule: str, settings: FamilySettings, sha256: str) -> dict[str, Any]:
    """What makes a fit the same fit."""
    return {
        "format": FORMAT,
        "rule": rule,
        "alignment_sha256": sha256,
        "settings": asdict(settings),
    }


def refuse_other(
    found: FamilyModel, wanted: dict[str, Any], where: str, settings_too: bool
) -> None:
    """Refuse a saved model that is not the one that was asked for.

    Raises:
        InputError: saying what differs.
    """
    theirs = found.identity
    for name, told in (("rule", "the rule"), ("alignment_sha256", "the alignment with SHA-256")):
        if theirs[name] != wanted[name]:
            raise InputError(
                where,
                f"a model of {told} {theirs[name]}",
                str(wanted[name]),
                "another directory, or what that model was fitted to",
            )
    ours = wanted["settings"]
    differing = [name for name in ours if theirs["settings"].get(name) != ours[name]]
    if settings_too and differing:
        name = differing[0]
        raise InputError(
            where,
            f"a model fitted with {name} {theirs['settings'].get(name)}",
            f"{name} {ours[name]}",
            "another directory, or those settings",
        )


def _existing(alignment: str | Path) -> Path:
    path = Path(alignment)
    if not path.is_file():
        read_focus_alignment(path)  # says what is wrong
    return path


def _describe(family: Family, path: Path) -> dict[str, Any]:
    rows, aligned = family.rows, family.aligned
    return {
        "alignment": path.name,
        "query": aligned.focus.name,
        "rows": len(aligned.rows),
        "rows_kept": len(rows.kept),
        "rows_dropped_for_gaps": rows.rows_dropped,
        "columns": len(aligned.focus.offsets),
        "columns_kept": len(rows.columns),
        "columns_dropped_for_gaps": rows.columns_dropped,
        "letters_read_as_gaps": rows.other_letters,
        "effective_rows": round(float(family.weights_R.sum()), 3),
    }


def _fit_site(
    family: Family, settings: FamilySettings, progress: Progress, watch: Watch | None
) -> Fitted:
    counts_CA = letter_counts(family.rows.codes_RC, family.weights_R) + SITE_PRIOR
    log_p_CA = np.log(counts_CA / counts_CA.sum(axis=1, keepdims=True))
    progress.advance(100)
    return Fitted({"log_frequencies": torch.from_numpy(log_p_CA)}, {"prior": SITE_PRIOR})


def _fit_hmm(
    family: Family, settings: FamilySettings, progress: Progress, watch: Watch | None
) -> Fitted:
    rows = [family.aligned.rows[i] for i in family.rows.kept]
    insertions = count_insertions(rows, family.rows.columns)
    name = family.aligned.focus.name
    profile = build_profile(name, family.rows.codes_RC, insertions, family.weights_R)
    progress.advance(100)
    tensors = {
        "match": torch.from_numpy(profile.match_MA),
        "insert": torch.from_numpy(profile.insert_MA),
        "transitions": torch.from_numpy(profile.transitions),
    }
    return Fitted(tensors, {})


def _fit_potts(
    family: Family, settings: FamilySettings, progress: Progress, watch: Watch | None
) -> Fitted:
    made = fit_potts(family.rows.codes_RC, family.weights_R, settings, progress, watch)
    return Fitted(made.tensors, made.facts)


def _fit_vae(
    family: Family, settings: FamilySettings, progress: Progress, watch: Watch | None
) -> Fitted:
    made = fit_vae(family.rows.codes_RC, family.weights_R, settings, progress, watch)
    return Fitted(dict(made.network.state_dict()), made.facts)


def _fit_both(
    family: Family, settings: FamilySettings, progress: Progress, watch: Watch | None
) -> Fitted:
    """One after the other; with a limit of time, a sixth of it for the Potts model."""
    tensors: dict[str, Tensor] = {}
    facts: dict[str, Any] = {}
    for rule, share in (("vae", 5 / 6), ("potts", 1 / 6)):
        seconds = settings.seconds and settings.seconds * share
        made = FITS[rule](family, replace(settings, seconds=seconds), progress, watch)
        tensors |= {f"{rule}.{name}": value for name, value in made.tensors.items()}
        facts[rule] = made.facts
    return Fitted(tensors, facts)


FITS: dict[str, Fit] = {
    "site": _fit_site,
    "hmm": _fit_hmm,
    "potts": _fit_potts,
    "vae": _fit_vae,
    "vae+potts": _fit_both,
}
