"""Writes names.json: the tensors of transformers' CLIPModel for some architectures.

    python3 testdata/scratch/names.py            # in package clip; made with transformers 5.24.0
    python3 testdata/scratch/names.py DIR IDS OUT   # loads DIR, and writes what it makes of seeded pixels and the ids

The second is how a checkpoint of WriteScratch or WriteCheckpoint is seen by transformers: it fails where
a tensor is missing or not expected.
"""
import json, os, sys
import numpy as np, torch
from transformers import CLIPConfig, CLIPModel

here = os.path.dirname(os.path.abspath(__file__))
CASES = [
    {"image": {"width": 48, "layers": 2, "heads": 4, "mlp": 96}, "image_size": 32, "patch": 8,
     "text": {"width": 32, "layers": 3, "heads": 2, "mlp": 128}, "context": 16, "vocab": 49408, "dim": 24, "activation": "gelu"},
    {"image": {"width": 64, "layers": 1, "heads": 1, "mlp": 256}, "image_size": 30, "patch": 10,
     "text": {"width": 64, "layers": 1, "heads": 1, "mlp": 256}, "context": 77, "vocab": 49408, "dim": 32, "activation": "quick_gelu"},
]


def tower(a, t):
    return dict(hidden_size=t["width"], num_hidden_layers=t["layers"], num_attention_heads=t["heads"], intermediate_size=t["mlp"],
                hidden_act=a["activation"], projection_dim=a["dim"])


def names():
    out = []
    for a in CASES:
        c = CLIPConfig(projection_dim=a["dim"],
                       text_config=dict(tower(a, a["text"]), vocab_size=a["vocab"], max_position_embeddings=a["context"]),
                       vision_config=dict(tower(a, a["image"]), image_size=a["image_size"], patch_size=a["patch"]))
        out.append({"architecture": a, "tensors": {k: list(v.shape) for k, v in CLIPModel(c).state_dict().items()}})
    with open(os.path.join(here, "names.json"), "w") as f:
        json.dump(out, f, indent=1)
        f.write("\n")


def features(dir, ids, out):
    net, how = CLIPModel.from_pretrained(dir, output_loading_info=True)
    wrong = {k: v for k, v in how.items() if v}
    if wrong:
        sys.exit(f"{dir}: {wrong}")
    print("scale", net.logit_scale.item(), net.dtype)
    side = net.config.vision_config.image_size
    pixels = torch.from_numpy(np.random.default_rng(1).standard_normal((3, 3, side, side), dtype=np.float32))
    ids = torch.tensor(json.load(open(ids)))
    with torch.no_grad():
        image, text = net.get_image_features(pixel_values=pixels), net.get_text_features(input_ids=ids)
    image, text = (x if torch.is_tensor(x) else x.pooler_output for x in (image, text))
    os.makedirs(out, exist_ok=True)
    for name, x in {"pixels": pixels, "ids": ids, "image_features": image, "text_features": text}.items():
        np.save(os.path.join(out, name + ".npy"), x.numpy())


names() if len(sys.argv) == 1 else features(*sys.argv[1:])
