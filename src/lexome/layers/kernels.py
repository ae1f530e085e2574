"""Faster forms of the bricks, put on a finished model from outside; the bricks are their twins.

`accelerate` swaps modules of a model that will only run forward. Each form is used where the
machine and the torch version are known good, and tested against the plain brick.
"""

# Letters: T tokens, H heads, d head width, P = d / 2 pairs, D width, F feed-forward width.
from collections.abc import Callable
from functools import cache
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lexome.layers.attention import Attention
from lexome.layers.block import BLOCKS
from lexome.layers.feed_forward import ACTIVATIONS, FeedForward, GatedFeedForward
from lexome.layers.heads import TokenScores
from lexome.layers.hyena import ImplicitMixer, ModalMixer
from lexome.layers.rotary import Rotary
from lexome.layers.unembedding import Unembedding
from lexome.layers.unscaled_attention import CrossAttention, UnscaledAttention

Activation = Literal["none", "gelu", "gelu_new", "relu"]
ROWS = 64  # PackedLinear works on multiples of so many
FEWEST_ROWS = 4  # and on so many at least: oneDNN is slower for 2 rows, and for 1, than for 4


@cache
def has_packed_linear() -> bool:
    """Whether oneDNN's linear with reordered weights works here: private to torch, so tried out."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    try:
        x, weight, bias = torch.eye(2), torch.ones(3, 2), torch.zeros(3)
        packed = torch.ops.mkldnn._reorder_linear_weight(weight, 2)
        out = torch.ops.mkldnn._linear_pointwise(x, packed, bias, "gelu", [], "none")
    except (AttributeError, RuntimeError, NotImplementedError):
        return False
    return bool(torch.allclose(out, F.gelu(F.linear(x, weight, bias)), atol=1e-6))


class PackedLinear(nn.Module):
    """F.linear with the weight in oneDNN's own order, and GELU or ReLU in the same pass if asked.

    The reordered weight is the only copy kept.
    """

    def __init__(
        self, weight: Tensor, bias: Tensor | None, batch_hint: int, activation: Activation = "none"
    ) -> None:
        super().__init__()
        # oneDNN's name, and which of its forms: the exact one, or by the tangent
        self._fused = {"gelu_new": ("gelu", "tanh")}.get(activation, (activation, "none"))
        # Opaque tensors cannot be buffers: state_dict and .to() do not understand them.
        self._packed = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), batch_hint)
        self._bias = None if bias is None else bias.contiguous()

    def forward(self, x_ND: Tensor) -> Tensor:
        flat = x_ND.flatten(0, -2)
        out: Tensor = torch.ops.mkldnn._linear_pointwise(
            _fill_rows(flat), self._packed, self._bias, self._fused[0], [], self._fused[1]
        )
        return out[: len(flat)].reshape(*x_ND.shape[:-1], -1)


def _fill_rows(flat: Tensor) -> Tensor:
    """Rows of zeros up to the next multiple, or the next power of two.

    oneDNN makes code for every number of rows that it meets, and keeps it: with batches of any
    length that took time and gigabytes. So the numbers are kept few. From two rows on, a row's
    numbers are the same to the bit whatever the others hold; alone, another sum is made of it.
    """
    rows = len(flat)
    if rows < FEWEST_ROWS:
        return torch.cat([flat] * (FEWEST_ROWS // rows) + [flat[: FEWEST_ROWS % rows]])
    wanted = rows + -rows % ROWS if rows > ROWS // 2 else 1 << (rows - 1).bit_length()
    if rows == wanted:
        return flat
    filled = flat.new_empty(wanted, flat.shape[1])
    filled[:rows], filled[rows:] = flat, 0
    return filled


class PlainLinear(nn.Module):
    """The same answers from F.linear, where oneDNN is not at hand."""

    def __init__(
        self, weight: Tensor, bias: Tensor | None, batch_hint: int, activation: Activation = "none"
    ) -> None:
        super().__init__()
        self.activation = activation
        self._weight = nn.Parameter(weight, False)
        self._bias = None if bias is None else nn.Parameter(bias, False)

    def forward(self, x_ND: Tensor) -> Tensor:
        out = F.linear(x_ND, self._weight, self._bias)
        return out if self.activation == "none" else ACTIVATIONS[self.activation](out)


class FastFeedForward(nn.Module):
    """Both linears reordered, GELU or ReLU fused into the first."""

    def __init__(self, plain: FeedForward, linear: type[nn.Module], batch_hint: int) -> None:
        super().__init__()
        self.activation = plain.activation
        self.is_fused = plain.activation in get_args(Activation)
        fused = plain.activation if self.is_fused else "none"
        self.up = linear(plain.up.weight, plain.up.bias, batch_hint, fused)
        self.down = linear(plain.down.weight, plain.down.bias, batch_hint)

    def forward(self, x_ND: Tensor) -> Tensor:
        hidden_NF = self.up(x_ND)
        if not self.is_fused:
            hidden_NF = ACTIVATIONS[self.activation](hidden_NF)
        out: Tensor = self.down(hidden_NF)
        return out


class FastGatedFeedForward(nn.Module):
    """Each half of the wide linear reordered by itself, GELU fused into the first."""

    def __init__(self, plain: GatedFeedForward, linear: type[nn.Module], batch_hint: int) -> None:
        super().__init__()
        self.activation = plain.activation
        fused = "gelu" if plain.activation == "gelu" else "none"
        gate, value = plain.up.weight.chunk(2)
        self.gate = linear(gate, None, batch_hint, fused)
        self.value = linear(value, None, batch_hint)
        self.down = linear(plain.down.weight, plain.down.bias, batch_hint)

    def forward(self, x_ND: Tensor) -> Tensor:
        gate_NF = self.gate(x_ND)
        if self.activation != "gelu":
            gate_NF = ACTIVATIONS[self.activation](gate_NF)
        out: Tensor = self.down(gate_NF * self.value(x_ND))
        return out


class FastTokenScores(nn.Module):
    """Rows of the head reordered when they are first asked for: tied ones are the embedding's."""

    def __init__(self, plain: TokenScores, linear: type[nn.Module], batch_hint: int) -> None:
        super().__init__()
        self._plain: TokenScores | None = plain
        self._linear, self._batch_hint = linear, batch_hint
        self.scores: nn.Module | None = None

    def forward(self, x_ND: Tensor, embedding_VD: Tensor) -> Tensor:
        if self.scores is None:
            assert self._plain is not None
            rows = embedding_VD if self._plain.rows is None else self._plain.rows
            self.scores = self._linear(rows, self._plain.bias, self._batch_hint)
            self._plain = None
        scores: Tensor = self.scores(x_ND)
        return scores


class WideTurn(NamedTuple):
    """cos + i sin for every head, laid out like the q and k that it multiplies.

    Broadcasting over heads instead would leave the multiplication a run of P numbers at a time.
    """

    numbers_NHP: Tensor  # H counts the heads of q and of k


class FastRotary(nn.Module):
    """The turn of every position, made once and shared by all layers."""

    def __init__(self, plain: Rotary, num_heads: int) -> None:
        super().__init__()
        self.plain, self.num_heads = plain, num_heads

    def forward(self, positions_N: Tensor) -> WideTurn:
        turn_N1P = torch.complex(*self.plain(positions_N)[:2])
        return WideTurn(turn_N1P.expand(*positions_N.shape, 2 * self.num_heads, -1).contiguous())


class FastAttention(nn.Module):
    """q, k, v in one product, and the rotation as one complex multiplication.

    Rows of the q and k weights are reordered so that the two channels of a pair lie side by side
    (a common permutation of q and k leaves q k^T as it is), and the query's scale is folded in.
    Without rotary positions they stay in their order.
    """

    def __init__(
        self, plain: Attention, linear: type[nn.Module], batch_hint: int, rotary: Rotary | None
    ) -> None:
        super().__init__()
        width = plain.query.weight.shape[0]
        self.num_heads, self.head_width = plain.num_heads, width // plain.num_heads
        order = torch.arange(width)
        if rotary is not None and not rotary.interleaved:
            heads = order.view(self.num_heads, -1)
            turned = 2 * len(rotary.inv_freq)
            pairs = heads[:, :turned].view(self.num_heads, 2, -1).transpose(1, 2)
            order = torch.cat([pairs.flatten(1), heads[:, turned:]], 1).flatten()
        order = order.to(plain.query.weight.device)
        scale = self.head_width**-0.5
        weight = torch.cat(
            [plain.query.weight[order] * scale, plain.key.weight[order], plain.value.weight]
        )
        bias = None
        if plain.query.bias is not None:
            bias = torch.cat(
                [plain.query.bias[order] * scale, plain.key.bias[order], plain.value.bias]
            )
        self.project_all = linear(weight, bias, batch_hint)
        self.output = linear(plain.output.weight, plain.output.bias, batch_hint)

    def project(self, x_ND: Tensor, turn: WideTurn | None) -> tuple[Tensor, Tensor, Tensor]:
        """Queries (scaled), keys (both turned, if at all) and values, each (N, H, d)."""
        projected = self.project_all(x_ND)
        shape = (*x_ND.shape[:-1], -1, self.head_width)
        width = self.num_heads * self.head_width
        both_NHd = projected[..., : 2 * width].view(shape)
        value_NHd = projected[..., 2 * width :].view(shape)
        if turn is None:
            query_NHd, key_NHd = torch.split(both_NHd, self.num_heads, dim=-2)
            return query_NHd, key_NHd, value_NHd
        turned = 2 * turn.numbers_NHP.shape[-1]
        pairs_NHP = torch.view_as_complex(both_NHd[..., :turned].float().unflatten(-1, (-1, 2)))
        turned_NHd = torch.view_as_real(pairs_NHP.mul_(turn.numbers_NHP)).flatten(-2)
        turned_NHd = turned_NHd.to(x_ND.dtype)
        if turned < self.head_width:
            turned_NHd = torch.cat([turned_NHd, both_NHd[..., turned:]], -1)
        query_NHd, key_NHd = torch.split(turned_NHd, self.num_heads, dim=-2)
        return query_NHd, key_NHd, value_NHd


class FastUnscaledAttention(nn.Module):
    """q, k, v in one product."""

    def __init__(self, plain: UnscaledAttention, linear: type[nn.Module], batch_hint: int) -> None:
        super().__init__()
        self.num_heads = plain.num_heads
        weight = torch.cat([plain.query.weight, plain.key.weight, plain.value.weight])
        self.project_all = linear(weight, None, batch_hint)
        self.output = linear(plain.output.weight, None, batch_hint)

    def project(self, x_ND: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, each (N, H, d)."""
        heads = (*x_ND.shape[:-1], 3, self.num_heads, -1)
        query_NHd, key_NHd, value_NHd = self.project_all(x_ND).view(heads).unbind(-3)
        return query_NHd, key_NHd, value_NHd


class FastCrossAttention(nn.Module):
    """k and v of the source in one product."""

    def __init__(self, plain: CrossAttention, linear: type[nn.Module], batch_hint: int) -> None:
        super().__init__()
        self.num_heads = plain.num_heads
        self.query = linear(plain.query.weight, None, batch_hint)
        both = torch.cat([plain.key.weight, plain.value.weight])
        self.project_both = linear(both, None, batch_hint)
        self.output = linear(plain.output.weight, None, batch_hint)

    def project_target(self, x_ND: Tensor) -> Tensor:
        """Queries (N, H, d)."""
        query_NU: Tensor = self.query(x_ND)
        return query_NU.view(*x_ND.shape[:-1], self.num_heads, -1)

    def project_source(self, source_ND: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values, each (N, H, d)."""
        heads = (*source_ND.shape[:-1], 2, self.num_heads, -1)
        key_NHd, value_NHd = self.project_both(source_ND).view(heads).unbind(-3)
        return key_NHd, value_NHd


def make_fast_mixer(plain: nn.Module, linear: type[nn.Module], batch_hint: int) -> nn.Module:
    """Both linears reordered."""
    for name in ("project", "output"):
        brick = getattr(plain, name)
        setattr(plain, name, linear(brick.weight, brick.bias, batch_hint))
    return plain


def compile_bricks(network: nn.Module) -> nn.Module:
    """Fuse what lies between the matrix products of a model that trains on a GPU, in place.

    Only what knows nothing of the layout is compiled, so batches of other lengths compile
    nothing anew. What they compute stays the same up to rounding.
    """
    for module in network.modules():
        if isinstance(module, BLOCKS):
            module.enter = torch.compile(module.enter, dynamic=True)  # type: ignore[method-assign]
            module.leave = torch.compile(module.leave, dynamic=True)  # type: ignore[method-assign]
    return network


def accelerate(network: nn.Module, batch_hint: int = 2048) -> nn.Module:
    """Swap the bricks of a model in place for their fast forms; inference only.

    Weights are taken over in the dtype they have. On a GPU only the fusions are applied: there
    F.linear already is the vendor's fastest product.
    """
    on_cpu = next(network.parameters()).device.type == "cpu"
    linear = PackedLinear if on_cpu and has_packed_linear() else PlainLinear
    heads = [m.num_heads for m in network.modules() if isinstance(m, Attention)]
    rotary = next((m for m in network.modules() if isinstance(m, Rotary)), None)

    def make_fast(brick: nn.Module) -> nn.Module | None:
        if isinstance(brick, Attention):
            return FastAttention(brick, linear, batch_hint, rotary)
        if isinstance(brick, ModalMixer | ImplicitMixer):
            return make_fast_mixer(brick, linear, batch_hint)
        if isinstance(brick, Unembedding):
            return linear(brick.weight, None, batch_hint)
        if isinstance(brick, Rotary):
            return FastRotary(brick, heads[0])
        if isinstance(brick, FeedForward):
            return FastFeedForward(brick, linear, batch_hint)
        if isinstance(brick, GatedFeedForward):
            return FastGatedFeedForward(brick, linear, batch_hint)
        if isinstance(brick, UnscaledAttention):
            return FastUnscaledAttention(brick, linear, batch_hint)
        if isinstance(brick, CrossAttention):
            return FastCrossAttention(brick, linear, batch_hint)
        if isinstance(brick, TokenScores):
            return FastTokenScores(brick, linear, batch_hint)
        return None

    with torch.no_grad():
        _swap(network, make_fast)
    return network.requires_grad_(False)


def _swap(parent: nn.Module, make_fast: Callable[[nn.Module], nn.Module | None]) -> None:
    """Each brick is let go before the next is made, so one needs the room of two, not the model."""
    for name in [name for name, _ in parent.named_children()]:
        brick = getattr(parent, name)
        fast = make_fast(brick)
        if fast is None:
            _swap(brick, make_fast)
        else:
            setattr(parent, name, fast)
