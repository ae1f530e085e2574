"""How a family model is fitted: what its user may say, and what goes with every result."""

from dataclasses import dataclass

from lexome.devices import DTYPES
from lexome.errors import InputError
from lexome.sequence.family_rows import Identity, check_identity


@dataclass(frozen=True, kw_only=True)
class FamilySettings:
    """The defaults are those of the publications that `docs/alignment-models.md` names."""

    theta: float = 0.2  # rows nearer than this share their weight
    identity: Identity = "own-residues"
    row_gaps: float = 0.5  # rows with a larger share of gaps are left out
    column_gaps: float = 1.0  # columns likewise; 1: all stay
    seed: int = 0
    steps: int | None = None  # of a fit by gradients; None: the rule's own
    seconds: float | None = None  # a fit ends here at the latest; then another machine differs
    dtype: str = "auto"  # of the large products: bf16 where the CPU has it, else fp32
    samples: int = 200  # of the autoencoder's bound, when mutants are scored
    importance: int = 1  # draws of the latents a sample: 1 is the ELBO, more a tighter bound

    def __post_init__(self) -> None:
        check_identity(self.theta, self.identity)
        for name, value in (("row_gaps", self.row_gaps), ("column_gaps", self.column_gaps)):
            if not 0 <= value <= 1:
                raise InputError(name, str(value), "a share from 0 to 1", "0.5")
        for name, number in (
            ("steps", self.steps),
            ("seconds", self.seconds),
            ("samples", self.samples),
            ("importance", self.importance),
        ):
            if number is not None and number <= 0:
                raise InputError(name, str(number), "more than 0", f"the default of {name}")
        if self.dtype not in ("auto", *DTYPES):
            raise InputError("dtype", repr(self.dtype), "auto, fp32 or bf16", "auto")
