"""What the metrics are called and what each one says, in words for someone at the bench."""

from typing import NamedTuple


class Metric(NamedTuple):
    """A metric's name, its meaning in one sentence, and how to read it."""

    name: str
    meaning: str
    better: str = "high"  # high, low, or "" where neither is better
    has_unit: bool = False  # in the unit of the label, so not between 0 and 1


METRICS = {
    "auroc": Metric("AUROC", "How often a positive is ranked above a negative; guessing gives 0.5"),
    "auprc": Metric("AUPRC", "Precision averaged over all recalls; guessing gives the prevalence"),
    "mcc": Metric("MCC", "Agreement of the calls with the truth; guessing gives 0, perfect is 1"),
    "accuracy": Metric("Accuracy", "Share of calls that are right"),
    "balanced_accuracy": Metric("Balanced accuracy", "Share right, averaged over the classes"),
    "f1": Metric("F1", "Harmonic mean of precision and recall"),
    "precision": Metric("Precision", "Of what is called positive, the share that is"),
    "recall": Metric("Recall", "Of what is positive, the share that is found"),
    "specificity": Metric("Specificity", "Of what is negative, the share that is left alone"),
    "brier": Metric("Brier score", "Mean squared error of the probabilities; 0 is perfect", "low"),
    "ece": Metric("ECE", "Mean gap between the probability said and the frequency seen", "low"),
    "log_loss": Metric("Log loss", "Surprise at the truth, in nats a sequence", "low"),
    "exact_match": Metric("Exact match", "Share of sequences with every label right"),
    "hamming": Metric("Hamming loss", "Share of single label calls that are wrong", "low"),
    "jaccard": Metric("Jaccard", "Overlap of the predicted and the true set of labels"),
    "prevalence": Metric("Prevalence", "Share of positives in this part", ""),
    "spearman": Metric("Spearman", "Agreement of the two rankings; guessing gives 0, perfect is 1"),
    "pearson": Metric("Pearson", "Linear agreement; guessing gives 0, perfect is 1"),
    "r2": Metric("R²", "Share of the variance explained; the mean alone gives 0"),
    "rmse": Metric("RMSE", "Typical size of an error, large ones weighing more", "low", True),
    "mae": Metric("MAE", "Mean size of an error", "low", True),
    "mean_headline": Metric(
        "Mean over the tasks", "Mean of what training goes by: AUPRC, macro AUPRC, Spearman"
    ),
    "mse": Metric("MSE", "Mean squared error", "low", True),
}
AVERAGES = ("macro", "micro", "weighted", "samples")


def metric(key: str) -> Metric:
    """The words for a metric's key; an unknown key is its own name, an average keeps its prefix.

    >>> metric("macro_f1").name, metric("tm_score").name
    ('Macro F1', 'Tm score')
    """
    if key in METRICS:
        return METRICS[key]
    task, dot, own = key.rpartition(".")
    if dot:  # of one task of several
        known = metric(own)
        return known._replace(name=f"{task}: {known.name}")
    prefix, _, rest = key.partition("_")
    if prefix in AVERAGES and rest in METRICS:
        known = METRICS[rest]
        over = "Mean over the labels" if prefix == "macro" else f"{prefix.capitalize()} average"
        name = f"{prefix.capitalize()} {known.name}"
        return known._replace(name=name, meaning=f"{over}. {known.meaning}")
    return Metric(key.replace("_", " ").capitalize(), "", "")
