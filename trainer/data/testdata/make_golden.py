"""Writes golden.json: what torchvision and Pillow make of a picture that is computed.

    pip install torch torchvision pillow numpy
    python3 testdata/make_golden.py
"""
import base64, json, pathlib
import numpy as np, PIL, torch, torchvision
from PIL import Image
from torchvision.transforms import InterpolationMode, RandomResizedCrop
from torchvision.transforms import functional as F


def picture(w, h):
    y, x, c = np.mgrid[0:h, 0:w, 0:3]
    return Image.fromarray(((x * (5 + c) + y * (11 - 3 * c) + x * y // (7 + c) + 60 * c) & 255).astype(np.uint8))


def pixels(img):
    return base64.b64encode(np.asarray(img.convert("RGB")).tobytes()).decode()


crops = []
for w, h, x, y, cw, ch, size in [(61, 47, 0, 0, 61, 47, 24), (61, 47, 5, 3, 40, 31, 24), (61, 47, 17, 9, 12, 16, 24), (61, 47, 60, 46, 1, 1, 8), (200, 150, 13, 7, 170, 120, 32), (90, 33, 30, 1, 32, 32, 32)]:
    for how in ("bicubic", "bilinear"):
        out = F.resized_crop(picture(w, h), y, x, ch, cw, [size, size], InterpolationMode(how), antialias=True)
        crops.append({"side": [w, h], "crop": [x, y, cw, ch], "size": size, "interpolation": how, "pixels": pixels(out)})

colors = []
for name, adjust, factors in [("brightness", F.adjust_brightness, (0.0, 0.6, 0.97, 1.3, 2.5)), ("contrast", F.adjust_contrast, (0.0, 0.6, 0.97, 1.3, 2.5)),
                              ("saturation", F.adjust_saturation, (0.0, 0.6, 0.97, 1.3, 2.5)), ("hue", F.adjust_hue, (-0.5, -0.1, -0.003, 0.0, 0.02, 0.1, 0.33))]:
    for f in factors:
        colors.append({"change": name, "factor": f, "pixels": pixels(adjust(picture(31, 23), f))})
colors.append({"change": "gray", "factor": 0, "pixels": pixels(F.to_grayscale(picture(31, 23), 3))})
colors.append({"change": "flip", "factor": 0, "pixels": pixels(F.hflip(picture(31, 23)))})

# The numbers that torchvision draws are noted, to be drawn again.
draws = []
uniform, randint = torch.Tensor.uniform_, torch.randint
def noted_uniform(self, *a, **k):
    r = uniform(self, *a, **k)
    draws.append(float(r))
    return r
def noted_randint(*a, **k):
    r = randint(*a, **k)
    draws.append(float(r))
    return r
torch.Tensor.uniform_, torch.randint = noted_uniform, noted_randint
torch.manual_seed(1)
geometry = []
for w, h, scale, ratio in [(640, 480, (0.08, 1.0), (3 / 4, 4 / 3)), (480, 640, (0.9, 1.0), (3 / 4, 4 / 3)), (224, 224, (0.4, 1.0), (0.65, 1.54)),
                           (1000, 50, (0.5, 1.0), (3 / 4, 4 / 3)), (50, 1001, (0.5, 1.0), (3 / 4, 4 / 3)), (7, 5, (0.01, 0.2), (3 / 4, 4 / 3)), (100, 100, (1.0, 1.0), (2.0, 3.0))]:
    for _ in range(8):
        draws.clear()
        i, j, ch, cw = RandomResizedCrop.get_params(Image.new("RGB", (w, h)), scale, ratio)
        geometry.append({"side": [w, h], "scale": scale, "ratio": ratio, "draws": list(draws), "crop": [j, i, cw, ch]})

out = {"made with": f"torch {torch.__version__}, torchvision {torchvision.__version__}, Pillow {PIL.__version__}", "crops": crops, "colors": colors, "geometry": geometry}
pathlib.Path(__file__).with_name("golden.json").write_text("{\n" + ",\n".join(f'"{k}": ' + (json.dumps(v) if isinstance(v, str) else "[\n" + ",\n".join(map(json.dumps, v)) + "\n]") for k, v in out.items()) + "\n}\n")
