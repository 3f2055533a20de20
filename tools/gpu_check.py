"""The parts of tools/gpu_check.sh that need Python: probing, PyTorch's convolutions, the report.

    gpu_check.py probe --out probe.json
    gpu_check.py convolutions --device cuda --ours build/tessera --rounds 3 --out ops.json
    gpu_check.py report --folder out/gpu_check --dry-run 0

Timings of PyTorch: CUDA events, warm-up, inputs turned over so that they are not in the cache, the median of each round;
rounds of ours and of PyTorch take turns, and a row keeps the median of its rounds and their spread.
"""
import argparse
import json
import pathlib
import platform
import re
import statistics
import subprocess
import sys
import time

# Where our binary cannot say its shapes (--dry-run): one of each kind, small.
SMALL = [
    "3x3: 1x16x16 16->16 3x3",
    "1x1: 1x16x16 16->32 1x1",
    "stride 2: 2x15x17 8->16 3x3 stride 2",
    "groups: 1x16x16 32->32 3x3 groups 4",
]
SHAPE = re.compile(r"(\d+)x(\d+)x(\d+) (\d+)->(\d+) (\d+)x\d+(?: stride (\d+))?(?: groups (\d+))?$")


def output_of(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def probe(arguments):
    found = {
        "gpu": output_of("nvidia-smi", "--query-gpu=name,driver_version,compute_cap,memory.total,clocks.max.sm", "--format=csv"),
        "nvcc": (output_of("nvcc", "--version") or "").splitlines()[-1:],
        "python": platform.python_version(),
        "processor": platform.processor() or platform.machine(),
    }
    try:
        import torch

        found |= {"torch": torch.__version__, "torch_cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}
        if torch.cuda.is_available():
            found["copy_gigabytes_per_second"] = copy_bandwidth(torch)
            found["launch_microseconds"] = launch_latency(torch)
    except ImportError:
        found["torch"] = None
    arguments.out.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


def copy_bandwidth(torch):
    source = torch.randn(256 << 20, device="cuda", dtype=torch.float16)
    target = torch.empty_like(source)
    return 2 * source.nbytes / median_seconds(torch, "cuda", lambda turn: target.copy_(source), 20) * 1e-9


def launch_latency(torch):
    tiny = torch.zeros(1, device="cuda")
    torch.cuda.synchronize()
    begin = time.perf_counter()
    for _ in range(1000):
        tiny.add_(1)
    torch.cuda.synchronize()
    return (time.perf_counter() - begin) * 1e3


def median_seconds(torch, device, call, repeats):
    for turn in range(5):
        call(turn)
    if device == "cpu":
        times = []
        for turn in range(repeats):
            begin = time.perf_counter()
            call(turn)
            times.append(time.perf_counter() - begin)
        return statistics.median(times)
    events = [(torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)) for _ in range(repeats)]
    for turn, (begin, end) in enumerate(events):
        begin.record()
        call(turn)
        end.record()
    torch.cuda.synchronize()
    return statistics.median(begin.elapsed_time(end) for begin, end in events) * 1e-3


def torch_convolutions(torch, device, descriptions, precision):
    """Milliseconds of each shape: forward, gradient of the input, gradient of the weight."""
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision, torch.float32)
    repeats = 3 if device == "cpu" else 50
    times = {}
    for description in descriptions:
        batch, height, width, channels, outputs, kernel, stride, groups = (int(g or 1) for g in SHAPE.search(description).groups())
        make = lambda *shape: torch.randn(*shape, device=device, dtype=dtype).to(memory_format=torch.channels_last)
        # As many copies as exceed a second-level cache of 50 MB.
        copies = max(1, min(8, 2 * 50_000_000 // (batch * height * width * channels * dtype.itemsize)))
        inputs = [make(batch, channels, height, width) for _ in range(copies)]
        weight = make(outputs, channels // groups, kernel, kernel)
        settings = dict(stride=stride, padding=kernel // 2, groups=groups)
        gradient = torch.randn_like(torch.nn.functional.conv2d(inputs[0], weight, **settings))

        def backward(mask):
            return lambda turn: torch.ops.aten.convolution_backward(
                gradient, inputs[turn % copies], weight, None, [stride] * 2, [kernel // 2] * 2, [1, 1], False, [0, 0], groups, mask)

        forward = lambda turn: torch.nn.functional.conv2d(inputs[turn % copies], weight, **settings)
        times[description] = [1e3 * median_seconds(torch, device, call, repeats)
                              for call in (forward, backward([True, False, False]), backward([False, True, False]))]
    return times


PASSES = ("forward", "data_gradient", "weight_gradient")


def our_convolutions(binary, device, options):
    text = subprocess.run([binary, "bench", "ops", "--device", device, "--json", "-q", *options], capture_output=True, text=True, check=True).stdout
    return {row["description"]: [row[name]["median_ms"] for name in PASSES] for row in json.loads(text)["convolutions"]}


def convolutions(arguments):
    try:
        import torch
    except ImportError:
        torch = None
        print("PyTorch is not installed: our times alone")
    rows = []
    precisions = ["fp32"] if arguments.small else ["fp32", "tf32", "bf16"]
    for precision in precisions:
        ours, theirs = [], []
        for _ in range(arguments.rounds):
            if arguments.ours:
                ours.append(our_convolutions(arguments.ours, arguments.device, ["--precision", precision]))
            if torch:
                theirs.append(torch_convolutions(torch, arguments.device, ours[-1] if ours else SMALL, precision))
        for description in (ours or theirs or [{}])[0]:
            row = {"shape": description, "precision": precision}
            for index, name in enumerate(PASSES):
                for who, results in (("ours", ours), ("torch", theirs)):
                    times = [result[description][index] for result in results]
                    if times:
                        row[f"{name}_{who}_ms"] = statistics.median(times)
                        row[f"{name}_{who}_spread"] = (max(times) - min(times)) / statistics.median(times)
                if f"{name}_ours_ms" in row and f"{name}_torch_ms" in row:
                    row[f"{name}_ratio"] = row[f"{name}_torch_ms"] / row[f"{name}_ours_ms"]
            rows.append(row)
    arguments.out.write_text(json.dumps(rows, indent=1) + "\n")
    print(json.dumps(rows, indent=1))


def report(arguments):
    folder = arguments.folder
    stages = [dict(zip(("stage", "verdict", "seconds"), line.split("\t"))) for line in (folder / "stages.tsv").read_text().splitlines()]
    result = {"dry_run": bool(arguments.dry_run), "stages": stages}
    for file in sorted(folder.glob("*.json")):
        if file.stem != "gpu_check":
            try:
                result[file.stem] = json.loads(file.read_text())
            except json.JSONDecodeError:
                result[file.stem] = None  # its stage did not finish
    start = folder / "start.log"
    if start.exists():
        seconds = [float(line) for line in start.read_text().split() if re.fullmatch(r"\d+\.\d+", line)]
        result["start_seconds"] = statistics.median(seconds) if seconds else None
    (folder / "gpu_check.json").write_text(json.dumps(result, indent=1) + "\n")

    rows = [row for row in result.get("ops") or [] if "forward_ratio" in row]
    if rows:
        print(f"\n{'shape':<52} {'math':<5} {'ours ms':>8} {'torch':>8} {'ratio':>6} {'dgrad':>6} {'wgrad':>6}")
        for row in rows:
            print(f"{row['shape']:<52} {row['precision']:<5} {row['forward_ours_ms']:8.3f} {row['forward_torch_ms']:8.3f} "
                  f"{row['forward_ratio']:6.2f} {row['data_gradient_ratio']:6.2f} {row['weight_gradient_ratio']:6.2f}")
        for precision in sorted({row["precision"] for row in rows}):
            ratios = [row["forward_ratio"] for row in rows if row["precision"] == precision]
            print(f"{precision}: at least 0.85 of PyTorch's speed on {sum(r >= 0.85 for r in ratios)} of {len(ratios)} shapes (goal: 80 %)")
    for name in ("infer_batch1_graph_off", "infer_batch1_graph_on", "infer_batch16_graph_off", "infer_batch16_graph_on", "train"):
        if result.get(name):
            timings = {key: value for key, value in result[name].items() if isinstance(value, dict) and "median_ms" in value}
            timing = timings.get("detect") or next(iter(timings.values()), None)
            if timing:
                print(f"{name}: {timing['median_ms']:.2f} ms")
    print(f"\nwritten: {folder / 'gpu_check.json'}" + ("   (dry run: nothing of it was measured on a GPU)" if arguments.dry_run else ""))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("probe")
    verb.add_argument("--out", type=pathlib.Path, required=True)
    verb = verbs.add_parser("convolutions")
    verb.add_argument("--device", choices=("cpu", "cuda"), required=True)
    verb.add_argument("--ours", help="our binary; absent: PyTorch alone, on small shapes")
    verb.add_argument("--rounds", type=int, default=3)
    verb.add_argument("--small", action="store_true", help="fp32 alone")
    verb.add_argument("--out", type=pathlib.Path, required=True)
    verb = verbs.add_parser("report")
    verb.add_argument("--folder", type=pathlib.Path, required=True)
    verb.add_argument("--dry-run", type=int, default=0)
    arguments = parser.parse_args()
    sys.exit({"probe": probe, "convolutions": convolutions, "report": report}[arguments.verb](arguments))


if __name__ == "__main__":
    main()
