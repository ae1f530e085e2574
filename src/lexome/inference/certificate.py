"""Is a loaded model the published one? Tensors counted, outputs compared, each with its error."""

# Letters: T tokens of one sequence.
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from lexome.architectures.families import build, settings_of
from lexome.batches.packing import pack
from lexome.batches.padding import pad
from lexome.checkpoints.layouts import load_path
from lexome.checkpoints.load import Checkpoint, ModelCard, describe, find_source
from lexome.checkpoints.renaming import Accounting
from lexome.inference.alignments import AlignmentModel
from lexome.inference.causal import is_causal
from lexome.inference.model import OUTPUTS, Model
from lexome.inference.references import Reference, decoder_probe, find_reference
from lexome.tokenizers.character import CharacterTokenizer
from lexome.tokenizers.ids_only import IdsTokenizer
from lexome.tokenizers.interface import Tokenizer

# |ours - theirs| <= ATOL + RTOL x the largest |theirs| of that output: sums of thousands of terms
# are rounded by their size, also where the result is near zero.
ATOL, RTOL = 5e-5, 1e-5
COMPANY = 1e-5  # of the largest value of a sequence's output: alone, packed, padded
PROBES = {
    "protein": [
        "MKTVRQERLKSIVRILERSKEPVSGAQLAEELSVSRQVIVQDIAYLRSLGYNIVATPRGYVLAGG",
        "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG",
        "XBZUOGGAC",
        "GA",
    ],
    "dna": ["ATGGCCATTGTAATGGGCCGCTGAAAGGGTGCCCGATAG", "ACGTNNACGTACGTTAGC", "ATTCCG", "GATTACA"],
    "dna-bases": ["ATGGCCATTGTAATGGGCCGCTGAAAGGGTGCCCGATAG", "GATTACAGATTACA", "ACGTACGT"],
    "progen": [
        "1MKTVRQERLKSIVRILERSKEPVSGAQLAEELSVSRQVIVQDIAYLRSLGYNIVATPRGYVLAGG2",
        "2GGRLRLVLHLTSEKQNYDSLTRGDELQQKGAFILRQDPPIGEKDQIKAKVN1",
        "1XBZUOGGAC2",
    ],
    "text": ["a gene", "dna binds a protein", "x"],
}
ALIGNMENTS = [  # the query alone, a shallow one, and more tokens than one step of the fast linear
    ["MKTVRQERLK"],
    ["MKTVRQERLK", "MRT-RQERIK", "-KTVKEE-LR"],
    ["GAVLIXPFWY", *(f"G{letter}VL-XPF.Y" for letter in "ACDEFGHIK")],
]
PLAIN = "the plain form"
MAPS = ("row_attentions", "column_attentions")


class Check(NamedTuple):
    """Two ways to the same output."""

    output: str
    against: str
    error: float  # the largest absolute difference
    allowed: float
    passed: bool


class Certificate(NamedTuple):
    """What `lexome verify` found."""

    card: ModelCard
    accounting: Accounting
    checks: list[Check]
    reference: str  # its package and version, or why it was not asked

    @property
    def passed(self) -> bool:
        """Whether every check held."""
        return all(check.passed for check in self.checks)


def certify(name: str, offline: bool = False, revision: str | None = None) -> Certificate:
    """Load a model strictly and hold its outputs to each other and to the reference's.

    Sequences of the alphabet are built in. Compared are: packed, padded and alone; the fast form
    and the plain one; ours and the reference package's, where one is installed.

    Raises:
        CheckpointError: a checkpoint that cannot be loaded.
    """
    source = find_source(name, offline, revision)
    loaded = load_path(source.path)
    checkpoint, accounting = describe(name, source, loaded), loaded.accounting
    answer = find_reference(loaded.layout, source.path)
    told = answer.reference.name if answer.reference else answer.reason
    if checkpoint.card.family == "msa":
        checks = _check_alignments(checkpoint, answer.reference)
        return Certificate(checkpoint.card, accounting, checks, told)
    tokenizer = checkpoint.tokenizer
    rows = [ids for ids in _probe_ids(tokenizer) if 2 < len(ids) <= checkpoint.card.context]
    checks = _check_company(checkpoint.network, rows, max(tokenizer.pad_id, 0))
    if is_causal(checkpoint.network):
        checks.append(_check_steps(checkpoint.network, rows))
    model = Model(_copy_plain(checkpoint), tokenizer, checkpoint.card)
    outputs = _possible(model)
    fast = [_named(found, OUTPUTS) for found in model.run_ids(rows, outputs)]
    ours = [_plain_outputs(checkpoint.network, ids, outputs) for ids in rows]
    if getattr(checkpoint.network.config, "decoder", False) and model.network.config.head != "none":
        for ids, one, other in zip(rows, fast, ours, strict=True):
            one["decoder_logits"] = _decoder_logits(model.network, ids)
            other["decoder_logits"] = _decoder_logits(checkpoint.network, ids)
    checks += _compare(fast, ours, PLAIN)
    if answer.reference:
        with torch.inference_mode():
            theirs = [answer.reference.run(ids) for ids in rows]
        checks += _compare(fast, theirs, answer.reference.name)
    return Certificate(checkpoint.card, accounting, checks, told)


def _probe_ids(tokenizer: Tokenizer) -> list[list[int]]:
    """Built-in sequences; without a tokenizer, some that run over all ids."""
    if not isinstance(tokenizer, IdsTokenizer):
        return [tokenizer.encode(text, "reference") for text in PROBES[tokenizer.alphabet.name]]
    size = len(tokenizer.vocabulary)
    others = [i for i in range(size) if i not in (tokenizer.pad_id, tokenizer.eos_id)]
    lengths, step = (70, 31, 2), 7  # so that neighbours differ from those of the next row
    rows = [
        [others[(row + step * i) % len(others)] for i in range(n)] for row, n in enumerate(lengths)
    ]
    return [[*row, tokenizer.eos_id] for row in rows]


def _decoder_logits(network: Any, ids: Sequence[int]) -> Tensor:
    """Of a decoder that reads the source itself, in two steps."""
    tokens_T, layout = pack([ids])
    target_BT = torch.tensor([decoder_probe(ids, network.config.start_id)])
    with torch.inference_mode():
        state = network.start_from(network.encode(tokens_T, layout), layout, len(ids))
        steps = torch.split(target_BT, [len(ids) - 1, 1], dim=1)
        hidden_BTD = torch.cat([network.extend(step, state) for step in steps], dim=1)
        scores_TV: Tensor = network.logits(hidden_BTD)[0]
    return scores_TV


def _possible(model: Model) -> list[str]:
    lacking = {
        "logits": model.network.language_model_head is None,
        "contacts": model.network.contact_head is None,
        "attentions": not getattr(model.network, "attends", True),
        "hidden": True,  # the last of the hidden layers
    }
    return [name for name in OUTPUTS if not lacking.get(name)]


def _copy_plain(checkpoint: Checkpoint) -> nn.Module:
    """The network once more: a model swaps the bricks of the one that it is given."""
    plain = build(checkpoint.card.family, settings_of(checkpoint.network))
    plain.load_state_dict(checkpoint.network.state_dict())
    return plain


def _named(found: Any, outputs: Sequence[str]) -> dict[str, Tensor]:
    return {
        name: torch.from_numpy(value)
        for name in outputs
        if isinstance(value := getattr(found, name), np.ndarray)
    }


def _plain_outputs(network: Any, ids: Sequence[int], outputs: Sequence[str]) -> dict[str, Tensor]:
    tokens_T, layout = pack([ids])
    with torch.inference_mode():
        with_maps = bool({"attentions", "contacts"} & set(outputs))
        out = network.trace(tokens_T, layout, with_maps=with_maps)
        found = {"hidden_layers": torch.stack(out.layers)}
        if "attentions" in outputs:
            found["attentions"] = torch.stack([maps[0] for maps in out.maps])
        if "logits" in outputs:
            found["logits"] = network.logits(out.hidden_ND)
        if "contacts" in outputs:
            found["contacts"] = network.contacts(out.maps, [tokens_T])[0]
    return found


def _check_company(network: Any, rows: list[list[int]], pad_id: int) -> list[Check]:
    """The hidden states of each sequence alone, beside those in packed and in padded company."""
    checks = []
    with torch.inference_mode():
        alone = [network(*pack([ids])) for ids in rows]
        packed, padded = pack(rows), pad(rows, pad_id)
        for name, batch in (("packed", packed), ("padded", padded)):
            together = batch.layout.split(network(*batch))
            errors = [
                ((one - other).abs().max().item(), COMPANY * one.abs().max().item())
                for one, other in zip(alone, together, strict=True)
            ]
            error, allowed = max(errors, key=lambda pair: pair[0] / pair[1])
            checks.append(
                Check("hidden", f"{name} beside others", error, allowed, error <= allowed)
            )
    return checks


def _check_steps(network: Any, rows: list[list[int]]) -> Check:
    """The hidden states of each sequence read whole, beside those read on from half of it."""
    worst = Check("hidden", "read a token at a time", 0.0, COMPANY, True)
    with torch.inference_mode():
        for ids in rows:
            whole_TD = network(*pack([ids]))
            state, half = network.start(1, len(ids)), (len(ids) + 1) // 2
            found = [network.extend(torch.tensor([ids[:half]]), state)[0]]
            found += [network.extend(torch.tensor([[id]]), state)[0] for id in ids[half:]]
            error = (torch.cat(found) - whole_TD).abs().max().item()
            allowed = COMPANY * whole_TD.abs().max().item()
            if error / allowed >= worst.error / worst.allowed:
                passed = worst.passed and error <= allowed
                worst = Check(worst.output, worst.against, error, allowed, passed)
    return worst


def _compare(
    ours: Sequence[Mapping[str, Tensor]], theirs: Sequence[Mapping[str, Tensor]], against: str
) -> list[Check]:
    """The worst place of each output that both have, over all sequences."""
    checks = []
    for name in (n for n in ours[0] if n in theirs[0]):
        worst = Check(name, against, 0.0, ATOL, True)
        for one, other in zip(ours, theirs, strict=True):
            error = (one[name] - other[name]).abs().max().item()
            bound = ATOL + RTOL * other[name].abs().max().item()
            passed = bool(torch.isfinite(one[name]).all()) and error <= bound
            if not passed or error / bound > worst.error / worst.allowed:
                worst = Check(name, against, error, bound, passed and worst.passed)
        checks.append(worst)
    return checks


def _check_alignments(checkpoint: Checkpoint, reference: Reference | None) -> list[Check]:
    """The plain form with and without its maps kept; then the fast form, as for sequences."""
    network, tokenizer = checkpoint.network, checkpoint.tokenizer
    assert isinstance(tokenizer, CharacterTokenizer)  # a letter a token, so that columns line up
    id_of = tokenizer.id_of
    alignments = [
        [[tokenizer.cls_id, *(id_of[letter] for letter in row)] for row in rows]
        for rows in ALIGNMENTS
    ]
    with torch.inference_mode():
        ours = [_plain_alignment_outputs(network, rows) for rows in alignments]
        untraced = [{"hidden": network(torch.tensor(rows))} for rows in alignments]
    checks = _compare(untraced, ours, "traced")
    model = AlignmentModel(_copy_plain(checkpoint), tokenizer, checkpoint.card)
    # What keeps no maps goes another way through the model (attention in one kernel): both count.
    ways = [("logits", "hidden"), ("hidden_layers", *MAPS, "contacts")]
    fast = [
        {k: v for way in ways for k, v in _named(model.run_ids(rows, way), way).items()}
        for rows in alignments
    ]
    checks += _compare(fast, ours, PLAIN)
    if reference:
        with torch.inference_mode():
            theirs = [reference.run(rows) for rows in alignments]
        checks += _compare(fast, theirs, reference.name)
    return checks


def _plain_alignment_outputs(network: Any, rows: list[list[int]]) -> dict[str, Tensor]:
    out = network.trace(torch.tensor(rows))
    return {
        "logits": network.logits(out.hidden_RCD),
        "hidden": out.hidden_RCD,
        "hidden_layers": torch.stack(out.layers),
        "row_attentions": torch.stack(out.row_maps),
        "column_attentions": torch.stack(out.column_maps),
        "contacts": network.contacts(out.row_maps),
    }
