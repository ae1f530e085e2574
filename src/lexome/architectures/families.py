"""The table of architectures, and of the models that can be trained from nothing."""

from dataclasses import asdict
from difflib import get_close_matches
from importlib import import_module
from typing import Any, NamedTuple

from torch import nn

from lexome.errors import InputError
from lexome.sequence.alphabet import AMINO_ACIDS
from lexome.tokenizers.kinds import letter_tokenizer


class Family(NamedTuple):
    """Where an architecture lives; nothing is imported until it is asked for."""

    model: str
    config: str
    rows: bool  # whether it computes on rows (convolutions) rather than on packed tokens


FAMILIES = {
    "encoder": Family(
        "lexome.architectures.encoder:Encoder", "lexome.architectures.encoder:EncoderConfig", False
    ),
    "bert": Family("lexome.architectures.bert:Bert", "lexome.architectures.bert:BertConfig", False),
    "msa": Family(
        "lexome.architectures.msa:MsaTransformer", "lexome.architectures.msa:MsaConfig", False
    ),
    "t5": Family("lexome.architectures.t5:T5", "lexome.architectures.t5:T5Config", False),
    "decoder": Family(
        "lexome.architectures.decoder:Decoder",
        "lexome.architectures.decoder:DecoderConfig",
        False,
    ),
    "striped-hyena": Family(
        "lexome.architectures.striped_hyena:StripedHyena",
        "lexome.architectures.striped_hyena:StripedHyenaConfig",
        False,
    ),
    "hyena": Family(
        "lexome.architectures.hyena:Hyena",
        "lexome.architectures.hyena:HyenaConfig",
        False,
    ),
    "cnn": Family("lexome.architectures.cnn:Cnn", "lexome.architectures.cnn:CnnConfig", True),
    "bpnet": Family(
        "lexome.architectures.bpnet:Bpnet", "lexome.architectures.bpnet:BpnetConfig", True
    ),
    "deepstarr": Family(
        "lexome.architectures.deepstarr:DeepStarr",
        "lexome.architectures.deepstarr:DeepStarrConfig",
        True,
    ),
    "spliceai": Family(
        "lexome.architectures.spliceai:SpliceAi",
        "lexome.architectures.spliceai:SpliceAiConfig",
        True,
    ),
    "recurrent": Family(
        "lexome.architectures.recurrent:Recurrent",
        "lexome.architectures.recurrent:RecurrentConfig",
        True,
    ),
}

# Letters with a channel of their own, which stand side by side among the tokens.
_CHANNELS = {"protein": AMINO_ACIDS, "dna": "ACGT", "rna": "ACGU"}
_READ_ONE_HOT = ("bpnet", "deepstarr", "spliceai")
_UNTRAINED = {"language_model_head": False, "contact_head": False, "token_dropout": False}
NEW_MODELS: dict[str, tuple[str, dict[str, Any]]] = {  # spelling -> family, config
    "new:cnn": ("cnn", {}),
    "new:bpnet": ("bpnet", {}),
    "new:bpnet-28m": ("bpnet", {"width": 1024}),
    "new:deepstarr": ("deepstarr", {}),
    **{
        f"new:spliceai-{name}": (
            "spliceai",
            {"kernels": (11, 11, 21, 41)[:groups], "dilations": (1, 4, 10, 25)[:groups]},
        )
        for groups, name in enumerate(("80", "400", "2k", "10k"), start=1)
    },
    **{f"new:{cell}": ("recurrent", {"cell": cell}) for cell in ("rnn", "lstm", "gru")},
    "new:encoder-small": (
        "encoder",
        {"num_layers": 4, "width": 128, "num_heads": 4, "ffn_width": 512, "dropout": 0.1}
        | _UNTRAINED,
    ),
    "new:encoder-medium": (
        "encoder",
        {"num_layers": 6, "width": 256, "num_heads": 8, "ffn_width": 1024, "dropout": 0.1}
        | _UNTRAINED,
    ),
    **{  # plain decoders of proteins; the rows of the published table, and smaller ones
        f"new:gpt-{name}": (
            "decoder",
            {"num_layers": layers, "width": width, "num_heads": heads, "ffn_width": 4 * width}
            | {"vocabulary_size": 33, "context": context},
        )
        for name, layers, width, heads, context in (
            ("1m", 5, 128, 4, 1024),
            ("8m", 6, 320, 5, 1024),
            ("50m", 10, 640, 10, 1024),
            ("125m", 12, 768, 12, 2048),
            ("350m", 24, 1024, 16, 2048),
            ("760m", 24, 1536, 16, 2048),
            ("1.3b", 24, 2048, 16, 2048),
            ("2.7b", 32, 2560, 32, 2048),
            ("6.7b", 32, 4096, 32, 2048),
            ("13b", 40, 5120, 40, 2048),  # 5,140 in the paper, which 40 heads do not divide
            ("175b", 96, 12288, 96, 2048),
        )
    },
    "new:protein-mini": (  # what pre-training gave protein-mini, this one lacks
        "encoder",
        {"num_layers": 6, "width": 320, "num_heads": 10, "ffn_width": 1280, "dropout": 0.1}
        | _UNTRAINED,
    ),
}


def find_family(name: str) -> Family:
    """The table's entry for a family name."""
    if name not in FAMILIES:
        near = get_close_matches(name, FAMILIES, n=1) or sorted(FAMILIES)
        raise InputError(f"architecture {name!r}", "no such family", near[0], "that name")
    return FAMILIES[name]


def family_of(spelling: str) -> str:
    """The family of a `new:...` model."""
    if spelling not in NEW_MODELS:
        near = get_close_matches(spelling, NEW_MODELS, n=1) or ["new:cnn"]
        raise InputError(
            f"model {spelling!r}", "no such new model", ", ".join(NEW_MODELS), f"`{near[0]}`"
        )
    return NEW_MODELS[spelling][0]


def new_model(spelling: str, alphabet: str = "protein") -> tuple[str, nn.Module]:
    """The family and an untrained network for `new:...`; draws from torch's generator.

    It reads the tokens of the alphabet's `letter_tokenizer`.
    """
    family = family_of(spelling)
    tokenizer = letter_tokenizer(alphabet)
    reads: dict[str, Any] = {"vocabulary_size": len(tokenizer.vocabulary)}
    if family in _READ_ONE_HOT:
        letters = _CHANNELS[alphabet]
        first = min(tokenizer.id_of[letter] for letter in letters)
        reads |= {"first_letter": first, "num_letters": len(letters)}
    network = build(family, NEW_MODELS[spelling][1] | reads)
    initialize = getattr(network, "initialize", None)
    if callable(initialize):
        initialize()
    return family, network


def build(family: str, settings: dict[str, Any]) -> nn.Module:
    """A network from its family's name and the settings that `settings_of` wrote down."""
    entry = find_family(family)
    config_class, model_class = _load(entry.config), _load(entry.model)
    tuples = {k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()}
    network: nn.Module = model_class(config_class(**tuples))
    return network


def settings_of(network: nn.Module) -> dict[str, Any]:
    """The settings to build the same network again."""
    return asdict(network.config)  # type: ignore[call-overload,no-any-return]


def _load(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)
