"""`lexome.generate`: new sequences as a list."""

from collections.abc import Sequence
from itertools import groupby, islice

from lexome.generation.plan import Place, Plan, Prompts, make_plan, make_samples
from lexome.generation.settings import Amount, Sampling
from lexome.inference.model import Model
from lexome.results.types import GeneratedSequence


def generate(
    model: Model,
    prompt: Prompts = "",
    n: int = 1,
    seed: int = 0,
    max_new: int = 256,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    min_p: float = 0.0,
    typical_p: float = 1.0,
    repetition_penalty: float = 1.0,
    no_repeat_ngram: int = 0,
    order: str = "published",
    letters: str = "alphabet",
    only: Sequence[str] = (),
    forbid: Sequence[str] = (),
    tag: str | None = None,
    stop: Sequence[str] = (),
    min_new: int = 0,
    best: int = 0,
    beams: int = 0,
    length_penalty: float = 0.0,
    max_rows: int | None = None,
) -> list[GeneratedSequence]:
    """Sequences that a causal model makes: `n` of each prompt, in order.

    A sample is a function of the seed, its number, its prompt and the settings: batch size,
    neighbours and order change nothing (in fp32, to the bit).

    Args:
        prompt: residues to go on from, in their usual order; several, or (name, residues) pairs.
        max_new: tokens after the prompt at most; the context may end a sequence earlier.
        temperature: 0 takes the most likely token.
        order: of the filters: "published", or "temperature-last" (see generation/sampling.py).
        letters: which tokens can come: "standard", "alphabet" or "any".
        only, forbid: tokens that alone may come, or may not.
        tag: a condition of the family, such as "c-to-n" of ProGen2 or "ec=1.1.1.21" of ZymCTRL.
        stop: further tokens that end a sequence.
        best: keep so many of the `n`, by the mean log-likelihood of their tokens, best first.
        beams: the `n` most likely sequences that a beam search of this width finds.
        max_rows: sequences at a time; memory bounds it besides.

    Raises:
        InputError: an encoder, a prompt outside the alphabet, empty or too long, settings out of
            range, an unknown tag.
    """
    sampling = Sampling(
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        typical_p=typical_p,
        repetition_penalty=repetition_penalty,
        no_repeat_ngram=no_repeat_ngram,
        order=order,
        letters=letters,
        only=tuple(only),
        forbid=tuple(forbid),
    )
    amount = Amount(
        n=n,
        seed=seed,
        max_new=max_new,
        min_new=min_new,
        best=best,
        beams=beams,
        length_penalty=length_penalty,
    )
    plan = make_plan(model, prompt, amount, sampling, tag, stop)
    made = dict(make_samples(plan, max_rows=max_rows))
    means = {place: sample.mean_log_likelihood for place, sample in made.items()}
    return [made[place] for place in rank_places(plan, means)]


def rank_places(plan: Plan, means: dict[Place, float]) -> list[Place]:
    """The places of the output in its order: all, or the best of each prompt.

    A search of few beams may have found fewer sequences than were asked for.
    """
    places = [place for place in plan.places if place in means]
    if not plan.amount.best:
        return places
    ranked = sorted(places, key=lambda place: (place.prompt, -means[place], place.number))
    groups = groupby(ranked, key=lambda place: place.prompt)
    return [place for _, group in groups for place in islice(group, plan.amount.best)]
