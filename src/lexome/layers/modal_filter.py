"""Long filters that are sums of damped waves, h[t] = Re sum_s residue_s pole_s^t.

Such a filter has a state of S numbers a channel: s <- pole s + u, y = Re sum residue s. So the
convolution can be computed in blocks, with the state between them, in linear time and memory.
"""

# Letters: B rows, T tokens, D channels, S states, K tokens of a block, J blocks,
#          R = 2 S real numbers of a state: real parts and imaginary ones in turn.
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lexome.layers.long_convolution import convolve

BLOCK = 64


class BlockForms(NamedTuple):
    """What a block of up to K tokens needs; a shorter one takes corners of these. All fp32."""

    inside_DKK: Tensor  # [j, i]: of input j to output i, h[i - j]
    into_DKR: Tensor  # [j]: of input j to the state behind the block's last token, pole^(K-1-j)
    out_DRK: Tensor  # [:, i]: of the state before the block to output i, residue pole^(i+1)
    powers_KDS: Tensor  # pole^1 ... pole^K, complex64


class ModalFilter(nn.Module):
    """One filter a channel, its poles and residues stored as (real, imaginary).

    `constrained` poles are |pole| = exp(-softplus(decay)) at an angle, always inside of the unit
    circle: for training from nothing. Published models store poles as they are. All is computed in
    fp32 whatever the rest of a model is: rounded to bf16, poles move logits by 2.
    Source: Poli et al. 2023 (StripedHyena), Massaroli et al. 2023 (modal form).
    """

    fp32_tensors: ClassVar[tuple[str, ...]] = ("poles", "residues", "decay", "angle")

    def __init__(self, channels: int, num_states: int, constrained: bool = False) -> None:
        super().__init__()
        self.constrained = constrained
        shape = (channels, num_states)
        self.residues = nn.Parameter(torch.empty(*shape, 2))
        if constrained:
            self.decay = nn.Parameter(torch.empty(shape))
            self.angle = nn.Parameter(torch.empty(shape))
        else:
            self.poles = nn.Parameter(torch.empty(*shape, 2))
        self.initialize()

    @torch.no_grad()
    def initialize(self) -> None:
        """Waves that last from 1 to 1,000 tokens, at all angles; a filter of about unit power."""
        shape = self.residues.shape[:2]
        rate_DS = 10 ** (-3 * torch.rand(shape))  # softplus(decay)
        angle_DS = torch.pi * torch.rand(shape)
        # A wave of radius e^-rate has the power 1 / (1 - e^(-2 rate)).
        power_DS1 = (-torch.expm1(-2 * rate_DS))[..., None] / self.residues.shape[1]
        self.residues.copy_(power_DS1.sqrt() * torch.randn(*shape, 2))
        if self.constrained:
            self.decay.copy_(torch.log(torch.expm1(rate_DS)))
            self.angle.copy_(angle_DS)
        else:
            self.poles.copy_(torch.view_as_real(torch.polar(torch.exp(-rate_DS), angle_DS)))

    def find_poles(self) -> Tensor:
        """The poles (D, S), complex64."""
        if self.constrained:
            return torch.polar(torch.exp(-F.softplus(self.decay)), self.angle)
        return torch.view_as_complex(self.poles)

    def response(self, length: int) -> Tensor:
        """h[0 .. length - 1] of every channel (D, length): blocks of powers, and their powers."""
        poles_DS, residues_DS = self.find_poles(), torch.view_as_complex(self.residues)
        num_blocks = -(-length // BLOCK)
        inner_KDS = powers(poles_DS, BLOCK)
        outer_JDS = powers(inner_KDS[-1] * poles_DS, num_blocks)
        weighted_DJS = (outer_JDS * residues_DS).permute(1, 0, 2)
        left_DJR = torch.view_as_real(weighted_DJS.conj().resolve_conj()).flatten(-2).float()
        right_DKR = torch.view_as_real(inner_KDS.permute(1, 0, 2)).flatten(-2).float()
        return torch.bmm(left_DJR, right_DKR.mT).flatten(1)[:, :length]

    def forms(self, size: int = BLOCK) -> BlockForms:
        """The forms of blocks of `size` tokens; powers are taken in double precision."""
        poles_DS, residues_DS = self.find_poles(), torch.view_as_complex(self.residues)
        powers_KDS = powers(poles_DS, size + 1)
        out_KDS = powers_KDS * residues_DS
        h_DK = out_KDS[:-1].real.sum(-1).T
        index_K = torch.arange(size, device=h_DK.device)
        lag_KK = index_K - index_K[:, None]
        inside_DKK = torch.where(lag_KK >= 0, h_DK[:, lag_KK.clamp(min=0)], 0.0)
        into_DKS = powers_KDS[:-1].flip(0).permute(1, 0, 2)
        out_DSK = out_KDS[1:].conj().resolve_conj().permute(1, 2, 0)  # Re(r s) = r_re s_re - ...
        return BlockForms(
            inside_DKK.float(),
            torch.view_as_real(into_DKS).flatten(-2).float(),
            torch.view_as_real(out_DSK).transpose(2, 3).flatten(1, 2).float(),
            powers_KDS[1:].to(torch.complex64),
        )

    def scan(
        self, u_DBT: Tensor, state_BDS: Tensor | None = None, forms: BlockForms | None = None
    ) -> tuple[Tensor, Tensor]:
        """The convolution (D, B, T) that goes on from a state, and the state behind it.

        Exact for rows of any length: the filter ends nowhere. Channels come first.
        """
        forms = forms or self.forms()
        size = len(forms.powers_KDS)
        tokens = u_DBT.shape[-1]
        if state_BDS is None:
            state_BDS = forms.powers_KDS.new_zeros(u_DBT.shape[1], *forms.powers_KDS.shape[1:])
        whole = tokens - tokens % size
        parts = []
        if whole:
            blocks_DBJK = u_DBT[..., :whole].reshape(*u_DBT.shape[:2], -1, size)
            out_DBJK, state_BDS = scan_blocks(blocks_DBJK, state_BDS, forms)
            parts.append(out_DBJK.flatten(-2))
        if tokens > whole:
            out_DB1K, state_BDS = scan_blocks(u_DBT[..., None, whole:], state_BDS, forms)
            parts.append(out_DB1K[..., 0, :])
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1), state_BDS

    def step(self, u_BD: Tensor, state_BDS: Tensor) -> tuple[Tensor, Tensor]:
        """One token of every row: its output (B, D), and the state behind it."""
        state_BDS = self.find_poles() * state_BDS + u_BD[..., None]
        real_BDS2 = torch.view_as_real(state_BDS)
        products_BDS = real_BDS2[..., 0] * self.residues[..., 0]
        products_BDS = products_BDS - real_BDS2[..., 1] * self.residues[..., 1]
        return products_BDS.sum(-1), state_BDS

    def convolve(self, u_DBT: Tensor) -> Tensor:
        """The same convolution by FFT with the whole response: the plain twin of `scan`."""
        return convolve(u_DBT, self.response(u_DBT.shape[-1])[:, None])


def powers(base_DS: Tensor, count: int) -> Tensor:
    """base^0 ... base^(count - 1), complex128 (count, D, S), by doubling what is known.

    No logarithm, so a pole of zero is no special case.
    """
    base_DS = base_DS.to(torch.complex128)
    known_KDS = torch.ones_like(base_DS)[None]
    top_DS = base_DS  # base^len(known)
    while len(known_KDS) < count:
        known_KDS = torch.cat([known_KDS, known_KDS * top_DS])
        top_DS = top_DS * top_DS
    return known_KDS[:count]


def scan_blocks(u_DBJK: Tensor, state_BDS: Tensor, forms: BlockForms) -> tuple[Tensor, Tensor]:
    """J blocks of K tokens of every row, K up to the forms' own size.

    Inside of a block a product with the response; then the states between blocks, one after the
    other; then what each block's state adds to it. Real batched products, channels as the batch.
    """
    channels, rows, num_blocks, size = u_DBJK.shape
    flat_DNK = u_DBJK.reshape(channels, rows * num_blocks, size)
    own_DNR = torch.bmm(flat_DNK, forms.into_DKR[:, -size:])
    own_JBDS = torch.view_as_complex(
        own_DNR.view(channels, rows, num_blocks, -1, 2).permute(2, 1, 0, 3, 4).contiguous()
    )
    jump_DS = forms.powers_KDS[size - 1]
    before = []
    for own_BDS in own_JBDS.unbind(0):
        before.append(state_BDS)
        state_BDS = jump_DS * state_BDS + own_BDS
    before_DBJS2 = torch.view_as_real(torch.stack(before)).permute(2, 1, 0, 3, 4)
    before_DNR = before_DBJS2.reshape(channels, rows * num_blocks, -1)
    out_DNK = torch.bmm(flat_DNK, forms.inside_DKK[:, :size, :size])
    out_DNK = torch.baddbmm(out_DNK, before_DNR, forms.out_DRK[..., :size])
    return out_DNK.view(channels, rows, num_blocks, size), state_BDS
