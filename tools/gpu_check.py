"""The parts of tools/gpu_check.sh that need Python: PyTorch beside ours, in turns, and the report.

    gpu_check.py probe      --out probe.json
    gpu_check.py operations --out ops.json      --ours build/tessera --device cuda --seconds 120
    gpu_check.py networks   --out infer.json    --ours build/tessera --device cuda --seconds 120
    gpu_check.py steps      --out train.json    --ours build/tessera --device cuda --seconds 60
    gpu_check.py report     --folder out/gpu_check --dry-run 0
    gpu_check.py libraries                      folders of cuDNN and NCCL on this machine, joined by ':'

PyTorch is one process of tools/gpu_check_torch.py, which says how times are taken. Rounds of ours and of PyTorch take
turns; a row keeps the median of its rounds and their spread, which is what noise is here. The file is written after each
round, so what is cut off leaves the rounds before. Exit: 0, 1 something failed, 125 PyTorch is not installed.
"""
import argparse
import glob
import json
import os
import pathlib
import platform
import re
import select
import statistics
import subprocess
import sys
import sysconfig
import time

HERE = pathlib.Path(__file__).resolve().parent
PASSES = ("bare", "forward", "data_gradient", "weight_gradient")
CONFIGS = ["configs/gridmask_fcos_r50_1x.json", "configs/yolactr_anchor_free_r50_36ep.json", "configs/gridmask_fcos_x101_32x8d_1x.json"]
NOT_HERE = 125
OUT_OF_TIME = "no time left"
# Where our binary cannot say its shapes (--dry-run): one of each kind, small.
SMALL = ["3x3: 1x16x16 16->16 3x3", "1x1: 1x16x16 16->32 1x1", "stride 2: 2x15x17 8->16 3x3 stride 2", "groups: 1x16x16 32->32 3x3 groups 4"]


class Torch:
    """The process of PyTorch. Answers are None where it failed or took too long: it is started anew then."""

    def __init__(self, device):
        self.device, self.process, self.start_seconds = device, None, None

    def ask(self, seconds, **request):
        if self.process is None:
            self.process = subprocess.Popen([sys.executable, str(HERE / "gpu_check_torch.py"), "--device", self.device],
                                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            ready = self.answer(min(seconds, 60))
            self.start_seconds = ready.get("start_seconds")
        if self.process is None:
            return {"error": "PyTorch does not start"}
        try:
            print(json.dumps(request), file=self.process.stdin, flush=True)
        except BrokenPipeError:
            self.stop()
            return {"error": "PyTorch ended"}
        return self.answer(seconds)

    def answer(self, seconds):
        readable = select.select([self.process.stdout], [], [], max(0.1, seconds))[0]
        line = self.process.stdout.readline() if readable else ""
        if line:
            return json.loads(line)
        self.stop()
        return {"error": "PyTorch ended" if readable else f"no answer in {seconds:.0f} s"}

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


class Budget:
    def __init__(self, seconds):
        self.end = time.monotonic() + seconds

    def left(self):
        return self.end - time.monotonic()


def have_torch():
    found = subprocess.run([sys.executable, "-c", "import torch, torchvision"], capture_output=True, text=True)
    if found.returncode != 0:
        print("PyTorch and torchvision are not installed for " + sys.executable)
    return found.returncode == 0


def output_of(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def ours(arguments, budget, *options):
    """What the program prints with --json; {"error"} where it fails."""
    command = [arguments.ours, *options, "--json", "-q"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=max(1, budget.left()))
    except subprocess.TimeoutExpired:
        return {"error": OUT_OF_TIME}
    if done.returncode != 0:
        print(" ".join(command) + "\n" + done.stderr, flush=True)
        return {"error": (done.stderr.strip().splitlines() or ["no message"])[0]}
    return json.loads(done.stdout)


def write(path, result):
    """Whole or not at all: the stage may be cut off."""
    path.with_suffix(".new").write_text(json.dumps(result, indent=1) + "\n")
    path.with_suffix(".new").rename(path)


def summary(times):
    """Median of the rounds, and how far they lie apart."""
    middle = statistics.median(times)
    return {"ms": middle, "spread": (max(times) - min(times)) / middle if middle else 0.0, "rounds": len(times)}


# ---- libraries of NVIDIA inside Python packages

def library_folders():
    """What the dynamic loader would not find: $CUDNN_ROOT, $NCCL_ROOT, and packages nvidia-*."""
    found = {}
    for name, pattern in (("cudnn", "libcudnn.so*"), ("nccl", "libnccl.so*"), ("cublas", "libcublas.so*")):
        root = os.environ.get(name.upper() + "_ROOT")
        folders = [os.path.join(root, part) for part in ("lib64", "lib", "")] if root else []
        places = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *(entry for entry in sys.path if entry.endswith("-packages"))}
        for place in sorted(places):
            folders += sorted(glob.glob(os.path.join(place, "nvidia", "*", "lib")))
        for folder in folders:
            if glob.glob(os.path.join(folder, pattern)):
                found[name] = os.path.abspath(folder)
                break
    return found


def libraries(_):
    print(":".join(dict.fromkeys(library_folders().values())))


# ---- stages

def probe(arguments):
    found = {
        "gpu": output_of("nvidia-smi", "--query-gpu=name,driver_version,compute_cap,memory.total,clocks.max.sm", "--format=csv"),
        "nvcc": (output_of("nvcc", "--version") or "").splitlines()[-1:],
        "python": platform.python_version(),
        "processor": platform.processor() or platform.machine(),
        "libraries": library_folders(),
    }
    versions = output_of(sys.executable, "-c", "import json, torch, torchvision; print(json.dumps({'torch': torch.__version__, "
                         "'torchvision': torchvision.__version__, 'torch_cuda': torch.version.cuda, 'cudnn': torch.backends.cudnn.version()}))")
    found |= json.loads(versions) if versions else {"torch": None}
    write(arguments.out, found)
    if versions:
        torch = Torch(arguments.device)
        found["ceilings"] = torch.ask(arguments.seconds, do="ceilings")
        found["torch_start_seconds"] = torch.start_seconds
        torch.stop()
    write(arguments.out, found)
    print(json.dumps(found, indent=1))


def merge_convolutions(rows, precision, who, times):
    for description, of_passes in times.items():
        row = rows.setdefault((precision, description), {"shape": description, "precision": precision, "times": {}})
        for name, milliseconds in of_passes.items():
            row["times"].setdefault(f"{name} {who}", []).append(milliseconds)


def our_convolutions(result):
    """Of the passes by ours, and by NVIDIA's libraries called from ours."""
    own, libraries = {}, {}
    for row in result.get("convolutions", []):
        own[row["description"]] = {name: row[name]["median_ms"] for name in PASSES if name in row}
        for name, passes in row["libraries"].items():
            # Sums alone: to be compared with "bare".
            libraries.setdefault(name, {})[row["description"]] = {
                {"forward": "bare"}.get(of, of): timing["median_ms"] for of, timing in passes.items()}
    return own, libraries


def finished(rows):
    """Medians of all rounds, and the ratios > 1 where ours is the faster."""
    results = []
    for row in rows.values():
        result = {key: value for key, value in row.items() if key != "times"}
        result |= {key: summary(times) for key, times in row["times"].items()}
        for key in list(result):
            name, _, who = key.rpartition(" ")
            if who in ("ours", "tuned"):
                for other in ("torch", "cudnn", "cublas"):
                    if f"{name} {other}" in result:
                        result[f"{name} {who}/{other}"] = result[f"{name} {other}"]["ms"] / result[key]["ms"]
        results.append(result)
    return results


def operations(arguments):
    """Convolutions of both models and all other operations: precision by precision, round by round."""
    if not have_torch():
        return NOT_HERE
    budget, torch, small = Budget(arguments.seconds), Torch(arguments.torch_device), arguments.small
    convolutions, others, result = {}, {}, {"failures": []}
    height, width = (64, 64) if small else (800, 1344)
    plan = [("bf16", "ours"), ("bf16", "tuned"), ("bf16", "ours"), ("tf32", "ours"), ("bf16", "tuned"), ("bf16", "ours"), ("fp32", "ours"), ("bf16", "tuned")]
    for precision, who in plan[:2] if small else plan:
        if budget.left() < (5 if small else 15):
            result["failures"].append(f"no time for {precision} {who}")
            continue
        options = ["--device", arguments.device, "--size", f"{height}x{width}"]
        if small:
            options += ["--filter", "group_norm"]  # the emulator computes one product a microsecond
        else:  # the first model alone where speed is no goal
            for config in CONFIGS if precision == "bf16" else CONFIGS[:1]:
                options += ["--model", config]
        tuning = ["--tuning", str(arguments.out.with_name("tuning.json"))] if who == "tuned" and arguments.device == "cuda" else []
        done = ours(arguments, budget, "bench", "ops", "--precision", precision, *options, *tuning)
        if "error" in done:
            result["failures"].append(f"ours, {precision}, {who}: {done['error']}")
        own, libraries = our_convolutions(done)
        merge_convolutions(convolutions, precision, who, own)
        for row in done.get("operations", []):
            other = others.setdefault((precision, row["name"]), {"name": row["name"], "description": row["description"], "precision": precision, "times": {}})
            for name in ("forward", "training"):
                if name in row:
                    other["times"].setdefault(f"{name} {who}", []).append(row[name]["median_ms"])
        if who == "ours":
            for name, times in libraries.items():
                merge_convolutions(convolutions, precision, name, times)
            if "grid_binarize" in done:
                result.setdefault("grid_binarize", []).append(done["grid_binarize"])
            # PyTorch's turn, in pieces: a slow one costs itself alone.
            shapes = list(own) or (SMALL if small else [])
            for begin in range(0, len(shapes), 16):
                answer = torch.ask(min(60, budget.left()), do="convolutions", shapes=shapes[begin:begin + 16], precision=precision)
                if "error" in answer:
                    result["failures"].append(f"PyTorch, convolutions, {precision}: {answer['error']}")
                else:
                    merge_convolutions(convolutions, precision, "torch", answer)
            answer = torch.ask(min(60, budget.left()), do="operations", height=height, width=width, precision=precision)
            if "error" in answer:
                result["failures"].append(f"PyTorch, operations, {precision}: {answer['error']}")
            for name, times in {} if "error" in answer else answer.items():
                if (precision, name) in others:
                    for of, milliseconds in times.items():
                        others[precision, name]["times"].setdefault(f"{of} torch", []).append(milliseconds)
        write(arguments.out, result | {"convolutions": finished(convolutions), "operations": finished(others)})
    torch.stop()
    return check_failures(result)


def check_failures(result):
    for failure in result["failures"]:
        print(failure)
    return 1 if any(not failure.startswith("no time") and OUT_OF_TIME not in failure for failure in result["failures"]) else 0


def weights_of(arguments, torch, budget, model):
    """The file of our weights, made by PyTorch's side of the same network; None where that failed."""
    path = arguments.out.parent / f"{model}.weights.safetensors"
    if not path.exists():
        answer = torch.ask(min(90, budget.left()), do="files", folder=str(arguments.out.parent), model=model, batch=1, height=96, width=128)
        if "error" in answer:
            print(f"weights of {model}: {answer['error']}")
            return None
    return path


def turns(arguments, do, cells, modes, our_kinds, our_options):
    """Networks and steps. cells: (model, batch, size); our_kinds: name -> options of ours; modes: PyTorch's."""
    if not have_torch():
        return NOT_HERE
    budget, torch = Budget(arguments.seconds), Torch(arguments.torch_device)
    result = {"failures": [], "rows": []}
    broken = set()
    for index, (model, batch, (height, width)) in enumerate(cells):
        # The first has half of the time, the others share what it leaves.
        until = Budget(budget.left() * (0.5 if index == 0 and len(cells) > 1 else 1 / (len(cells) - index)))
        weights = weights_of(arguments, torch, budget, model)
        if weights is None:
            result["failures"].append(f"no weights of {model}")
            continue
        if do == "network" and batch == 1:
            # The correctness gate: nothing is timed of what is wrong.
            compared = ours(arguments, budget, "model", "compare", str(weights), str(weights).replace(".weights.", ".dump."), "--device", arguments.device)
            if "error" in compared:
                result["failures"].append(f"{model} against PyTorch's activations: {compared['error']}")
                continue
        rows = {}
        for round_index in range(arguments.rounds):
            if until.left() < 10:
                result["failures"].append(f"no time for round {round_index + 1} of {model}, batch {batch}")
                break
            for name, options in our_kinds.items():
                if index > 0 and name == "fp32" or until.left() < 5:
                    continue  # strict fp32 of a large batch takes the time of all others
                done = ours(arguments, budget, "bench", "infer" if do == "network" else "train", str(weights), "--device", arguments.device, "--batch", str(batch),
                            "--size", f"{height}x{width}", "--rounds", str(arguments.calls), *our_options, *options)
                if "error" in done:
                    result["failures"].append(f"ours, {name}, {model}, batch {batch}: {done['error']}")
                    continue
                for part in ("network", "detect", "step"):
                    if part in done:
                        row = rows.setdefault(f"ours {name} {part}", {"times": []})
                        row["times"].append(done[part]["median_ms"])
                        row["peak_memory_bytes"] = done["peak_memory_bytes"]
            for mode in modes:
                # Compiling takes a minute: after the first round, and of the first cell alone.
                if mode == "compile" and (index > 0 or round_index == 0 and arguments.rounds > 1):
                    continue
                if (model, batch, mode) in broken or until.left() < 5:
                    continue
                answer = torch.ask(min(arguments.mode_seconds, budget.left()), do=do, folder=str(arguments.out.parent), model=model, batch=batch,
                                   height=height, width=width, mode=mode, calls=arguments.calls)
                if "error" in answer:
                    broken.add((model, batch, mode))  # its reason is the result: PyTorch's, or no compiler here
                    rows[f"torch {mode}"] = {"times": [], "error": answer["error"]}
                    continue
                row = rows.setdefault(f"torch {mode}", {"times": [], "first_run_seconds": answer["first_run_seconds"]})
                row["times"].append(answer["median_ms"])
                row |= {key: answer[key] for key in ("peak_memory_bytes",) if key in answer}
            made = {name: {key: value for key, value in row.items() if key != "times"} | (summary(row["times"]) if row["times"] else {}) for name, row in rows.items()}
            others = [row for row in result["rows"] if (row["model"], row["batch"]) != (model, batch)]
            result["rows"] = others + [{"model": model, "batch": batch, "size": f"{height}x{width}", **made}]
            write(arguments.out, result)
    torch.stop()
    write(arguments.out, result)
    return check_failures(result)


def networks(arguments):
    size = (64, 64) if arguments.small else (800, 1344)
    cells = [("gridmask_r50", 1, size)]
    modes = ("eager", "channels_last", "bf16")
    kinds = {"fp32": ["--precision", "fp32"]}
    if not arguments.small:
        cells += [("gridmask_r50", 16, size), ("anchor_free_r50", 1, size)]
        modes += ("fp16", "graph", "compile")
        tuning = ["--tuning", str(arguments.out.with_name("tuning.json"))]
        kinds = {"fp32": ["--precision", "fp32", "--graph", "off"], "bf16": ["--precision", "bf16", "--graph", "off"],
                 "bf16 graph": ["--precision", "bf16", "--graph", "on"], "bf16 tuned graph": ["--precision", "bf16", "--graph", "on", *tuning],
                 "fp16-chunked graph": ["--precision", "fp16-chunked", "--graph", "on"]}
    return turns(arguments, "network", cells, modes, kinds, [])


def steps(arguments):
    size = (64, 64) if arguments.small else (800, 1344)
    cells = [("gridmask_r50", 1 if arguments.small else 8, size)]
    modes = ("eager",) if arguments.small else ("eager", "bf16", "compile")
    kinds = {"fp32": ["--precision", "fp32"]}
    if not arguments.small:
        tuning = ["--tuning", str(arguments.out.with_name("tuning.json"))]
        kinds |= {"bf16": ["--precision", "bf16"], "bf16 tuned": ["--precision", "bf16", *tuning]}
    return turns(arguments, "step", cells, modes, kinds, [])


# ---- the report

class Goals:
    """Rows of shared goals: what must hold, what was measured. A ratio above 1: ours is the faster."""

    def __init__(self):
        self.rows = []

    def add(self, goal, needed, measured, unit=""):
        if measured is not None:
            below = unit in ("ms", "us", "s")
            self.rows.append({"goal": goal, "needed": needed, "unit": unit, "measured": measured,
                              "holds": measured <= needed if below else measured >= needed})


def share_above(rows, key, least):
    """Of the rows that have the ratio; what misses by no more than the rounds lie apart, 5 % at most, is noise."""
    name, other = key.split("/")
    noise = lambda row: min(0.05, max(row[name]["spread"], row[f"{name.split(' ')[0]} {other}"]["spread"]))
    values = [row[key] * (1 + noise(row)) for row in rows if key in row]
    return sum(value >= least for value in values) / len(values) if values else None


def best(row, prefix, field="ms"):
    values = [value[field] for name, value in row.items() if name.startswith(prefix) and isinstance(value, dict) and field in value]
    return min(values) if values else None


def ratio(above, below):
    return above / below if above and below else None


def goals_of(result):
    goals = Goals()
    ops = result.get("ops") or {}
    bf16 = [row for row in ops.get("convolutions", []) if row["precision"] == "bf16"]
    yardsticks = [name for name in ("cudnn", "torch") if any(f"bare ours/{name}" in row for row in bf16)]
    for name in yardsticks:
        who = "cuDNN" if name == "cudnn" else "PyTorch's cuDNN"
        goals.add(f"share of {len(bf16)} conv shapes at 0.85 of {who}, bf16", 0.8, share_above(bf16, f"bare ours/{name}", 0.85))
        goals.add(f"share of conv shapes at 1.0 of {who} through the tuner", 1.0, share_above(bf16, f"bare tuned/{name}", 1.0))
        goals.add(f"share of data gradients at 0.8 of {who}", 1.0, share_above(bf16, f"data_gradient ours/{name}", 0.8))
        goals.add(f"share of weight gradients at 0.75 of {who}", 1.0, share_above(bf16, f"weight_gradient ours/{name}", 0.75))
    fused = [row["forward ours/torch"] for row in bf16 if "forward ours/torch" in row]
    goals.add("conv+bias+ReLU against PyTorch, median", 1.25, statistics.median(fused) if fused else None)
    operations_of = {row["name"]: row for row in ops.get("operations", []) if row["precision"] == "bf16"}
    for name, of, needed in (("conv affine residual relu", "forward", 1.25), ("tower layer", "forward", 1.5), ("group_norm relu", "forward", 2.0),
                             ("axial_attention columns", "forward", 1.3), ("axial_attention rows", "forward", 1.3),
                             ("resize_bilinear", "forward", 1.0), ("resize_bilinear", "training", 1.5), ("sigmoid_focal_loss", "training", 5.0),
                             ("dice_loss", "training", 5.0), ("binary_cross_entropy", "training", 5.0), ("nms 1000", "forward", 1.5), ("nms 5000", "forward", 1.5)):
        goals.add(f"{name}, {of}, against PyTorch", needed, operations_of.get(name, {}).get(f"{of} ours/torch"))
    binarize = [row["median_ms"] * 1e3 for row in ops.get("grid_binarize", [])]
    goals.add("binarization of 100 boxes", 125.0, statistics.median(binarize) if binarize else None, "us")
    goals.add("post-processing", 1.0, operations_of.get("post-processing", {}).get("forward ours", {}).get("ms"), "ms")
    for row in (result.get("infer") or {}).get("rows", []):
        name, fastest = f"{row['model']}, batch {row['batch']}", best(row, "ours bf16")
        if row["batch"] == 1:
            for mode, needed in (("eager", 3.0), ("bf16", 2.0), ("compile", 1.0)):
                goals.add(f"{name}: latency against PyTorch {mode}", needed, ratio(row.get(f"torch {mode}", {}).get("ms"), fastest))
        else:
            goals.add(f"{name}: against PyTorch's fastest mode", 1.0, ratio(best(row, "torch "), fastest))
        goals.add(f"{name}: PyTorch's memory over ours", 1 / 0.6, ratio(row.get("torch eager", {}).get("peak_memory_bytes"), best(row, "ours ", "peak_memory_bytes")))
    for row in (result.get("train") or {}).get("rows", []):
        for mode, needed in (("bf16", 1.15), ("compile", 0.9)):
            goals.add(f"training step, batch {row['batch']}, against PyTorch {mode} without losses", needed,
                      ratio(row.get(f"torch {mode}", {}).get("ms"), best(row, "ours bf16")))
        goals.add("training step: PyTorch's memory over ours", 1 / 0.75,
                  ratio(row.get("torch bf16", {}).get("peak_memory_bytes"), row.get("ours bf16 step", {}).get("peak_memory_bytes")))
    goals.add("start of the program to the first masks", 0.5, result.get("first_mask_seconds"), "s")
    return goals.rows


def seconds_in(log):
    """Of `time` with TIMEFORMAT=%R."""
    lines = log.read_text().split() if log.exists() else []
    seconds = [float(line) for line in lines if re.fullmatch(r"\d+\.\d+", line)]
    return statistics.median(seconds) if seconds else None


def report(arguments):
    folder = arguments.folder
    stages = [dict(zip(("stage", "verdict", "seconds"), line.split("\t"))) for line in (folder / "stages.tsv").read_text().splitlines()]
    result = {"dry_run": bool(arguments.dry_run), "command": arguments.command, "stages": stages}
    for name in ("probe", "ops", "infer", "train"):
        file = folder / f"{name}.json"
        result[name] = json.loads(file.read_text()) if file.exists() else None
    result["start_seconds"] = seconds_in(folder / "start.log")
    result["first_mask_seconds"] = seconds_in(folder / "first_mask.log")
    # Numbers of a machine without a GPU are compared with no goal.
    result["goals"] = [] if arguments.dry_run else goals_of(result)
    write(folder / "gpu_check.json", result)

    rows = [row for row in (result["ops"] or {}).get("convolutions", []) if "bare ours/torch" in row]
    if rows:
        print(f"\n{'shape':<46} {'math':<5} {'ours ms':>8} {'torch':>8} {'ratio':>6} {'cudnn':>6} {'tuned':>6} {'fused':>6} {'dgrad':>6} {'wgrad':>6}")
    for row in rows:
        cells = [row.get(key) for key in ("bare ours/torch", "bare ours/cudnn", "bare tuned/torch", "forward ours/torch",
                                          "data_gradient ours/torch", "weight_gradient ours/torch")]
        print(f"{row['shape']:<46} {row['precision']:<5} {row['bare ours']['ms']:8.3f} {row['bare torch']['ms']:8.3f} "
              + " ".join(f"{cell:6.2f}" if cell else f"{'':6}" for cell in cells))
    for row in (result["ops"] or {}).get("operations", []):
        print(f"{row['name']:<26} {row['precision']:<5} " + "  ".join(
            f"{name} {row[name + ' ours']['ms']:.3f} ms" + (f" (PyTorch {row[name + ' torch']['ms']:.3f})" if name + " torch" in row else "")
            for name in ("forward", "training") if name + " ours" in row))
    for part in ("infer", "train"):
        for row in (result[part] or {}).get("rows", []):
            print(f"{row['model']}, batch {row['batch']}, {row['size']}")
            for name, value in row.items():
                if isinstance(value, dict):
                    memory = f"  {value['peak_memory_bytes'] / 2 ** 20:8.0f} MiB" if "peak_memory_bytes" in value else ""
                    print(f"  {name:<32} " + (f"{value['ms']:9.3f} ms  spread {100 * value['spread']:3.0f} %{memory}" if "ms" in value else value["error"]))
    for row in result["goals"]:
        print(f"{'holds ' if row['holds'] else 'MISSED'}  {row['goal']}: {row['measured']:.3g} {row['unit']} (goal {row['needed']:.3g})")
    print(f"\nwritten: {folder / 'gpu_check.json'}" + ("   (dry run: nothing of it was measured on a GPU)" if arguments.dry_run else ""))
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for name in ("probe", "operations", "networks", "steps"):
        verb = verbs.add_parser(name)
        verb.add_argument("--out", type=lambda text: pathlib.Path(text).resolve(), required=True)
        verb.add_argument("--device", choices=("cpu", "emulated", "cuda"), default="cuda", help="of ours")
        verb.add_argument("--ours", default="build/tessera", help="our binary")
        verb.add_argument("--seconds", type=float, default=60, help="for all of it")
        verb.add_argument("--mode-seconds", type=float, default=60, help="for the first run of one of PyTorch's modes")
        verb.add_argument("--rounds", type=int, default=3)
        verb.add_argument("--calls", type=int, default=20, help="of a network or a step, a round")
        verb.add_argument("--small", action="store_true", help="small sizes, for a machine without a GPU")
    verbs.add_parser("libraries")
    verb = verbs.add_parser("report")
    verb.add_argument("--folder", type=pathlib.Path, required=True)
    verb.add_argument("--dry-run", type=int, default=0)
    verb.add_argument("--command", default="", help="what was called, for the record")
    arguments = parser.parse_args()
    if hasattr(arguments, "device"):
        arguments.torch_device = "cuda" if arguments.device == "cuda" else "cpu"
        if arguments.verb == "probe":
            arguments.device = arguments.torch_device
    table = {"probe": probe, "operations": operations, "networks": networks, "steps": steps, "report": report, "libraries": libraries}
    sys.exit(table[arguments.verb](arguments))


if __name__ == "__main__":
    main()
