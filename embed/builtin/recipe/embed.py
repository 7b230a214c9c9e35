"""Puts a model that `run` made where the program embeds it, beside its card and licences.

    python3 embed/builtin/recipe/embed.py .model/towers-1

The towers and the words are copied as they are; the manifest gets a licence, and the
list of all files. Run it again when the card or a licence has changed: the digest of a
space comes from the towers and the words alone.
"""
import hashlib, json, pathlib, shutil, sys

made = pathlib.Path(sys.argv[1])
model = pathlib.Path(__file__).resolve().parent.parent / 'model'
m = json.loads((made / 'clipsearch-model.json').read_text())
names = {'visual.onnx': 'visual.int8.onnx', 'textual.onnx': 'textual.int8.onnx'}
assert m['precision'] == 'int8' and sorted(m['exact_int8']) == sorted(names), 'not an int8 model of two graphs'
for old, new in names.items():
    shutil.copyfile(made / old, model / new)
shutil.copyfile(made / 'tokenizer.json', model / 'tokenizer.json')
m['image'], m['text'] = names['visual.onnx'], names['textual.onnx']
m['exact_int8'] = [m['image'], m['text']]
m['architecture'] = 'EfficientNet-Lite0 + MiniLM-L6, projection heads'
m['licence'] = 'weights for non-commercial research and education only (LICENSE.model)'
m['files'] = [
    {'name': name, 'bytes': len(data), 'sha256': hashlib.sha256(data).hexdigest()}
    for name in (m['image'], m['text'], 'tokenizer.json', 'LICENSE.model', 'LICENSE.Apache-2.0', 'MODEL_CARD.md', 'NOTICE')
    for data in [(model / name).read_bytes()]
]
(model / 'clipsearch-model.json').write_text(json.dumps(m, indent=1) + '\n')
print(f"{m['name']}: {sum(f['bytes'] for f in m['files']) / 1e6:.1f} MB")
