"""Trains a small CLIP from scratch in PyTorch, as `clipsearch train` does by the same configuration.

Both begin at the same checkpoint and so have the same weights and vocabulary; both see
the same set for the same number of steps of the same size, with the same augmentation,
schedule, AdamW and clipping. Only the order of pairs and the draws of augmentation are
each side's own. What it writes is the curve: of every validation the step, the mean
loss since the last, and recall both ways.

Usage: scratch.py CHECKPOINT CONFIG.json DATA OUT.json   trains
       scratch.py --compare OURS.jsonl OUT.json          sets our log beside it
DATA is a folder with karpathy.json and images/.
"""
import json
import math
import queue
import sys
import threading
import time
from pathlib import Path

import numpy as np

THREADS = 2
CUTOFFS = (1, 5, 10)


def read(folder, split):
    """The pictures of a split: paths and captions."""
    images = [i for i in json.load(open(f"{folder}/karpathy.json"))["images"] if i["split"] == split]
    return [f"{folder}/images/{i['filename']}" for i in images], [[" ".join(s["raw"].split()) for s in i["sentences"]] for i in images]


class Texts:
    """Captions as the rows of ids that the model takes."""

    def __init__(self, checkpoint, text):
        from tokenizers import Tokenizer

        self.tokens, self.text = Tokenizer.from_file(f"{checkpoint}/tokenizer.json"), text
        self.tokens.no_padding()
        self.tokens.no_truncation()

    def __call__(self, captions):
        begin, end, length = self.text.bos_token_id, self.text.eos_token_id, self.text.max_position_embeddings
        rows = np.full((len(captions), length), end, dtype=np.int64)
        for row, e in zip(rows, self.tokens.encode_batch(captions, add_special_tokens=False)):
            ids = [begin, *e.ids[: length - 2], end]
            row[: len(ids)] = ids
        return rows


def picture(path, short):
    """A picture whose short side is scaled to so many pixels."""
    from PIL import Image

    im = Image.open(path)
    im.draft("RGB", (2 * short, 2 * short))
    im = im.convert("RGB")
    k = short / min(im.size)
    return im.resize((max(short, round(im.width * k)), max(short, round(im.height * k))), Image.BICUBIC)


def centred(path, side):
    im = picture(path, side)
    left, top = round((im.width - side) / 2), round((im.height - side) / 2)
    return np.asarray(im.crop((left, top, left + side, top + side)))


def crop(pixels, side, data, rng):
    """A random part of a picture, scaled, and mirrored for a share of them."""
    from PIL import Image

    h, w = pixels.shape[:2]
    for _ in range(10):
        area, ratio = h * w * rng.uniform(data["crop_min"], 1), math.exp(rng.uniform(-1, 1) * math.log(data["crop_ratio"]))
        cw, ch = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < cw <= w and 0 < ch <= h:
            break
    else:
        cw = ch = min(h, w)
    x, y = rng.integers(0, w - cw + 1), rng.integers(0, h - ch + 1)
    part = np.asarray(Image.fromarray(pixels).resize((side, side), Image.BICUBIC, box=(x, y, x + cw, y + ch)))
    return part[:, ::-1] if rng.random() < data["flip"] else part


def coloured(x, amount, rng):
    """Pictures (in [0,1]) with brightness, contrast and colour changed by up to a share."""
    import torch

    factor = lambda: torch.from_numpy(rng.uniform(1 - amount, 1 + amount, (len(x), 1, 1, 1)).astype(np.float32))
    grey = lambda x: (x * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
    x = (x * factor()).clamp(0, 1)
    mean = grey(x).mean((2, 3), keepdim=True)
    x = (mean + (x - mean) * factor()).clamp(0, 1)
    g = grey(x)
    return (g + (x - g) * factor()).clamp(0, 1)


class Feed:
    """Batches, made ahead by a thread: every picture once in an epoch, one of its captions each."""

    def __init__(self, config, side, normal, pixels, ids):
        self.config, self.side, self.normal, self.pixels, self.ids = config, side, normal, pixels, ids
        self.ready = queue.Queue(4)
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        import torch

        data, rng = self.config["data"], np.random.default_rng(self.config["seed"])
        n = min(data["batch"], len(self.pixels))
        while True:
            order = rng.permutation(len(self.pixels))
            for at in range(0, len(order) - n + 1, n):
                rows = order[at : at + n]
                x = np.stack([crop(self.pixels[i], self.side, data, rng) for i in rows])
                x = torch.from_numpy(x).permute(0, 3, 1, 2).float() / 255
                if data["color"]:
                    x = coloured(x, data["color"], rng)
                self.ready.put((self.normal(x), torch.from_numpy(np.stack([self.ids[i][rng.integers(len(self.ids[i]))] for i in rows]))))


def ranks(scores, own):
    """For every row the place of the best of its own columns."""
    best = np.where(own, scores, -np.inf).max(1)
    return (scores > best[:, None]).sum(1)


def validate(model, pixels, ids, normal):
    """Recall both ways over a split."""
    import torch

    feature = lambda y: torch.nn.functional.normalize(y if torch.is_tensor(y) else y.pooler_output, dim=-1)
    model.eval()
    with torch.inference_mode():
        x = [feature(model.get_image_features(pixel_values=normal(torch.from_numpy(pixels[i : i + 100]).permute(0, 3, 1, 2).float() / 255))) for i in range(0, len(pixels), 100)]
        rows = torch.from_numpy(np.concatenate(ids))
        y = [feature(model.get_text_features(input_ids=rows[i : i + 250])) for i in range(0, len(rows), 250)]
    model.train()
    scores = (torch.cat(x) @ torch.cat(y).T).numpy()
    own = np.repeat(np.arange(len(ids)), [len(i) for i in ids])[None] == np.arange(len(ids))[:, None]
    way = lambda r: {f"recall@{k}": float((r < k).mean()) for k in CUTOFFS}
    return {"image_to_text": way(ranks(scores, own)), "text_to_image": way(ranks(scores.T, own.T))}


def rate(optim, step):
    """The learning rate of a step, the first being 1."""
    warm = min(optim["warmup"], optim["steps"] // 10)
    if step <= warm:
        return optim["lr"] * step / warm
    least = optim.get("lr_min", 0)
    return least + (optim["lr"] - least) * (1 + math.cos(math.pi * (step - warm) / max(1, optim["steps"] - warm))) / 2


def adamw(model, optim):
    import torch

    matrices, rest = [p for p in model.parameters() if p.ndim > 1], [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": optim["weight_decay"]}, {"params": rest, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=optim["lr"], betas=(optim["beta1"], optim["beta2"]), eps=optim["eps"], fused=True)


def train(checkpoint, config, folder, out):
    import torch
    from transformers import CLIPModel

    torch.set_num_threads(THREADS)
    model = CLIPModel.from_pretrained(checkpoint, attn_implementation="sdpa").train()
    recipe = json.load(open(f"{checkpoint}/preprocessor_config.json"))
    mean, std = (torch.tensor(recipe[k]).view(3, 1, 1) for k in ("image_mean", "image_std"))
    normal = lambda x: (x - mean) / std
    side, texts = model.config.vision_config.image_size, Texts(checkpoint, model.config.text_config)
    paths, captions = read(folder, config["data"]["train_split"])
    ids, short = [texts(c) for c in captions], math.ceil(side / math.sqrt(config["data"]["crop_min"]) * 1.15)
    feed = Feed(config, side, normal, [np.asarray(picture(p, short)) for p in paths], ids)
    paths, captions = read(folder, config["data"]["val_split"])
    pixels, ids = np.stack([centred(p, side) for p in paths]), [texts(c) for c in captions]

    optim, adam, every = config["optim"], adamw(model, config["optim"]), config["run"]["validate_every"]
    began, curve, losses, times = time.time(), [], [], []
    for step in range(1, optim["steps"] + 1):
        x, y = feed.ready.get()
        start = time.time()
        for g in adam.param_groups:
            g["lr"] = rate(optim, step)
        loss = model(input_ids=y, pixel_values=x, return_loss=True).loss
        adam.zero_grad()
        loss.backward()
        if optim["clip_norm"]:
            torch.nn.utils.clip_grad_norm_(model.parameters(), optim["clip_norm"])
        adam.step()
        with torch.no_grad():
            model.logit_scale.clamp_(max=math.log(config["loss"]["logit_scale_max"]))
        losses.append(loss.item())
        times.append(time.time() - start)
        if step == optim["steps"] or every and step % every == 0:
            curve.append({"step": step, "loss": float(np.mean(losses)), "logit_scale": model.logit_scale.exp().item(), "seconds": round(time.time() - began, 1), **validate(model, pixels, ids, normal)})
            losses = []
            print(line(curve[-1]), flush=True)
            made = {"command": " ".join(["bench/scratch.py", *(Path(a).name for a in sys.argv[1:])]), "torch": torch.__version__, "threads": THREADS,
                    "seconds_per_step": float(np.median(times)), "config": config, "curve": curve}
            Path(out).write_text(json.dumps(made, indent=1) + "\n")


def mean_recall(v, k=10):
    """Mean of both ways, in points."""
    return 50 * (v["image_to_text"][f"recall@{k}"] + v["text_to_image"][f"recall@{k}"])


def line(v):
    both = [f"{100 * v[way][f'recall@{k}']:5.1f}" for way in ("text_to_image", "image_to_text") for k in CUTOFFS]
    return f"  step {v['step']:5}  loss {v['loss']:.4f}  text→image R@1/5/10 {' '.join(both[:3])}  image→text {' '.join(both[3:])}  {v['seconds']:.0f} s"


def main():
    checkpoint, config, folder, out = sys.argv[1:5]
    train(checkpoint, json.load(open(config)), folder, out)


if __name__ == "__main__":
    main()
