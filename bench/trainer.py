"""A training step here beside PyTorch's, in one run on one machine.

Both sides load the same checkpoint with random weights, see the same batches, and use
the same number of threads, loss, clipping, schedule and AdamW. They are processes of
their own that run a short burst in turn, so that what else the machine does meets both;
a ratio is that of the medians over the steps. Beside it stands what the steps came to:
the loss of both after them, and on a tiny model the error of their gradients, for which
PyTorch in float64 is the judge.

Usage: trainer.py BENCH FOLDER_FOR_MODELS [SHAPE...], shapes being tiny, small, quick and large
       trainer.py --peer, what it starts for PyTorch's side
"""
import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

THREADS = 2
# What both sides do with a gradient; lr climbs over the whole run, as a warm-up does.
ADAM = {"lr": 5e-4, "warmup": 200, "decay": 0.1, "beta1": 0.9, "beta2": 0.98, "eps": 1e-6, "clip": 1.0}


def shape(pixels, patch, image, text, context, words, width, batch, steps, act="gelu"):
    """A shape: image and text are width, layers and heads of a tower; act is its activation."""
    return {"pixels": pixels, "patch": patch, "image": image, "text": text, "context": context, "words": words, "width": width, "batch": batch, "steps": steps, "act": act}


SHAPES = {
    "tiny": shape(32, 8, (64, 2, 4), (48, 2, 4), 16, 512, 32, 16, 20),
    "small": shape(96, 12, (256, 6, 4), (192, 4, 3), 32, 49408, 256, 128, 20),
    "quick": shape(96, 12, (256, 6, 4), (192, 4, 3), 32, 49408, 256, 128, 20, "quick_gelu"),
    "large": shape(224, 32, (768, 12, 12), (512, 12, 8), 77, 49408, 512, 16, 10, "quick_gelu"),
}


def checkpoint(folder, name):
    """Writes a model of the shape with random weights, and batches for it."""
    where, s = Path(folder) / f"trainer-{name}", SHAPES[name]
    if (where / "done").exists():
        return where
    import torch
    from transformers import CLIPConfig, CLIPModel

    torch.manual_seed(0)
    tower = lambda t: {"hidden_size": t[0], "intermediate_size": 4 * t[0], "num_hidden_layers": t[1], "num_attention_heads": t[2], "hidden_act": s["act"], "projection_dim": s["width"]}
    begin, end = s["words"] - 2, s["words"] - 1
    ids = {"bos_token_id": begin, "eos_token_id": end, "pad_token_id": end}
    CLIPModel(CLIPConfig(
        projection_dim=s["width"],
        text_config={**tower(s["text"]), **ids, "vocab_size": s["words"], "max_position_embeddings": s["context"]},
        vision_config={**tower(s["image"]), "image_size": s["pixels"], "patch_size": s["patch"]},
    )).save_pretrained(where)
    recipe = {"do_center_crop": True, "crop_size": s["pixels"], "size": {"shortest_edge": s["pixels"]}, "resample": 3,
              "image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711]}
    (where / "preprocessor_config.json").write_text(json.dumps(recipe))
    rng = np.random.default_rng(1)
    for i in range(4):
        rng.standard_normal((s["batch"], 3, s["pixels"], s["pixels"]), dtype=np.float32).tofile(where / f"pixels{i}.f32")
        rows = np.full((s["batch"], s["context"]), end, dtype=np.int64)
        for row in rows:
            n = rng.integers(3, s["context"] - 2)
            row[0], row[1:n] = begin, rng.integers(1, begin, n - 1)
        rows.tofile(where / f"ids{i}.i64")
    (where / "done").touch()
    return where


class Side:
    """A process that trains when it is asked to: a line of JSON each way."""

    def __init__(self, command, where, name, env={}, **more):
        self.p = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **env})
        s = SHAPES[name]
        self.seconds, self.losses, self.worked = [], [], []
        self.ask(model=str(where), batch=s["batch"], pixels=s["pixels"], context=s["context"], threads=THREADS, **ADAM, **more)

    def ask(self, **order):
        self.p.stdin.write(json.dumps(order) + "\n")
        self.p.stdin.flush()
        line = self.p.stdout.readline()
        if not line:
            sys.exit(f"{self.p.args}: ended with {self.p.wait()} at {order}")
        return json.loads(line)

    def burst(self, steps):
        before = self.work()
        for t, loss in self.ask(steps=steps)["steps"]:
            self.seconds.append(t)
            self.losses.append(loss)
        self.worked.append((self.work() - before) / steps)

    def work(self):
        """The seconds that its threads have run: on a machine that is not quiet they tell more than the clock."""
        user, kernel = open(f"/proc/{self.p.pid}/stat").read().rpartition(")")[2].split()[11:13]
        return (int(user) + int(kernel)) / os.sysconf("SC_CLK_TCK")

    def close(self):
        """Ends the process; the answer is the most memory that it ever held, in bytes."""
        held = next(int(l.split()[1]) << 10 for l in open(f"/proc/{self.p.pid}/status") if l.startswith("VmHWM"))
        self.p.stdin.close()
        self.p.wait()
        return held


class Peer:
    """PyTorch's side: CLIPModel, eager, scaled-dot-product attention, fused AdamW."""

    def __init__(self, o):
        import torch
        from transformers import CLIPModel

        torch.set_num_threads(o["threads"])
        self.torch, self.o, self.step = torch, o, 0
        self.model = CLIPModel.from_pretrained(o["model"], dtype=torch.float64 if o.get("double") else torch.float32, attn_implementation="sdpa").train()
        matrices = [p for p in self.model.parameters() if p.ndim > 1]
        rest = [p for p in self.model.parameters() if p.ndim <= 1]
        groups = [{"params": matrices, "weight_decay": o["decay"]}, {"params": rest, "weight_decay": 0.0}]
        self.adam = torch.optim.AdamW(groups, lr=o["lr"], betas=(o["beta1"], o["beta2"]), eps=o["eps"], fused=True)

    def batch(self, i):
        o, torch = self.o, self.torch
        pixels = np.fromfile(f"{o['model']}/pixels{i % 4}.f32", dtype=np.float32).reshape(o["batch"], 3, o["pixels"], o["pixels"])
        ids = np.fromfile(f"{o['model']}/ids{i % 4}.i64", dtype=np.int64).reshape(o["batch"], o["context"])
        return torch.from_numpy(pixels).to(self.model.dtype), torch.from_numpy(ids)

    def loss(self, pixels, ids):
        with self.torch.autocast("cpu", self.torch.bfloat16, enabled=bool(self.o.get("half"))):
            return self.model(input_ids=ids, pixel_values=pixels, return_loss=True).loss

    def steps(self, n):
        done = []
        for _ in range(n):
            batch = self.batch(self.step)
            began = time.perf_counter()
            self.step += 1
            for g in self.adam.param_groups:
                g["lr"] = self.o["lr"] * min(1, self.step / self.o["warmup"])
            loss = self.loss(*batch)
            self.adam.zero_grad()
            loss.backward()
            self.torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.o["clip"])
            self.adam.step()
            with self.torch.no_grad():
                self.model.logit_scale.clamp_(0, math.log(100))
            done.append((time.perf_counter() - began, loss.item()))
        return done

    def gradients(self, path):
        """Writes the gradients of the first batch at the weights of now, by the checkpoint's names."""
        self.adam.zero_grad()
        loss = self.loss(*self.batch(0))
        loss.backward()
        save_file({n: p.grad.numpy() for n, p in self.model.named_parameters()}, path)
        self.adam.zero_grad()
        return loss.item()


def peer():
    """Answers orders as bench's trainer does: a model first, then steps or gradients."""
    side = None
    for line in sys.stdin:
        o, answer = json.loads(line), {}
        if "model" in o:
            side = Peer(o)
        if "steps" in o:
            answer["steps"] = side.steps(o["steps"])
        if "gradients" in o:
            answer["loss"] = side.gradients(o["gradients"])
        print(json.dumps(answer), flush=True)


def bar(what, got, sign, need):
    ok = got >= need if sign == "≥" else got <= need
    print(f"  {what:<58} {got:10.4g}   {sign} {need:<6g} {'ok' if ok else 'SHORT'}")


def note(what, *got):
    print(f"  {what:<58}" + "".join(f" {x:10.4g}" for x in got))


PYTHON = [sys.executable, __file__, "--peer"]
# glibc gives large blocks back to the kernel at once and faults them in again; this keeps them.
KEPT = {"MALLOC_MMAP_THRESHOLD_": str(1 << 32), "MALLOC_TRIM_THRESHOLD_": str(1 << 36)}


def speed(bench, folder, name):
    where, s = checkpoint(folder, name), SHAPES[name]
    sides = {"here": Side([bench, "trainer"], where, name)} if bench != "-" else {}
    sides |= {"PyTorch fp32": Side(PYTHON, where, name)}
    if name != "large":  # each of them takes 5 GB there
        sides |= {"PyTorch fp32, kept malloc": Side(PYTHON, where, name, KEPT), "PyTorch bf16": Side(PYTHON, where, name, half=True)}
    for i in range(s["steps"] // 2):
        for side in sides.values():
            side.burst(2)
    print(f"{name}: batch {s['batch']}, {s['pixels']} px, {s['act']}, {THREADS} threads, {s['steps']} steps: seconds a step (median, least; of all threads), last loss, most memory in GB")
    median, worked, held = {}, {}, {}
    for key, side in sides.items():
        median[key], worked[key], held[key] = float(np.median(side.seconds[2:])), float(np.median(side.worked[1:])), side.close()
        note(key, median[key], min(side.seconds[2:]), worked[key], side.losses[-1], held[key] / 1e9)
    if "here" in sides:
        bar(f"{name}, step / PyTorch fp32 (goal 0.95)", median["here"] / median["PyTorch fp32"], "≤", 1.10)
        bar(f"{name}, memory / PyTorch fp32", held["here"] / held["PyTorch fp32"], "≤", 1.2)
        others = [key for key in sides if key != "here"]
        note(f"{name}, step / each of PyTorch's", *(median["here"] / median[key] for key in others))
        note(f"{name}, threads' time / each of PyTorch's", *(worked["here"] / worked[key] for key in others))
        apart = np.abs(np.array(sides["here"].losses) - sides["PyTorch fp32"].losses)
        note(f"{name}, loss apart from PyTorch's: largest, after the last step", apart.max(), apart[-1])


def relative(got, want):
    """The error of every tensor of got, by the length of want; a key's bias has no gradient, so it has no error either."""
    return np.array([np.linalg.norm(got[n].ravel() - w.ravel()) / np.linalg.norm(w) for n, w in want.items() if not n.endswith("k_proj.bias")])


def tiny(bench, folder):
    """The gradients of a step and the losses of twenty, with float64 as the judge."""
    where, n = checkpoint(folder, "tiny"), SHAPES["tiny"]["steps"]
    sides = {"double": Side(PYTHON, where, "tiny", double=True), "PyTorch fp32": Side(PYTHON, where, "tiny")}
    if bench != "-":
        sides["here"] = Side([bench, "trainer"], where, "tiny")
    grads = {}
    for key, side in sides.items():
        path = str(where / f"gradients-{key.replace(' ', '-')}")
        side.ask(gradients=path)
        grads[key] = load_file(path)
        side.burst(n)
    errors = {key: relative(g, grads["double"]) for key, g in grads.items() if key != "double"}
    for key, e in errors.items():
        note(f"tiny, gradients of {key}: median and largest error", np.median(e), e.max())
        apart = np.abs(np.array(sides[key].losses) - sides["double"].losses)
        note(f"tiny, losses of {n} steps of {key}: largest error", apart.max())
    if "here" in errors:
        bar("tiny, median error of a gradient / PyTorch fp32's", np.median(errors["here"]) / np.median(errors["PyTorch fp32"]), "≤", 2)
        bar("tiny, largest error of a gradient / PyTorch fp32's", errors["here"].max() / errors["PyTorch fp32"].max(), "≤", 2)
        bar(f"tiny, loss of {n} steps apart from PyTorch's", np.abs(np.array(sides["here"].losses) - sides["PyTorch fp32"].losses).max(), "≤", 1e-5)
    for side in sides.values():
        side.close()


def main():
    if sys.argv[1:] == ["--peer"]:
        return peer()
    bench, folder = sys.argv[1:3]
    for name in sys.argv[3:] or SHAPES:
        if name == "tiny":
            tiny(bench, folder)
        else:
            speed(bench, folder, name)


if __name__ == "__main__":
    main()
