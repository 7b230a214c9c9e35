"""What Python (onnxruntime, Pillow, tokenizers) makes of the ten photographs and some texts with the embedded model.

    pip install onnxruntime==1.32.0 pillow==13.0.0 tokenizers numpy
    python3 embed/testdata/reference.py > embed/testdata/reference.json     (from the repository's root)
"""
import json, os
import numpy as np, onnxruntime as ort
from PIL import Image
from tokenizers import Tokenizer

MODEL, PHOTOS = 'embed/builtin/model/', 'testdata/photos/'
TEXTS = ['a dog', 'a photo of a cat.', 'two children playing on the beach', 'A cup of COFFEE', 'sunset', 'naïve café, 日本 & 3.14!',
         'a red car parked in front of a very old brick house with white windows', 'rocket']


def session(name):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry('session.x64quantprecision', '1')
    return ort.InferenceSession(MODEL + name, options, providers=['CPUExecutionProvider'])


def unit(v):
    return [round(float(x), 7) for x in v / np.linalg.norm(v)]


def pixels(path):
    im = Image.open(path).convert('RGB')
    w, h = im.size
    short = min(w, h)
    im = im.resize((224, int(224 * h / w)) if w == short else (int(224 * w / h), 224), Image.BICUBIC)
    left, top = int(round((im.width - 224) / 2)), int(round((im.height - 224) / 2))
    x = np.asarray(im.crop((left, top, left + 224, top + 224)), np.float32)
    return ((x - 127) / 128).transpose(2, 0, 1)[None]


vision, text, words = session('visual.int8.onnx'), session('textual.int8.onnx'), Tokenizer.from_file(MODEL + 'tokenizer.json')
words.no_padding()
words.enable_truncation(48)
out = {'images': {}, 'texts': []}
for path in sorted(PHOTOS + f for f in os.listdir(PHOTOS) if f.endswith('.jpg')) + ['embed/testdata/cat.png']:
    out['images'][path] = unit(vision.run(None, {'pixel_values': pixels(path)})[0][0])
for t in TEXTS:
    ids = words.encode(t).ids
    one = np.array([ids], np.int64)
    vector = text.run(None, {'input_ids': one, 'attention_mask': np.ones_like(one)})[0][0]
    out['texts'].append({'text': t, 'ids': ids, 'vector': unit(vector)})
print(json.dumps(out))
