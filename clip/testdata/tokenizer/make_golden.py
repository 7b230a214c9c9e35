"""Writes the ids of the reference implementations for the texts below.

usage: make_golden.py FIXTURES BERT     (pip install tokenizers ftfy regex)

FIXTURES is the folder with the tokenizers and the captions; BERT a folder with
the embedded model's tokenizer.json. open_clip itself is not needed: what it does
to a text is said again below, in a dozen lines.

The tokenizers are the project's own fixtures, trained on captions, but for clip/:
that is printable ASCII and the first merges of CLIP's vocabulary (OpenAI, MIT).
"""
import html, json, random, shutil, sys
from pathlib import Path

import ftfy
import regex
from tokenizers import Tokenizer

fixtures, bert, here = Path(sys.argv[1]), Path(sys.argv[2]), Path(__file__).parent
random.seed(4)

HOSTILE = [
    "", " ", "\t\n\r\x0b\x0c", "\x00\x01\x1b[31mred\x1b[0m\x7f\x9f", "\ufeffbom", "\ufffd", "a" * 500, "'" * 200, "word " * 200,
    "e" + "\u0301" * 40, "q" + "\u0323\u0307" * 40, "\u1112\u1161\u11ab\u1100\u1173\u11af", "İstanbul ΑΣ ΑΣΑ ς ſ 'ſ", "ǅ ǆ ĳ ﬁ ﬃ ﬅ ŉ",
    "[CLS] [SEP] [MASK] [UNK] [PAD]", "a[SEP]b", "<|startoftext|>a<|endoftext|>", "<|STARTOFTEXT|>", "<start_of_text> a <end_of_text>",
    "<s> </s> <pad> <unk> <mask> <eos> <bos>", "<0x41><0xFF>", "##ing ##", "\u2581\u2581a \u2581", "don't DON'T 'tis we'll y'all'd've rock'n'roll",
    "x'sy't'rez'", "3.14159 1,000,000 42nd ½ ² ① Ⅷ ٣", "&amp;amp; &lt;b&gt; &#39; &#x27; &#150; &eacute; &EACUTE; &notit; &hellip &#0; &#xD800; &;",
    "<b>&ldquo;</b>", "“curly” ‘quotes’ „low‚ ʼ", "ＦＵＬＬ　ｗｉｄｔｈ ｶﾞ ﾊﾟ", "cafÃ© donâ€™t Â© ðŸ˜€ voilÃ le Â thing Îµ ÐŸ", "il est né…» ’Ã’ CÂ MAU",
    "👨‍👩‍👧‍👦🏳️‍🌈🇫🇷 1️⃣", "日本語のテキスト 中文 한국어 ภาษาไทย हिन्दी عربي עברית", "\u200bzero\u200dwidth\u00a0space\u2028line\u3000wide\u0085next",
    "C++ C# .NET a_b-c/d\\e @me #tag $5 50% 7*6=42 ~^`|{}[]()<>", "naïve Ångström Łódź Đặng Ñandú œuvre ẞ ß",
]
rows = [json.loads(line)["text"] for line in open(fixtures / "clip_hf.jsonl", encoding="utf-8")]
TEXTS = rows[:44] + HOSTILE + rows[-60:-20]
CAPTIONS = random.sample([r for r in rows[44:] if r.isascii() and len(r) < 90], 200)


def write(name, texts, ids):
    with open(here / f"{name}.jsonl", "w", encoding="utf-8") as f:
        for t in texts:
            f.write(json.dumps({"text": t, "ids": ids(t)}, ensure_ascii=False) + "\n")


def reference(folder, length):
    t = Tokenizer.from_file(str(folder / "tokenizer.json"))
    t.no_padding()
    t.enable_truncation(length)
    return lambda text: t.encode(text).ids


def byte_letters():
    shown = [*range(33, 127), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [b for b in range(256) if b not in shown]
    return {b: chr(b) for b in shown} | {b: chr(256 + i) for i, b in enumerate(hidden)}


def open_clip(folder, length):
    """open_clip's SimpleTokenizer with another vocabulary: how it cleans, and where it cuts."""
    t = Tokenizer.from_file(str(folder / "tokenizer.json"))
    letters, marks = byte_letters(), {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    words = regex.compile("|".join(marks) + r"|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+", regex.IGNORECASE)

    def ids(text):
        text = html.unescape(html.unescape(ftfy.fix_text(text)))
        got = []
        for word in words.findall(" ".join(text.split()).lower()):
            if word in marks:
                got.append(t.token_to_id(marks[word]))
            else:
                got += [x.id for x in t.model.tokenize("".join(letters[b] for b in word.encode()))]
        begin, end = (t.token_to_id(m) for m in marks.values())
        return [begin] + got[: length - 2] + [end]

    return ids


def canonical(text):
    text = html.unescape(html.unescape(ftfy.fix_text(text))).replace("_", " ")
    return " ".join("".join(c for c in text if not (c.isascii() and c.isprintable() and not c.isalnum() and c != " ")).lower().split())


for name, source, length in ("clip", "../models/onnx-external", 77), ("wordpiece", "wordpiece", 64), ("unigram", "unigram", 64), ("bytefallback", "bytefallback", 64):
    (here / name).mkdir(exist_ok=True)
    shutil.copyfile(fixtures / source / "tokenizer.json", here / name / "tokenizer.json")
    write(name, TEXTS, reference(here / name, length))
write("open_clip", TEXTS, open_clip(here / "clip", 77))
write("canonicalize", TEXTS, lambda t, ids=reference(here / "unigram", 64): ids(canonical(t)))
write("bert", CAPTIONS + HOSTILE, reference(bert, 48))
