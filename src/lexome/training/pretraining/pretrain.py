"""Pre-training, end to end: a recipe becomes a model directory that `lexome.load` opens."""

import json
import math
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch

from lexome import __version__
from lexome.architectures.decoder import Decoder
from lexome.architectures.encoder import Encoder
from lexome.architectures.families import build
from lexome.batches.shards import Corpus, verify_shards
from lexome.batches.stream import Stream
from lexome.checkpoints.from_esm import VARIANTS
from lexome.checkpoints.into_decoders import save_decoder
from lexome.checkpoints.into_evo import save_evo
from lexome.checkpoints.into_files import save_esm
from lexome.devices import choose_device, choose_training_dtype, product_ceiling
from lexome.distributed.contents import flatten
from lexome.distributed.parallel import PARALLEL, whole
from lexome.distributed.ranks import Ranks, join_ranks
from lexome.errors import InputError
from lexome.progress import Progress, short, show_progress
from lexome.results.files import json_text, translate_disk_errors, write_json, write_text
from lexome.seeds import derive_seed, keep_randomness
from lexome.tokenizers.character import CharacterTokenizer
from lexome.tokenizers.kinds import new_tokenizer
from lexome.training.budget import Announce, say_nothing
from lexome.training.pretraining.corpus import make_corpus
from lexome.training.pretraining.heldout import as_log, heldout_plan, look
from lexome.training.pretraining.log import Clock, Log
from lexome.training.pretraining.loop import Learner, Network, Stepped
from lexome.training.pretraining.plan import flops_per_token
from lexome.training.pretraining.recipe import Recipe, read_recipe
from lexome.training.pretraining.steps import Plan, steps_from

MODEL, LOG, FACTS, MARK = "model", "log.jsonl", "run.json", "identity.json"


class Pretrained(NamedTuple):
    """A pre-training as it lies on disk."""

    directory: Path
    finished: bool
    facts: dict[str, Any]

    @property
    def model(self) -> Path:
        """The model's directory, in the ESM-2 layout."""
        return self.directory / MODEL


def pretrain(
    recipe: str | Path,
    *,
    output: str | Path,
    overrides: dict[str, str] | None = None,
    device: str = "auto",
    parallel: str = "ddp",
    minutes: float | None = None,
    stop_step: int | None = None,
    quiet: bool = True,
    announce: Announce = say_nothing,
    command: str = "",
) -> Pretrained:
    """Train from random weights by a recipe; killed, the same call goes on to the same numbers.

    Under `torchrun` every rank calls this, and the run is the same as on one: the batch is counted
    over all ranks.

    Args:
        recipe: a TOML file.
        output: directory of the run: state, log, and the model when it is finished.
        overrides: `table.key -> value`, taken instead of the recipe's.
        device: auto, cpu or cuda.
        parallel: how several ranks share the work: ddp (copies) or fsdp (shards).
        minutes: put the state down and stop after so long; the same call goes on.
        stop_step: the same after a step.

    Raises:
        InputError: a recipe, corpus or directory that cannot be used.
        CheckpointError: a saved state of another network.
        EnvironmentProblem: a full disk, or no such device.
    """
    if parallel not in PARALLEL:
        raise InputError("parallel", repr(parallel), "ddp or fsdp", "`--parallel ddp`")
    plan = read_recipe(recipe, overrides)
    output = Path(output)
    deadline = math.inf if minutes is None else time.monotonic() + 60 * minutes
    with keep_randomness(), join_ranks(choose_device(device).choice) as ranks:
        say = announce if ranks.is_first else say_nothing
        quiet = quiet or not ranks.is_first
        base = Path(recipe).parent
        corpus = _corpus(plan, base, output, ranks, say, quiet)
        kind = ranks.device.split(":")[0]
        dtype = choose_training_dtype(plan.training.dtype, kind, plan.model.family)
        _open_run(output, plan, corpus, ranks, dtype.choice)
        say("Device", f"{ranks.device}, {ranks.size} process(es), {dtype.choice} ({dtype.reason})")
        torch.manual_seed(derive_seed("weights", plan.seed))
        learner = Learner(new_network(plan), plan, dtype.choice, ranks, parallel)
        if learner.load(output):
            say("Resuming", f"behind step {learner.step:,} of {plan.training.steps:,}")
        run = _Run(learner, corpus, output, ranks, quiet, command)
        finished = run.train(deadline, stop_step)
        if not finished:
            say("Stopped", f"behind step {learner.step:,}; the same command goes on")
            return Pretrained(output, False, {})
        return run.finish(say)


def new_network(recipe: Recipe) -> Network:
    """The recipe's network with random weights, drawn from torch's generator."""
    network = build(recipe.model.family, recipe.model.settings(recipe.training.context))
    assert isinstance(network, Network)
    network.initialize()
    return network


def save_network(network: Network, directory: Path) -> None:
    """As ESM-2's, GPT-2's or Evo's files, which load like any published model."""
    directory.mkdir(parents=True, exist_ok=True)
    if isinstance(network, Encoder):
        save_esm(network, CharacterTokenizer(), VARIANTS["esm2"], directory)
    elif isinstance(network, Decoder):
        save_decoder(network, CharacterTokenizer(), directory)
    else:
        save_evo(network, directory)


class _Run:
    """What the steps of a run share."""

    def __init__(
        self,
        learner: Learner,
        corpus: Corpus,
        output: Path,
        ranks: Ranks,
        quiet: bool,
        command: str,
    ) -> None:
        self.learner, self.corpus, self.output, self.ranks = learner, corpus, output, ranks
        self.recipe, self.quiet, self.command = learner.recipe, quiet, command
        training = self.recipe.training
        self.plan = Plan(
            Stream(corpus.train, training.context, self.recipe.seed),
            new_tokenizer(self.recipe.data.alphabet),
            self.recipe.objective,
            training.token_batch,
            training.micro_tokens,
            self.recipe.seed,
            ranks.rank,
            ranks.size,
            pinned=ranks.device != "cpu",
        )
        self.heldout = heldout_plan(self.plan, corpus)
        self.log = Log(output / LOG, learner.step, ranks.is_first, self.recipe.watch.tensorboard)

    def train(self, deadline: float, stop_step: int | None) -> bool:
        """Steps until the last; False where time or `stop_step` came first. The state is saved."""
        learner, training, watch = self.learner, self.recipe.training, self.recipe.watch
        last = min(training.steps, stop_step or training.steps)
        total = training.steps * training.token_batch
        ceiling = product_ceiling(self.ranks.device, learner.dtype) if learner.step < last else 1.0
        work = flops_per_token(self.recipe, self.corpus)
        with show_progress("Training", total, unit="tokens", quiet=self.quiet) as progress:
            progress.advance(learner.tokens)
            progress.restart_clock()
            clock, saved = Clock(), time.monotonic()
            for batch in steps_from(self.plan, learner.step, learner.visit, last):
                stepped = learner.take(batch)
                clock.tokens += batch.tokens
                progress.advance(batch.tokens)
                if learner.step % watch.log_every == 0 or learner.step == training.steps:
                    share = work / (ceiling * self.ranks.size)
                    self._note(stepped, clock.rate(), share, progress)
                    clock.restart()
                clock.pause()
                if learner.step % watch.validate_every == 0 and learner.step < training.steps:
                    self._validate()
                now = time.monotonic()
                save, stop = self._wishes(now - saved > watch.save_seconds, now > deadline)
                if save or stop:
                    learner.save(self.output)
                    saved = time.monotonic()
                if stop:
                    break
                clock.go_on()
            if learner.step == last:
                learner.save(self.output)
        return learner.step >= training.steps

    def _wishes(self, *wishes: bool) -> list[bool]:
        """What any rank wishes: all must do the same. Asking waits for all, so not every step."""
        if self.ranks.size == 1:
            return list(wishes)
        if self.learner.step % self.recipe.watch.log_every:
            return [False] * len(wishes)
        wished = torch.tensor([float(wish) for wish in wishes], device=self.ranks.device)
        return [bool(n > 0) for n in self.ranks.total(wished).tolist()]

    def _note(self, stepped: Stepped, rate: float, share: float, progress: Progress) -> None:
        learner = self.learner
        loss = learner.mean_loss()
        self.log.write(
            {
                "step": learner.step,
                "tokens": learner.tokens,
                "loss": loss,
                "gradient_norm": float(stepped.norm),
                "learning_rate": learner.optimizers[0].param_groups[0]["lr"],
                "tokens_per_second": round(rate, 1),
                "share_of_ceiling": round(rate * share, 4),
            }
        )
        progress.note(f"step {learner.step:,}  loss {loss:.3f}  {rate * share:.0%} of the ceiling")

    def _validate(self) -> None:
        found = self._look(self.recipe.watch.validation_residues)
        self.log.write({"step": self.learner.step, "tokens": self.learner.tokens, **found})

    def _look(self, residues: int) -> dict[str, Any]:
        part = self.corpus.heldout
        if not part.sequences:
            return {}
        share = min(residues / max(part.residues, 1), 1.0)
        windows = self.heldout.stream.windows(0, max(round(part.sequences * share), 1))
        with self.learner.averaged() as model:
            return as_log(look(model, self.heldout, windows, self.learner.dtype, self.ranks))

    def finish(self, say: Announce) -> Pretrained:
        """The model with its running mean for weights, measured and saved."""
        learner = self.learner
        found = self._look(self.corpus.heldout.residues)
        with learner.averaged():
            weights = {n: whole(p) for n, p in learner.parameters().items()}
        facts = {
            "name": self.recipe.name,
            "lexome_version": __version__,
            "command": self.command,
            "device": self.ranks.device,
            "ranks": self.ranks.size,
            "dtype": learner.dtype,
            "steps": learner.step,
            "tokens": learner.tokens,
            "visits": learner.visit,
            "epochs": learner.visit / self.corpus.train.sequences,
            "corpus": self.corpus.fingerprint,
            "heldout": found,
            "recipe": self.recipe.model_dump(mode="json"),
        }
        with self.ranks.together():
            if self.ranks.is_first:
                self.log.write(
                    {"step": learner.step, "tokens": learner.tokens, "final": True, **found}
                )
                network = new_network(self.recipe)
                buffers = dict(network.named_buffers())
                network.load_state_dict(
                    buffers | {n.removeprefix("network."): t.cpu() for n, t in weights.items()}
                )
                save_network(network, self.output / MODEL)
                write_json(self.output / FACTS, facts)
        self.log.close()
        is_masked = self.recipe.objective.kind == "masked"
        if found:
            say(
                "Held out",
                f"perplexity {'at <mask> ' * is_masked}{found['validation_perplexity']:.2f}, "
                f"{found['validation_accuracy']:.1%} named right",
            )
        say("Saved", str(self.output / MODEL))
        return Pretrained(self.output, True, facts)


def _corpus(
    plan: Recipe, base: Path, output: Path, ranks: Ranks, say: Announce, quiet: bool
) -> Corpus:
    """The recipe's corpus, made by the first rank where it has to be, and checked by all."""
    folder = base / plan.data.corpus if plan.data.corpus else output / "corpus"
    with ranks.together():
        if ranks.is_first:
            make_corpus(plan.data, folder, base, say, quiet)
    with ranks.together():
        corpus = make_corpus(plan.data, folder, base, say, quiet)
        size = corpus.train.residues + corpus.heldout.residues
        with show_progress("Checking", size / ranks.size, unit="bytes", quiet=quiet) as progress:
            verify_shards(corpus, ranks.rank, ranks.size, progress.advance)
    say(
        "Corpus",
        f"{corpus.train.sequences:,} sequences, {short(corpus.train.residues)} residues to "
        f"train on; {corpus.heldout.sequences:,} held out; hashes as in the manifest",
    )
    return corpus


def _open_run(output: Path, plan: Recipe, corpus: Corpus, ranks: Ranks, dtype: str) -> None:
    """Mark the directory with what the run is; refuse one that holds another."""
    whole_identity = {"recipe": plan.identity(), "corpus": corpus.fingerprint, "dtype": dtype}
    text = json_text(whole_identity, indent=2)
    mark = output / MARK
    with ranks.together(), translate_disk_errors(output):
        if ranks.is_first:
            output.mkdir(parents=True, exist_ok=True)
            if mark.exists() and mark.read_text(encoding="utf-8") != text:
                raise InputError(
                    str(output),
                    "a run of another recipe or corpus " + _difference(mark, whole_identity),
                    "this very one",
                    "another `--output`",
                )
            if not mark.exists():
                write_text(mark, text)


def _difference(mark: Path, asked: dict[str, Any]) -> str:
    found = json.loads(mark.read_text(encoding="utf-8"))
    one, other = flatten(found), flatten(asked)
    key = next(k for k in {**one, **other} if one.get(k) != other.get(k))
    return f"({key} = {one.get(key)} there, {other.get(key)} here)"
