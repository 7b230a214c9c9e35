"""Trains a small CLIP from scratch in PyTorch, as `clipsearch train` does by the same configuration.

Both begin at the same weights and vocabulary, which a run of ours of one step without
a learning rate writes; both see the same set for the same number of steps of the same
size, with the same augmentation, schedule, AdamW and clipping. Only the order of pairs
and the draws of augmentation are each side's own. What is written is the curve: of
every validation the step, the mean loss since the last, and recall both ways.

Usage: scratch.py first CLIPSEARCH CONFIG.json DATA FIRST       writes the first weights
       scratch.py train FIRST CONFIG.json DATA CURVE.json       trains from them in PyTorch
       scratch.py compare OURS CURVE.json                       sets our run's curve beside it
DATA is a folder with karpathy.json and images/, OURS the folder of our run.
"""
import json
import math
import queue
import re
import subprocess
import sys
import tempfile
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


def crop(pixels, side, o, mirror, rng):
    """A random part of a picture, scaled, and mirrored for a share of them."""
    from PIL import Image

    h, w = pixels.shape[:2]
    for _ in range(10):
        area, ratio = h * w * rng.uniform(o["crop_min"], 1), math.exp(rng.uniform(-1, 1) * math.log(o["crop_ratio"]))
        cw, ch = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < cw <= w and 0 < ch <= h:
            break
    else:
        cw = ch = min(h, w)
    x, y = rng.integers(0, w - cw + 1), rng.integers(0, h - ch + 1)
    part = np.asarray(Image.fromarray(pixels).resize((side, side), Image.BICUBIC, box=(x, y, x + cw, y + ch)))
    return part[:, ::-1] if mirror and rng.random() < o["flip"] else part


def coloured(x, o, rng):
    """Pictures (in [0,1]) with brightness, contrast and saturation changed by up to a share."""
    import torch

    factor = lambda key: torch.from_numpy(rng.uniform(1 - o[key], 1 + o[key], (len(x), 1, 1, 1)).astype(np.float32))
    grey = lambda x: (x * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
    between = lambda a, x, f: (a + (x - a) * f).clamp(0, 1)
    x = (x * factor("brightness")).clamp(0, 1)
    x = between(grey(x).mean((2, 3), keepdim=True), x, factor("contrast"))
    return between(grey(x), x, factor("saturation"))


class Feed:
    """Batches, made ahead by a thread: every picture once in an epoch, with its captions in turn."""

    def __init__(self, config, side, normal, pixels, captions, texts):
        self.config, self.side, self.normal, self.pixels = config, side, normal, pixels
        self.ids = [texts(c) for c in captions]
        keep = config["augment"]["keep_sides"]
        self.mirror = [not (keep and any(re.search(r"\b(left|right)\b", c.lower()) for c in cs)) for cs in captions]
        self.ready = queue.Queue(4)
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        import torch

        o, rng = self.config["augment"], np.random.default_rng(self.config["seed"])
        n = min(self.config["data"]["batch"], len(self.pixels))
        turns = [[] for _ in self.ids]
        while True:
            order = rng.permutation(len(self.pixels))
            for turn, ids in zip(turns, self.ids):  # each caption once before any comes again
                turn[:] = turn[1:] or list(rng.permutation(len(ids)))
            for at in range(0, len(order) - n + 1, n):
                rows = order[at : at + n]
                x = np.stack([crop(self.pixels[i], self.side, o, self.mirror[i], rng) for i in rows])
                x = coloured(torch.from_numpy(x).permute(0, 3, 1, 2).float() / 255, o, rng)
                y = np.stack([self.ids[i][turns[i][0]] for i in rows])
                self.ready.put((self.normal(x), torch.from_numpy(y)))


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
    way = (step - 1 - warm) / (optim["steps"] - warm)
    return optim["lr"] * (optim["lr_floor"] + (1 - optim["lr_floor"]) * (1 + math.cos(math.pi * way)) / 2)


def adamw(model, optim):
    import torch

    matrices, rest = [p for p in model.parameters() if p.ndim > 1], [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": optim["weight_decay"]}, {"params": rest, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=optim["lr"], betas=(optim["beta1"], optim["beta2"]), eps=optim["eps"], fused=True)


def first(clipsearch, config, folder, out):
    """Has ours write the model that it begins with: after one step at a rate of nothing."""
    c = json.load(open(config))
    c["optim"] |= {"lr": 1e-30, "steps": 1}
    with tempfile.NamedTemporaryFile("w", suffix=".json") as f:
        json.dump(c, f)
        f.flush()
        subprocess.run([clipsearch, "train", "--config", f.name, "--data", f"{folder}/karpathy.json", "--images", f"{folder}/images", "--out", out, "-q"], check=True)


def whole(checkpoint, config):
    """The configuration with the keys that it leaves out, as ours has filled them in."""
    c = json.load(open(f"{checkpoint}/train.json"))["config"]
    for group, keys in json.load(open(config)).items():
        c[group] = {**c[group], **keys} if isinstance(keys, dict) else keys
    return c


def train(checkpoint, config, folder, out):
    import torch
    from transformers import CLIPModel

    config = whole(checkpoint, config)
    torch.set_num_threads(THREADS)
    model = CLIPModel.from_pretrained(checkpoint, attn_implementation="sdpa").train()
    recipe = json.load(open(f"{checkpoint}/preprocessor_config.json"))
    mean, std = (torch.tensor(recipe[k]).view(3, 1, 1) for k in ("image_mean", "image_std"))
    normal = lambda x: (x - mean) / std
    side, texts = model.config.vision_config.image_size, Texts(checkpoint, model.config.text_config)
    paths, captions = read(folder, config["data"]["train_split"])
    feed = Feed(config, side, normal, [np.asarray(picture(p, round(1.15 * side))) for p in paths], captions, texts)
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


def line(v):
    both = [f"{100 * v[way][f'recall@{k}']:5.1f}" for way in ("text_to_image", "image_to_text") for k in CUTOFFS]
    return f"  step {v['step']:5}  loss {v.get('loss', v.get('train_loss')):.4f}  text→image R@1/5/10 {' '.join(both[:3])}  image→text {' '.join(both[3:])}"


def compare(ours, curve):
    """Both curves, and the bars: R@10 is the mean of both ways, and chance 10 of the pictures."""
    record, peer = json.load(open(f"{ours}/train.json")), json.load(open(curve))
    here, there = record["validations"], peer["curve"]
    print(f"here, {record['result']['seconds']:.0f} s")
    for v in here:
        print(line(v))
    print(f"PyTorch {peer['torch']}, {there[-1]['seconds']:.0f} s")
    for v in there:
        print(line(v))
    points = lambda v: 50 * (v["image_to_text"]["recall@10"] + v["text_to_image"]["recall@10"])
    chance = 100 * 10 / record["data"]["validate"]["pictures"]
    bar("validation R@10 / chance", points(here[-1]) / chance, "≥", 5)
    bar("R@10 of PyTorch less ours, points, after the last step", points(there[-1]) - points(here[-1]), "≤", 1)
    bar("R@10 at the end less that at three quarters, points", points(here[-1]) - points(here[len(here) * 3 // 4 - 1]), "≥", 0)


def bar(what, got, sign, need):
    ok = got >= need if sign == "≥" else got <= need
    print(f"  {what:<58} {got:10.4g}   {sign} {need:<6g} {'ok' if ok else 'SHORT'}")


if __name__ == "__main__":
    {"first": first, "train": train, "compare": compare}[sys.argv[1]](*sys.argv[2:])
