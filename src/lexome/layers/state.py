"""What a causal model remembers of sequences that it goes on with, one row a sequence."""

# Letters: B rows, C capacity in tokens, any further axes of a tensor.
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# Keys are read up to a multiple of so many: a row's sums then come out the same to the bit, however
# long its neighbours are (torch's attention adds in another order for every other length).
ROOM = 64


@dataclass
class State:
    """Tensors of each layer by name, all with the rows as their first axis.

    A tensor whose name is in `caches` has the tokens as its second axis and room for `capacity` of
    them; what lies behind a row's length is finite and has no weight. All others are of fixed size.
    A family chooses the names: `keys` and `values` of attention (B, C, H, d), `fir` and `iir` of
    Hyena. Rows know nothing of each other.
    """

    layers: list[dict[str, Tensor]]
    lengths_B: Tensor  # tokens that each row has seen; int64, on the device of the layers
    capacity: int
    caches: tuple[str, ...] = ("keys", "values")

    def __len__(self) -> int:
        return len(self.lengths_B)

    @property
    def num_bytes(self) -> int:
        """All that is held."""
        return sum(tensor.nbytes for layer in self.layers for tensor in layer.values())

    def put(self, row: int, other: "State", other_row: int = 0) -> None:
        """Make a row the copy of another state's row, of a state of the same family."""
        length = int(other.lengths_B[other_row])
        if length > self.capacity:
            raise ValueError(f"{length} tokens do not fit into a capacity of {self.capacity}")
        for mine, theirs in zip(self.layers, other.layers, strict=True):
            for name, tensor in theirs.items():
                if name in self.caches:
                    mine[name][row, :length] = tensor[other_row, :length]
                else:
                    mine[name][row] = tensor[other_row]
        self.lengths_B[row] = length

    def select(self, rows: Sequence[int] | Tensor) -> "State":
        """A state of these rows, copied; a row may come twice (beams)."""
        index = torch.as_tensor(rows, device=self.lengths_B.device)
        layers = [
            {name: _take_rows(tensor, index) for name, tensor in layer.items()}
            for layer in self.layers
        ]
        return State(layers, self.lengths_B.index_select(0, index), self.capacity, self.caches)


def _take_rows(tensor: Tensor, index: Tensor) -> Tensor:
    """Rows in a new tensor that lies in memory as the old one does."""
    if tensor.dim() == 4 and not tensor.is_contiguous():
        return tensor.transpose(1, 2).index_select(0, index).transpose(1, 2)
    return tensor.index_select(0, index)


def empty_state(
    rows: int,
    capacity: int,
    shapes: Sequence[Mapping[str, tuple[Sequence[int], torch.dtype]]],
    device: torch.device | str,
    caches: tuple[str, ...] = ("keys", "values"),
) -> State:
    """A state of rows that have seen nothing.

    Args:
        shapes: of each layer, name -> (axes behind the rows and, of a cache, the tokens; dtype).
    """

    room = -(-capacity // ROOM) * ROOM

    def make(name: str, axes: Sequence[int], dtype: torch.dtype) -> Tensor:
        if name in caches:
            # zeros: what is masked has weight 0, and 0 x NaN would be NaN
            if len(axes) == 2:  # in memory a head's tokens lie together: products then need no copy
                heads, width = axes
                made = torch.zeros(rows, heads, room, width, dtype=dtype, device=device)
                return made.transpose(1, 2)
            return torch.zeros(rows, room, *axes, dtype=dtype, device=device)
        return torch.zeros(rows, *axes, dtype=dtype, device=device)

    layers = [{name: make(name, *what) for name, what in layer.items()} for layer in shapes]
    return State(layers, torch.zeros(rows, dtype=torch.int64, device=device), capacity, caches)
