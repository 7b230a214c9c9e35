"""Writes what weights_test.go reads: python3 make_golden.py

types.safetensors has one tensor of each type that becomes float32, types.json the
bits that PyTorch's .float() gives for it. sharded/ is what transformers writes of
a model of two shards. Made with torch 2.15 and safetensors 0.8.
"""

import json
import os

import torch
from safetensors.torch import save_file

here = os.path.dirname(os.path.abspath(__file__))

REALS = [0.0, -0.0, 1.0, -1.0, 1 / 3, 65504.0, 65520.0, 6.1035e-05, 6.0976e-05, 5.9605e-08, -2.98e-08, 1e-40, 3.4e38, 1e39, float("inf"), float("-inf"), float("nan")]


def bits(t):
    return [x & 0xFFFFFFFF for x in t.float().reshape(-1).view(torch.int32).tolist()]


def types():
    tensors = {}
    for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16):
        tensors[str(dtype)] = torch.tensor(REALS, dtype=torch.float64).to(dtype)
    for dtype in (torch.int64, torch.int32, torch.int16, torch.int8):
        info = torch.iinfo(dtype)
        tensors[str(dtype)] = torch.tensor([info.min, -1, 0, 1, 77, info.max - 1, info.max], dtype=dtype)
    for dtype in (torch.uint8, torch.uint16, torch.uint32, torch.uint64):
        tensors[str(dtype)] = torch.tensor([0, 1, 200, torch.iinfo(dtype).max], dtype=dtype)
    tensors["torch.bool"] = torch.tensor([[True, False], [False, True]])
    tensors["scalar"] = torch.tensor(2.6592)
    tensors["none"] = torch.zeros(3, 0)
    return tensors


def main():
    tensors = types()
    save_file(tensors, os.path.join(here, "types.safetensors"), metadata={"format": "pt"})
    golden = {k: {"shape": list(v.shape), "bits": bits(v)} for k, v in tensors.items()}
    with open(os.path.join(here, "types.json"), "w") as f:
        json.dump(golden, f, indent=0, sort_keys=True)
        f.write("\n")

    sharded = os.path.join(here, "sharded")
    os.makedirs(sharded, exist_ok=True)
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(7)
    model = CLIPTextModel(CLIPTextConfig(vocab_size=9, hidden_size=4, intermediate_size=4, num_hidden_layers=1, num_attention_heads=1, max_position_embeddings=3, bos_token_id=7, eos_token_id=8))
    model.save_pretrained(sharded, max_shard_size=700)
    for name in os.listdir(sharded):
        if "safetensors" not in name:
            os.remove(os.path.join(sharded, name))
    golden = {k: {"shape": list(v.shape), "bits": bits(v)} for k, v in model.state_dict().items() if "position_ids" not in k}
    with open(os.path.join(here, "sharded.json"), "w") as f:
        json.dump(golden, f, indent=0, sort_keys=True)
        f.write("\n")


main()
