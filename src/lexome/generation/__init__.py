"""New sequences from causal models: sampled, or found by beams.

`engine.py` keeps a batch of rows busy: a sequence that ends leaves its row, one that waits takes
it. What is drawn is a function of the seed, the sample's number, its prompt and the settings, so a
sample is the same in any company (`draws.py`). `sampling.py` holds the filters, each on a row.
"""
