"""ViT-B/32 here beside PyTorch and Python's ONNX Runtime, in one run on one machine.

The weights are random: they measure speed, and say nothing of what int8 costs.
Everybody gets the same number of threads and the same rows; each round asks all of
them, one after the other, and a ratio is that of the medians over the rounds.

Usage: encoders.py BENCH CLIPSEARCH FOLDER_FOR_MODELS [PICTURES [ROUNDS]]
"""
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
import open_clip
import torch
from PIL import Image
from transformers import CLIPConfig, CLIPModel

THREADS = 2
BATCH = 8
torch.set_num_threads(THREADS)


class ImageTower(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.vision, self.projection = model.vision_model, model.visual_projection

    def forward(self, pixels):
        return self.projection(self.vision(pixel_values=pixels).pooler_output)


def checkpoint(folder):
    """Writes ViT-B/32 with random weights, and PyTorch's own export of its image tower."""
    where = Path(folder) / "vit-b-32-random"
    torch.manual_seed(0)
    model = CLIPModel(CLIPConfig()).eval()
    if not (where / "done").exists():
        model.save_pretrained(where)
        mean, std = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
        recipe = {"do_center_crop": True, "crop_size": 224, "size": {"shortest_edge": 224}, "resample": 3, "image_mean": mean, "image_std": std}
        (where / "preprocessor_config.json").write_text(json.dumps(recipe))
        os.makedirs(where.parent / "export", exist_ok=True)
        torch.onnx.export(ImageTower(model).eval(), (torch.randn(BATCH, 3, 224, 224),), str(where.parent / "export" / "image.onnx"), input_names=["pixels"],
                          dynamic_shapes={"pixels": {0: torch.export.Dim.DYNAMIC}}, dynamo=True, external_data=True)
        (where / "done").touch()
    return model, where


class Here:
    """A process of ours that runs the model when it is asked to."""

    def __init__(self, bench, where, precision):
        self.p = subprocess.Popen([bench, "tower", "-model", where, "-precision", precision, "-threads", str(THREADS)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.p.stdout.readline() == "ready\n"

    def __call__(self, **order):
        self.p.stdin.write(json.dumps(order) + "\n")
        self.p.stdin.flush()
        return float(self.p.stdout.readline())


def timed(f):
    began = time.perf_counter()
    f()
    return time.perf_counter() - began


def bar(what, got, sign, need):
    ok = got >= need if sign == "≥" else got <= need
    print(f"  {what:<58} {got:10.4g}   {sign} {need:<6g} {'ok' if ok else 'SHORT'}")


def towers(bench, model, where, rounds):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = THREADS, 1
    export = onnxruntime.InferenceSession(str(where.parent / "export" / "image.onnx"), options, providers=["CPUExecutionProvider"])
    pixels = torch.randn(BATCH, 3, 224, 224)
    image, half = ImageTower(model).eval(), ImageTower(CLIPModel(model.config)).eval().to(torch.bfloat16)
    fp32, int8 = Here(bench, where, "fp32"), Here(bench, where, "int8")

    def torch_run(net, x):
        with torch.inference_mode():
            net(x)

    contestants = {
        "ORT, PyTorch's export": lambda: timed(lambda: export.run(None, {"pixels": pixels.numpy()})),
        "PyTorch fp32": lambda: timed(lambda: torch_run(image, pixels)),
        "PyTorch bf16": lambda: timed(lambda: torch_run(half, pixels.bfloat16())),
        "here fp32": lambda: fp32(side="image", rows=BATCH),
        "here int8": lambda: int8(side="image", rows=BATCH),
        "here fp32, 77 tokens": lambda: fp32(side="text", rows=BATCH, tokens=12, pad=77),
        "here fp32, 12 tokens": lambda: fp32(side="text", rows=BATCH, tokens=12),
        "here fp32, 24 tokens": lambda: fp32(side="text", rows=BATCH, tokens=24),
        "here fp32, 24 of 77": lambda: fp32(side="text", rows=BATCH, tokens=24, pad=77),
    }
    times = {name: [] for name in contestants}
    for i in range(rounds + 2):
        for name, run in contestants.items():
            t = run()
            if i >= 2:
                times[name].append(t)
    rate = {name: BATCH / np.median(t) for name, t in times.items()}
    for name, r in rate.items():
        print(f"  {name:<58} {r:10.4g} a second")
    bar("image, fp32 / Python's ORT on PyTorch's export", rate["here fp32"] / rate["ORT, PyTorch's export"], "≥", 0.97)
    bar("image, int8 / fp32", rate["here int8"] / rate["here fp32"], "≥", 2.5)
    bar("image, int8 / PyTorch bf16", rate["here int8"] / rate["PyTorch bf16"], "≥", 1.5)
    bar("text, 12 tokens / the same in 77", rate["here fp32, 12 tokens"] / rate["here fp32, 77 tokens"], "≥", 2.3)
    bar("text, 24 tokens / the same in 77", rate["here fp32, 24 tokens"] / rate["here fp32, 24 of 77"], "≥", 2.3)
    with tempfile.TemporaryDirectory() as d:
        fp32(side="text", rows=BATCH, tokens=12, pad=77, vectors=d + "/a")
        fp32(side="text", rows=BATCH, tokens=12, vectors=d + "/b")
        a, b = (np.array(json.load(open(f"{d}/{n}"))) for n in "ab")
    bar("text, largest difference between the two", abs(a - b).max() / abs(a).max(), "≤", 1e-5)


def photographs(folder, n):
    """Writes n JPEGs of 0.2 megapixels."""
    rng = np.random.default_rng(0)
    for i in range(n):
        y, x = np.mgrid[0:427, 0:500].astype(np.float32)
        a = sum(rng.uniform(5, 60) * np.sin(rng.uniform(0.005, 0.2) * x + rng.uniform(0.005, 0.2) * y + rng.uniform(0, 6))[..., None] * rng.normal(size=3) for _ in range(8))
        Image.fromarray((a + 127 + rng.normal(0, 8, a.shape)).clip(0, 255).astype(np.uint8)).save(f"{folder}/{i:05}.jpg", quality=88)


def python_ingest(pictures):
    """What a careful Python program does: a pool decodes while the model runs."""
    model, _, prepare = open_clip.create_model_and_transforms("ViT-B-32")
    model.eval()
    paths = sorted(Path(pictures).glob("*.jpg"))
    began = time.perf_counter()
    vectors = []
    with ThreadPoolExecutor(THREADS) as pool, torch.inference_mode():
        load = lambda p: prepare(Image.open(p).convert("RGB"))
        batches = [paths[i:i + 32] for i in range(0, len(paths), 32)]
        ahead = [[pool.submit(load, p) for p in b] for b in batches]
        for futures in ahead:
            v = model.encode_image(torch.stack([f.result() for f in futures]))
            vectors.append(v / v.norm(dim=-1, keepdim=True))
    return len(paths) / (time.perf_counter() - began)


def our_ingest(clipsearch, where, pictures, precision):
    with tempfile.TemporaryDirectory() as d:
        out = subprocess.run([clipsearch, "ingest", pictures, "--index", d + "/index", "--model", where, "--precision", precision, "--threads", str(THREADS), "--json", "-q"],
                             capture_output=True, text=True, check=True).stdout
        return json.loads(out.strip().splitlines()[-1])["images_per_second"]


def ingest(clipsearch, where, n):
    with tempfile.TemporaryDirectory() as d:
        photographs(d, n)
        rates = {"python": [], "fp32": [], "int8": []}
        for _ in range(2):
            rates["python"].append(python_ingest(d))
            rates["fp32"].append(our_ingest(clipsearch, where, d, "fp32"))
            rates["int8"].append(our_ingest(clipsearch, where, d, "int8"))
    best = {k: max(v) for k, v in rates.items()}
    for k, v in best.items():
        print(f"  ingest, {k:<50} {v:10.4g} a second")
    bar("ingest, int8 / Python open_clip with a decode pool", best["int8"] / best["python"], "≥", 2.5)


def main():
    bench, clipsearch, folder = sys.argv[1:4]
    pictures, rounds = (int(x) for x in (sys.argv[4:6] + ["400", "15"][len(sys.argv[4:6]):]))
    model, where = checkpoint(folder)
    print(f"ViT-B/32, random weights, {THREADS} threads, batch {BATCH}; torch {torch.__version__}, onnxruntime {onnxruntime.__version__}")
    towers(bench, model, where, rounds)
    ingest(clipsearch, where, pictures)


if __name__ == "__main__":
    main()
