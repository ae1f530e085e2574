"""From settings and clean sequences to examples and a network to train."""

# Letters: N rows, G features.
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lexome.architectures.families import build, family_of, find_family, new_model
from lexome.architectures.predictor import HeadConfig, Predictor
from lexome.batches.windows import check_length, parse_long
from lexome.checkpoints.load import Checkpoint, ModelCard, load_checkpoint
from lexome.devices import Reasoned, choose_device, choose_training_dtype
from lexome.errors import InputError
from lexome.seeds import derive_seed
from lexome.sequence.alphabet import tell_alphabet
from lexome.sequence.pairs import Content, are_single
from lexome.tokenizers.interface import TokenIds, Tokenizer
from lexome.tokenizers.kinds import letter_tokenizer
from lexome.training.adapters import ADAPTERS, Adapter, choose_adapter, put_on
from lexome.training.budget import MOST_VECTORS, Announce, TokenBudget, say_nothing
from lexome.training.examples import Examples
from lexome.training.frozen import FrozenModel
from lexome.training.pair_inputs import (
    describe_contents,
    encode_contents,
    lay_out,
    pairing_of,
)
from lexome.training.pieces import MOST_PLACES, cut_pieces, whole_pieces
from lexome.training.recipes import choose_recipe
from lexome.training.residue_vectors import ResidueVectors, make_residue_vectors
from lexome.training.settings import FinetuneSettings
from lexome.training.strands import complement_ids

# Parts of a loaded network that answer what it was pre-trained for; fine-tuning leaves them out.
HEADS = ("language_model_head", "contact_head", "pooler", "next_sentence_head", "decoder")


class Setup(NamedTuple):
    """What all seeds of a run share."""

    family: str  # of the backbone; "features" or "residues" where it stands still and gives vectors
    card: ModelCard | None  # of loaded weights
    tokenizer: Tokenizer
    device: Reasoned
    dtype: Reasoned
    context: int | None  # tokens beside the special ones; None for models without a limit
    backbone: Checkpoint | None
    budget: TokenBudget  # shared, so that what did not fit once is not tried again
    frozen: FrozenModel  # empty until vectors of a frozen backbone are asked for
    adapter: Adapter | None = None  # what is put on the backbone, whose own weights stand still

    @property
    def is_frozen(self) -> bool:
        """Whether the head learns from vectors: one a sequence, or one a residue."""
        return self.family in ("features", "residues")

    @property
    def head_dtype(self) -> str:
        """What a network is trained in; a head on one vector a sequence is small: fp32."""
        return "fp32" if self.family == "features" else self.dtype.choice

    @property
    def has_types(self) -> bool:
        """Whether the backbone has a vector for tokens of a second segment."""
        if self.backbone is None:
            return False
        return int(getattr(self.backbone.network.config, "num_types", 0)) > 1

    @property
    def keeps_base(self) -> bool:
        """Whether the loaded weights stay as they are, so that a run saves them once."""
        return self.is_frozen or self.adapter is not None

    @property
    def is_per_letter(self) -> bool:
        """Whether every residue is a token of its own."""
        return self.tokenizer.is_per_letter

    def num_tokens(self, sequence: str, id: str) -> int:
        """Tokens of a clean sequence, special ones left out."""
        if self.is_per_letter:
            return len(sequence)
        found = self.tokenizer.encode_many([sequence], "map", [id])
        return len(found.ids_T) - self.tokenizer.num_specials

    def check_length(self, sequence: str, id: str) -> None:
        """Refuse a clean sequence beyond the model's context."""
        if self.context is not None:
            check_length(self.num_tokens(sequence, id), self.context, id, self.tokenizer.unit)


def make_setup(settings: FinetuneSettings, announce: Announce = say_nothing) -> Setup:
    """Load what the settings name; new models are made per seed by `make_network`."""
    device = choose_device(settings.device)
    shared = (TokenBudget(settings.recipe.micro_tokens, announce), FrozenModel())
    if settings.model.startswith("new:"):
        family = family_of(settings.model)
        dtype = choose_training_dtype(settings.dtype, device.choice, family)
        tokenizer: Tokenizer = letter_tokenizer(settings.read_as)
        return Setup(family, None, tokenizer, device, dtype, None, None, *shared)
    if settings.alphabet != "auto":
        raise InputError(
            "alphabet",
            f"{settings.alphabet} with {settings.model}",
            "a new model: a loaded one reads what it was trained on",
            "without `--alphabet`",
        )
    checkpoint = load_checkpoint(settings.model, settings.offline)
    family = checkpoint.card.family
    if family == "msa":
        raise InputError(
            f"model {settings.model!r}",
            "a model of alignments",
            "one of single sequences, for a table of them",
            "`--model esm2-8m`; `lexome embed` takes an A3M file",
        )
    card = checkpoint.card
    is_learned = getattr(checkpoint.network.config, "positions", None) == "learned"
    if is_learned and parse_long(settings.recipe.long).kind == "whole":
        raise InputError(
            "long",
            f"whole with {card.name}, which learned {card.context:,} positions",
            "refuse or crop: there is no position beyond the last one",
            "`--long refuse`",
        )
    dtype = choose_training_dtype(settings.dtype, device.choice, family)
    if settings.method == "frozen":
        reads_residues = settings.recipe.head_convolutions or settings.answers_residues
        family = "residues" if reads_residues else "features"
    if family == "residues":
        shared[0].limit(MOST_VECTORS)
    if family == "features" and settings.dtype == "auto":
        dtype = Reasoned("fp32", "one vector a sequence is made as the reference makes it")
    tokenizer = checkpoint.tokenizer
    context = card.context - tokenizer.num_specials
    adapter = None
    if settings.method in ADAPTERS:
        recipe = settings.recipe
        asked = (recipe.adapter_rank, recipe.adapter_alpha, recipe.adapter_dropout)
        target = recipe.adapter_target
        adapter = choose_adapter(settings.method, checkpoint.network, *asked, target, HEADS)
    return Setup(family, card, tokenizer, device, dtype, context, checkpoint, *shared, adapter)


def settle_alphabet(
    settings: FinetuneSettings, sequences: Sequence[str], **asked: Any
) -> FinetuneSettings:
    """The settings with the alphabet that a new model reads: told by the letters if not asked for.

    Args:
        asked: values of the recipe that were asked for; the others are those of the alphabet.
    """
    if not settings.model.startswith("new:"):
        return settings
    alphabet = settings.alphabet
    if alphabet == "auto":
        alphabet = tell_alphabet(sequences)
    recipe = choose_recipe(settings.model, settings.method, alphabet, **asked)
    return replace(settings, alphabet=alphabet, recipe=recipe)


def suit_lengths(settings: FinetuneSettings, setup: Setup) -> FinetuneSettings:
    """The settings with a policy for long sequences that suits the model.

    A crop that nobody asked for keeps at most what the context holds. It is counted in residues:
    where a token is not a residue, sequences beyond the context are refused instead.
    """
    policy, context = parse_long(settings.recipe.long), setup.context
    if policy.kind != "crop" or context is None:
        return settings
    if not setup.is_per_letter:
        long = "refuse"
    elif policy.head + policy.tail > context:
        long = f"crop:{context - context // 2}+{context // 2}"
    else:
        return settings
    return replace(settings, recipe=replace(settings.recipe, long=long))


def make_examples(
    setup: Setup,
    settings: FinetuneSettings,
    ids: Sequence[str],
    sequences: Sequence[Content],
    targets: NDArray[Any],
    cache: Path | None = None,
    quiet: bool = True,
    keep: bool = False,
) -> Examples:
    """Tokens and features of clean sequences, or of pairs.

    Args:
        cache: where the vectors of a frozen backbone go on their way, so that a killed run takes
            them up again.
        keep: whether these vectors stay in memory for whoever asks for them next.
    """
    if settings.answers_residues:
        assert are_single(sequences)  # settings refuse the labels of residues of pairs
        return _residue_examples(setup, settings, ids, sequences, targets, cache, quiet)
    recipe, rows = settings.recipe, ids
    ids, contents, pairs_N2 = lay_out(ids, sequences, settings)
    features = [describe_contents(contents)] if recipe.composition else []
    tokens = vectors = None
    texts = contents if are_single(contents) else []  # frozen models get no joint input
    if setup.family == "residues":
        vectors = _residue_vectors(setup, recipe.long, ids, texts, cache, quiet)
    elif setup.family == "features":
        vectors_NG = _frozen_vectors(setup, recipe.long, ids, texts, cache, quiet)
        if keep:
            setup.frozen.keep(texts, vectors_NG)
        features.append(vectors_NG)
    else:
        policy = parse_long(recipe.long)
        tokens = encode_contents(contents, ids, policy, setup.tokenizer, setup.context)
        check_tokens(tokens, ids, recipe.long, setup)
    features_NG = torch.from_numpy(np.concatenate(features, axis=1)) if features else None
    as_rows = not setup.is_frozen and find_family(setup.family).rows
    separator = setup.tokenizer.eos_id if settings.pairs == "joint" and setup.has_types else None
    pad_id, device = setup.tokenizer.pad_id, setup.device.choice
    complement = complement_ids(setup.tokenizer) if recipe.both_strands else None
    return Examples(
        *(tokens, features_NG, targets, as_rows, pad_id, device, rows, vectors, complement),
        pairs_N2=pairs_N2,
        separator=separator,
    )


def _residue_examples(
    setup: Setup,
    settings: FinetuneSettings,
    ids: Sequence[str],
    sequences: Sequence[str],
    targets: NDArray[Any],
    cache: Path | None,
    quiet: bool,
) -> Examples:
    """Pieces of sequences, of which every residue is answered."""
    long, tokens, vectors = settings.recipe.long, None, None
    if setup.family == "residues":
        vectors = _residue_vectors(setup, long, ids, sequences, cache, quiet)
        pieces = whole_pieces(sequences, ids, targets, setup.tokenizer)
    else:
        size = setup.context if parse_long(long).kind == "window" else None
        tokens, pieces = cut_pieces(sequences, ids, targets, setup.tokenizer, size)
        ids = [
            id for id, num in zip(ids, np.diff(pieces.bounds_N1), strict=True) for _ in range(num)
        ]
        check_tokens(tokens, ids, long, setup)
    as_rows = not setup.is_frozen and find_family(setup.family).rows
    pad_id, device = setup.tokenizer.pad_id, setup.device.choice
    return Examples(
        tokens, None, targets, as_rows, pad_id, device, ids, vectors, None, pieces=pieces
    )


def check_tokens(tokens: Sequence[TokenIds], ids: Sequence[str], long: str, setup: Setup) -> None:
    """Raise for what the policy leaves longer than the model's context.

    Raises:
        InputError: a sequence beyond it under "refuse", or under a crop that keeps more.
    """
    if setup.context is None or parse_long(long).kind not in ("crop", "refuse"):
        return
    tokenizer = setup.tokenizer
    for id, one in zip(ids, tokens, strict=True):
        check_length(len(one) - tokenizer.num_specials, setup.context, id, tokenizer.unit)


def make_network(
    setup: Setup, settings: FinetuneSettings, num_outputs: int, examples: Examples, seed: int
) -> Predictor:
    """A network before its first step: loaded or random backbone, random head."""
    torch.manual_seed(derive_seed("weights", seed))
    backbone: nn.Module | None = None
    if setup.backbone is not None and not setup.is_frozen:
        backbone = bare_copy(setup.backbone)
    elif not setup.is_frozen:
        backbone = new_model(settings.model, settings.read_as)[1]
    num_features = 0 if examples.features_NG is None else examples.features_NG.shape[1]
    head = HeadConfig(
        num_outputs=num_outputs,
        num_features=num_features,
        vector_width=examples.vectors.values_TD.shape[1] if examples.vectors else 0,
        num_convolutions=settings.recipe.head_convolutions,
        pooling=settings.recipe.head_pooling,
        hidden=settings.recipe.head_hidden,
        dropout=settings.recipe.head_dropout,
        per_residue=settings.answers_residues,
        num_places=MOST_PLACES if settings.answers_residues and not setup.is_per_letter else 0,
        pairing=pairing_of(settings),
    )
    network = Predictor(backbone, head)  # the same head at first, whatever the method
    if setup.adapter is not None and backbone is not None:
        put_on(backbone, setup.adapter)
    return network.to(setup.device.choice)


def bare_copy(checkpoint: Checkpoint) -> nn.Module:
    """The encoder without its language-model and contact heads, ready to train."""
    config = checkpoint.network.config
    heads = [name for name in HEADS if hasattr(config, name)]
    bare = build(checkpoint.card.family, asdict(replace(config, **dict.fromkeys(heads, False))))
    weights: dict[str, Tensor] = checkpoint.network.state_dict()
    without = tuple(f"{head}." for head in heads)
    bare.load_state_dict({k: v for k, v in weights.items() if not k.startswith(without)})
    return bare


def _frozen_vectors(
    setup: Setup,
    long: str,
    ids: Sequence[str],
    sequences: Sequence[str],
    cache: Path | None,
    quiet: bool,
) -> NDArray[np.float32]:
    assert setup.backbone is not None
    place = (setup.device.choice, setup.dtype.choice)
    asked = (setup.backbone, *place, long, ids, sequences)
    if cache is None:
        return setup.frozen.vectors(*asked)
    return setup.frozen.vectors_on_disk(*asked, cache, quiet)


def _residue_vectors(
    setup: Setup,
    long: str,
    ids: Sequence[str],
    sequences: Sequence[str],
    cache: Path | None,
    quiet: bool,
) -> ResidueVectors:
    assert setup.backbone is not None
    policy = parse_long(long)
    model = setup.frozen.ready(setup.backbone, setup.device.choice, setup.dtype.choice)
    used = [setup.num_tokens(s, id) for s, id in zip(sequences, ids, strict=True)]
    if policy.kind == "crop":
        used = [min(length, policy.head + policy.tail) for length in used]
    path = cache.with_suffix(".npy") if cache else None
    return make_residue_vectors(model, long, ids, sequences, used, path, quiet)
