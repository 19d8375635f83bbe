#!/usr/bin/env python3
"""Trains the same networks in dlua, PyTorch and Keras (TensorFlow) and prints times, ratios, memory and sizes.

    python3 tests/bench/compare.py                    # makes tests/bench/.venv from PyPI at the first call
    python3 tests/bench/compare.py --venv DIR         # uses (or makes) another virtual environment
    python3 tests/bench/compare.py --programs torch,keras --rounds 3

Every figure is of whole programs that run one after another, each pinned to as many cores as it has threads. In each
round the programs alternate and start with another one, so that a slow moment of the machine hits all of them; a figure
is the median over the rounds, with the best round beside it. Compare ratios, not times of different calls."""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time
import venv

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
NETWORKS = ["cnn", "dense", "lstm", "gru", "decoder", "resnet20"]
PROGRAMS = ["dlua", "torch", "keras"]
AIMS = {"cnn": 0.25, "dense": 0.3, "lstm": 0.75, "gru": 0.75, "decoder": 0.85, "resnet20": 0.75}
BATCHES = {"cnn": 32, "dense": 32, "lstm": 64, "gru": 64, "decoder": 16, "resnet20": 128}
LONG = {"decoder": 15, "resnet20": 30}  # how many times fewer steps of a network make an epoch, because each takes longer


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dlua", type=pathlib.Path, default=ROOT / "build/dlua", help="the program (build/dlua)")
    parser.add_argument("--venv", type=pathlib.Path, default=HERE / ".venv", help="the peers' virtual environment")
    parser.add_argument("--data", type=pathlib.Path, default=pathlib.Path("/usr/share/datasets/fashion-mnist"))
    parser.add_argument("--programs", default=",".join(PROGRAMS), help="which to run, separated by commas")
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--threads", default="1,2", help="thread counts")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=150, help="steps of an epoch (fewer for large networks)")
    parser.add_argument("--epochs", type=int, default=4, help="timed epochs of a run, after one to warm up")
    parser.add_argument("--json", type=pathlib.Path, help="also write all runs to this file")
    options = parser.parse_args()
    options.programs = options.programs.split(",")
    options.networks = options.networks.split(",")
    options.threads = [int(number) for number in options.threads.split(",")]
    check(parser, options)
    return options


def check(parser, options):
    """Everything that would fail after minutes is looked at first."""
    for given, known in ((options.programs, PROGRAMS), (options.networks, NETWORKS)):
        for name in given:
            if name not in known:
                parser.error(f"unknown name {name}; there are {', '.join(known)}")
    if "dlua" in options.programs and not options.dlua.is_file():
        parser.error(f"{options.dlua} does not exist: build it first, or name it with --dlua")
    if not (options.data / "train-images-idx3-ubyte.gz").is_file():
        parser.error(f"{options.data} has no Fashion-MNIST: install dataset-fashion-mnist, or name its folder with --data")
    cores = len(os.sched_getaffinity(0))
    if max(options.threads) > cores:
        parser.error(f"--threads {max(options.threads)}: this machine has {cores} cores")


def python_of(folder):
    """The Python of the peers' environment, which is made if it is not there."""
    python = folder / "bin/python"
    half_made = folder / "half-made"  # there from the first moment to the last, so that a failed pip is seen next time
    if not python.exists() or half_made.exists():
        print(f"making {folder} (PyTorch, TensorFlow and Keras)", file=sys.stderr)
        folder.mkdir(parents=True, exist_ok=True)
        half_made.touch()
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "-r", HERE / "requirements.txt"], check=True)
        half_made.unlink()
    return str(python)


def environment(threads):
    return {**os.environ, "DLUA_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads), "KERAS_BACKEND": "tensorflow",
            "TF_CPP_MIN_LOG_LEVEL": "3"}


def pinned(threads):
    cores = sorted(os.sched_getaffinity(0))[:threads]
    return ["taskset", "-c", ",".join(map(str, cores))]


def run(options, program, network, threads):
    """One training run; the program's own figures."""
    common = ["--steps", str(max(1, options.steps // LONG.get(network, 1))), "--epochs", str(options.epochs),
              "--batch", str(BATCHES[network]), "--data", str(options.data)]
    if program == "dlua":
        command = [str(options.dlua), str(HERE / f"{network}.lua"), *common]
    else:
        command = [options.python, str(HERE / f"peer_{program}.py"), network, "--threads", str(threads), *common]
    done = subprocess.run(pinned(threads) + command, env=environment(threads), capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def start_up(options, program):
    """Seconds from the start of a process that only loads the framework to its end."""
    commands = {"dlua": [str(options.dlua), "-e", ""], "torch": [options.python, "-c", "import torch"],
                "keras": [options.python, "-c", "import keras"]}
    begin = time.perf_counter()
    subprocess.run(pinned(1) + commands[program], env=environment(1), check=True, capture_output=True)
    return time.perf_counter() - begin


def size(path):
    """Bytes of a file, or of all files below a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.lstat().st_size for file in path.rglob("*") if not file.is_dir())


def program_size(options, program):
    """What a program loads beside the system's C library: dlua's binary, its own and OpenBLAS's and other shared
    libraries and its scripts; the peers' packages, NumPy included."""
    if program != "dlua":
        packages = {"torch": ["torch", "numpy", "numpy.libs"], "keras": ["keras", "tensorflow", "numpy", "numpy.libs"]}
        site = next((pathlib.Path(options.python).parents[1] / "lib").glob("python3*/site-packages"))
        return sum(size(site / name) for name in packages[program])
    listed = subprocess.run(["ldd", options.dlua], check=True, capture_output=True, text=True).stdout
    libraries = [line.split()[2] for line in listed.splitlines() if "=> /" in line]
    system = ("libc.so", "libm.so", "libdl.so", "libpthread.so")
    own = [pathlib.Path(name).resolve() for name in libraries if not pathlib.Path(name).name.startswith(system)]
    return size(options.dlua) + sum(size(path) for path in own) + size(ROOT / "scripts/dlua")


def measure(options):
    """All rounds: {(program, network, threads): [figures of each round]} and {program: [start-up seconds]}."""
    runs, starts = {}, {program: [] for program in options.programs}
    for number in range(options.rounds):
        order = options.programs[number % len(options.programs):] + options.programs[:number % len(options.programs)]
        for program in order:
            starts[program].append(start_up(options, program))
        for network in options.networks:
            for threads in options.threads:
                for program in order:
                    figures = run(options, program, network, threads)
                    runs.setdefault((program, network, threads), []).append(figures)
        print(f"round {number + 1} of {options.rounds} done", file=sys.stderr)
    return runs, starts


def middle(rounds, name):
    return statistics.median(figures[name] for figures in rounds)


def print_steps(options, runs):
    print("training, batch 32 (lstm, gru: 64; decoder: 16; resnet20: 128): "
          f"ms per step, median of {options.rounds} rounds (best round)")
    print(f"{'network':9}{'threads':>8}  " + "".join(f"{program:>20}" for program in options.programs) + "   dlua / faster peer")
    for network in options.networks:
        for threads in options.threads:
            medians, cells = {}, ""
            for program in options.programs:
                rounds = runs[program, network, threads]
                medians[program] = middle(rounds, "ms_per_step")
                best = min(figures["ms_per_step"] for figures in rounds)
                cells += f"{medians[program]:>11.3f} ({best:.3f})".rjust(20)
            peers = [value for program, value in medians.items() if program != "dlua"]
            ratio = ""
            if "dlua" in medians and peers:
                ratio = f"   {medians['dlua'] / min(peers):.3f} (aim: at most {AIMS[network]})"
            print(f"{network:9}{threads:>8}  {cells}{ratio}")


def print_table(options, title, cell, rows):
    """One line a row, one column a program."""
    print(f"\n{title}")
    print(f"{'':18}" + "".join(f"{program:>20}" for program in options.programs))
    for name, key in rows:
        print(f"{name:18}" + "".join(f"{cell(program, key):>20}" for program in options.programs))


def print_report(options, runs, starts):
    mebibyte = 1024 * 1024
    print_steps(options, runs)
    rows = [(f"{network}, {threads} threads", (network, threads)) for network in options.networks
            for threads in options.threads]
    print_table(options, "page faults a step", lambda program, key: f"{middle(runs[program, *key], 'faults_per_step'):.2f}",
                rows)
    print_table(options, "peak memory above the data set, MiB", lambda program, key: f"""{(
        middle(runs[program, *key], 'peak_bytes') - middle(runs[program, *key], 'data_bytes')) / mebibyte:.1f}""", rows)
    print_table(options, "loss of the last epoch", lambda program, key: f"{middle(runs[program, *key], 'loss'):.4f}", rows)
    print_table(options, "program", lambda program, key: key(program), [
        ("start-up, ms", lambda program: f"{statistics.median(starts[program]) * 1000:.1f}"),
        ("size, MiB", lambda program: f"{program_size(options, program) / mebibyte:.1f}")])


def main():
    options = parse_arguments()
    options.python = python_of(options.venv) if set(options.programs) != {"dlua"} else sys.executable
    runs, starts = measure(options)
    print_report(options, runs, starts)
    if options.json:
        listed = [{"program": program, "network": network, "threads": threads, "rounds": rounds}
                  for (program, network, threads), rounds in runs.items()]
        options.json.write_text(json.dumps({"runs": listed, "start_up_seconds": starts}, indent=1))


if __name__ == "__main__":
    main()
