"""A layer of StripedHyena: a mixer and a gated feed-forward, each behind a norm."""

# Letters: N leading shape, B rows, T tokens, H heads, d head width, D width.
from typing import Any

from torch import Tensor, nn

from lexome.layers.attention import Attention
from lexome.layers.cached import Reading, attend_cached
from lexome.layers.feed_forward import GatedFeedForward
from lexome.layers.hyena import ModalMixer
from lexome.layers.layout import Layout
from lexome.layers.rms_norm import RMSNorm
from lexome.layers.rotary import Turn


class StripedBlock(nn.Module):
    """x + mixer(norm x), then x + feed-forward(norm x); the mixer convolves or attends."""

    def __init__(
        self, mixer: Attention | ModalMixer, width: int, inner_width: int, eps: float
    ) -> None:
        super().__init__()
        self.mixer_norm = RMSNorm(width, eps)
        self.mixer: Any = mixer
        self.attends = isinstance(mixer, Attention)
        self.feed_forward_norm = RMSNorm(width, eps)
        self.feed_forward = GatedFeedForward(width, inner_width, "gelu", down_bias=False)

    def forward(
        self,
        x_ND: Tensor,
        layout: Layout,
        turn: Turn | None,
        maps: list[list[Tensor]] | None = None,
    ) -> Tensor:
        """`x_ND` after both halves; an attention layer appends its maps where asked."""
        normed_ND = self.mixer_norm(x_ND)
        if not self.attends:
            return self.feed(x_ND + self.mixer(normed_ND, layout))
        query_NHd, key_NHd, value_NHd = self.mixer.project(normed_ND, turn)
        if maps is not None:
            maps.append(layout.attention_maps(query_NHd, key_NHd, causal=True))
        context_NHd = layout.attend(query_NHd, key_NHd, value_NHd, causal=True)
        return self.feed(x_ND + self.mixer.output(context_NHd.flatten(-2)))

    def extend(
        self, x_BTD: Tensor, turn: Turn | None, state: dict[str, Tensor], reading: Reading
    ) -> Tensor:
        """Tokens behind those that the rows' state knows."""
        normed_BTD = self.mixer_norm(x_BTD)
        if not self.attends:
            return self.feed(x_BTD + self.mixer.extend(normed_BTD, state))
        query_BTHd, key_BTHd, value_BTHd = self.mixer.project(normed_BTD, turn)
        context_BTHd = attend_cached(query_BTHd, key_BTHd, value_BTHd, state, reading)
        return self.feed(x_BTD + self.mixer.output(context_BTHd.flatten(-2)))

    def feed(self, x_ND: Tensor) -> Tensor:
        """The second half."""
        out_ND: Tensor = x_ND + self.feed_forward(self.feed_forward_norm(x_ND))
        return out_ND
