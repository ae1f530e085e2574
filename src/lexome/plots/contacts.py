"""A contact map: which residues touch, as squares of two positions."""

# Letters: L residues.
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from lexome.plots import style

NEAR = 6  # residues: closer ones touch by the chain itself, and would hide the rest


def draw_contacts(probabilities: ArrayLike, title: str) -> Figure:
    """Probabilities (L, L) from white (0) to blue (1); the band along the chain stays white."""
    map_LL = np.array(probabilities, np.float64)
    length = len(map_LL)
    place = np.arange(length)
    map_LL[np.abs(place[:, None] - place[None, :]) < NEAR] = np.nan
    with style.look():
        figure = style.new_figure(560, 520)
        axes = figure.subplots()
        colours = LinearSegmentedColormap.from_list("contacts", ["white", style.BLUE])
        edge = (0.5, length + 0.5, length + 0.5, 0.5)
        image = axes.imshow(map_LL, colours, vmin=0, vmax=1, extent=edge, interpolation="nearest")
        axes.set_title(title)
        axes.set_xlabel("residue")
        axes.set_ylabel("residue")
        for side in ("top", "right", "left", "bottom"):
            axes.spines[side].set_visible(True)
        bar = figure.colorbar(image, ax=axes, fraction=0.04, pad=0.03)
        bar.set_label("probability of a contact")
        bar.outline.set_visible(False)
        style.pad(figure)
    return figure
