"""Makes tests/golden/text: small tokenizers, and what Hugging Face's `tokenizers` (0.22) makes of texts with them.

    pip install tokenizers && python tests/golden/make/text.py
"""
import json
import os
import random

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "text")

SENTENCES = """The quick brown fox isn't afraid of the lazy dog's 12 friends; they've run 1,024 metres!
A stirring, funny and finally transporting re-imagining of beauty and the beast.
Übermütige Köche würzten 3 Gläser Süßmost für Zoë Ångström (naïve façade, déjà vu).
Ελληνικά γράμματα και Σίσυφος; Русский язык: ЁЖИК и ёлка, 2024 год.
日本語のテキストと中文文本 mixed with English, e-mail: someone@example.org
한국어 문장도 있습니다. हिन्दी में भी लिखा है।  Two  blanks   and three.
I'll say we'd rather it'd stay; you're sure I'm not? 'Tis 50% of $9.99 ~ €8.50 → ok 👍🏽
tab\there, non\u00a0breaking, zero\u200bwidth, soft\u00adhyphen, combining e\u0301 and o\u0308
[CLS] special tokens [SEP] in the text [UNK] and [MASK]""".split("\n")


def random_texts(count):
    random.seed(7)
    pools = [(0x20, 0x7E), (0xA0, 0x24F), (0x391, 0x3C9), (0x400, 0x45F), (0x5D0, 0x5EA), (0x905, 0x939), (0x1E00, 0x1EFF),
             (0x2010, 0x2027), (0x3041, 0x3096), (0x4E00, 0x4FFF), (0xAC00, 0xB000), (0x1F600, 0x1F64F), (0x300, 0x320)]
    for _ in range(count):
        picked = random.sample(pools, 2)
        yield "".join(chr(random.randint(*random.choice(picked))) if random.random() < 0.8 else random.choice(" '.s")
                      for _ in range(random.randint(1, 16)))


def write(name, tokenizer):
    texts = SENTENCES + list(random_texts(60))
    tokenizer.save(os.path.join(FOLDER, name + ".json"), pretty=False)
    with open(os.path.join(FOLDER, name + ".cases.json"), "w", encoding="ascii") as file:
        file.write("[\n" + ",\n".join(json.dumps([text, tokenizer.encode(text).ids]) for text in texts) + "\n]\n")


def main():
    corpus = SENTENCES * 2
    bert = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    bert.normalizer = normalizers.BertNormalizer()
    bert.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    bert.train_from_iterator(corpus, trainers.WordPieceTrainer(vocab_size=500, special_tokens=special, show_progress=False))
    bert.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", bert.token_to_id("[CLS]")), ("[SEP]", bert.token_to_id("[SEP]"))])
    write("word_pieces", bert)
    pieces = sorted(bert.get_vocab().items(), key=lambda item: item[1])
    with open(os.path.join(FOLDER, "vocab.txt"), "w", encoding="utf-8", newline="\n") as file:
        file.writelines(piece + "\n" for piece, _ in pieces)

    gpt = Tokenizer(models.BPE())
    gpt.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    gpt.train_from_iterator(corpus, trainers.BpeTrainer(vocab_size=400, special_tokens=["<|endoftext|>"], show_progress=False,
                                                        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    gpt.post_processor = processors.ByteLevel(trim_offsets=False)
    write("byte_pairs", gpt)


main()
