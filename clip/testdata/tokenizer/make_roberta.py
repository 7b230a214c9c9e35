"""Writes a byte-level tokenizer as RoBERTa has it, vocab.json and merges.txt alone, and
the ids that transformers 5.24.0 gives with it. It is trained on this program's README.

usage: make_roberta.py     (pip install tokenizers transformers)
"""
import json
from pathlib import Path

from tokenizers import ByteLevelBPETokenizer
from transformers import RobertaTokenizerFast

here = Path(__file__).parent
folder = here / "roberta"
lines = [line for line in (here / "../../../README.md").read_text().split("\n") if line.strip()]
tokenizer = ByteLevelBPETokenizer()
tokenizer.train_from_iterator(lines, vocab_size=600, special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
folder.mkdir(exist_ok=True)
tokenizer.save_model(str(folder))
(folder / "tokenizer_config.json").write_text('{"tokenizer_class": "RobertaTokenizer"}\n')
reference = RobertaTokenizerFast(vocab=str(folder / "vocab.json"), merges=str(folder / "merges.txt"))
texts = ["a dog", "A photo of a cat.", "", " ", "  spaces  and\ttabs\n", "don't it's 1234567", "café naïve", "日本語", "emoji 😀", "<s> a </s> <pad> <mask>",
         "end ", "x" * 30, "Hello, world!! ...", "tabs\t\tmore", " leading"]
with open(here / "roberta.jsonl", "w") as f:
    for text in texts:
        f.write(json.dumps({"text": text, "ids": reference(text)["input_ids"]}, ensure_ascii=False) + "\n")
