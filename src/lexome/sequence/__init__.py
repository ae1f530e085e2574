"""What a sequence is: names, letters and their alphabets. No files, no tensors."""

from lexome.sequence.alphabet import ALPHABETS, Alphabet
from lexome.sequence.records import Record

__all__ = ["ALPHABETS", "Alphabet", "Record"]
