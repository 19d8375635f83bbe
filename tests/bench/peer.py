"""What the peers' programs share: the arguments, the data, the clock, and the line of JSON that compare.py reads."""

import argparse
import gzip
import json
import math
import pathlib
import resource
import statistics
import time

import numpy as np

VOCABULARY, CONTEXT, FEATURES, HEADS = 256, 128, 256, 4  # of the decoder


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("network", choices=["cnn", "dense", "lstm", "gru", "decoder", "resnet20"])
    parser.add_argument("--steps", type=int, default=150, help="steps an epoch")
    parser.add_argument("--epochs", type=int, default=4, help="timed epochs, after one to warm up")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    return parser.parse_args()


def read_idx(path):
    content = gzip.decompress(path.read_bytes())
    rank = content[3]
    return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(np.frombuffer(content, ">u4", rank, 4)).copy()


class Data:
    """Fashion-MNIST as a script has it: all images as bytes, and as floats those that the run trains on."""

    def __init__(self, options):
        kinds = [(part, kind) for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]
        self.parts = [read_idx(options.data / f"{part}-{kind}-ubyte.gz") for part, kind in kinds]
        count = options.steps * options.batch
        if options.network == "decoder":  # the pixel after each of pixels 300 to 427
            pixels = self.parts[0][:count].reshape(count, 784)[:, 300:301 + CONTEXT].astype(np.int64)
            self.x, self.y = pixels[:, :-1].copy(), pixels[:, 1:].copy()
            return
        self.y = self.parts[1][:count].astype(np.int64)
        if options.network == "resnet20":
            self.x = np.random.default_rng(1).random((count, 32, 32, 3), np.float32)
            return
        self.x = self.parts[0][:count].reshape(count, 28, 28, 1).astype(np.float32) / np.float32(255)

    def bytes(self):
        return sum(part.nbytes for part in self.parts) + self.x.nbytes + self.y.nbytes


class Clock:
    """The time and the page faults of each epoch."""

    def __init__(self):
        self.epochs = []

    def start(self):
        self.faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        self.begin = time.perf_counter()

    def stop(self):
        seconds = time.perf_counter() - self.begin
        self.epochs.append((seconds, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - self.faults))


def peak_bytes():
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("/proc/self/status has no VmHWM")


def report(options, data, clock, loss):
    """Prints the medians over the timed epochs; the first epoch was to warm up."""
    timed = clock.epochs[1:]
    assert len(timed) == options.epochs and math.isfinite(loss)
    print(json.dumps({
        "ms_per_step": statistics.median(seconds for seconds, _ in timed) / options.steps * 1000,
        "faults_per_step": statistics.median(faults for _, faults in timed) / options.steps,
        "peak_bytes": peak_bytes(),
        "data_bytes": data.bytes(),
        "loss": loss,
    }))
