"""Input that cannot be used costs one clear line and exit code 2, and leaves nothing behind."""

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.commands import Finished, run_process
from tests.toys import motif_table, write_esm2, write_fasta

Lexome = Callable[..., Finished]
PROTEIN = "MKTAYIAKQRQISFVKSHFSRQ"


def everything(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones too, with what it holds."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b"a folder"
        for path in folder.rglob("*")
    }


@pytest.fixture
def refused(lexome: Lexome, tmp_path: Path) -> Callable[..., str]:
    """Runs a command that must be refused; gives its error line."""

    def check(*args: object) -> str:
        before = everything(tmp_path)
        done = lexome(*args)
        assert done.code == 2, done.err
        assert done.out == ""
        assert everything(tmp_path) == before
        return done.error

    return check


def with_value(table: pl.DataFrame, column: str, value: object, row: int = 3) -> pl.DataFrame:
    """The table with another value in one place, counted from 1."""
    values = table[column].to_list()
    values[row - 1] = value
    return table.with_columns(pl.Series(column, values))


TOY = motif_table(40, lengths=(12, 20))
CLASSES = TOY.with_columns(pl.lit("a").alias("label"))
TEXTS = TOY.with_columns(pl.Series("label", [f"note {i}" for i in range(40)]))
BAD_TABLES = {
    "no rows": (TOY.head(0), (), "saw no rows"),
    "one class": (CLASSES, (), "saw one class only ('a')"),
    "one number": (TOY.with_columns(label=0.5), ("--task", "regression"), "saw one value only"),
    "texts": (TEXTS, (), "40 different texts in 40 rows"),
    "no number": (
        with_value(TOY.with_columns(pl.col("label").cast(pl.String)), "label", "high"),
        ("--task", "regression"),
        "row 3: saw 'high', expected a finite number",
    ),
    "infinite": (
        with_value(TOY.with_columns(pl.col("label").cast(pl.String)), "label", "inf"),
        ("--task", "regression"),
        "row 3: saw 'inf', expected a finite number",
    ),
    "three for two": (with_value(TOY, "label", 2), ("--task", "binary"), "saw 3 values (0, 1, 2"),
    "no such positive": (TOY, ("--positive", "yes"), "saw no 'yes'"),
    "wrong column": (TOY, ("--label", "labl"), "saw no column 'labl'"),
    "wrong sequence column": (TOY, ("--sequence", "seq"), "saw no column 'seq'"),
    "wrong split column": (TOY, ("--split", "column:fold"), "saw no column 'fold'"),
    "wrong split value": (
        TOY,
        ("--split", "column:part", "--train", "train", "--validation", "val", "--test", "test"),
        "--validation: saw 'val'",
    ),
    "no split": (TOY, ("--split", "banana"), "--split: saw 'banana'"),
    "no sequences": (TOY.drop("sequence"), (), "expected one that holds the sequence"),
    "all empty": (TOY.with_columns(sequence=pl.lit("")), (), "saw no usable row"),
    "lower case": (
        with_value(TOY, "sequence", "MKTayiak"),
        (),
        "row 3 (p2): saw the letter 'a' at position 4 and 4 more",
    ),
    "digits": (with_value(TOY, "sequence", "MKT4YIAK"), (), "saw the letter '4' at position 4"),
    "digits, mapped": (
        with_value(TOY, "sequence", "MKT4YIAK"),
        ("--unknown", "map"),
        "Try to remove them: they stand for no residue",
    ),
    "stop": (with_value(TOY, "sequence", "MKT*YIAK"), (), "saw the letter '*' at position 4"),
    "control": (with_value(TOY, "sequence", "MKT\x01YIAK"), (), "saw the letter '\\x01'"),
    "twice the id": (
        with_value(TOY, "id", "p0"),
        (),
        "row 3: saw the id 'p0', which row 1 has too",
    ),
    "no epoch": (TOY, ("--epochs", "0"), "expected at least one"),
    "no seed": (TOY, ("--seeds", "0"), "expected at least one"),
    "no patience": (TOY, ("--patience", "0"), "expected at least one"),
    "no learning": (TOY, ("--learning-rate", "-1"), "learning_rate: saw -1"),
    "no such weights": (TOY, ("--class-weights", "fair"), "class_weights: saw 'fair'"),
    "no such method": (TOY, ("--method", "prefix"), "method: saw 'prefix'"),
    "no such task": (TOY, ("--task", "guess"), "task: saw 'guess'"),
    "no such type": (TOY, ("--dtype", "fp8"), "dtype: saw 'fp8'"),
    "no such device": (TOY, ("--device", "tpu"), "device: saw 'tpu'"),
    "no such long": (TOY, ("--long", "cut"), "long: saw 'cut'"),
    "no such new model": (TOY, ("-m", "new:cnm"), "Try `new:cnn`"),
    "no such model": (TOY, ("-m", "esm2-8n"), "Try `--model esm2-8m`"),
    "frozen and new": (TOY, ("--method", "frozen"), "expected trained weights to freeze"),
}


@pytest.mark.parametrize("name", BAD_TABLES)
def test_a_table_or_option_that_cannot_be_used_is_refused(name, refused, tmp_path):
    frame, options, said = BAD_TABLES[name]
    frame.write_csv(tmp_path / "t.csv")
    assert said in refused("finetune", tmp_path / "t.csv", "-o", tmp_path / "run", *options)


@pytest.mark.parametrize("values", [("1", "maybe"), ("0.5", "1")])
def test_several_label_columns_hold_only_zeros_and_ones(values, refused, tmp_path):
    frame = TOY.with_columns(pl.Series("a", list(values) * 20))
    frame.write_csv(tmp_path / "t.csv")
    options = ("--label", "a", "--label", "label", "-o", tmp_path / "run")
    assert "expected 0 or 1" in refused("finetune", tmp_path / "t.csv", *options)


def write_bad_files(folder: Path) -> dict[str, tuple[Path, str]]:
    """Files that are damaged, by what ails them, with what is said of them."""
    text = TOY.write_csv().encode()
    whole = gzip.compress(text, mtime=0)
    latin = text.replace(b"p3,", "pé,".encode("latin-1"))
    damaged = {
        "missing.csv": (None, "saw no such file"),
        "empty.csv": (b"", "empty"),
        "cut.csv.gz": (whole[: len(whole) // 2], "saw a gzip file that ends in the middle"),
        "broken.csv.gz": (whole[:40] + b"\0" * 60 + whole[100:], "saw a damaged gzip file"),
        "latin.csv": (latin, "UTF-8"),
        "header.csv": (text.splitlines()[0] + b"\n", "saw no rows"),
        "torn.parquet": (b"PAR1" + b"\0" * 50 + b"PAR1", "saw a damaged Parquet file"),
    }
    for name, (content, _) in damaged.items():
        if content is not None:
            (folder / name).write_bytes(content)
    return {name: (folder / name, said) for name, (_, said) in damaged.items()}


@pytest.mark.parametrize("verb", ["finetune", "embed", "predict"])
@pytest.mark.parametrize(
    "name",
    [
        *("missing.csv", "empty.csv", "cut.csv.gz", "broken.csv.gz", "latin.csv", "header.csv"),
        "torn.parquet",
    ],
)
def test_a_damaged_file_is_refused_by_every_verb(name, verb, refused, esm2, run, tmp_path):
    path, said = write_bad_files(tmp_path)[name]
    output = tmp_path / "out.parquet"
    command = {
        "finetune": ("finetune", path, "-o", output),
        "embed": ("embed", path, "-m", esm2, "-o", output),
        "predict": ("predict", run, path, "-o", output),
    }[verb]
    error = refused(*command)
    assert said in error
    assert name in error


BAD_SEQUENCES = {
    "no residues": ("", (), "bad: saw 0 residues, expected at least one"),
    "a stop alone": ("*", ("--unknown", "map"), "bad: saw 0 residues"),
    "lower case": (PROTEIN.lower(), (), "bad: saw the letter 'm' at position 1 and 21 more"),
    "digits": ("MKT1", (), "bad: saw the letter '1' at position 4"),
    "digits, mapped": ("MKT1", ("--unknown", "map"), "they stand for no residue"),
    "a stop": ("MKT*AY", (), "bad: saw the letter '*' at position 4"),
    "another alphabet": ("MKTЯ", (), "bad: saw the letter 'Я' at position 4"),
}


@pytest.mark.parametrize("verb", ["embed", "predict"])
@pytest.mark.parametrize("name", BAD_SEQUENCES)
def test_a_sequence_that_is_none_is_named_before_any_work(name, verb, refused, esm2, run, tmp_path):
    sequence, options, said = BAD_SEQUENCES[name]
    path = write_fasta(tmp_path / "in.fasta", [("good", PROTEIN), ("bad", sequence)])
    command = ("embed", path, "-m", esm2) if verb == "embed" else ("predict", run, path)
    assert said in refused(*command, "-o", tmp_path / "out.parquet", *options)


@pytest.mark.parametrize("verb", ["embed", "predict", "judge", "finetune"])
def test_an_id_that_stands_twice_is_refused_by_every_verb(verb, refused, esm2, run, tmp_path):
    path = tmp_path / "t.csv"
    with_value(TOY, "id", "p0").write_csv(path)
    command: dict[str, tuple[object, ...]] = {
        "embed": ("embed", path, "-m", esm2, "-o", tmp_path / "v.parquet"),
        "predict": ("predict", run, path, "-o", tmp_path / "p.csv"),
        "judge": ("predict", run, path, "--label", "label"),
        "finetune": ("finetune", path, "-o", tmp_path / "run"),
    }
    error = refused(*command[verb])
    said = f"{path}, row 3: saw the id 'p0', which row 1 has too, expected each id once"
    assert said in error
    assert "`--id COLUMN`" in error


def test_a_table_without_unique_ids_can_be_numbered(lexome, run, tmp_path):
    path = tmp_path / "t.csv"
    TOY.with_columns(id=pl.lit("same")).write_csv(path)
    done = lexome("predict", run, path, "--id", "")
    assert done.code == 0, done.err
    assert [line.split(",")[0] for line in done.out.splitlines()[1:3]] == ["row_1", "row_2"]


def test_records_of_one_name_are_refused_by_their_numbers(refused, esm2, run, tmp_path):
    path = write_fasta(
        tmp_path / "in.fasta", [("a first", PROTEIN), ("b", "MK"), ("a other", "MK")]
    )
    for command in (("embed", path, "-m", esm2), ("predict", run, path)):
        error = refused(*command, "-o", tmp_path / "out.parquet")
        assert f"{path}, record 3: saw the id 'a', which record 1 has too" in error
    assert "saw the id 'a'" in refused("predict", run, path)


def test_a_sequence_of_100_000_residues_is_refused_with_the_limit_unless_a_policy_is_named(
    refused, lexome, esm2, tmp_path
):
    path = write_fasta(tmp_path / "in.fasta", [("titin", "MKTAYIAKQR" * 10_000)])
    command = ("embed", path, "-m", esm2, "-o", tmp_path / "v.parquet")
    error = refused(*command)
    assert "titin: saw 100,000 residues, expected at most 1,022" in error
    assert "`--long window`" in error
    assert lexome(*command, "--long", "crop:511+511").code == 0
    found = pl.read_parquet(tmp_path / "v.parquet")
    assert found.select("length", "residues_used").rows() == [(100_000, 1022)]


def test_a_table_with_a_sequence_beyond_the_context_names_its_row(refused, esm2, tmp_path):
    frame = with_value(TOY, "sequence", "MKTAYIAKQR" * 10_000)
    frame.write_csv(tmp_path / "t.csv")
    command = ("finetune", tmp_path / "t.csv", "-o", tmp_path / "run", "-m", esm2)
    error = refused(*command, "--long", "refuse")
    assert "row 3 (p2): saw 100,000 residues, expected at most 1,022" in error


def change_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


def change_config(folder: Path, **entries: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


QUERY = "esm.encoder.layer.1.attention.self.query.weight"
BAD_MODELS: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing tensor": (
        lambda m: change_weights(m, lambda t: t.pop(QUERY)),
        "saw weights without blocks.1.attention.query.weight",
    ),
    "extra tensor": (
        lambda m: change_weights(m, lambda t: t.update(adapter=torch.zeros(2))),
        "saw the tensor adapter (2,), which this architecture does not have",
    ),
    "misshapen tensor": (
        lambda m: change_weights(m, lambda t: t.update({QUERY: torch.zeros(32, 31)})),
        "saw blocks.1.attention.query.weight of shape (32, 31), expected (32, 32)",
    ),
    "no weights": (lambda m: (m / "model.safetensors").unlink(), "saw no model.safetensors"),
    "torn weights": (
        lambda m: (m / "model.safetensors").write_bytes(b"\x10" * 100),
        "saw a broken file",
    ),
    "no vocabulary": (lambda m: (m / "vocab.txt").unlink(), "saw no vocab.txt"),
    "other vocabulary": (
        lambda m: (m / "vocab.txt").write_text((m / "vocab.txt").read_text().replace("L\n", "J\n")),
        "saw 'J' as token 4, expected 'L'",
    ),
    "no config": (lambda m: (m / "config.json").unlink(), "saw no config.json"),
    "torn config": (lambda m: (m / "config.json").write_text('{"model'), "saw broken JSON"),
    "other family": (lambda m: change_config(m, model_type="mamba"), "saw model_type 'mamba'"),
    "other positions": (
        lambda m: change_config(m, position_embedding_type="absolute"),
        "saw weights without embedding.positions.weight",
    ),
    "more layers": (
        lambda m: change_config(m, num_hidden_layers=3),
        "saw weights without blocks.2",
    ),
    "no width": (lambda m: change_config(m, hidden_size=None), "saw hidden_size = None"),
    "odd heads": (lambda m: change_config(m, num_attention_heads=5), "num_attention_heads"),
    "torn index": (
        lambda m: (m / "model.safetensors.index.json").write_text("{"),
        "saw broken JSON",
    ),
    "empty index": (
        lambda m: (m / "model.safetensors.index.json").write_text("{}"),
        "model.safetensors.index.json",
    ),
}


@pytest.mark.parametrize("name", BAD_MODELS)
def test_weights_that_do_not_fit_are_refused(name, refused, tmp_path):
    spoil, said = BAD_MODELS[name]
    model = write_esm2(tmp_path / "model")
    spoil(model)
    path = write_fasta(tmp_path / "in.fasta", [("a", PROTEIN)])
    error = refused("embed", path, "-m", model, "-o", tmp_path / "v.parquet")
    assert said in error
    assert str(model) in error


BAD_OPTIONS = {
    "no such model": (("-m", "nonesuch"), "model 'nonesuch': saw no directory"),
    "no such folder": (("-m", "./nowhere/nonesuch"), "Try the spelling of the path"),
    "no such layer": (("--layer", "7"), "layer: saw 7, expected 0 to 2"),
    "no such pooling": (("--pooling", "median"), "pooling: saw 'median'"),
    "cls of windows": (("--pooling", "cls", "--long", "window"), "pooling: saw cls with windows"),
    "no such ending": (("-o", "v.xlsx"), "saw the ending '.xlsx'"),
    "no such vectors": (("--vectors", "int8"), "vectors: saw 'int8'"),
    "no such dtype": (("--dtype", "fp8"), "dtype: saw 'fp8'"),
    "no such policy": (("--unknown", "guess"), "unknown: saw 'guess'"),
}


@pytest.mark.parametrize("name", BAD_OPTIONS)
def test_an_option_of_embed_that_cannot_be_used_is_refused(name, refused, esm2, tmp_path):
    options, said = BAD_OPTIONS[name]
    path = write_fasta(tmp_path / "in.fasta", [("a", PROTEIN)])
    assert said in refused("embed", path, "-m", esm2, "-o", tmp_path / "v.parquet", *options)


BAD_RUNS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no run": (shutil.rmtree, "saw no such directory"),
    "no config": (lambda r: (r / "config.json").unlink(), "saw no config.json"),
    "no weights": (
        lambda r: (r / "weights-2.safetensors").unlink(),
        "saw no weights-2.safetensors",
    ),
    "torn weights": (
        lambda r: (r / "weights-1.safetensors").write_bytes(b"\0" * 100),
        "saw a broken file",
    ),
    "another format": (
        lambda r: change_config(r, format="lexome-run 9"),
        "saw format 'lexome-run 9'",
    ),
    "another vocabulary": (
        lambda r: change_config(r, tokenizer={"kind": "character", "vocabulary": ["<cls>", "A"]}),
        "saw a list without ['<eos>'",
    ),
    "another width": (
        lambda r: change_config(r, backbone={"width": 32}),
        "expected the tensors of config.json",
    ),
    "unfinished": (
        lambda r: r.rename(r.parent / f".{r.name}.unfinished"),
        "saw an unfinished run",
    ),
}


@pytest.mark.parametrize("name", BAD_RUNS)
def test_a_run_that_cannot_answer_is_refused(name, refused, run, tmp_path):
    spoil, said = BAD_RUNS[name]
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    spoil(copy)
    assert said in refused("predict", copy, PROTEIN, "-o", tmp_path / "out.csv")


@pytest.mark.parametrize(
    ("output", "options", "said"),
    [
        ("out.xlsx", (), "saw the ending .xlsx"),
        ("", (), "saw a folder"),
        ("out.csv", ("--unknown", "guess"), "unknown: saw 'guess'"),
        ("out.csv", ("--device", "tpu"), "device: saw 'tpu'"),
    ],
)
def test_an_option_of_predict_that_cannot_be_used_is_refused_before_the_work(
    output, options, said, refused, run, tmp_path
):
    path = write_fasta(tmp_path / "in.fasta", [("a", PROTEIN)])
    assert said in refused("predict", run, path, "-o", tmp_path / output, *options)


def test_an_output_that_holds_something_else_is_left_alone(refused, run, table, tmp_path):
    other = tmp_path / "run"
    shutil.copytree(run, other)
    assert "saw another run" in refused("finetune", table, "-o", other, "--seeds", "1")
    for name, content in {"notes": "mine", "run.json": "{}"}.items():
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).write_text(content)
        error = refused("finetune", table, "-o", folder, "--overwrite")
        assert "saw files that are no run of Lexome" in error
    (tmp_path / "file").write_text("mine")
    assert "saw files that are no run" in refused("finetune", table, "-o", tmp_path / "file")


def test_an_unfinished_run_of_other_settings_is_not_thrown_away_unasked(refused, table, tmp_path):
    folder = tmp_path / ".run.unfinished"
    folder.mkdir()
    (folder / "fingerprint.txt").write_text("another")
    assert "saw an unfinished run" in refused("finetune", table, "-o", tmp_path / "run")


def test_the_real_command_refuses_in_the_same_way(table, tmp_path):
    before = everything(tmp_path)
    done = run_process("finetune", table, "--label", "labl", "-o", tmp_path / "run")
    assert done.code == 2
    assert "saw no column 'labl', expected one of id, sequence, label, part" in done.error
    assert everything(tmp_path) == before
