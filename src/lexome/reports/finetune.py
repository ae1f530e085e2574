"""The report of a fine-tuning run: one HTML file, made from what the run has saved."""

from pathlib import Path

from lexome.reports import headline, pictures, residues, sections, tables, tasks
from lexome.reports.page import Html, Section, join, paragraph, section, text, whole_page
from lexome.reports.run_files import Run, read_run
from lexome.reports.search import search_section
from lexome.results.files import write_text


def write_finetune_report(run_directory: Path) -> Path:
    """Write `report.html` into a finished run and return its path.

    Reads only what the run saved (run.json, metrics.json, predictions.parquet and, where present,
    history.parquet and audit.csv), so the page can be made again at any time and is the same to the
    byte. Raises InputError when the directory does not hold a run.
    """
    run_directory = Path(run_directory)
    target = run_directory / "report.html"
    write_text(target, finetune_page(read_run(run_directory)))
    return target


def finetune_page(run: Run) -> str:
    """The whole page of a run; a section that makes no sense for its task is left out."""
    if run.task == "multitask":
        return _page(run, _sections_of_tasks(run))
    is_regression = run.task == "regression"
    has_labels = run.task in {"multiclass", "multilabel"}
    made: list[Section | None] = [
        sections.data_section(run),
        pictures.balance_section(run),
        sections.split_section(run),
        search_section(run),
        pictures.learning_section(run),
        pictures.scatter_section(run) if is_regression else pictures.curves_section(run),
        pictures.confusion_section(run) if run.task in {"binary", "multiclass"} else None,
        None if is_regression else pictures.calibration_section(run),
        pictures.metrics_section(run, tables.metrics_tables(run)),
        pictures.labels_section(run, tables.label_table(run)) if has_labels else None,
        _sample_section(run) if run.words.unit == "sequence" else residues.strips_section(run),
        sections.use_section(run),
        sections.provenance_section(run),
    ]
    return _page(run, made)


def _sections_of_tasks(run: Run) -> list[Section | None]:
    """The sections of several tasks at once: shared ones, and each task's own between them."""
    return [
        sections.data_section(run),
        tasks.overview_section(run),
        sections.split_section(run),
        pictures.learning_section(run),
        *tasks.task_sections(run),
        sections.use_section(run),
        sections.provenance_section(run),
    ]


def _page(run: Run, made: list[Section | None]) -> str:
    top = [headline.heading(run), headline.remarks(run), headline.cards(run)]
    said = f"Written by Lexome {run.facts.get('lexome_version', '')}. Everything is in this file."
    end = Html(f"<footer>{text(said)}</footer>")
    shown = [part for part in made if part]
    return whole_page(str(run.facts["title"]), join(top, "\n"), shown, end)


def _sample_section(run: Run) -> Section:
    said = f"Drawn at random from the {run.part} part, not picked"
    if run.task == "binary":
        said += ", half from each class; the tick on the bar is the threshold"
    if run.task == "multilabel":
        said += "; right means every label, ~ some of them"
    if run.task != "regression":
        said += f". {tables.share_right(run)}"
    return section(
        "examples", "A few sequences", paragraph(text(f"{said}.")), tables.sample_table(run)
    )
