"""Tables to pictures: each function takes plain arrays and gives a matplotlib figure.

Nothing here needs torch: a picture is made from what a run has saved. `style.svg_of` turns a
figure into an SVG that stands inside a page, follows its light or dark colours and has no date.
"""
