"""all-MiniLM-L6-v2 and sentences: what peers run beside rtl's sentence jobs. RTL_MINILM names the folder that
scripts/fetch-minilm makes (default: ~/.cache/rtl/minilm)."""

import json
import os
import tempfile

import numpy as np

CACHE = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
FOLDER = os.environ.get("RTL_MINILM") or CACHE + "/rtl/minilm"
LONGEST = 256
CONFIG = dict(architectures=["BertModel"], model_type="bert", hidden_size=384, num_hidden_layers=6)
CONFIG |= dict(num_attention_heads=12, intermediate_size=1536, hidden_act="gelu", max_position_embeddings=512)
CONFIG |= dict(type_vocab_size=2, vocab_size=30522, layer_norm_eps=1e-12, pad_token_id=0)


def model_folder():
    """The model with the files that transformers looks for."""
    folder = tempfile.mkdtemp()
    for name in ("model.safetensors", "tokenizer.json", "vocab.txt"):
        os.symlink(f"{FOLDER}/{name}", f"{folder}/{name}")
    with open(folder + "/config.json", "w") as file:
        json.dump(CONFIG, file)
    with open(folder + "/tokenizer_config.json", "w") as file:
        json.dump(dict(tokenizer_class="BertTokenizer", do_lower_case=True, model_max_length=LONGEST), file)
    return folder


def sentences(folder):
    with open(folder + "/sentences.txt") as file:
        return file.read().splitlines()


class Tokens:
    """Batches of sentences of about equal length, padded to the longest of each."""

    def __init__(self):
        from tokenizers import Tokenizer

        self.tokenizer = Tokenizer.from_file(FOLDER + "/tokenizer.json")
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(LONGEST)

    def embed(self, texts, batch, run):
        """run(ids, mask) gives the means of the last hidden states."""
        ids = [one.ids for one in self.tokenizer.encode_batch(texts)]
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        found = np.empty((len(ids), CONFIG["hidden_size"]), np.float32)
        for begin in range(0, len(ids), batch):
            rows = order[begin : begin + batch]
            longest = max(len(ids[i]) for i in rows)
            padded, mask = (np.zeros((len(rows), longest), np.int64) for _ in range(2))
            for at, i in enumerate(rows):
                padded[at, : len(ids[i])], mask[at, : len(ids[i])] = ids[i], 1
            found[rows] = run(padded, mask)
        return found


def embedder(attention="sdpa"):
    """A torch module from ids and mask to means."""
    import torch
    from transformers import BertModel

    class Embedder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.bert = BertModel.from_pretrained(model_folder(), add_pooling_layer=False, attn_implementation=attention)

        def forward(self, ids, mask):
            hidden = self.bert(input_ids=ids, attention_mask=mask).last_hidden_state
            weights = mask.unsqueeze(-1).to(hidden.dtype)
            return (hidden * weights).sum(1) / weights.sum(1)

    return Embedder().eval()
