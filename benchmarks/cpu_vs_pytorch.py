#!/usr/bin/env python3
"""tessera beside PyTorch, ONNX Runtime and OpenVINO on this CPU: same weights, pictures, threads; rounds in turns.

    cpu_vs_pytorch.py [--quick] [--minutes M] [--prepare] [--models M ...] [--tasks forward train] [--batches N ...]
                      [--sizes HxW ...] [--modes MODE ...] [--rounds N] [--threads N] [--json FILE] [--page FILE]
    cpu_vs_pytorch.py --report FILE ... --page FILE

First proves that both sides compute the same: every activation of a small picture and the heads' outputs at the size that is
timed (`tessera model compare`, 1e-4 of each scale), the losses of the first training step (1e-4), the outputs of every
other mode beside those of PyTorch; how far bf16 is off is told, not judged. Then times: each mode is a process that waits
for its turn, a round is one run of each. Where a batch is large, tessera takes turns with one other mode after another, so that only two hold memory.
Cells come in the order of their importance; with --minutes, what is not reached by then is left out. --prepare makes the
files and fills the caches of compilers under build/cpu_vs_pytorch, without timing. --report measures nothing: it makes
the page of what --json kept.
"""
import argparse
import hashlib
import json
import os
import platform
import selectors
import statistics
import subprocess
import sys
import time

from cpu_vs_pytorch_worker import REPOSITORY, Cell

PYTORCH = {"fp32": ("eager", "channels_last", "compile"), "bf16": ("channels_last_bf16", "compile_bf16")}
OTHERS = {"fp32": ("onnxruntime", "openvino"), "bf16": ()}
OURS = {"fp32": "tessera", "bf16": "tessera_bf16"}
MODES = tuple(mode for precision in OURS for mode in (OURS[precision], *PYTORCH[precision], *OTHERS[precision]))
MODELS = ("gridmask_r50", "anchor_free_r50")
TRAINS = ("tessera", "eager", "channels_last", "compile", "tessera_bf16", "channels_last_bf16")
GOALS = {"forward": 1.2, "train": 1.0}
MEMORY_GOAL = 0.75
START_SECONDS = 420  # for a mode to load and run once; torch.compile takes the longest
SLOW = 4             # a mode that needs this many times tessera's time runs in one round only


class OutOfTime(Exception):
    pass


class Runner:
    """A process that runs once for every line on its standard input."""

    def __init__(self, command, environment, deadline):
        self.deadline, self.runs, self.error = deadline, [], None
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        env=environment, bufsize=0)
        os.set_blocking(self.process.stderr.fileno(), False)
        self.pending = b""
        self.first = self.answer(time.monotonic() + START_SECONDS)
        self.error = self.first.get("error")

    def answer(self, limit=float("inf")):
        limit = min(limit, self.deadline)
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            selector.register(self.process.stderr, selectors.EVENT_READ)
            while b"\n" not in self.pending:
                left = limit - time.monotonic()
                ready = selector.select(max(0.0, min(left, 3600))) if left > 0 else []
                if not ready:
                    self.process.kill()
                    self.process.wait()
                    if limit == self.deadline:
                        raise OutOfTime
                    return {"error": f"not ready within {START_SECONDS} s"}
                for key, _ in ready:
                    data = os.read(key.fd, 1 << 16)
                    if key.fileobj is self.process.stderr:
                        self.said = (getattr(self, "said", b"") + data)[-2000:]
                        if not data:
                            selector.unregister(key.fileobj)
                    elif not data:
                        status = self.process.wait()
                        reason = getattr(self, "said", b"").decode(errors="replace").strip().split("\n")[-1]
                        return {"error": f"ended with status {status}: {reason}"}
                    else:
                        self.pending += data
        line, self.pending = self.pending.split(b"\n", 1)
        return json.loads(line)

    def run(self):
        self.process.stdin.write(b"run\n")
        result = self.answer()
        if "error" in result:
            self.error = result["error"]
        return result

    def close(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Bench:
    def __init__(self, arguments):
        self.arguments = arguments
        self.deadline = time.monotonic() + 60 * arguments.minutes if arguments.minutes else float("inf")
        self.folder = os.path.join(arguments.folder, stamp())
        self.environment = {**os.environ, "OMP_NUM_THREADS": str(arguments.threads),
                            "TORCHINDUCTOR_CACHE_DIR": os.path.join(os.path.abspath(self.folder), "inductor")}

    def worker(self, cell, mode):
        command = [sys.executable, os.path.join(REPOSITORY, "benchmarks", "cpu_vs_pytorch_worker.py"), cell.folder,
                   cell.model, cell.task, str(cell.batch), str(cell.height), str(cell.width), mode,
                   str(self.arguments.threads)]
        return Runner(command, self.environment, self.deadline)

    def tessera(self, cell, mode):
        command = [self.arguments.tessera, "bench", "turns", cell.path("weights.safetensors"),
                   cell.path("input.safetensors"), "--device", "cpu", "--threads", str(self.arguments.threads),
                   "--precision", "bf16" if mode.endswith("bf16") else "fp32"]
        return Runner(command + (["--train"] if cell.task == "train" else []), self.environment, self.deadline)

    def prove(self, cell):
        """The last line of `tessera model compare`, of the small picture and of this cell's."""
        lines = []
        for kind in ("dump.safetensors", "heads.safetensors"):
            done = subprocess.run([self.arguments.tessera, "model", "compare", cell.path("weights.safetensors"),
                                   cell.path(kind), "--device", "cpu"], capture_output=True, text=True)
            size = "96x128" if kind.startswith("dump") else f"{cell.height}x{cell.width}"
            lines.append(f"{cell.model}, {size}: " + (done.stdout.strip() or done.stderr.strip()).split("\n")[-1])
            if done.returncode != 0:
                raise SystemExit(f"error: {cell.path(kind)}: {done.stdout}{done.stderr}")
        return lines

    def files(self, cell):
        made = self.worker(cell, "files")
        made.close()
        if made.error:
            raise SystemExit(f"error: {made.error}")

    def measure(self, cell):
        self.files(cell)
        result = {"model": cell.model, "task": cell.task, "batch": cell.batch, "size": f"{cell.height}x{cell.width}",
                  "proof": self.prove(cell), "runs": {}, "first": {}, "missing": {}}
        modes = [mode for mode in self.arguments.modes if cell.task == "forward" or mode in TRAINS]
        others = [mode for mode in modes if mode != "tessera"]
        groups = [others] if cell.batch == 1 else [[mode] for mode in others]
        try:
            for group in groups:
                self.take_turns(cell, group, result)
        except OutOfTime:
            result["cut_short"] = True
        return result

    def take_turns(self, cell, group, result):
        runners = {}
        try:
            for mode in ["tessera", *group]:
                runner = self.tessera(cell, mode) if mode.startswith("tessera") else self.worker(cell, mode)
                runners[mode] = runner
                if runner.error:
                    result["missing"][mode] = runner.error
                    del runners[mode]
                    if mode == "tessera":
                        raise SystemExit(f"error: tessera: {runner.error}")
                else:
                    result["first"][mode] = runner.first
            check_equal(result)
            if self.arguments.prepare:
                return
            slow = set()
            for number in range(self.arguments.rounds):
                times = {}
                for mode, runner in runners.items():
                    if mode not in slow and not runner.error:
                        times[mode] = runner.run()
                for mode, run in times.items():
                    if "error" in run:
                        result["missing"][mode] = run["error"]
                        result["runs"].pop(mode, None)
                        continue
                    # The round tells which runs stood beside each other.
                    result["runs"].setdefault(mode, []).append({"round": number, "group": group[0] if group else "", **run})
                    if run["seconds"] > SLOW * times["tessera"].get("seconds", float("inf")):
                        slow.add(mode)
        finally:
            for runner in runners.values():
                runner.close()


def check_equal(result):
    """Exits where a mode of single precision computed something else than PyTorch's eager mode."""
    ours = result["first"]["tessera"].get("losses")
    for mode, first in result["first"].items():
        off = first.get("difference", 0.0)
        if ours and first.get("losses"):
            off = max(abs(a - b) / max(1, abs(a)) for a, b in zip(ours, first["losses"], strict=True))
            first["difference"] = off
        if not off <= 1e-4 and not mode.endswith("bf16"):
            raise SystemExit(f"error: {mode} of {result['model']} differs by {off:g}")


def stamp():
    """Names what the files were made from."""
    digest = hashlib.sha256()
    for folder in ("tests/golden", "benchmarks"):
        for name in sorted(os.listdir(os.path.join(REPOSITORY, folder))):
            if name in ("cpu_vs_pytorch_worker.py", "requirements.txt") or folder == "tests/golden" and name.endswith(".py"):
                with open(os.path.join(REPOSITORY, folder, name), "rb") as file:
                    digest.update(file.read())
    return digest.hexdigest()[:12]


def pairs(result, mode):
    """(seconds of the mode, of tessera) of the rounds in which both ran."""
    ours = {(run["group"], run["round"]): run["seconds"] for run in result["runs"].get("tessera", [])}
    return [(run["seconds"], ours[run["group"], run["round"]]) for run in result["runs"].get(mode, [])
            if (run["group"], run["round"]) in ours]


def judge(result):
    """Ratios to tessera, by mode; for either precision the best mode of PyTorch and of the others, speed and memory beside it."""
    result["ratio"] = {mode: statistics.median(theirs / ours for theirs, ours in pairs(result, mode))
                       for mode in result["runs"] if pairs(result, mode)}
    memory = {mode: max(run["memory"] for run in runs) for mode, runs in result["runs"].items()}
    for key in [key for key in result if key.startswith("best")]:
        del result[key]
    for kind, modes in (("pytorch", PYTORCH), ("others", OTHERS)):
        for precision, ours in OURS.items():
            best = min((mode for mode in modes[precision] if mode in result["ratio"]), key=result["ratio"].get, default=None)
            if best is not None and ours in result["ratio"]:
                # Both were measured beside tessera in fp32, in turns.
                result.setdefault("best", {}).setdefault(kind, {})[precision] = {
                    "mode": best, "speed": result["ratio"][best] / result["ratio"][ours], "memory": memory[ours] / memory[best]}


def verdicts(result):
    """Sentences."""
    goal = GOALS[result["task"]]
    for precision, best in result.get("best", {}).get("pytorch", {}).items():
        met = {True: "met", False: "missed"}
        yield (f"tessera in {precision} is {best['speed']:.2f} times as fast as the best of PyTorch, {best['mode']} (goal {goal}: "
               f"{met[best['speed'] >= goal]}), with {best['memory']:.2f} of its memory (goal {MEMORY_GOAL}: "
               f"{met[best['memory'] <= MEMORY_GOAL]}).")
    for precision, best in result.get("best", {}).get("others", {}).items():
        yield (f"Beside {best['mode']}, the best of the others in {precision}: {best['speed']:.2f} times as fast, with "
               f"{best['memory']:.2f} of its memory.")


def overview(results):
    """Markdown: a line for every cell and precision."""
    lines = ["| model | pass | batch | size | precision | tessera, s | PyTorch's best | speed | memory | best of the others | speed "
             "| memory |", "|---|---|---|---|---|---|---|---|---|---|---|---|"]
    for result in results:
        for precision, ours in OURS.items():
            if ours not in result["runs"]:
                continue
            seconds = statistics.median(run["seconds"] for run in result["runs"][ours])
            line = [result["model"], result["task"], result["batch"], result["size"], precision, f"{seconds:.2f}"]
            for kind in ("pytorch", "others"):
                best = result.get("best", {}).get(kind, {}).get(precision)
                line += [best["mode"], f"{best['speed']:.2f}", f"{best['memory']:.2f}"] if best else ["", "", ""]
            lines.append("| " + " | ".join(map(str, line)) + " |")
    return "\n".join(lines)


def table(result):
    """Markdown."""
    lines = [f"### {result['model']}, {result['task']}, batch {result['batch']}, {result['size']}", "",
             "| mode | precision | rounds | median s | fastest | slowest | time / tessera's | peak memory, MB | off by |",
             "|---|---|---|---|---|---|---|---|---|"]
    for mode in MODES:
        runs = result["runs"].get(mode)
        if not runs:
            continue
        seconds = [run["seconds"] for run in runs]
        ratio, off = result["ratio"].get(mode), result["first"][mode].get("difference")
        lines.append(f"| {mode} | {'bf16' if mode.endswith('bf16') else 'fp32'} | {len(runs)} | {statistics.median(seconds):.3f} "
                     f"| {min(seconds):.3f} | {max(seconds):.3f} | {f'{ratio:.2f}' if ratio else ''} "
                     f"| {max(run['memory'] for run in runs) / 1e6:.0f} | {f'{off:.0e}' if off is not None else ''} |")
    lines += [f"| {mode} | | not measured: {reason} | | | | | | |" for mode, reason in result["missing"].items()]
    for verdict in verdicts(result):
        lines += ["", verdict]
    if result.get("cut_short"):
        lines += ["", "Cut short by the limit of time."]
    return "\n".join(lines)


def page(measurements):
    """Markdown, of (conditions, results) of each run."""
    proofs = dict.fromkeys(f"- {line}" for _, results in measurements for result in results for line in result["proof"])
    text = ["# tessera beside PyTorch on a CPU", "",
            "Speed is the median over the rounds of the other's time beside tessera's in the same round. Memory is the greatest "
            "resident memory of the whole process, \"off by\" the greatest difference of the outputs "
            "from PyTorch's eager mode, relative to their scale (training: of the losses from tessera's in fp32). In bf16 "
            "tessera rounds the operands of convolutions, PyTorch under autocast also what they write.", "",
            overview([result for _, results in measurements for result in results]), "",
            "Proven equal first:", "",
            *proofs]
    for about, results in measurements:
        versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items() if version)
        text += ["", f"    {about['command']}", "",
                 f"{about['processor']}, {about['threads']} threads of {about['cores']} cores, load {about['load'][0]:.1f} at the "
                 f"beginning and {about['load_at_end'][0]:.1f} at the end; {versions}."]
        text += [f"\n{table(result)}" for result in results]
    return "\n".join(text) + "\n"


def report(files):
    measurements = []
    for name in files:
        with open(name) as file:
            raw = json.load(file)
        for result in raw["results"]:
            judge(result)
        measurements.append((raw["conditions"], raw["results"]))
    return page(measurements)


def conditions(arguments):
    from importlib import metadata
    versions = {"python": platform.python_version()}
    for name in ("torch", "onnxruntime", "openvino"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    with open("/proc/cpuinfo") as file:
        processor = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), "?")
    return {"processor": processor, "cores": os.cpu_count(), "threads": arguments.threads, "load": os.getloadavg(),
            "versions": versions, "command": " ".join(["benchmarks/cpu_vs_pytorch.sh", *sys.argv[1:]])}


def importance(task, batch, size):
    """Smaller is earlier: what detectors are used for, then their training, then the rest."""
    order = [("forward", 1, "800x1344"), ("train", 1, "800x800"), ("forward", 8, "800x800"), ("train", 1, "800x1344"),
             ("forward", 1, "800x800"), ("forward", 8, "800x1344")]
    return order.index((task, batch, size)) if (task, batch, size) in order else len(order)


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tessera", default="build/tessera")
    parser.add_argument("--folder", default="build/cpu_vs_pytorch", help="files and caches, kept for the next time")
    parser.add_argument("--quick", action="store_true", help="small pictures, two rounds: a shake-down, no figures")
    parser.add_argument("--prepare", action="store_true", help="no timing")
    parser.add_argument("--minutes", type=float, help="stop with what is there")
    parser.add_argument("--models", nargs="+", default=MODELS, choices=MODELS)
    parser.add_argument("--sizes", nargs="+")
    parser.add_argument("--batches", nargs="+", type=int)
    parser.add_argument("--tasks", nargs="+", default=["forward", "train"], choices=["forward", "train"])
    parser.add_argument("--modes", nargs="+", default=MODES, choices=MODES)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--json", metavar="FILE", help="raw output")
    parser.add_argument("--page", metavar="FILE", help="the tables, as Markdown")
    parser.add_argument("--report", metavar="FILE", nargs="+", help="the page of what --json kept, nothing measured")
    arguments = parser.parse_args()
    if arguments.report and not arguments.page:
        parser.error("--report needs --page")
    arguments.sizes = arguments.sizes or (["128x160"] if arguments.quick else ["800x1344", "800x800"])
    arguments.batches = arguments.batches or ([1, 2] if arguments.quick else [1, 8])
    arguments.rounds = arguments.rounds or (2 if arguments.quick else 5)
    return arguments


def main():
    arguments = parse()
    if arguments.report:
        text = report(arguments.report)
        with open(arguments.page, "w") as file:
            file.write(text)
        return 0
    about = conditions(arguments)
    print(json.dumps(about), flush=True)
    bench, results = Bench(arguments), []
    cells = [(task, batch, size, model) for task in arguments.tasks for batch in arguments.batches
             for size in arguments.sizes for model in arguments.models]
    left_out = []
    for task, batch, size, model in sorted(cells, key=lambda cell: importance(*cell[:3])):
        if time.monotonic() >= bench.deadline:
            left_out.append(f"{model} {task} {batch}x{size}")
            continue
        try:
            result = bench.measure(Cell(bench.folder, model, task, batch, *size.split("x")))
        except OutOfTime:
            left_out.append(f"{model} {task} {batch}x{size}")
            continue
        judge(result)
        results.append(result)
        print("\n" + table(result), flush=True)
        about |= {"load_at_end": os.getloadavg(), "left_out": left_out}
        if arguments.json:  # after every cell: what is there survives
            with open(arguments.json, "w") as file:
                json.dump({"conditions": about, "results": results}, file, indent=1)
        if arguments.page:
            with open(arguments.page, "w") as file:
                file.write(page([(about, results)]))
    for cell in left_out:
        print(f"not reached in time: {cell}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
