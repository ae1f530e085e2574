"""A layer of StripedHyena in its fast form: long sequences a piece at a time, forms kept."""

# Letters: T tokens of a piece, B rows, D width, C = 3 D channels, S states, R = 2 S,
#          K tokens of a block, J blocks.
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lexome.layers.hyena import ModalMixer
from lexome.layers.layout import Layout, PackedLayout
from lexome.layers.modal_filter import BlockForms
from lexome.layers.rotary import Turn
from lexome.layers.striped_block import StripedBlock

PIECE, GPU_PIECE = 1024, 65536  # tokens; on a CPU their activations stay in the caches
FEWEST_ROWS = 4  # that linears compute; fewer take no less time


class Piece(NamedTuple):
    """Tokens [start, end) of a packed batch, and the lengths of the sequences in them.

    One that `goes_on` begins where the piece before it ended, in the same sequence.
    """

    start: int
    end: int
    lengths: list[int]
    goes_on: bool


def cut(lengths: list[int], most: int) -> Iterator[Piece]:
    """Short sequences together, long ones in parts.

    >>> [(piece.start, piece.end, piece.goes_on) for piece in cut([3, 4, 2500], 1024)]
    [(0, 7, False), (7, 1031, False), (1031, 2055, True), (2055, 2507, True)]
    """
    start = 0
    together: list[int] = []
    for length in lengths:
        if together and sum(together) + length > most:
            yield Piece(start, start + sum(together), together, False)
            start, together = start + sum(together), []
        if length <= most:
            together.append(length)
            continue
        for first in range(0, length, most):
            size = min(most, length - first)
            yield Piece(start + first, start + first + size, [size], first > 0)
        start += length
    if together:
        yield Piece(start, start + sum(together), together, False)


class FastModalMixer(nn.Module):
    """The same mixer with its channels in plain thirds, and what a block needs made once.

    The skip is part of the response, as its first value.
    """

    def __init__(self, plain: ModalMixer, linear: type[nn.Module], batch_hint: int) -> None:
        super().__init__()
        width = len(plain.skip)
        order = torch.arange(3 * width, device=plain.skip.device)
        order = order.view(plain.num_groups, 3, -1).transpose(0, 1).flatten()
        self.project: Any = linear(
            plain.project.weight[order], plain.project.bias[order], batch_hint
        )
        self.output: Any = linear(plain.output.weight, plain.output.bias, batch_hint)
        short = plain.short_filter
        taps_3C = short.weight[order, 0].T.contiguous()
        self.short_filter = nn.ParameterDict({"taps_3C": taps_3C, "bias_C": short.bias[order]})
        forms, filter = plain.long_filter.forms(), plain.long_filter
        diagonal = forms.inside_DKK.diagonal(dim1=1, dim2=2)
        diagonal += plain.skip.float()[:, None]
        self.long_filter = filter
        self.skip = plain.skip
        # Kept out of the parameters: they stay in fp32, and are no weights of the model.
        self._forms = forms
        self._poles_DS = filter.find_poles()
        residues_DS2 = filter.residues * torch.tensor([1.0, -1.0], device=filter.residues.device)
        self._read_DR = residues_DS2.flatten(1)

    def mix(
        self, projected_TC: Tensor, fir_2C: Tensor | None, iir_DS: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Everything between the two linears for tokens of one sequence, and both states."""
        filtered_TC = self.filter_short(projected_TC, fir_2C)
        after_TD, before_TD, value_TD = filtered_TC.chunk(3, dim=-1)
        u_DT = (before_TD * value_TD).float().T.contiguous()
        long_DT, iir_DS = scan(u_DT, iir_DS, self._forms)
        mixed_TD = long_DT.T.contiguous().to(after_TD.dtype).mul_(after_TD)
        if len(projected_TC) > 1:
            return mixed_TD, projected_TC[-2:].clone(), iir_DS
        before_C = torch.zeros_like(projected_TC[0]) if fir_2C is None else fir_2C[1]
        return mixed_TD, torch.stack([before_C, projected_TC[0]]), iir_DS

    def filter_short(self, x_TC: Tensor, fir_2C: Tensor | None) -> Tensor:
        """The short filter, with as few passes over the tokens as there are taps."""
        first_C, second_C, third_C = self.short_filter["taps_3C"].unbind(0)
        out_TC = torch.addcmul(self.short_filter["bias_C"], x_TC, third_C)
        out_TC[1:].addcmul_(x_TC[:-1], second_C)
        out_TC[2:].addcmul_(x_TC[:-2], first_C)
        if fir_2C is not None:
            out_TC[0].addcmul_(fir_2C[0], first_C).addcmul_(fir_2C[1], second_C)
            if len(out_TC) > 1:
                out_TC[1].addcmul_(fir_2C[1], first_C)
        return out_TC

    def step(self, projected_BC: Tensor, state: dict[str, Tensor]) -> Tensor:
        """One token of every row; the state is brought up to date in place."""
        fir_BC2, iir_BDS = state["fir"], state["iir"]
        first_C, second_C, third_C = self.short_filter["taps_3C"].unbind(0)
        out_BC = torch.addcmul(self.short_filter["bias_C"], projected_BC, third_C)
        out_BC.addcmul_(fir_BC2[..., 1], second_C).addcmul_(fir_BC2[..., 0], first_C)
        fir_BC2[..., 0] = fir_BC2[..., 1]
        fir_BC2[..., 1] = projected_BC
        after_BD, before_BD, value_BD = out_BC.chunk(3, dim=-1)
        u_BD = before_BD * value_BD
        iir_BDS.mul_(self._poles_DS).add_(u_BD[..., None])
        read_BDR = torch.view_as_real(iir_BDS).flatten(-2) * self._read_DR
        long_BD = read_BDR.sum(-1).to(u_BD.dtype)
        return long_BD.addcmul_(self.skip, u_BD).mul_(after_BD)


class FastStripedBlock(nn.Module):
    """The same layer; what lies between its linears is computed a piece of the tokens at a time."""

    def __init__(self, plain: StripedBlock, linear: type[nn.Module], batch_hint: int) -> None:
        super().__init__()
        self.mixer_norm, self.feed_forward_norm = plain.mixer_norm, plain.feed_forward_norm
        self.mixer = FastModalMixer(plain.mixer, linear, batch_hint)
        self.feed_forward: Any = plain.feed_forward
        self.attends = False

    def forward(
        self,
        x_ND: Tensor,
        layout: Layout,
        turn: Turn | None,
        maps: list[list[Tensor]] | None = None,
    ) -> Tensor:
        """`x_ND` after both halves."""
        if not isinstance(layout, PackedLayout):
            rows = PackedLayout([x_ND.shape[1]] * len(x_ND), x_ND.device)
            return self.forward(x_ND.flatten(0, 1), rows, turn).view_as(x_ND)
        out_TD = torch.empty_like(x_ND)
        fir = iir = None
        for piece in cut(layout.lengths, find_piece(x_ND)):
            if not piece.goes_on:
                fir = iir = None
            x_TD = x_ND[piece.start : piece.end]
            projected_TC = self.mixer.project(self.mixer_norm(x_TD))
            mixed = []
            for own_TC in torch.split(projected_TC, piece.lengths):
                own_TD, fir, iir = self.mixer.mix(own_TC, fir, iir)
                if len(piece.lengths) > 1:
                    fir = iir = None
                mixed.append(own_TD)
            mixed_TD = mixed[0] if len(mixed) == 1 else torch.cat(mixed)
            out_TD[piece.start : piece.end] = self.feed(x_TD, mixed_TD)
        return out_TD

    def extend(
        self, x_BTD: Tensor, turn: Turn | None, state: dict[str, Tensor], lengths: list[int]
    ) -> Tensor:
        """Tokens behind those that the rows' state knows."""
        if x_BTD.shape[1] == 1:
            num_rows = len(x_BTD)
            x_BD = fill_rows(x_BTD[:, 0])  # once, rather than by each linear
            projected_BC = self.mixer.project(self.mixer_norm(x_BD))
            mixed_BD = fill_rows(self.mixer.step(projected_BC[:num_rows], state))
            return self.feed(x_BD, mixed_BD)[:num_rows, None]
        out_BTD = torch.empty_like(x_BTD)
        for row, x_ND in enumerate(x_BTD):
            fir, iir = state["fir"][row].T, state["iir"][row]
            most = find_piece(x_ND)
            for start in range(0, len(x_ND), most):
                x_TD = x_ND[start : start + most]
                projected_TC = self.mixer.project(self.mixer_norm(x_TD))
                mixed_TD, fir, iir = self.mixer.mix(projected_TC, fir, iir)
                out_BTD[row, start : start + most] = self.feed(x_TD, mixed_TD)
            state["fir"][row], state["iir"][row] = fir.T, iir
        return out_BTD

    def feed(self, x_ND: Tensor, mixed_ND: Tensor) -> Tensor:
        """The mixer's output added, and the second half."""
        x_ND = self.mixer.output(mixed_ND).add_(x_ND)
        out_ND: Tensor = self.feed_forward(self.feed_forward_norm(x_ND)).add_(x_ND)
        return out_ND


def find_piece(x_ND: Tensor) -> int:
    """Tokens of a piece on this device."""
    return PIECE if x_ND.device.type == "cpu" else GPU_PIECE


def fill_rows(rows_BD: Tensor) -> Tensor:
    """At least as many rows as a linear would compute anyway."""
    missing = FEWEST_ROWS - len(rows_BD)
    return F.pad(rows_BD, (0, 0, 0, missing)) if missing > 0 else rows_BD


def scan(u_DT: Tensor, state_DS: Tensor | None, forms: BlockForms) -> tuple[Tensor, Tensor]:
    """`ModalFilter.scan` for one row, written into one tensor."""
    tokens, size = u_DT.shape[1], len(forms.powers_KDS)
    if state_DS is None:
        state_DS = torch.zeros_like(forms.powers_KDS[0])
    whole = tokens - tokens % size
    out_DT = torch.empty_like(u_DT)
    for start, end, block in ((0, whole, size), (whole, tokens, tokens - whole)):
        if start == end:
            continue
        u_DJK = u_DT[:, start:end].reshape(len(u_DT), -1, block)
        own_DJR = torch.bmm(u_DJK, forms.into_DKR[:, -block:])
        own_JDS = torch.view_as_complex(
            own_DJR.view(*own_DJR.shape[:2], -1, 2).transpose(0, 1).contiguous()
        )
        jump_DS, before = forms.powers_KDS[block - 1], []
        for own_DS in own_JDS.unbind(0):
            before.append(state_DS)
            state_DS = own_DS.addcmul_(jump_DS, state_DS)
        before_DJR = torch.view_as_real(torch.stack(before, 1)).flatten(-2)
        out_DJK = torch.bmm(u_DJK, forms.inside_DKK[:, :block, :block])
        out_DJK.baddbmm_(before_DJR, forms.out_DRK[..., :block])
        out_DT[:, start:end] = out_DJK.flatten(1)
    return out_DT, state_DS
