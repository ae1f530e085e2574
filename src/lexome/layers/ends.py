"""How far a token stands from either end of its sequence, as smooth numbers."""

# Letters: S sequences, L longest, P numbers (two a scale).
import torch
from torch import Tensor

from lexome.layers.layout import PaddedLayout

# Residues over which a signal fades: targeting peptides live in the first 20 to 80 residues.
SCALES = (2.0, 5.0, 12.0, 30.0, 75.0)
NUM_ENDS = 2 * len(SCALES)


def distance_to_ends(layout: PaddedLayout) -> Tensor:
    """exp(-distance / scale) to the first and to the last token, (S, L, P)."""
    scales = torch.tensor(SCALES, device=layout.positions_N.device)
    front_SL = layout.positions_N
    back_SL = (layout.lengths_S[:, None] - 1 - front_SL).clamp(min=0)
    fading = [torch.exp(-distance[..., None] / scales) for distance in (front_SL, back_SL)]
    return torch.cat(fading, dim=-1)
