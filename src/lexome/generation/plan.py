"""One generation made ready: prompts as tokens, limits checked, samples as they end."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from lexome.errors import InputError
from lexome.generation.beams import search_beams
from lexome.generation.engine import Engine, Finished, Request, limit_new
from lexome.generation.low_complexity import FLAGGED, low_complexity
from lexome.generation.sampler import Sampler, allowed_tokens
from lexome.generation.settings import Amount, Sampling
from lexome.generation.tags import Prompt, ids_prompt, make_prompt
from lexome.generation.text import read_tokens
from lexome.inference.beside import as_causal
from lexome.inference.dialects import Dialect, find_dialect
from lexome.inference.model import Model
from lexome.results.types import GeneratedSequence

# A text, several, several with names, or token ids as they are.
Prompts = str | Sequence[str] | Sequence[tuple[str, str]] | Sequence[Sequence[int]]


class Place(NamedTuple):
    """Where a sample stands in the output: its prompt's number, from 0, and its own, from 1."""

    prompt: int
    number: int


class Plan(NamedTuple):
    """All that the samples depend on."""

    model: Model
    dialect: Dialect
    prompts: list[Prompt]
    sampling: Sampling
    amount: Amount
    sampler: Sampler
    limits: list[tuple[int, str]]  # of each prompt: tokens that may follow it, and why no more

    @property
    def network(self) -> Any:
        """What goes on: the model's network, an encoder-decoder in the form of a causal one."""
        longest = max(len(prompt.ids) for prompt in self.prompts)
        return as_causal(self.model.network, self.model.card.name, longest)

    @property
    def capacity(self) -> int:
        """Tokens of the longest sequence that can come."""
        pairs = zip(self.prompts, self.limits, strict=True)
        return max(len(prompt.ids) + most for prompt, (most, _) in pairs)

    @property
    def places(self) -> Iterator[Place]:
        """Of all samples, in the order of the output."""
        n = self.amount.n
        return (Place(p, i) for p in range(len(self.prompts)) for i in range(1, n + 1))


def make_plan(
    model: Model,
    prompts: Prompts,
    amount: Amount,
    sampling: Sampling,
    tag: str | None = None,
    stop: Sequence[str] = (),
) -> Plan:
    """Check everything that can be checked before the first token.

    Raises:
        InputError: a model that is not causal, a prompt that is empty, too long or outside the
            alphabet, a tag or token that the family does not know.
    """
    as_causal(model.network, model.card.name, 1)  # before anything else is looked at
    tokenizer, dialect = model.tokenizer, find_dialect(model.tokenizer)
    wrong = [token for token in stop if token not in tokenizer.id_of]
    if wrong:
        raise InputError(
            f"stop token {wrong[0]!r}", "no such token", "one of the model's", "another"
        )
    stops = sorted({*dialect.stops, *(tokenizer.id_of[token] for token in stop)})
    dialect = dialect._replace(stops=tuple(stops))
    made = [
        make_prompt(tokenizer, dialect, text, tag, name)
        if isinstance(text, str)
        else ids_prompt(tokenizer, text, name)
        for name, text in _name_prompts(prompts)
    ]
    limits = []
    for prompt in made:
        if len(prompt.ids) >= model.card.context:
            raise InputError(
                prompt.name,
                f"{len(prompt.ids):,} tokens",
                f"fewer than the model's context of {model.card.context:,}",
                "a shorter prompt",
            )
        limits.append(limit_new(len(prompt.ids), amount.max_new, model.card.context))
    config = model.network.config  # a head may have fewer rows than the embedding
    rows = int(getattr(config, "head_size", None) or config.vocabulary_size)
    allowed_V = allowed_tokens(sampling, dialect, tokenizer, rows, stops).to(model.device)
    sampler = Sampler(sampling, stops, allowed_V, amount.min_new)
    return Plan(model, dialect, made, sampling, amount, sampler, limits)


def make_samples(
    plan: Plan,
    is_done: Callable[[Place], bool] = lambda place: False,
    max_rows: int | None = None,
) -> Iterator[tuple[Place, GeneratedSequence]]:
    """Yield samples as they end, each with its place; those that are done are left out."""
    if plan.amount.beams:
        yield from _search(plan, is_done)
        return
    model = plan.model
    engine = Engine(plan.network, plan.sampler, plan.amount.seed, model.device, max_rows)
    # Prompts may be alike, so an answer is told by the request itself, not by what it holds.
    waiting: dict[int, tuple[Request, Place]] = {}

    def requests() -> Iterator[Request]:
        for place in plan.places:
            if not is_done(place):
                request = Request(
                    place.number, plan.prompts[place.prompt].ids, *plan.limits[place.prompt]
                )
                waiting[id(request)] = (request, place)
                yield request

    for finished in engine.run(requests(), plan.capacity):
        _, place = waiting.pop(id(finished.request))
        yield place, _describe(plan, place, finished)


def _search(
    plan: Plan, is_done: Callable[[Place], bool]
) -> Iterator[tuple[Place, GeneratedSequence]]:
    amount = plan.amount
    for index, prompt in enumerate(plan.prompts):
        if all(is_done(Place(index, number)) for number in range(1, amount.n + 1)):
            continue
        request = Request(1, prompt.ids, *plan.limits[index])
        found = search_beams(
            plan.network, request, plan.sampler, amount.beams, amount.length_penalty
        )
        for number, finished in enumerate(found[: amount.n], start=1):
            place = Place(index, number)
            if not is_done(place):
                yield place, _describe(plan, place, finished)


def _describe(plan: Plan, place: Place, finished: Finished) -> GeneratedSequence:
    prompt = plan.prompts[place.prompt]
    sequence = read_tokens(plan.model.tokenizer, plan.dialect, prompt, finished.ids)
    share = low_complexity(sequence, plan.dialect.is_dna)
    return GeneratedSequence(
        id=f"{prompt.name}_{place.number}",
        sequence=sequence,
        ids=finished.ids,
        prompt_ids=list(prompt.ids),
        log_likelihood=sum(finished.log_probs),
        token_log_likelihoods=finished.log_probs,
        stop_reason=finished.reason,
        low_complexity=share,
        is_low_complexity=share >= FLAGGED,
        prompt=prompt.sequence,
        tag=prompt.tag,
        number=place.number,
        seed=plan.amount.seed,
    )


def _name_prompts(prompts: Prompts) -> list[tuple[str, Any]]:
    """(name, text) of each; a single text gives samples called sample_1, sample_2, ..."""
    if isinstance(prompts, str):
        return [("sample", prompts)]
    items: list[Any] = list(prompts)
    if not items:
        raise InputError("prompts", "none", "at least one", "`--prompt MKT`")
    texts = [
        (item[0], item[1])
        if not isinstance(item, str) and isinstance(item[0], str)
        else (f"prompt_{number}", item)
        for number, item in enumerate(items, start=1)
    ]
    names = [name for name, _ in texts]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise InputError("prompts", f"the name {repeated!r} twice", "each once", "other names")
    return texts
