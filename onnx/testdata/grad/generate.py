"""Writes golden.json: gradients that PyTorch computes in float64, for the cases of
grad_cases_test.go and grad_block_test.go that have the same names.

    python3 generate.py

Needs PyTorch (written with 2.15). Operands are float32 numbers, drawn from a fixed seed.
"""
import json
import pathlib

import torch
import torch.nn.functional as F

torch.manual_seed(7)
torch.set_default_dtype(torch.float64)
golden = {}


def normal(*dims):
    return torch.randn(*dims).float().double()


def positive(*dims):
    return (torch.randn(*dims).abs() + 0.5).float().double()


def ids(dims, *v):
    return torch.tensor(v).reshape(dims)


def flat(t):
    return [float(f"{v:.9g}") for v in t.detach().reshape(-1).tolist()]


def case(name, f, *args):
    """Keeps the operands, a seed, f's value and the gradients of sum(f * seed)."""
    for a in args:
        if a.is_floating_point():
            a.requires_grad_()
    y = f(*args)
    y = y.reshape(y.shape or (1,))
    seed = normal(*y.shape)
    (y * seed).sum().backward()
    golden[name] = {
        "x": [flat(a) for a in args],
        "seed": flat(seed),
        "y": flat(y),
        "d": [flat(a.grad) if a.is_floating_point() else None for a in args],
    }


def elements():
    case("Add a row", torch.add, normal(4, 3), normal(3))
    case("Sub", torch.sub, normal(2, 3), normal(5, 1, 3))
    case("Mul by a column", torch.mul, normal(4, 3), normal(4, 1))
    case("Div by a column", torch.div, normal(4, 3), positive(4, 1))
    case("Max", torch.maximum, normal(4, 3), normal(3))
    case("Min", torch.minimum, normal(4, 1), normal(4, 3))
    case("Pow 3", lambda x: x**3, normal(6))
    case("Pow -0.5", lambda x: x**-0.5, positive(6))
    for name, f in {"Abs": torch.abs, "Exp": torch.exp, "Erf": torch.erf, "Neg": torch.neg}.items():
        case(name, f, normal(6))
    case("Log", torch.log, positive(6))
    case("Sqrt", torch.sqrt, positive(6))
    for name, f in {"Relu": F.relu, "Sigmoid": torch.sigmoid, "Tanh": torch.tanh, "Softplus": F.softplus}.items():
        case(name, f, normal(4, 5))
    case("Gelu", F.gelu, normal(8, 9))
    case("GeluTanh", lambda x: F.gelu(x, approximate="tanh"), normal(8, 9))
    case("QuickGelu", lambda x: x * torch.sigmoid(1.702 * x), normal(8, 9))
    case("Clip", lambda x: x.clamp(-0.5, 0.75), normal(4, 9))


def layers():
    case("MatMul of rows", torch.matmul, normal(2, 3, 4), normal(4, 5))
    case("MatMul, broadcast", torch.matmul, normal(2, 1, 3, 4), normal(3, 4, 5))
    case("Gemm false true", lambda a, b, c: 0.5 * a @ b.T - 2 * c, normal(3, 4), normal(5, 4), normal(3, 5))
    case("LayerNorm", lambda x, w, b: F.layer_norm(x, (8,), w, b, 1e-5), normal(3, 8), normal(8), normal(8))
    case("LayerNorm of sequences", lambda x, w, b: F.layer_norm(x, (8,), w, b, 1e-3), normal(2, 3, 8), normal(8), normal(8))
    case("Softmax", lambda x: x.softmax(-1), normal(3, 5))
    case("LogSoftmax of columns", lambda x: x.log_softmax(0), normal(3, 5))
    case("ReduceMax", lambda x: x.amax(1), normal(2, 3, 4))
    case("ReduceMean", lambda x: x.mean((0, 2), keepdim=True), normal(2, 3, 4))
    case("ReduceLogSumExp", lambda x: x.logsumexp(1), normal(4, 5))
    for causal in (False, True):
        case(f"attention 2 {str(causal).lower()}", lambda q, k, v: attention(q, k, v, 2, causal), *(normal(2, 3, 4) for _ in range(3)))


def attention(q, k, v, heads, causal):
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, is_causal=causal).transpose(1, 2).flatten(2)


def shapes():
    case("Rows", lambda x, i: x[i], normal(5, 3), ids((2, 4), 4, 0, 2, 2, 2, 1, 0, 4))
    case("Pick", lambda x, i: x[torch.arange(3), i], normal(3, 4, 2), ids((3,), 2, 0, 3))
    case("Slice", lambda x: x[:, 1:3], normal(2, 5))
    case("Transpose", lambda x: x.permute(2, 0, 1), normal(2, 3, 4))


def windows():
    for name, x, k, stride, pad, groups in (
        ("1x1", (2, 3, 4, 5), (4, 3, 1, 1), 1, 0, 1),
        ("3x3", (2, 3, 5, 4), (2, 3, 3, 3), 1, 1, 1),
        ("3x3 in steps", (2, 3, 6, 7), (2, 3, 3, 3), 2, 1, 1),
        ("steps, groups", (2, 4, 6, 4), (6, 2, 3, 3), 2, 1, 2),
        ("patches", (2, 3, 7, 4), (5, 3, 2, 2), 2, 0, 1),
    ):
        case("Conv " + name, lambda x, k, b: F.conv2d(x, k, b, stride, pad, 1, groups), normal(*x), normal(*k), normal(k[0]))
    for size, stride, pad in ((2, 2, 0), (3, 2, 1), (3, 1, 1)):
        where = f" {size}, stride {stride}, pad {pad}"
        case("AveragePool" + where, lambda x: F.avg_pool2d(x, size, stride, pad, count_include_pad=False), normal(2, 3, 7, 6))
        case("MaxPool" + where, lambda x: F.max_pool2d(x, size, stride, pad), normal(2, 3, 7, 6))


def block(x, w1, b1, qkv, qkvb, out, outb, w2, b2, up, upb, down, downb, head, text, scale):
    """A transformer block over 3 sequences of 4, its mean projected, and symmetric InfoNCE with text."""
    d = x.shape[1]
    q, k, v = (F.layer_norm(x, (d,), w1, b1) @ qkv.T + qkvb).reshape(3, 4, 3 * d).chunk(3, -1)
    x = x + attention(q, k, v, 2, True).reshape(-1, d) @ out.T + outb
    x = x + F.gelu(F.layer_norm(x, (d,), w2, b2) @ up.T + upb) @ down.T + downb
    image = F.normalize(x.reshape(3, 4, d).mean(1) @ head.T, dim=-1)
    logits = image @ F.normalize(text, dim=-1).T * scale.exp()
    labels = torch.arange(3)
    return (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2


elements()
layers()
shapes()
windows()
shape = [(12, 8), (8,), (8,), (24, 8), (24,), (8, 8), (8,), (8,), (8,), (16, 8), (16,), (8, 16), (8,), (6, 8), (3, 6), (1,)]
case("block", block, *(normal(*s) for s in shape))
path = pathlib.Path(__file__).with_name("golden.json")
path.write_text("{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in golden.items()) + "\n}\n")
