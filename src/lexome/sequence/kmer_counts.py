"""How often each word of k bases occurs in a sequence."""

# Letters: S sequences, G words.
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse

BASES = "ACGT"


def count_kmers(sequences: Sequence[str], k: int) -> Any:
    """Counts of the 4^k words in the order of the alphabet, a sparse matrix (S, 4^k) of float64.

    U counts as T, lower case as upper case; a word with any other letter is left out.

    >>> count_kmers(["AACU", "NA"], 2).toarray()[0, [0, 1, 7]].tolist()
    [1.0, 1.0, 1.0]
    """
    code_of = np.full(256, -1, np.int64)
    for number, base in enumerate(BASES):
        code_of[[ord(base), ord(base.lower())]] = number
    code_of[[ord("U"), ord("u")]] = BASES.index("T")
    lengths = np.array([len(sequence) for sequence in sequences])
    letters = np.frombuffer("".join(sequences).encode("latin-1", "replace"), np.uint8)
    codes = code_of[letters]
    row = np.repeat(np.arange(len(sequences)), lengths)
    num = len(codes) - k + 1
    if num < 1:
        return sparse.csr_matrix((len(sequences), 4**k))
    word, fits = np.zeros(num, np.int64), row[:num] == row[k - 1 :]
    for place in range(k):
        code = codes[place : place + num]
        word, fits = word * 4 + code, fits & (code >= 0)
    ones = np.ones(int(fits.sum()))
    return sparse.csr_matrix((ones, (row[:num][fits], word[fits])), (len(sequences), 4**k))
