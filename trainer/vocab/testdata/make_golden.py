"""Writes golden.json: what Hugging Face's libraries make of captions.txt and of files/,
which the test TestFiles writes if it is run with -update.

    pip install tokenizers transformers
    python3 testdata/make_golden.py
"""
import json, pathlib
import tokenizers, transformers
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import AutoTokenizer, CLIPTokenizer

here = pathlib.Path(__file__).parent
captions = (here / "captions.txt").read_text().splitlines()

# Merges, to be learnt from the same words. That none of its ties depends on a hash is
# not promised: the test asks of each merge that no pair is more frequent.
t = Tokenizer(models.BPE(end_of_word_suffix="</w>", continuing_subword_prefix=""))
t.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
t.pre_tokenizer = pre_tokenizers.Sequence([
    pre_tokenizers.Split(Regex(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"), "removed", invert=True),
    pre_tokenizers.ByteLevel(add_prefix_space=False)])
t.train_from_iterator(captions, trainers.BpeTrainer(
    vocab_size=560, min_frequency=2, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), end_of_word_suffix="</w>", show_progress=False))
merges = [m if isinstance(m, list) else m.split() for m in json.loads(t.to_str())["model"]["merges"]]
tokens = sum(len(e.ids) for e in t.encode_batch(captions, add_special_tokens=False))

texts = captions[::5] + ["", " ", "A DOG'S LIFE", "the café's naïve façade", "e\u0301 combining", "don't we'll they've I'm he'd you're", "12345 3.14", "日本語 の犬", "emoji 🐕🎉!!",
                         "tabs\tand\nlines  and   spaces", "<|endoftext|>", "a <|startoftext|> b", "x" * 40, "snake_case-and/slashes", "ʼn ſt ﬁ Ⅷ ½", "runningrunningrunning" * 4, "a dog " * 60]
made = [AutoTokenizer.from_pretrained(here / "files"), CLIPTokenizer.from_pretrained(here / "files")]
fast = Tokenizer.from_file(str(here / "files" / "tokenizer.json"))
ids = [k(texts, truncation=True)["input_ids"] for k in made]
fast.enable_truncation(made[0].model_max_length)
ids.append([e.ids for e in fast.encode_batch(texts)])
assert ids[0] == ids[1] == ids[2]
whole = [len(i) for i in made[0](captions)["input_ids"]]

out = {"made with": f"tokenizers {tokenizers.__version__}, transformers {transformers.__version__}", "merges": merges, "tokens": tokens, "context": made[0].model_max_length,
       "pad": made[0].pad_token_id, "lengths": whole, "ids": [{"text": a, "ids": b} for a, b in zip(texts, ids[0])]}
(here / "golden.json").write_text("{\n" + ",\n".join(f'"{k}": ' + ("[\n" + ",\n".join(map(json.dumps, v)) + "\n]" if k in ("merges", "ids") else json.dumps(v)) for k, v in out.items()) + "\n}\n")
