"""`lexome generate`: new sequences, to FASTA or a table."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lexome.cli import options

if TYPE_CHECKING:
    from lexome.generation.plan import Plan


def generate(
    model: Annotated[
        str, typer.Option("--model", "-m", help="Catalogue name, directory or hub id.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="A FASTA file or a table, by its ending; else FASTA on stdout."
        ),
    ] = None,
    prompt: Annotated[
        list[str] | None,
        typer.Option(help="Residues to go on from, in their usual order; may be given often."),
    ] = None,
    prompt_ids: Annotated[
        list[str] | None, typer.Option(help="Token ids to go on from: '3 16 14'; often.")
    ] = None,
    prompts: Annotated[
        str | None, typer.Option(metavar="FILE", help="Prompts from a file, instead.")
    ] = None,
    n: Annotated[int, typer.Option("-n", help="Sequences of each prompt.")] = 1,
    seed: Annotated[int, typer.Option(help="Of all draws.")] = 0,
    max_new: Annotated[int, typer.Option(help="Tokens after the prompt at most.")] = 256,
    min_new: Annotated[int, typer.Option(help="Tokens before the end may come.")] = 0,
    temperature: Annotated[float, typer.Option(help="0 takes the most likely token.")] = 1.0,
    top_k: Annotated[int, typer.Option(help="Of the k most likely tokens; 0 is all.")] = 0,
    top_p: Annotated[float, typer.Option(help="Of the fewest that hold this probability.")] = 1.0,
    min_p: Annotated[float, typer.Option(help="With this share of the likeliest's.")] = 0.0,
    typical_p: Annotated[float, typer.Option(help="Of those nearest the expected surprise.")] = 1.0,
    repetition_penalty: Annotated[float, typer.Option(help="Above 1: repeats less likely.")] = 1.0,
    no_repeat_ngram: Annotated[int, typer.Option(help="No run of so many tokens twice.")] = 0,
    order: Annotated[
        str, typer.Option(help="Of the filters: published, or temperature-last.")
    ] = "published",
    letters: Annotated[
        str, typer.Option(help="Which tokens can come: standard, alphabet or any.")
    ] = "alphabet",
    only: Annotated[list[str] | None, typer.Option(help="A token that alone may come.")] = None,
    forbid: Annotated[list[str] | None, typer.Option(help="A token that may not come.")] = None,
    tag: Annotated[
        str | None, typer.Option(help="A condition of the family: c-to-n, ec=1.1.1.21, ...")
    ] = None,
    stop: Annotated[list[str] | None, typer.Option(help="A further token that ends.")] = None,
    best: Annotated[
        int, typer.Option(help="Keep so many of -n, by mean log-likelihood; 0 is all.")
    ] = 0,
    beams: Annotated[int, typer.Option(help="Beam search of this width, no sampling.")] = 0,
    length_penalty: Annotated[
        float, typer.Option(help="Beams by log-likelihood / tokens ** this.")
    ] = 0.0,
    max_rows: Annotated[
        int | None, typer.Option(help="Sequences at a time; memory bounds it besides.")
    ] = None,
    dtype: options.Dtype = "fp32",
    device: options.Device = "auto",
    offline: options.Offline = False,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Write new sequences that a causal model makes, with likelihood and what ended each.

    A sequence depends on seed, its number, prompt and settings alone. Stopped at any moment, the
    same command goes on to the same file.
    """
    from lexome.errors import InputError
    from lexome.generation.generate_file import check_generated_output, generate_file
    from lexome.generation.plan import make_plan
    from lexome.generation.settings import Amount, Sampling
    from lexome.inference.model import load
    from lexome.io.sources import read_records

    if sum(map(bool, (prompt, prompts, prompt_ids))) > 1:
        raise InputError(
            "prompts", "two kinds of them", "--prompt, --prompts or --prompt-ids", "one of them"
        )
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
        only=tuple(only or ()),
        forbid=tuple(forbid or ()),
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
    if output is not None:
        check_generated_output(output)
    texts: str | list[str] | list[tuple[str, str]] | list[list[int]] = ""
    if prompts:
        texts = [(record.id, record.sequence) for record in read_records(prompts)]
    elif prompt_ids:
        texts = [_read_ids(text) for text in prompt_ids]
    elif prompt:
        texts = prompt if len(prompt) > 1 else prompt[0]
    loaded = load(model, dtype=dtype, device=device, offline=offline)
    card = loaded.card
    options.say(
        "Model",
        f"{card.name}: {card.parameters:,} parameters, {dtype} on {loaded.device}",
        quiet,
    )
    plan = make_plan(loaded, texts, amount, sampling, tag, tuple(stop or ()))
    first = plan.prompts[0]
    more = f", and {len(plan.prompts) - 1:,} more" if len(plan.prompts) > 1 else ""
    ids = " ".join(map(str, first.ids[:12])) + (" ..." if len(first.ids) > 12 else "")
    options.say("Prompt", f"token ids {ids} (tag {first.tag or 'none'}){more}", quiet)
    if output is None:
        _stream(plan, max_rows)
        return
    notes = options.provenance(
        model=card.name,
        source=card.source,
        revision=card.revision,
        sha256=card.sha256,
        licence=card.licence,
        dtype=dtype,
        device=loaded.device,
    )
    done = generate_file(plan, output, notes, quiet, max_rows)
    if done.resumed:
        options.say("Resumed", f"{done.resumed:,} sequences stood from an earlier run", quiet)
    ends = ", ".join(f"{name} {count:,}" for name, count in sorted(done.stop_reasons.items()))
    options.say("Ended by", ends, quiet)
    if done.low_complexity:
        options.say("Flagged", f"{done.low_complexity:,} of low complexity", quiet)
    options.say("Saved", f"{output}: {done.sequences:,} sequences", quiet)
    options.answer(done._asdict() | {"output": output}, json)


def _read_ids(text: str) -> list[int]:
    from lexome.errors import InputError

    try:
        return [int(word) for word in text.replace(",", " ").split()]
    except ValueError:
        raise InputError(
            "prompt ids", repr(text), "whole numbers", "`--prompt-ids '3 16'`"
        ) from None


def _stream(plan: "Plan", max_rows: int | None) -> None:
    """FASTA on stdout, each sequence as soon as all before it are there."""
    import sys

    from lexome.generation.generate import rank_places
    from lexome.generation.generate_file import fasta_text
    from lexome.generation.plan import Place, make_samples
    from lexome.results.types import GeneratedSequence

    held: dict[Place, GeneratedSequence] = {}
    places = plan.places
    wanted = next(places, None)
    for place, sample in make_samples(plan, max_rows=max_rows):
        held[place] = sample
        while not plan.amount.best and wanted in held:
            sys.stdout.write(fasta_text(held.pop(wanted)))
            sys.stdout.flush()
            wanted = next(places, None)
    means = {place: sample.mean_log_likelihood for place, sample in held.items()}
    for place in rank_places(plan, means):
        sys.stdout.write(fasta_text(held[place]))


EXAMPLES = """\b
Examples:
  lexome generate -m models/progen2-small --prompt MKT -n 100 --seed 1 --top-p 0.95 -o new.fasta
  lexome generate -m models/progen2-small --tag c-to-n -n 5 --temperature 0.8 > new.fasta
"""
