"""Writes head.json: a head's weights, features and what PyTorch makes of them; and pseudo-features.

    python3 trainer/compose/testdata/generate.py
"""
import json
import os

import torch
import torch.nn.functional as F

torch.manual_seed(7)
D, H, E, C, N = 6, 5, 3, 4, 7
r = lambda *s: torch.randn(*s)
w = {"skip.weight": r(E, D), "skip.bias": r(E), "fc1.weight": r(H, D), "fc1.bias": r(H), "fc2.weight": r(E, H), "fc2.bias": r(E),
     "classifier.log_scale": r(1) * .3}
mean, std, cls, bias, emb = r(D), r(D).abs(), r(C, D), r(C), r(C, E)
x = r(N, D)
z = (F.normalize(x, dim=1) * 2.5 - mean) / (std + 1e-3)
y = F.linear(z, w["skip.weight"], w["skip.bias"]) + F.linear(F.gelu(F.linear(z, w["fc1.weight"], w["fc1.bias"])), w["fc2.weight"], w["fc2.bias"])
y = y + 8 * F.softmax(w["classifier.log_scale"].exp() * F.linear(x, cls, bias), 1) @ emb
cov = r(D, D) @ r(D, D).T
c = torch.tensor([0, 3, 1, 2, 2, 0, 1])
a = torch.rand(N, 1)
p = F.softmax(F.linear(x, cls, bias), 1)
moved = (x + a * (cls[c] - p @ cls) @ cov).clamp(0, 6)
flat = lambda t: [float(v) for v in t.flatten()]
out = {"weights": {k: flat(v) for k, v in w.items()}, "mean": flat(mean), "std": flat(std), "classifier": flat(cls), "bias": flat(bias), "embeddings": flat(emb),
       "features": flat(x), "head": flat(y), "covariance": flat(cov), "class": c.tolist(), "distance": flat(a), "moved": flat(moved)}
json.dump(out, open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "head.json"), "w"), indent=0)
