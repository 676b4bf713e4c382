"""Charts become PNG images of the wanted size, and equal charts equal bytes."""

import struct

from evaluation.pages.charts import Curve, Curves
from evaluation.pages.drawing import NARROW, PIXELS_PER_INCH, WIDE, Plot


def test_a_chart_is_an_image_of_its_size() -> None:
    chart = Curves([Curve("recorded", [0, 1], [3, 4])], "step")
    for wide, inches in ((False, NARROW), (True, WIDE)):
        image = Plot("name", "caption", chart, wide).png
        assert image == Plot("other", "words", chart, wide).png
        assert image.startswith(b"\x89PNG")
        assert struct.unpack(">I", image[16:20]) == (int(inches * PIXELS_PER_INCH),)
