"""onnxruntime and OpenVINO beside rtl's frozen networks: features of images, embeddings of sentences.

usage: inference_peer.py THREADS FOLDER; the rest is in answers.py. FOLDER has the pictures and sentences of rtl_bench.
Graphs are exported by torch. A setting ends in the number of pictures or sentences of a batch.
"""

import os
import sys

from answers import Answers

answers = Answers()
THREADS, FOLDER = int(sys.argv[1]), sys.argv[2]

import onnxruntime
import openvino
import torch

import lite0
import minilm

torch.set_num_threads(THREADS)


def session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = THREADS, 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def compiled(path, setting):
    precision = "bf16" if "bf16" in setting else "f32"
    hints = {"INFERENCE_NUM_THREADS": THREADS, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": precision}
    return openvino.Core().compile_model(path, "CPU", hints).create_infer_request()


def runner(path, setting, inputs):
    """A function of arrays that gives the graph's result."""
    if setting.startswith("onnxruntime"):
        run = session(path).run
        return lambda *arrays: run(None, dict(zip(inputs, arrays)))[0]
    request = compiled(path, setting)
    return lambda *arrays: request.infer(dict(enumerate(arrays)), share_inputs=True)[0]


def batch_of(setting):
    return int(setting.rsplit("_", 1)[1])


def image_features(job, setting):
    x, batch = lite0.pictures(FOLDER, job), batch_of(setting)
    path = f"{FOLDER}/lite0_{lite0.side_of(job)}_{batch}.onnx"
    if not os.path.exists(path):
        torch.onnx.export(lite0.network(), (torch.from_numpy(x[:batch]),), path, input_names=["x"], dynamo=False)
    run = runner(path, setting, ["x"])

    def once():
        found = [run(x[begin : begin + batch]).copy() for begin in range(0, len(x), batch)]
        return len(x), lite0.first_numbers(found[0])

    return once


def sentence_embeddings(job, setting):
    texts, tokens, path = minilm.sentences(FOLDER), minilm.Tokens(), FOLDER + "/minilm.onnx"
    if not os.path.exists(path):
        example = torch.ones(2, 8, dtype=torch.int64)
        axes = {name: {0: "texts", 1: "tokens"} for name in ("ids", "mask")} | {"y": {0: "texts"}}
        torch.onnx.export(minilm.embedder("eager"), (example, example), path, input_names=["ids", "mask"],
                          output_names=["y"], dynamic_axes=axes, dynamo=False)
    run = runner(path, setting, ["ids", "mask"])

    def once():
        return len(texts), lite0.first_numbers(tokens.embed(texts, batch_of(setting), run))

    return once


def main():
    f32 = lambda batches: [f"{engine}_{batch}" for engine in ("onnxruntime", "openvino") for batch in batches]
    bf16 = lambda batches: [f"openvino_bf16_{batch}" for batch in batches]
    jobs = {}
    for name, batches in (("lite0_features", (4, 32)), ("lite0_features_96", (8, 32)), ("minilm_sentences", (16, 64))):
        jobs |= {name: f32(batches), name + "_bf16": bf16(batches)}
    name = f"onnxruntime {onnxruntime.__version__}, OpenVINO {openvino.__version__.split('-')[0]}"
    prepare = lambda job, setting: (sentence_embeddings if "minilm" in job else image_features)(job, setting)
    answers.serve(name, jobs, prepare, THREADS)


main()
