"""Colours as other eyes see them, and how far apart two are.

The matrices are those of Machado, Oliveira and Fernandes (2009) for full dichromacy, on linear RGB.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
EYES = {
    "all colours": np.eye(3),
    "no red": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "no green": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "no blue": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = np.array([0.9505, 1.0, 1.089])


def linear(colour: str) -> Floats:
    """Linear RGB of a colour like #0b6cb0."""
    code = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)


def seen_by(eyes: str, colour: str) -> Floats:
    """The colour in CIELAB as these eyes see it."""
    xyz = TO_XYZ @ np.clip(EYES[eyes] @ linear(colour), 0, 1) / WHITE
    root = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * root[1] - 16, 500 * (root[0] - root[1]), 200 * (root[1] - root[2])])


def separation(one: Floats, two: Floats) -> float:
    """Distance of two colours in CIELAB."""
    return float(np.linalg.norm(one - two))


def contrast(one: str, two: str) -> float:
    """The contrast ratio of WCAG 2: 1 to 21; text wants 4.5."""
    light, dark = sorted((float(TO_XYZ[1] @ linear(c)) for c in (one, two)), reverse=True)
    return (light + 0.05) / (dark + 0.05)
