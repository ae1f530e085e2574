"""Integers to tensors: batches without padding, bounded in tokens; the padded twin beside them."""
