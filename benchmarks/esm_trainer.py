"""The peer of the training benchmarks: a random ESM-2 of transformers, and its Trainer on a CPU."""

from pathlib import Path
from typing import Any

VOCABULARY = Path(__file__).parents[1] / "src/lexome/weights/protein-mini/vocab.txt"
SEED = 0


def esm_config(shape: str) -> Any:
    """ESM-2 of a shape such as 12x480x20 (layers, width, heads), without dropout."""
    from transformers import EsmConfig

    layers, width, heads = map(int, shape.split("x"))
    return EsmConfig(
        vocab_size=33,
        num_hidden_layers=layers,
        hidden_size=width,
        num_attention_heads=heads,
        intermediate_size=4 * width,
        mask_token_id=32,
        pad_token_id=1,
        position_embedding_type="rotary",
        token_dropout=True,
        emb_layer_norm_before=False,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )


def trainer_arguments(output: str, batch: int, order: str, **others: Any) -> Any:
    """Of a training that saves and prints nothing; `order` of rows: random or group_by_length."""
    from transformers import TrainingArguments

    return TrainingArguments(
        output_dir=output,
        use_cpu=True,
        per_device_train_batch_size=batch,
        train_sampling_strategy=order,
        save_strategy="no",
        report_to=[],
        logging_strategy="no",
        disable_tqdm=True,
        seed=SEED,
        **others,
    )
