"""Every column name that Lexome writes, with its meaning in a line."""

# who: which row this is
ID = "id"
ROW = "row"
NAME = "name"
SEQUENCE = "sequence"
LENGTH = "length"
RESIDUES_USED = "residues_used"
SECOND_LENGTH = "second_length"
SECOND_RESIDUES_USED = "second_residues_used"
TOKEN_STARTS = "token_starts"
TOKEN_ENDS = "token_ends"
WINDOWS = "windows"
# what is known of it
LABEL = "label"
PART = "part"
GROUP = "group"
DIGEST = "digest"
FOLD = "fold"
REASON = "reason"
# what a model says of it
PROBABILITY = "probability"
PREDICTION = "prediction"
VALUE = "value"
VECTOR = "vector"
LOG_LIKELIHOOD = "log_likelihood"
MEAN_LOG_LIKELIHOOD = "mean_log_likelihood"
PERPLEXITY = "perplexity"
TOKENS_SCORED = "tokens_scored"
RULE = "rule"
STOP_REASON = "stop_reason"
LOW_COMPLEXITY = "low_complexity"
IS_LOW_COMPLEXITY = "is_low_complexity"
TOKENS_NEW = "tokens_new"
TOKEN_IDS = "token_ids"
PROMPT = "prompt"
PROMPT_IDS = "prompt_ids"
TAG = "tag"
MODEL = "model"
SEED = "seed"
# places and changes in a sequence
POSITION = "position"
RESIDUE = "residue"
TOKEN = "token"
START = "start"
END = "end"
WINDOW = "window"
REF = "ref"
ALT = "alt"
SCORE = "score"
MUTANT = "mutant"
MUTATED_SEQUENCE = "mutated_sequence"
CHROMOSOME = "chromosome"
GENE = "gene"
TRANSCRIPT = "transcript"
CONSEQUENCE = "consequence"
PROTEIN_CHANGE = "protein_change"
PROTEIN_SCORE = "protein_score"
PROTEIN_REASON = "protein_reason"
PROTEIN_RULE = "protein_rule"
NORMALISED = "normalised"
WINDOW_BASES = "window_bases"
OTHER_TRANSCRIPTS = "other_transcripts"
ASSAY = "assay"
PUBLISHED = "published"
PUBLISHED_MCC = "published_mcc"
COMPARABLE = "comparable"
UNSCORED = "unscored"
NDCG = "ndcg"
TOP_RECALL = "top_recall"
NOTE = "note"
TASK = "task"
OBSERVED = "observed"
HELD_OUT = "held_out"
SPLITS = "splits"
PREVALENCE = "prevalence"
# pairs of rows
ROW_A = "row_a"
ROW_B = "row_b"
ID_A = "id_a"
ID_B = "id_b"
PART_A = "part_a"
PART_B = "part_b"
LABEL_A = "label_a"
LABEL_B = "label_b"
SIMILARITY = "similarity"
EXACT = "exact"
NEAR = "near"
SAME_LABEL = "same_label"
LEAK = "leak"
QUERY_ID = "query_id"
RANK = "rank"
COSINE = "cosine"
DISTANCE = "distance"
# metrics and curves
METRIC = "metric"
LAYER = "layer"
POOLING = "pooling"
HEAD = "head"
SETTING = "setting"
CHOSEN = "chosen"
CHOSEN_SHARE = "chosen_share"
ESTIMATE = "estimate"
LOW = "low"
HIGH = "high"
COUNT = "count"
THRESHOLD = "threshold"
LEVEL = "level"
HIT_10 = "hit_10"
AUC = "auc"
EPOCH = "epoch"
STEP = "step"
LOSS = "loss"
SECONDS = "seconds"
BEST = "best"
TRIAL = "trial"
STATE = "state"
TRIAL_SECONDS = "trial_seconds"
# one run beside another
RUN = "run"
DIFFERENCE = "difference"
P = "p"
P_HOLM = "p_holm"
VERDICT = "verdict"
# every contender on every task of a suite
BASELINE = "baseline"
CLEAN = "clean"
ENSEMBLE = "ensemble"
FOLDS = "folds"
LEAKED = "leaked"
ROWS_JUDGED = "rows_judged"
SD_OVER_FOLDS = "sd_over_folds"
SEEDS = "seeds"
TASKS = "tasks"
# what a training will cost
DEPTH = "depth"
ROWS_USED = "rows_used"
POSITION_1 = "position_1"
POSITION_2 = "position_2"
RESIDUE_1 = "residue_1"
RESIDUE_2 = "residue_2"
LAYOUT = "layout"
ALPHABET = "alphabet"
PARAMETERS = "parameters"
CONTEXT = "context"
LICENCE = "licence"
SOURCE = "source"
OUTPUT = "output"
AGAINST = "against"
ERROR = "error"
ALLOWED = "allowed"
PASSED = "passed"
MACHINE = "machine"
BUSY = "busy"
TOKENS_PER_S = "tokens_per_s"
HOURS_PER_1E9 = "hours_per_1e9"
HOURS = "hours"
BASIS = "basis"
# metrics that training shows after every epoch
METRIC_COLUMNS = (
    *("auroc", "auprc", "mcc", "accuracy", "macro_auroc", "macro_auprc", "macro_f1"),
    *("spearman", "r2", "mean_headline"),
)

MEANINGS = {
    ID: "first word of the record's name, or the table's id column; row_N without either",
    ROW: "number of the row in the input, from 1",
    NAME: "whole name of the record",
    SEQUENCE: "residues in one-letter code, as the source wrote them",
    LENGTH: "number of residues of the whole sequence",
    TOKEN_STARTS: "first letter of each token, from 0",
    TOKEN_ENDS: "letter behind the last one of each token, from 0",
    RESIDUES_USED: "residues that the model saw; fewer than the length where a row was cropped",
    SECOND_LENGTH: "of a pair, residues of its second sequence",
    SECOND_RESIDUES_USED: "of a pair, residues of its second sequence that the model saw",
    WINDOWS: "in how many overlapping windows the sequence went through the model; 1 is whole",
    LABEL: "what is known of the row: a class, classes, or a number",
    PART: "train, validation or test",
    GROUP: "similarity group of the row; in figures, the rows that they are of",
    DIGEST: "the sequence in 16 letters, by which it is known again",
    FOLD: "which of several folds the row is in, from 0; empty for a row that is in none",
    REASON: "why there is no result for the row; empty where there is one",
    PROBABILITY: "predicted probability of the positive class, or of the predicted one; "
    "a list where residues are answered",
    PREDICTION: "predicted class or classes, by the saved threshold; "
    "a letter for each residue where these are answered",
    VALUE: "predicted number (regression), or the value of a metric",
    VECTOR: "embedding of the whole sequence",
    LOG_LIKELIHOOD: "logarithm of the probability of the tokens that the rule scores, summed; "
    "natural unless the output's notes say base 2",
    MEAN_LOG_LIKELIHOOD: "the same, divided by the number of tokens scored",
    PERPLEXITY: "base of the logarithm to the power of minus the mean log-likelihood of a token; "
    "the same number in every base",
    TOKENS_SCORED: "how many tokens the log-likelihood is summed over",
    STOP_REASON: "what ended a sequence that was made: stop_token, max_new or context",
    LOW_COMPLEXITY: "share of a sequence in windows of low complexity (SEG's or DUST's measure)",
    IS_LOW_COMPLEXITY: "whether that is at least half of it",
    TOKENS_NEW: "tokens after the prompt, one that ended the sequence among them",
    TOKEN_IDS: "ids of these tokens, with spaces between",
    PROMPT: "residues that a sequence was made to go on from",
    PROMPT_IDS: "ids of all tokens that it goes on from, with spaces between",
    TAG: "condition that a sequence was made under; empty for none",
    RULE: "name of the rule by which the score was made",
    MODEL: "name of the model, or baseline",
    SEED: "seed of the run",
    POSITION: "position in the sequence, from 1",
    RESIDUE: "residue at the position",
    TOKEN: "token that covers the position",
    START: "first position of a stretch, from 1",
    END: "last position of a stretch, counted in",
    WINDOW: "number of the window of a long sequence, from 1",
    REF: "residue or allele that stands there",
    ALT: "residue or allele that is put there",
    SCORE: "score of a change: higher is more likely or fitter",
    MUTANT: "all changes of a row, such as A12G:C45D; positions from 1",
    MUTATED_SEQUENCE: "the sequence with all changes of the row",
    CHROMOSOME: "contig of the reference genome",
    GENE: "gene that a variant lies in",
    TRANSCRIPT: "transcript that a variant was translated by",
    CONSEQUENCE: "what a variant does to a transcript, as a term of the Sequence Ontology",
    PROTEIN_CHANGE: "the change of the protein in HGVS's spelling, such as p.Ala12Gly",
    PROTEIN_SCORE: "score of the protein change by the protein model",
    PROTEIN_REASON: "why there is no score of the protein; empty where there is one",
    PROTEIN_RULE: "name of the rule by which the score of the protein was made",
    WINDOW_BASES: "bases around a variant that the model read; fewer near ends of contigs and Ns",
    NORMALISED: "POS:REF:ALT of a left-aligned allele, where the file writes it otherwise",
    OTHER_TRANSCRIPTS: "further transcripts over a variant, as name|consequence|protein change, "
    "with / between; the one told of first has the gravest consequence, then the longest protein",
    ASSAY: "name of the deep mutational scan",
    PUBLISHED: "what was published for the same assay, by the model named in `against`",
    PUBLISHED_MCC: "its published MCC",
    COMPARABLE: "whether the published value is of the same rows: yes, nearly or no",
    UNSCORED: "rows without a score, left out of the figures",
    NDCG: "normalised discounted cumulative gain of the tenth ranked highest",
    TOP_RECALL: "share of the best tenth that is ranked within the best tenth",
    HELD_OUT: "rows that were judged and never trained on",
    SPLITS: "how often the rows were split anew",
    OBSERVED: "share of the rows that were positive in truth",
    TASK: "what was to be told from what",
    PREVALENCE: "share of the rows that are positive",
    NOTE: "what a reader must know of the row; empty for nothing",
    ROW_A: "number of the first row of a pair, from 1",
    ROW_B: "number of the second row of a pair, from 1",
    ID_A: "id of the first row of a pair",
    ID_B: "id of the second row of a pair",
    PART_A: "part of the first row of a pair",
    PART_B: "part of the second row of a pair",
    LABEL_A: "label of the first row of a pair",
    LABEL_B: "label of the second row of a pair",
    SIMILARITY: "share of what the two sequences have in common, 0 to 1",
    EXACT: "whether, or how many, copies are identical",
    NEAR: "how many copies are similar but not identical",
    QUERY_ID: "id of the row that was asked about",
    RANK: "place among the nearest, from 1; equal ones stand in input order",
    COSINE: "cosine of the angle between two vectors, -1 to 1; higher is nearer",
    DISTANCE: "Euclidean distance of two vectors; lower is nearer",
    SAME_LABEL: "whether both rows of a pair have the same label",
    LEAK: "how a row leaks: exact copy, reverse complement or near copy",
    METRIC: "name of a figure of merit",
    LAYER: "hidden layer, 0 the embeddings; empty for what is no model's",
    POOLING: "how one vector was made of a sequence's tokens",
    HEAD: "small model that was trained on vectors: linear, knn or mlp",
    SETTING: "what each fold chose for the head in its own training rows",
    CHOSEN: "whether this is the cell with the best figure",
    CHOSEN_SHARE: "share of the resamples in which this cell was the best",
    ESTIMATE: "value of the metric on all rows",
    LOW: "lower end of the 95 % interval",
    HIGH: "upper end of the 95 % interval",
    COUNT: "number of rows",
    THRESHOLD: "probability from which on a row is called positive",
    LEVEL: "what a pair has in common to be counted as kin: fold or superfamily",
    HIT_10: "share of the queries with kin among the ten nearest",
    AUC: "chance that kin of a query are nearer to it than others, mean over the queries",
    EPOCH: "passes over the training rows so far",
    STEP: "updates of the weights so far",
    LOSS: "mean loss over the rows, in nats",
    SECONDS: "time since the start of the run",
    BEST: "whether this is the epoch whose weights were kept, or the trial whose setting was",
    TRIAL: "number of a trial of a search, from 0, which is the recipe's own setting",
    STATE: "whether a trial was completed, or pruned as worse than most at the same epoch",
    TRIAL_SECONDS: "time that a trial took",
    RUN: "name of a training run",
    DIFFERENCE: "estimate less that of the run named in `against`",
    P: "two-sided p value of the difference",
    P_HOLM: "the same, corrected for the number of runs compared (Holm)",
    VERDICT: "better, worse or tie: the difference's interval holds 0, or p_holm is 0.05 or more",
    DEPTH: "rows of the alignment that were read",
    ROWS_USED: "rows of the alignment that the model saw",
    POSITION_1: "first position of a pair, from 1",
    POSITION_2: "second position of a pair, from 1",
    RESIDUE_1: "residue at the first position",
    RESIDUE_2: "residue at the second position",
    LAYOUT: "how a model's files are laid out",
    ALPHABET: "kind of letters that a model takes",
    PARAMETERS: "trained numbers of a model",
    CONTEXT: "tokens that a model takes, special ones among them",
    LICENCE: "licence of a model's weights",
    SOURCE: "hub id or address; of a published figure, where it stands",
    BASELINE: "the plain model that a result must beat",
    CLEAN: "the ensemble's figure on test rows that have no copy in training or validation",
    ENSEMBLE: "the figure of the mean of all seeds' answers; of folds, on the rows of all together",
    FOLDS: "how many folds the estimate is the mean over; empty for one split",
    SD_OVER_FOLDS: "standard deviation of the folds' own estimates",
    LEAKED: "test rows with an exact or near copy in training or validation",
    ROWS_JUDGED: "test rows; fewer than published where equal sequences carry other labels",
    SEEDS: "how many times the model was trained",
    TASKS: "how many tasks a mean is of",
    OUTPUT: "what of a model's outputs was compared",
    AGAINST: "with what it was compared",
    ERROR: "largest absolute difference",
    ALLOWED: "difference allowed",
    PASSED: "whether all differences were allowed",
    MACHINE: "how many devices of which kind",
    BUSY: "how many of them have work; a step has no more micro-batches to share",
    TOKENS_PER_S: "training speed of all of them together",
    HOURS_PER_1E9: "time of a billion tokens",
    HOURS: "time of the whole recipe",
    BASIS: "interpolated between measurements, or extrapolated from them",
} | dict.fromkeys(METRIC_COLUMNS, "this metric on the rows of the part")

PREFIXES = {  # families of columns, one for each label or dimension
    "label_": "true value of one label: label_<label>",
    "probability_": "predicted probability of one class or label: probability_<label>",
    "prediction_": "predicted value of one label: prediction_<label>",
    "threshold_": "threshold of one label: threshold_<label>",
    "vector_": "one dimension of a vector, where a format has no lists: vector_<number from 1>; "
    "in the files of a probe, one layer's vector: vector_<layer>_<pooling>",
    "setting_": "a value that a search tried: setting_<name of the value>",
    "fold_": "this figure within one fold: fold_<fold>",
    "low_": "lower end of the 95 % interval of a metric: low_<metric>",
    "high_": "upper end of the 95 % interval of a metric: high_<metric>",
    "input_": "a column of the user's own table that is carried along: input_<column>",
}


def find_meaning(column: str) -> str | None:
    """What a column that we write means, or None when there is no such column.

    >>> find_meaning("probability_Mitochondrion")
    'predicted probability of one class or label: probability_<label>'
    """
    if column in MEANINGS:
        return MEANINGS[column]
    for prefix, meaning in PREFIXES.items():
        if column.startswith(prefix) and len(column) > len(prefix):
            return meaning
    return None
