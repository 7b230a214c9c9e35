#!/usr/bin/env python3
"""Writes pictures/ and want/: files of every kind, small and generated, and what
Pillow's convert("RGB") makes of each of them. Needs pillow and numpy.

usage: generate.py
"""
import io, struct, zlib
from pathlib import Path
import numpy as np
from PIL import Image, ImageOps

here = Path(__file__).parent
pictures, want = here / "pictures", here / "want"
for d in (pictures, want):
    d.mkdir(exist_ok=True)
    for f in d.iterdir():
        f.unlink()
rng = np.random.default_rng(7)


def scene(w, h):
    y, x = np.mgrid[0:h, 0:w]
    planes = [127 + 110 * np.sin(fx * x + fy * y) + rng.normal(0, 6, (h, w)) for fx, fy in ((0.3, 0.1), (0.1, 0.35), (-0.2, 0.25))]
    im = np.stack(planes, -1).clip(0, 255).astype(np.uint8)
    im[: h // 3, : w // 2] = [230, 20, 60]  # chroma edges, where interpolation shows
    return Image.fromarray(im)


def keep(name, data):
    (pictures / name).write_bytes(data)
    im = Image.open(io.BytesIO(data))
    im.load()
    im.convert("RGB").save(want / (name + ".png"))


def add(name, im, **options):
    b = io.BytesIO()
    im.save(b, **options)
    keep(name, b.getvalue())
    return b.getvalue()


base = scene(37, 29)
alpha = Image.fromarray((np.mgrid[0:29, 0:37][1] * 7 % 256).astype(np.uint8))
rgba = base.copy()
rgba.putalpha(alpha)

# JPEG: every subsampling, at sizes where the edges of blocks and of chroma matter
for w, h in [(37, 29), (16, 16), (33, 7), (6, 5), (5, 6), (4, 9), (3, 3), (2, 2), (1, 1), (1, 17), (17, 1)]:
    for subsampling in ("4:4:4", "4:2:2", "4:2:0"):
        if subsampling != "4:4:4" or w == 37:
            add(f"{w}x{h}_{subsampling.replace(':', '')}.jpg", scene(w, h), format="JPEG", quality=90, subsampling=subsampling)
add("progressive.jpg", base, format="JPEG", quality=85, progressive=True)
add("restart.jpg", base, format="JPEG", quality=85, restart_marker_blocks=1)
add("gray.jpg", base.convert("L"), format="JPEG", quality=90)
add("cmyk.jpg", base.convert("CMYK"), format="JPEG", quality=90)
add("rgb.jpg", base, format="JPEG", quality=90, keep_rgb=True)


def resampled(data, width, height, luma):
    """the same blocks under another header: scrambled, and a valid picture"""
    at = data.index(b"\xff\xc0")
    d = bytearray(data)
    d[at + 5 : at + 9] = struct.pack(">HH", height, width)
    d[at + 11] = luma
    return bytes(d)


b = io.BytesIO()
scene(64, 32).save(b, "JPEG", quality=90, subsampling="4:2:2")
keep("440.jpg", resampled(b.getvalue(), 29, 61, 0x12))  # 4 x 4 units of 8 x 16
b = io.BytesIO()
scene(64, 64).save(b, "JPEG", quality=90, subsampling="4:2:0")
keep("411.jpg", resampled(b.getvalue(), 62, 64, 0x41))  # 2 x 8 units of 32 x 8

# PNG
add("rgb.png", base, format="PNG")
add("rgba.png", rgba, format="PNG")
add("gray.png", base.convert("L"), format="PNG")
add("gray_alpha.png", rgba.convert("LA"), format="PNG")
add("one_bit.png", base.convert("1"), format="PNG")
add("palette.png", base.quantize(11), format="PNG")
add("palette_transparent.png", base.quantize(11), format="PNG", transparency=3)
add("rgb_transparent.png", base, format="PNG", transparency=(230, 20, 60))


def png(name, w, h, depth, kind, raw):
    chunk = lambda k, v: struct.pack(">I", len(v)) + k + v + struct.pack(">I", zlib.crc32(k + v))
    keep(name, b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, depth, kind, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b""))


for name, depth, kind, samples in [("gray16", 16, 0, 1), ("rgb16", 16, 2, 3), ("gray_alpha16", 16, 4, 2), ("rgba16", 16, 6, 4)]:
    v = rng.integers(0, 65536, (9, 13 * samples))
    if samples == 1:
        v[:4] %= 256  # of what is larger Pillow makes white
    png(name + ".png", 13, 9, depth, kind, b"".join(b"\0" + row.astype(">u2").tobytes() for row in v))
for depth in (2, 4):
    n = (13 * depth + 7) // 8
    png(f"gray{depth}.png", 13, 9, depth, 0, b"".join(b"\0" + rng.integers(0, 256, n, dtype=np.uint8).tobytes() for _ in range(9)))

# GIF
quantized = base.quantize(20)
gif = add("still.gif", quantized, format="GIF")
add("interlaced.gif", quantized, format="GIF", interlace=1)
add("animated.gif", quantized, format="GIF", save_all=True, append_images=[scene(37, 29).quantize(20)], duration=50)
transparent = add("transparent.gif", quantized, format="GIF", transparency=5)


def on_screen(data):
    """the frame, on a larger screen"""
    d = bytearray(data)
    d[6:10] = struct.pack("<HH", 45, 40)
    at = d.index(b"\x2c\0\0\0\0" + struct.pack("<HH", 37, 29))
    d[at + 1 : at + 5] = struct.pack("<HH", 3, 6)
    return bytes(d)


keep("offset.gif", on_screen(gif))
keep("offset_transparent.gif", on_screen(transparent))

# WebP
for w, h in [(37, 29), (16, 16), (2, 2), (1, 1), (3, 2), (1, 5), (6, 1)]:
    add(f"{w}x{h}_lossy.webp", scene(w, h), format="WEBP", quality=80)
add("lossy_alpha.webp", rgba, format="WEBP", quality=80, exact=True)
add("lossless.webp", base, format="WEBP", lossless=True)
add("lossless_alpha.webp", rgba, format="WEBP", lossless=True, exact=True)
moving = add("animated.webp", base, format="WEBP", save_all=True, append_images=[scene(37, 29)], lossless=True)
add("animated_lossy.webp", rgba, format="WEBP", save_all=True, append_images=[scene(37, 29)], quality=80, exact=True)
d = bytearray(moving)
d[24:30] = struct.pack("<I", 44)[:3] + struct.pack("<I", 39)[:3]  # the canvas
at = d.index(b"ANMF") + 8
d[at : at + 6] = struct.pack("<I", 2)[:3] + struct.pack("<I", 3)[:3]  # half of where the frame is
keep("offset.webp", bytes(d))

# BMP
add("rgb.bmp", base, format="BMP")
add("gray.bmp", base.convert("L"), format="BMP")
add("palette.bmp", base.quantize(200), format="BMP")
add("rgba.bmp", rgba, format="BMP")

# TIFF
for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"):
    add(f"{compression}.tiff", base, format="TIFF", compression=compression)
add("gray.tiff", base.convert("L"), format="TIFF")
add("one_bit.tiff", base.convert("1"), format="TIFF")
add("palette.tiff", base.quantize(20), format="TIFF")
add("rgba.tiff", rgba, format="TIFF")
add("gray16.tiff", Image.fromarray(rng.integers(0, 400, (9, 13)).astype(np.uint16)), format="TIFF")

# EXIF: each orientation of one picture, whose want is the upright one, and what a camera writes
exif = Image.Exif()
exif[0x010F], exif[0x0110] = "Acme", "Acme Box 7"
exif.get_ifd(0x8769)[0x9003] = "2019:07:06 05:04:03"
exif.get_ifd(0x8769)[0x9011] = "+02:00"
for orientation in range(1, 9):
    exif[0x0112] = orientation
    b = io.BytesIO()
    base.save(b, "PNG", exif=exif)
    name = f"orientation_{orientation}.png"
    (pictures / name).write_bytes(b.getvalue())
    ImageOps.exif_transpose(Image.open(b)).convert("RGB").save(want / (name + ".png"))
exif[0x0112] = 6
for name, options in {"exif.jpg": dict(format="JPEG", quality=90), "exif.webp": dict(format="WEBP", lossless=True), "exif.tiff": dict(format="TIFF")}.items():
    b = io.BytesIO()
    base.save(b, exif=exif, **options)
    (pictures / name).write_bytes(b.getvalue())
    ImageOps.exif_transpose(Image.open(b)).convert("RGB").save(want / (name + ".png"))
