"""Writes checkpoints of a few kilobytes, one a family, and what PyTorch makes of them.

The weights are random: they hold the arithmetic of each architecture, not knowledge.
Written with torch 2.15.0, transformers 5.24.0, open_clip_torch 3.3.0, timm 1.0.31.

Usage: generate.py, from anywhere.
"""
import json
from pathlib import Path

import numpy as np
import timm
import torch
from open_clip.model import CLIP, CustomTextCLIP
from safetensors.torch import save_file
from transformers import (ChineseCLIPConfig, ChineseCLIPModel, CLIPConfig, CLIPModel, CLIPTextConfig, CLIPTextModelWithProjection, CLIPVisionConfig, CLIPVisionModel,
                          RobertaConfig, RobertaModel, SiglipConfig, SiglipModel, SiglipVisionConfig, SiglipVisionModel, XLMRobertaConfig, XLMRobertaModel)

HERE = Path(__file__).parent
MEAN, STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]


def spread(net, seed):
    """Moves every parameter and running mean away from what initializations leave at 0 and 1."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, p in net.named_parameters():
            p.add_(torch.randn_like(p) * (0.3 if p.ndim < 2 else 0.15 / max(1, p.shape[-1]) ** 0.5))
        for name, b in net.named_buffers():
            if name.endswith("running_mean"):
                b.normal_(0, 0.3)
            elif name.endswith("running_var"):
                b.uniform_(0.5, 2)
    return net.eval()


def write(name, weights, config, config_name, pixels, image, ids, text, mask=None, weights_name="model.safetensors"):
    d = HERE / name / "expect"
    d.mkdir(parents=True, exist_ok=True)
    save_file({k: v.contiguous() for k, v in weights.items() if "position_ids" not in k and "attn_mask" not in k}, d.parent / weights_name)
    (d.parent / config_name).write_text(json.dumps(config, indent=1) + "\n")
    for file, x in (("pixels", pixels), ("image_features", image), ("ids", ids), ("text_features", text), ("attention_mask", mask)):
        if x is not None:
            np.save(d / f"{file}.npy", x.detach().numpy())


def sentences(vocabulary, length, begin, end, pad, full=False):
    """Rows of ids of several lengths, and their mask."""
    ids, mask = torch.full((3, length), pad), torch.zeros(3, length, dtype=torch.long)
    for row, n in enumerate((length, length // 2, 3)):
        ids[row, :n], mask[row, :n] = torch.randint(4, vocabulary - 2, (n,)), 1
        ids[row, 0], ids[row, n - 1] = begin, end
    return ids, mask


def towers(width=16, layers=2, heads=2, **more):
    return dict(hidden_size=width, intermediate_size=24, num_hidden_layers=layers, num_attention_heads=heads, **more)


@torch.no_grad()
def transformers_clip():
    net = spread(CLIPModel(CLIPConfig(text_config=towers(8, vocab_size=60, max_position_embeddings=12, eos_token_id=59, bos_token_id=58),
                                      vision_config=towers(image_size=16, patch_size=8), projection_dim=12)), 1)
    pixels = torch.randn(2, 3, 16, 16)
    ids, _ = sentences(60, 12, 58, 59, 0)
    image = net.visual_projection(net.vision_model(pixel_values=pixels).pooler_output)
    write("transformers-clip", net.state_dict(), net.config.to_dict(), "config.json", pixels, image, ids, net.text_projection(net.text_model(input_ids=ids).pooler_output))


@torch.no_grad()
def stemmed_clip():
    """CLIPModel with convolutions in place of its patches, which transformers itself does not have."""
    net = CLIPModel(CLIPConfig(text_config=towers(8, vocab_size=60, max_position_embeddings=12, eos_token_id=59, bos_token_id=58),
                               vision_config=towers(image_size=16, patch_size=4), projection_dim=12))
    conv, relu = torch.nn.Conv2d, torch.nn.ReLU
    net.vision_model.embeddings.patch_embedding = torch.nn.Sequential(conv(3, 4, 3, 2, 1), relu(), conv(4, 8, 3, 2, 1), relu(), conv(8, 16, 1))
    spread(net, 16)
    net.vision_model.embeddings.patch_embedding.weight = net.vision_model.embeddings.patch_embedding[0].weight  # it is asked for its type
    pixels = torch.randn(2, 3, 16, 16)
    ids, _ = sentences(60, 12, 58, 59, 0)
    image = net.visual_projection(net.vision_model(pixel_values=pixels).pooler_output)
    weights = {k.replace("patch_embedding.", "stem."): v for k, v in net.state_dict().items() if not k.endswith("patch_embedding.weight")}
    weights = {k.replace("stem.2.", "stem.1.").replace("stem.4.", "stem.2."): v for k, v in weights.items()}
    config = net.config.to_dict() | {"model_type": "clipsearch_clip"}
    write("stemmed-clip", weights, config, "config.json", pixels, image, ids, net.text_projection(net.text_model(input_ids=ids).pooler_output))


@torch.no_grad()
def transformers_siglip():
    net = spread(SiglipModel(SiglipConfig(text_config=towers(vocab_size=60, max_position_embeddings=10, projection_size=16), vision_config=towers(image_size=16, patch_size=8))), 2)
    pixels = torch.randn(2, 3, 16, 16)
    ids, _ = sentences(60, 10, 5, 1, 1)
    write("transformers-siglip", net.state_dict(), net.config.to_dict(), "config.json", pixels,
          net.vision_model(pixel_values=pixels).pooler_output, ids, net.text_model(input_ids=ids).pooler_output)


@torch.no_grad()
def transformers_chinese_clip():
    net = spread(ChineseCLIPModel(ChineseCLIPConfig(text_config=towers(vocab_size=60, max_position_embeddings=20), vision_config=towers(image_size=16, patch_size=8), projection_dim=12)), 3)
    pixels = torch.randn(2, 3, 16, 16)
    ids, mask = sentences(60, 12, 2, 3, 0)
    image = net.visual_projection(net.vision_model(pixel_values=pixels).pooler_output)
    text = net.text_projection(net.text_model(input_ids=ids, attention_mask=mask)[0][:, 0])
    write("transformers-chinese-clip", net.state_dict(), net.config.to_dict(), "config.json", pixels, image, ids, text, mask)


@torch.no_grad()
def multilingual_clip():
    encoder = XLMRobertaModel(XLMRobertaConfig(**towers(vocab_size=60, max_position_embeddings=20, type_vocab_size=1, pad_token_id=1, bos_token_id=0, eos_token_id=2)), add_pooling_layer=False)
    net = spread(torch.nn.ModuleDict({"transformer": encoder, "LinearTransformation": torch.nn.Linear(16, 12)}), 4)
    ids, mask = sentences(60, 12, 0, 2, 1)
    h = encoder(input_ids=ids, attention_mask=mask)[0]
    text = net["LinearTransformation"]((h * mask[..., None]).sum(1) / mask.sum(1)[:, None])
    config = {"model_type": "M-CLIP", "modelBase": "xlm-roberta", "numDims": 12, "transformerDimensions": 16, "transformer_config": encoder.config.to_dict()}
    write("multilingual-clip", net.state_dict(), config, "config.json", None, None, ids, text, mask)


@torch.no_grad()
def alone(name, seed, net, tower):
    """One tower as transformers saves it by itself; tower makes of a net and its inputs the features."""
    net = spread(net, seed)
    net.config.architectures = [type(net).__name__]
    pixels, (ids, mask) = torch.randn(2, 3, 16, 16), sentences(60, 12, 58, 59, 1)
    if net.main_input_name == "pixel_values":
        write(name, net.state_dict(), net.config.to_dict(), "config.json", pixels, tower(net(pixel_values=pixels)), None, None)
        return
    masked = "roberta" in name
    text = tower(net(input_ids=ids, attention_mask=mask if masked else None))
    write(name, net.state_dict(), net.config.to_dict(), "config.json", None, None, ids, text, mask if masked else None)


@torch.no_grad()
def open_clip(name, seed, size, model, trunk=None, custom=False, **cfg):
    cfg = dict(embed_dim=12, text_cfg=dict(context_length=12, vocab_size=60, width=16, heads=2, layers=2), **cfg) | model
    create = timm.create_model
    if trunk:  # open_clip has no key for these, and learns the sizes from timm
        timm.create_model = lambda *a, **k: create(*a, **{k_: v for k_, v in k.items() if k_ != "img_size"}, **trunk)
    try:
        net = spread((CustomTextCLIP if custom else CLIP)(**{k: v for k, v in cfg.items() if k != "custom_text"}), seed)
    finally:
        timm.create_model = create
    pixels = torch.randn(2, 3, size, size)
    ids, _ = sentences(60, 12, 58, 59, 0)
    file = {"model_cfg": cfg, "preprocess_cfg": {"size": [size, size], "mean": MEAN, "std": STD, "interpolation": "bicubic", "resize_mode": "shortest"}}
    write(name, net.state_dict(), file, "open_clip_config.json", pixels, net.encode_image(pixels), ids, net.encode_text(ids), weights_name="open_clip_model.safetensors")


if __name__ == "__main__":
    transformers_clip()
    stemmed_clip()
    transformers_siglip()
    transformers_chinese_clip()
    multilingual_clip()
    open_clip("open-clip-vit", 5, 16, {"vision_cfg": dict(image_size=16, layers=2, width=16, head_width=8, patch_size=8, ls_init_value=0.5)}, quick_gelu=True)
    open_clip("open-clip-resnet", 6, 32, {"vision_cfg": dict(image_size=32, layers=[1, 1, 1, 1], width=4, head_width=16, patch_size=None)})
    open_clip("open-clip-convnext", 7, 32, {"vision_cfg": dict(timm_model_name="convnext_base", timm_model_pretrained=False, timm_pool="", timm_proj="mlp", timm_drop=0., timm_drop_path=0., image_size=32)},
              trunk=dict(depths=[1, 1, 1, 1], dims=[4, 4, 8, 8]))
    open_clip("open-clip-mobileclip", 8, 64, {"vision_cfg": dict(timm_model_name="fastvit_mci0", timm_model_pretrained=False, timm_pool="avg", timm_proj=None, timm_drop=0., timm_drop_path=0., image_size=64),
              "text_cfg": dict(context_length=12, vocab_size=60, width=16, heads=2, layers=1, no_causal_mask=True), "custom_text": True},
              trunk=dict(layers=[1, 1, 1, 1], embed_dims=[8, 8, 8, 32], mlp_ratios=(1, 1, 1, 1)), custom=True)
    small = dict(context_length=12, vocab_size=60, width=16, heads=2, layers=1)
    eva = dict(timm_model_pretrained=False, timm_proj=None, timm_drop=0., timm_drop_path=0., image_size=16)
    open_clip("open-clip-perception", 9, 16, {"vision_cfg": dict(eva, timm_model_name="vit_pe_core_tiny_patch16_384", timm_pool="map"), "text_cfg": small, "custom_text": True},
              trunk=dict(img_size=16, patch_size=4, embed_dim=16, depth=2, num_heads=1), custom=True)
    open_clip("open-clip-eva02", 10, 16, {"vision_cfg": dict(eva, timm_model_name="eva02_base_patch16_clip_224", timm_pool="token"), "text_cfg": small, "custom_text": True},
              trunk=dict(img_size=16, patch_size=4, embed_dim=16, depth=2, num_heads=1), custom=True)
    open_clip("open-clip-eva02-enormous", 11, 16, {"vision_cfg": dict(eva, timm_model_name="eva02_enormous_patch14_clip_224", timm_pool="token"), "text_cfg": small, "custom_text": True},
              trunk=dict(img_size=16, patch_size=4, embed_dim=32, depth=1, num_heads=16, mlp_ratio=2), custom=True)
    alone("transformers-clip-vision", 12, CLIPVisionModel(CLIPVisionConfig(**towers(image_size=16, patch_size=8))), lambda out: out.pooler_output)
    alone("transformers-siglip-vision", 13, SiglipVisionModel(SiglipVisionConfig(**towers(image_size=16, patch_size=8))), lambda out: out.pooler_output)
    alone("transformers-clip-text", 14, CLIPTextModelWithProjection(CLIPTextConfig(**towers(8, vocab_size=60, max_position_embeddings=12, eos_token_id=59, bos_token_id=58, projection_dim=12))),
          lambda out: out.text_embeds)
    alone("transformers-roberta", 15, RobertaModel(RobertaConfig(**towers(vocab_size=60, max_position_embeddings=20, type_vocab_size=1, pad_token_id=1))), lambda out: out.pooler_output)
