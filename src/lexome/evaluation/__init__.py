"""How good is a prediction: metrics with intervals, splits without leakage, and the audit.

Everything here takes NumPy arrays and sequences and hands back named tuples from
`lexome.results.types`; no model and no torch is needed, so a table of predictions made by any
program can be judged by the same rules. The path of a run is `splits` (which rows go where, by
`clusters`), `leakage` (what the parts share all the same), `calibration` (the threshold, from
the validation part only), `metrics` and `uncertainty` (figures with intervals).
"""
