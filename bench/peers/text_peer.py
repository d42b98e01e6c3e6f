"""sentence-transformers, and its model compiled, beside rtl's sentence jobs.

usage: text_peer.py THREADS FOLDER; the rest is in answers.py. A setting ends in the number of sentences of a batch.
"""

import sys

from answers import Answers

answers = Answers()
THREADS, FOLDER = int(sys.argv[1]), sys.argv[2]

import sentence_transformers
import torch
from sentence_transformers import SentenceTransformer, models

import lite0
import minilm

torch.set_num_threads(THREADS)


def dtype_of(setting):
    return torch.bfloat16 if "bf16" in setting else torch.float32


def library(setting, batch):
    arguments = {"torch_dtype": dtype_of(setting)}
    transformer = models.Transformer(minilm.model_folder(), max_seq_length=minilm.LONGEST, model_args=arguments)
    model = SentenceTransformer(modules=[transformer, models.Pooling(minilm.CONFIG["hidden_size"], "mean")], device="cpu")

    def embed(texts):
        found = model.encode(texts, batch_size=batch, convert_to_numpy=False, convert_to_tensor=True)
        return found.float().numpy()

    return embed


def compiled(setting, batch):
    """The model by itself, with constant weights, in sorted batches."""
    import torch._inductor.config

    torch._inductor.config.freezing = True
    model, tokens = torch.compile(minilm.embedder().to(dtype_of(setting)), dynamic=True), minilm.Tokens()

    def run(ids, mask):
        with torch.inference_mode():
            return model(torch.from_numpy(ids), torch.from_numpy(mask)).float().numpy()

    return lambda texts: tokens.embed(texts, batch, run)


def prepare(job, setting):
    texts, batch = minilm.sentences(FOLDER), int(setting.rsplit("_", 1)[1])
    embed = (compiled if setting.startswith("compile") else library)(setting, batch)
    return lambda: (len(texts), lite0.first_numbers(embed(texts)))


f32 = ["encode_32", "encode_128", "compile_32"]
bf16 = [setting.replace("_", "_bf16_") for setting in f32]
name = f"sentence-transformers {sentence_transformers.__version__}, torch {torch.__version__}"
answers.serve(name, {"minilm_sentences": f32, "minilm_sentences_bf16": bf16}, prepare, THREADS)
