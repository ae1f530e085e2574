"""A small dilated convolutional network: the model to train where no pretrained one is at hand."""

# Letters: N leading shape, S sequences, L longest, D width.
from dataclasses import dataclass

from torch import Tensor, nn

from lexome.layers.convolution import Convolution, ConvolutionBlock
from lexome.layers.ends import NUM_ENDS, distance_to_ends
from lexome.layers.layout import Layout


@dataclass(frozen=True, kw_only=True)
class CnnConfig:
    """Sizes of the network."""

    width: int = 64
    embedding_width: int = 32
    first_kernel: int = 9
    kernel: int = 7
    dilations: tuple[int, ...] = (1, 2, 4, 8)
    dropout: float = 0.1
    vocabulary_size: int = 33
    pad_id: int = 1


class Cnn(nn.Module):
    """Token ids to one vector a token: embedding, convolution, dilated residual blocks.

    Norms run over channels, never over the batch, so a sequence's result does not depend on its
    neighbours. The receptive field of the defaults is 99 tokens.
    """

    def __init__(self, config: CnnConfig) -> None:
        super().__init__()
        self.config = config
        self.width = config.width
        self.embedding = nn.Embedding(
            config.vocabulary_size, config.embedding_width, padding_idx=config.pad_id
        )
        self.place = nn.Linear(NUM_ENDS, config.width)
        nn.init.normal_(self.place.weight, std=0.1)
        self.first = Convolution(config.embedding_width, config.width, config.first_kernel)
        self.blocks = nn.ModuleList(
            ConvolutionBlock(config.width, config.kernel, dilation, config.dropout)
            for dilation in config.dilations
        )
        self.final_norm = nn.LayerNorm(config.width)

    def forward(self, tokens_N: Tensor, layout: Layout) -> Tensor:
        """Hidden states (N, D)."""
        tokens_SL, rows = layout.to_rows(tokens_N)
        real_SL1 = rows.real_N[..., None]
        x_SLD = self.first(self.embedding(tokens_SL) * real_SL1)
        x_SLD = x_SLD + self.place(distance_to_ends(rows)).to(x_SLD.dtype)
        real_SL1 = real_SL1.to(x_SLD.dtype)
        x_SLD = x_SLD * real_SL1
        for block in self.blocks:
            x_SLD = block(x_SLD, real_SL1)
        return layout.from_rows(self.final_norm(x_SLD) * real_SL1)
