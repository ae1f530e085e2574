"""Division by the root mean square, as StripedHyena has it."""

# Letters: N leading shape, D width.
import torch
from torch import Tensor, nn


class RMSNorm(nn.Module):
    """scale x / (rms(x) + eps): eps is added to the root, not under it, in the dtype of `x`.

    Source: togethercomputer/stripedhyena layers.py.
    """

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x_ND: Tensor) -> Tensor:
        rms_N1 = torch.linalg.vector_norm(x_ND, dim=-1, keepdim=True) * x_ND.shape[-1] ** -0.5
        normed_ND: Tensor = self.scale * (x_ND / (rms_N1 + self.eps))
        return normed_ND
