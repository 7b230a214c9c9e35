"""Trains small SentencePiece models and writes what SentencePiece itself makes of the texts in unigram.jsonl.

usage: make_sentencepiece.py     (pip install sentencepiece)

spm-t5/spiece.model             unigram, </s> after a text, a few rules of normalisation
spm-xlmr/sentencepiece.bpe.model  unigram, numbered as XLM-R numbers it: <s> 0, <pad> 1, </s> 2, <unk> 3, then the pieces
spm-gemma/tokenizer.model       byte pairs and bytes, no space before a text, spaces kept
"""
import io, json
from pathlib import Path
import sentencepiece as spm

here = Path(__file__).parent
TEXTS = [json.loads(line)["text"] for line in open(here / "unigram.jsonl", encoding="utf-8")]
TEXTS += ["a <photo> of<photo>x", "<photo>", "x  y   z    ", "one\n\ntwo\n\n\n", " <photo>  <photo> ", "ﬃﬁＦＵＬＬ–　A\u030a\u0301 A\u030a"]
LEARN = [t for t in TEXTS if len(t) < 200 and "\0" not in t] * 3
RULES = here / "rules.tmp"  # of code points in hexadecimal: fi, ffi, full-width F U L, a dash, the ideographic space
RULES.write_text("FB01\t66 69\nFB03\t66 66 69\nFF26\t46\nFF35\t55\nFF2C\t4C\n2013\t2D\n3000\t20\n41 30A\tC5\n41 30A 301\t1FA\n", encoding="utf-8")


def train(folder, name, **how):
    out = io.BytesIO()
    spm.SentencePieceTrainer.train(sentence_iterator=iter(LEARN), model_writer=out, minloglevel=2, num_threads=1, **how)
    (here / folder).mkdir(exist_ok=True)
    (here / folder / name).write_bytes(out.getvalue())
    return spm.SentencePieceProcessor(model_proto=out.getvalue())


def write(folder, ids, length=64):
    with open(here / f"{folder}.jsonl", "w", encoding="utf-8") as f:
        for t in TEXTS:
            f.write(json.dumps({"text": t, "ids": ids(t, length)}, ensure_ascii=False) + "\n")


t5 = train("spm-t5", "spiece.model", model_type="unigram", hard_vocab_limit=False, vocab_size=700, normalization_rule_tsv=str(RULES), pad_id=0, eos_id=1, unk_id=2, bos_id=-1, character_coverage=0.98, user_defined_symbols=["<photo>"])
write("spm-t5", lambda t, n: t5.encode(t)[: n - 1] + [1])
xlmr = train("spm-xlmr", "sentencepiece.bpe.model", model_type="unigram", hard_vocab_limit=False, vocab_size=640, normalization_rule_name="identity", character_coverage=0.98)
write("spm-xlmr", lambda t, n: [0] + [3 if i == 0 else i + 1 for i in xlmr.encode(t)[: n - 2]] + [2])
gemma = train("spm-gemma", "tokenizer.model", model_type="bpe", vocab_size=1100, normalization_rule_name="identity", byte_fallback=True, add_dummy_prefix=False, remove_extra_whitespaces=False, pad_id=0, eos_id=1, bos_id=2, unk_id=3, character_coverage=0.98, user_defined_symbols=["▁▁", "▁▁▁", "\n\n", "<photo>"])
write("spm-gemma", lambda t, n: gemma.encode(t)[: n - 1] + [1])
RULES.unlink()
