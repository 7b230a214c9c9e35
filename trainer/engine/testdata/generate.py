"""Writes what PyTorch makes of the losses, and of twenty steps of a small model, beside this file.

    pip install torch numpy; python3 trainer/engine/testdata/generate.py

loss.json        features, and losses and gradients in float64
tiny.json        the model: parameters by name, shape and offset; batches of ids; learning rates and losses
tiny.f32         its initial weights, one after another
tiny.u8          the pictures of its batches; a pixel is (byte - 127) / 128
tiny.grad.f64    the gradients of the first step, computed in float64
tiny.grad.f32    the same as PyTorch computes them in float32
"""
import copy
import json
import math
import os

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

HERE = os.path.dirname(os.path.abspath(__file__))
torch.set_num_threads(1)


def path(name):
    return os.path.join(HERE, name)


def write(name, value):
    with open(path(name), "w") as f:
        json.dump(value, f, separators=(",", ":"))
        f.write("\n")


# ---- losses

def infonce(logits, pairs):
    return (F.cross_entropy(logits, pairs / pairs.sum(1, keepdim=True)) + F.cross_entropy(logits.T, pairs.T / pairs.T.sum(1, keepdim=True))) / 2


def infoloob(logits, pairs):
    def one(l, p):
        positive = (l * p / p.sum(1, keepdim=True)).sum(1)
        return (torch.logsumexp(l.masked_fill(p > 0, -math.inf), 1) - positive).mean()
    return (one(logits, pairs) + one(logits.T, pairs.T)) / 2


def siglip(logits, pairs):
    return -F.logsigmoid(logits * torch.where(pairs > 0, 1.0, -1.0)).sum() / len(logits)


LOSSES = {"infonce": infonce, "siglip": siglip, "infoloob": infoloob}


def loss_case(name, n, dim, scale, bias, groups, close):
    """groups: which picture each text belongs to; close: texts lie near their pictures."""
    image = torch.randn(n, dim, dtype=torch.float64)
    text = close * image + torch.randn(n, dim, dtype=torch.float64)
    image, text = (3 * image).float().double().requires_grad_(), text.float().double().requires_grad_()
    s = torch.tensor(scale).float().double().requires_grad_()
    b = torch.tensor(bias).float().double().requires_grad_()
    g = torch.tensor(groups)
    pairs = (g[:, None] == g[None, :]).double()
    logits = s.exp() * F.normalize(image) @ F.normalize(text).T + (b if name == "siglip" else 0)
    loss = LOSSES[name](logits, pairs)
    loss.backward()
    flat = lambda t: t.flatten().tolist()
    return {"loss": name, "rows": n, "scale": s.item(), "bias": b.item(), "pairs": flat(pairs), "image": flat(image.detach()), "text": flat(text.detach()),
            "value": loss.item(), "grad_scale": s.grad.item(), "grad_bias": b.grad.item() if b.grad is not None else 0, "grad_image": flat(image.grad), "grad_text": flat(text.grad)}


def loss_cases():
    torch.manual_seed(1)
    for name in LOSSES:
        for scale, bias, close in ((math.log(1 / 0.07), -10.0, 0), (math.log(100), -10.0, 3), (0.0, 0.5, 1)):
            yield loss_case(name, 6, 5, scale, bias, list(range(6)), close)
            yield loss_case(name, 6, 5, scale, bias, [0, 1, 1, 3, 3, 3], close)


# ---- the model

SIZE, PATCH, CONTEXT, VOCAB = 16, 8, 10, 40


class Block(nn.Module):
    def __init__(self, width, heads, act, causal):
        super().__init__()
        self.heads, self.act, self.causal = heads, act, causal
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.q, self.k, self.v, self.out = (nn.Linear(width, width) for _ in range(4))
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x):
        b, l, w = x.shape
        y = self.norm1(x)
        q, k, v = (f(y).view(b, l, self.heads, -1).transpose(1, 2) for f in (self.q, self.k, self.v))
        a = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        x = x + self.out(a.transpose(1, 2).reshape(b, l, w))
        return x + self.down(self.act(self.up(self.norm2(x))))


def quick_gelu(x):
    return x * torch.sigmoid(1.702 * x)


class ImageTower(nn.Module):
    def __init__(self, width=16, dim=8):
        super().__init__()
        self.patch = nn.Linear(3 * PATCH * PATCH, width, bias=False)
        self.token = nn.Parameter(torch.randn(width) * 0.1)
        self.positions = nn.Parameter(torch.randn((SIZE // PATCH) ** 2 + 1, width) * 0.1)
        self.before = nn.LayerNorm(width)
        self.blocks = nn.ModuleList(Block(width, 2, quick_gelu, False) for _ in range(2))
        self.after = nn.LayerNorm(width)
        self.head = nn.Linear(width, dim, bias=False)

    def forward(self, x):
        b, n = len(x), SIZE // PATCH
        x = x.view(b, 3, n, PATCH, n, PATCH).permute(0, 2, 4, 1, 3, 5).reshape(b, n * n, -1)
        x = torch.cat([self.token.expand(b, 1, -1), self.patch(x)], 1) + self.positions
        x = self.before(x)
        for block in self.blocks:
            x = block(x)
        return self.head(self.after(x[:, 0]))


class TextTower(nn.Module):
    def __init__(self, width=12, dim=8):
        super().__init__()
        self.words = nn.Embedding(VOCAB, width)
        self.positions = nn.Parameter(torch.randn(CONTEXT, width) * 0.1)
        self.blocks = nn.ModuleList(Block(width, 2, F.gelu, True) for _ in range(2))
        self.after = nn.LayerNorm(width)
        self.head = nn.Linear(width, dim, bias=False)

    def forward(self, ids):
        x = self.words(ids) + self.positions[: ids.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.head(self.after(x[torch.arange(len(x)), ids.argmax(1)]))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.image, self.text = ImageTower(), TextTower()
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def forward(self, pixels, ids):
        logits = self.logit_scale.exp() * F.normalize(self.image(pixels)) @ F.normalize(self.text(ids)).T
        labels = torch.arange(len(ids))
        return (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2


def batches(count=4, n=8):
    """Texts of several lengths: their end is the highest id, zeros follow."""
    pixels = torch.randint(0, 256, (count, n, 3, SIZE, SIZE), dtype=torch.uint8)
    ids = torch.zeros(count, n, CONTEXT, dtype=torch.int64)
    for row in ids.view(-1, CONTEXT):
        length = int(torch.randint(2, CONTEXT, ()))
        row[:length] = torch.randint(1, VOCAB - 1, (length,))
        row[length] = VOCAB - 1
    return pixels, ids


def floats(pixels, dtype=torch.float32):
    return (pixels.to(dtype) - 127) / 128


def flat(tensors, dtype, name):
    np.concatenate([t.detach().numpy().astype(dtype).ravel() for t in tensors]).tofile(path(name))


def main():
    write("loss.json", list(loss_cases()))
    torch.manual_seed(2)
    model, (pixels, ids) = Model(), batches()
    with torch.no_grad():  # away from the zeros and ones that layers begin with
        for p in model.parameters():
            if p.ndim:
                p += 0.1 * torch.randn_like(p)
    steps, warmup, rate = 20, 4, 3e-3
    named = list(model.named_parameters())
    at, params = 0, []
    for name, p in named:
        params.append({"name": name, "dims": list(p.shape), "offset": at})
        at += p.numel()
    flat([p for _, p in named], "<f4", "tiny.f32")
    pixels.numpy().tofile(path("tiny.u8"))

    oracle = copy.deepcopy(model).double()
    oracle(floats(pixels[0], torch.float64), ids[0]).backward()
    flat([p.grad for p in oracle.parameters()], "<f8", "tiny.grad.f64")

    decay = [p for _, p in named if p.ndim >= 2]
    rest = [p for _, p in named if p.ndim < 2]
    opt = torch.optim.AdamW([{"params": decay, "weight_decay": 0.2}, {"params": rest, "weight_decay": 0.0}], lr=rate, betas=(0.9, 0.98), eps=1e-6)
    losses, rates = [], []
    for step in range(steps):
        lr = rate * (step + 1) / warmup if step < warmup else rate * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2
        for g in opt.param_groups:
            g["lr"] = lr
        opt.zero_grad()
        loss = model(floats(pixels[step % len(pixels)]), ids[step % len(ids)])
        loss.backward()
        if step == 0:
            flat([p.grad for _, p in named], "<f4", "tiny.grad.f32")
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, math.log(100))
        losses.append(loss.item())
        rates.append(lr)
    write("tiny.json", {"params": params, "ids": ids.flatten(1).tolist(), "rows": ids.shape[1], "context": CONTEXT, "size": SIZE,
                        "patch": PATCH, "decay": 0.2, "clip": 1.0, "warmup": warmup, "rate": rate, "rates": rates, "losses": losses})


main()
