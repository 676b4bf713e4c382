"""Figures become PNG images of the wanted size, and equal figures equal bytes."""

import struct

from evaluation.pages.drawing import PIXELS_PER_INCH, png, single_figure


def test_a_figure_is_an_image_of_its_size() -> None:
    images = []
    for _ in range(2):
        figure, axes = single_figure(4, 2)
        axes.plot([0, 1], [3, 4])
        images.append(png(figure))
    assert images[0] == images[1]
    assert images[0].startswith(b"\x89PNG")
    assert struct.unpack(">II", images[0][16:24]) == (4 * PIXELS_PER_INCH, 2 * PIXELS_PER_INCH)
