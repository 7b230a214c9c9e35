"""Writes the embeddings and figures that retrieval_test.go compares with:
python3 make_golden.py (numpy 2)

The scores are float64; of equal ones the earlier row comes first (a stable sort).
"""
import json
import pathlib
import numpy as np

here = pathlib.Path(__file__).parent
rng = np.random.default_rng(7)
n, d = 30, 8
images = rng.standard_normal((n, d)).astype(np.float32)
images[7] = images[3]  # the same picture twice: ties
per = rng.integers(1, 6, n)
owner = rng.permutation(np.repeat(np.arange(n), per))
texts = (images[owner] + rng.standard_normal((len(owner), d))).astype(np.float32)
texts[5] = texts[4]
unit = lambda a: (a / np.linalg.norm(a, axis=1, keepdims=True)).astype(np.float32)
images, texts = unit(images), unit(texts)
np.save(here / "images.npy", images)
np.save(here / "texts.npy", texts)
np.save(here / "owner.npy", owner.astype(np.int64))

# one sum after the other, so that equal rows have equal scores
scores = np.zeros((len(texts), n))
for k in range(d):
    scores += np.outer(texts[:, k].astype(np.float64), images[:, k].astype(np.float64))


def figures(scores, relevant):
    first, rr, ap, inp = [], [], [], []
    for s, right in zip(scores, relevant):
        at = np.flatnonzero(right[np.argsort(-s, kind="stable")]) + 1
        first.append(at[0])
        rr.append(1 / at[0])
        ap.append(np.mean(np.arange(1, len(at) + 1) / at))
        inp.append(len(at) / at[-1])
    first = np.array(first)
    out = {f"recall@{k}": float((first <= k).mean()) for k in (1, 5, 10)}
    out |= {"mrr": float(np.mean(rr)), "map": float(np.mean(ap)), "minp": float(np.mean(inp)), "median_rank": float(np.median(first))}
    return out


right = owner[:, None] == np.arange(n)
expect = {"text_to_image": figures(scores, right), "image_to_text": figures(scores.T, right.T)}
(here / "expect.json").write_text(json.dumps(expect, indent=1) + "\n")
