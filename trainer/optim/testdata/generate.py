"""Writes adamw.json, schedule.json and average.json beside this file: PyTorch's numbers.

    pip install torch; python3 trainer/optim/testdata/generate.py
"""
import json
import os

import torch

here = os.path.dirname(os.path.abspath(__file__))
torch.manual_seed(1)


def write(name, value):
    with open(os.path.join(here, name), "w") as f:
        json.dump(value, f, separators=(",", ":"))
        f.write("\n")


def adamw(clip, steps=8, sizes=(7, 12, 5, 1), rates=(1, 0.5, 1, 2), decay=(True, True, False, False)):
    """Four groups, with gradients whose lengths lie on both sides of the clip."""
    params = [torch.nn.Parameter(torch.randn(n)) for n in sizes]
    groups = [{"params": [p], "rate": r, "weight_decay": 0.2 if d else 0.0} for p, r, d in zip(params, rates, decay)]
    opt = torch.optim.AdamW(groups, betas=(0.9, 0.98), eps=1e-6)
    flat = lambda: torch.cat([p.detach() for p in params]).tolist()
    case = {"clip": clip, "decay": 0.2, "sizes": sizes, "rates": rates, "decayed": decay, "start": flat(), "steps": []}
    for i in range(steps):
        lr = 0.01 / (1 + i)
        for g in opt.param_groups:
            g["lr"] = lr * g["rate"]
        for p in params:
            p.grad = torch.randn_like(p) * 10 ** (i % 3 - 1)
        grad = torch.cat([p.grad for p in params]).tolist()
        norm = torch.nn.utils.clip_grad_norm_(params, clip if clip else float("inf")).item()
        opt.step()
        case["steps"].append({"rate": lr, "gradient": grad, "norm": norm, "weights": flat()})
    return case


def schedule(rate, warmup, steps, floor, constant):
    opt = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate)
    lr = torch.optim.lr_scheduler
    then = lr.ConstantLR(opt, factor=1) if constant else lr.CosineAnnealingLR(opt, T_max=steps - warmup, eta_min=floor * rate)
    s = lr.SequentialLR(opt, [lr.LinearLR(opt, 1 / warmup, 1, warmup - 1), then], [warmup]) if warmup else then
    rates = []
    for _ in range(steps):
        rates.append(opt.param_groups[0]["lr"])
        opt.step()
        s.step()
    return {"rate": rate, "warmup": warmup, "steps": steps, "floor": floor, "constant": constant, "rates": rates}


def average(decay=0.9, n=9, steps=5):
    model = torch.nn.Linear(n, 1, bias=False)
    mean = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(decay))
    mean.update_parameters(model)  # the first takes the weights as they are
    row = lambda m: next(iter(m.parameters())).detach().flatten().tolist()
    case = {"decay": decay, "start": row(model), "steps": []}
    for _ in range(steps):
        with torch.no_grad():
            model.weight += torch.randn_like(model.weight)
        mean.update_parameters(model)
        case["steps"].append({"weights": row(model), "mean": row(mean)})
    return case


write("adamw.json", [adamw(0), adamw(1)])
write("schedule.json", [schedule(3e-4, 5, 20, 0, False), schedule(1e-3, 0, 7, 0.1, False), schedule(1e-3, 4, 9, 0, True)])
write("average.json", average())
