#!/usr/bin/env python3
"""Writes the pictures in this folder and what Pillow makes of them: needs pillow and numpy.

cases.json names the inputs and the recipes (torchvision's Resize and
CenterCrop, one plain resize, or open_clip's ResizeKeepRatio and CenterCropOrPad). INPUT.want.png holds what each recipe makes of
INPUT.png, one below the other.
Everything is seeded; the pictures are gradients and noise.

usage: generate.py
"""
import json
from pathlib import Path
import numpy as np
from PIL import Image

here = Path(__file__).parent
rng = np.random.default_rng(1)


def scene(w, h):
    y, x = np.mgrid[0:h, 0:w]
    planes = [127 + 120 * np.sin(rng.uniform(0.02, 0.9) * x + rng.uniform(0.02, 0.9) * y) + rng.normal(0, 20, (h, w)) for _ in range(3)]
    im = np.stack(planes, -1).clip(0, 255).astype(np.uint8)
    im[: h // 2, : w // 3] = [255, 0, 255]  # hard edges, so that bicubic overshoots
    return Image.fromarray(im)


def fit(im, size, resize, interpolation, rounding, edge=0, fill=(0, 0, 0)):
    how = {"bicubic": Image.BICUBIC, "bilinear": Image.BILINEAR}[interpolation]
    if resize == "squash":
        return im.resize((size, size), how)
    w, h = im.size
    if resize == "longest":  # as open_clip does, which fails where nothing is left of a side
        ratio = max(w, h) / size
        w, h = max(1, round(w / ratio)), max(1, round(h / ratio))
        whole = Image.new("RGB", (size, size), fill)
        whole.paste(im.resize((w, h), how), ((size - w) // 2, (size - h) // 2))
        return whole
    edge = edge or size
    w, h = (edge, int(edge * h / w)) if w <= h else (int(edge * w / h), edge)
    im = im.resize((w, h), how)
    left, top = [int(round((n - size) / 2.0)) if rounding == "round" else (n - size) // 2 for n in (w, h)]
    return im.crop((left, top, left + size, top + size))


RECIPES = [("shortest", "bicubic", "round"), ("shortest", "bicubic", "floor"), ("shortest", "bilinear", "round"), ("squash", "bicubic", "round"), ("squash", "bilinear", "round"),
           ("shortest", "bicubic", "floor", 29), ("longest", "bicubic", "round", 0, (7, 130, 255))]
SIZE = 24
inputs = []
for w, h in [(24, 24), (50, 33), (33, 50), (25, 24), (27, 24), (24, 29), (7, 5), (3, 61), (90, 2), (30, 97), (1, 1), (2, 3)]:
    im = scene(w, h)
    im.save(here / f"{w}x{h}.png")
    column = Image.new("RGB", (SIZE, SIZE * len(RECIPES)))
    for i, recipe in enumerate(RECIPES):
        if im.size == (SIZE, SIZE):  # taken for one that is fitted already, even where a reference would cut into it
            recipe = recipe[:3]
        column.paste(fit(im, SIZE, *recipe), (0, i * SIZE))
    column.save(here / f"{w}x{h}.want.png")
    inputs.append(f"{w}x{h}")
recipes = [dict(zip(("size", "resize", "interpolation", "crop_rounding", "edge", "fill"), (SIZE, *r))) for r in RECIPES]
(here / "cases.json").write_text(json.dumps(dict(inputs=inputs, recipes=recipes), indent=1) + "\n")
