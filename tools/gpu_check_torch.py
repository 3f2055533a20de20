"""PyTorch's side of tools/gpu_check.py: a process that answers requests, a line of JSON each, from standard input.

    {"do": "ceilings"}
    {"do": "convolutions", "shapes": ["tower P3: 1x100x168 256->256 3x3", ...], "precision": "bf16"}
    {"do": "operations", "height": 800, "width": 1344, "precision": "bf16"}
    {"do": "files", "folder": "out", "model": "gridmask_r50", "height": 800, "width": 1344, "batch": 1}
    {"do": "network" or "step", "mode": "compile", "calls": 20, and the keys of "files"}

Answers are in milliseconds; {"error": "..."} where something does not work, and the process goes on.

Operations are timed as kernels/cuda/device_clock.cpp times ours: CUDA events around each of 50 queued calls, behind a pass
over more memory than a second-level cache holds. Networks and steps are timed by the clock on the wall, each call waiting
for the GPU, as `tessera bench infer` and `bench train` are. A step is forward, backward from random cotangents of all
outputs, and SGD: without targets and losses, which ours contains.
"""
import argparse
import contextlib
import copy
import json
import os
import re
import statistics
import sys
import time

STARTED = time.time()
REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(REPOSITORY, "benchmarks"))
import plain_safetensors  # noqa: E402
plain_safetensors.put_in_place()
import torch  # noqa: E402
from torch.nn import functional as F  # noqa: E402

SHAPE = re.compile(r"(\d+)x(\d+)x(\d+) (\d+)->(\d+) (\d+)x\d+(?: stride (\d+))?(?: groups (\d+))?$")
WARM_UPS, CALLS = 5, 50


class Clock:
    def __init__(self, device):
        self.device = device
        self.evicted = None if device == "cpu" else torch.empty(256 << 20, dtype=torch.uint8, device=device)

    def milliseconds(self, call):
        if self.device == "cpu":
            return self.wall(call, 3)["median_ms"]
        for _ in range(WARM_UPS):
            call()
        events = [(torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)) for _ in range(CALLS)]
        for begin, end in events:
            self.evicted.zero_()
            begin.record()
            call()
            end.record()
        torch.cuda.synchronize()
        return statistics.median(begin.elapsed_time(end) for begin, end in events)

    def wall(self, call, calls):
        """After one call that is not counted."""
        times = []
        for turn in range(calls + 1):
            begin = time.perf_counter()
            call()
            self.wait()
            if turn > 0:
                times.append(1e3 * (time.perf_counter() - begin))
        return {"median_ms": statistics.median(times), "fastest_ms": min(times), "slowest_ms": max(times)}

    def wait(self):
        if self.device != "cpu":
            torch.cuda.synchronize()


def dtype_of(precision):
    return {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision, torch.float32)


def set_precision(precision):
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"


def captured(device, call):
    """The call as one CUDA graph; itself on the CPU."""
    if device == "cpu":
        return call
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    return graph.replay


def ceilings(clock, _):
    device, large = clock.device, clock.device != "cpu"
    found = {}
    source = torch.randn((256 << 20) if large else 1 << 16, device=device, dtype=torch.float16)
    target = torch.empty_like(source)
    found["copy_gigabytes_per_second"] = 2e-6 * source.nbytes / clock.milliseconds(lambda: target.copy_(source))
    side = 8192 if large else 64
    for precision in ("fp32", "tf32", "bf16", "fp16"):
        set_precision(precision)
        a, b = (torch.randn(side, side, device=device, dtype=dtype_of(precision)) for _ in range(2))
        found[f"gemm_{precision}_tflops"] = 2e-9 * side ** 3 / clock.milliseconds(lambda: a @ b)
    tiny = torch.zeros(1, device=device)
    begin = time.perf_counter()
    for _ in range(1000):
        tiny.add_(1)
    clock.wait()
    found["launch_microseconds"] = (time.perf_counter() - begin) * 1e3
    return found


def convolutions(clock, request):
    """Of each shape: sums alone, with bias and ReLU, the two gradients."""
    set_precision(request["precision"])
    dtype, times = dtype_of(request["precision"]), {}
    for description in request["shapes"]:
        batch, height, width, channels, outputs, kernel, stride, groups = (int(g or 1) for g in SHAPE.search(description).groups())

        def make(*shape):
            return torch.randn(*shape, device=clock.device, dtype=dtype).to(memory_format=torch.channels_last)
        x, weight = make(batch, channels, height, width), make(outputs, channels // groups, kernel, kernel)
        bias = torch.randn(outputs, device=clock.device, dtype=dtype)
        how = dict(stride=stride, padding=kernel // 2, groups=groups)
        gradient = torch.randn_like(F.conv2d(x, weight, **how))

        def backward(mask):
            return lambda: torch.ops.aten.convolution_backward(
                gradient, x, weight, None, [stride] * 2, [kernel // 2] * 2, [1, 1], False, [0, 0], groups, mask)
        with torch.no_grad():
            times[description] = {name: clock.milliseconds(call) for name, call in (
                ("bare", lambda: F.conv2d(x, weight, **how)), ("forward", lambda: F.relu(F.conv2d(x, weight, bias, **how), inplace=True)),
                ("data_gradient", backward([True, False, False])), ("weight_gradient", backward([False, True, False])))}
    return times


def pyramid(height, width):
    return [(-(-height // stride), -(-width // stride)) for stride in (8, 16, 32, 64, 128)]


def scaled(full, height, width):
    side = min(1.0, (height * width / (800.0 * 1344.0)) ** 0.5)
    return max(1, int(full * side) // 16) * 16


def operation_table(device, dtype, height, width):
    """name -> (inputs, function of them): the rows of apps/bench_kernels.cpp, products in dtype, all else in fp32."""
    def maps(*shape, kind=torch.float32):
        return torch.randn(*shape, device=device, dtype=kind).to(memory_format=torch.channels_last)

    def flat(*shape, kind=torch.float32):
        return torch.randn(*shape, device=device, dtype=kind)
    h16, w16, side = -(-height // 16), -(-width // 16), scaled(4096, height, width)
    levels, cells = pyramid(height, width), sum(h * w for h, w in pyramid(height, width))
    line, tokens = scaled(40, height, width), scaled(1600, height, width)
    attention = F.scaled_dot_product_attention
    labels = torch.randint(0, 81, (cells,), device=device)
    one_hot = F.one_hot(labels, 81)[:, :80].float()
    masks = (flat(32, -(-height // 4), -(-width // 4)) > 0).float()

    def dice(logits):
        p, t = logits.sigmoid().flatten(1), masks.flatten(1)
        return (1 - 2 * (p * t).sum(1) / ((p * p).sum(1) + (t * t).sum(1))).mean()

    def norms(weight, bias, *of_levels):
        return tuple(F.relu(F.group_norm(x, 32, weight, bias)) for x in of_levels)
    import torchvision
    table = {
        "linear": ([flat(side, side, kind=dtype), flat(side, side, kind=dtype), flat(side, kind=dtype)], F.linear),
        "conv affine relu": ([maps(1, 256, h16, w16, kind=dtype), maps(256, 256, 3, 3, kind=dtype), flat(256, kind=dtype)],
                             lambda x, w, b: F.relu(F.conv2d(x, w, b, padding=1))),
        "conv affine residual relu": (
            [maps(1, 256, h16, w16, kind=dtype), maps(1024, 256, 1, 1, kind=dtype), flat(1024, kind=dtype), maps(1, 1024, h16, w16, kind=dtype)],
            lambda x, w, b, shortcut: F.relu(F.conv2d(x, w, b) + shortcut)),
        "group_norm relu": ([flat(256), flat(256), *(maps(1, 256, h, w) for h, w in levels)], norms),
        "multi_head_attention": ([flat(1, 8, tokens, 32, kind=dtype) for _ in range(3)], attention),
        "resize_bilinear": ([maps(1, 256, h16, w16)], lambda x: F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)),
        "sigmoid_focal_loss": ([flat(cells, 80)], lambda x: torchvision.ops.sigmoid_focal_loss(x, one_hot, 0.25, 2.0, "sum") / 100),
        "binary_cross_entropy": ([flat(cells, 80)], lambda x: F.binary_cross_entropy_with_logits(x, one_hot)),
        "dice_loss": ([flat(32, -(-height // 4), -(-width // 4))], dice),
    }
    for axis in ("columns", "rows"):
        table["axial_attention " + axis] = ([flat(8 * line, 8, line, 32, kind=dtype) for _ in range(3)], attention)
    return table


def operations(clock, request):
    set_precision(request["precision"])
    device, height, width, dtype = clock.device, request["height"], request["width"], dtype_of(request["precision"])
    times = {}
    for name, (inputs, function) in operation_table(device, dtype, height, width).items():
        with torch.no_grad():
            result = function(*inputs)
            times[name] = {"forward": clock.milliseconds(lambda: function(*inputs))}
        outputs = result if isinstance(result, tuple) else (result,)
        cotangents = [torch.randn_like(output) for output in outputs]
        leaves = [tensor.detach().requires_grad_() for tensor in inputs]

        def both():
            made = function(*leaves)
            torch.autograd.grad(made if isinstance(made, tuple) else (made,), leaves, cotangents)
        times[name]["training"] = clock.milliseconds(both)
    with torch.no_grad():
        layers = [(torch.randn(1, 256, h, w, device=device, dtype=dtype).to(memory_format=torch.channels_last),
                   torch.randn(256, 256, 3, 3, device=device, dtype=dtype).to(memory_format=torch.channels_last),
                   torch.randn(256, device=device, dtype=dtype)) for _ in range(3) for h, w in pyramid(height, width)]
        times["tower layer"] = {"forward": clock.milliseconds(captured(device, lambda: [F.conv2d(x, w, b, padding=1) for x, w, b in layers]))}
        import torchvision
        for full in (1000, 5000):
            count = scaled(full, height, width)
            corner = torch.rand(count, 2, device=device) * 0.9 * torch.tensor([width, height], device=device)
            extent = (0.02 + 0.08 * torch.rand(count, 2, device=device)) * torch.tensor([width, height], device=device)
            boxes, scores = torch.cat([corner, corner + extent], 1), torch.rand(count, device=device)
            classes = torch.randint(0, 80, (count,), device=device)
            times[f"nms {full}"] = {"forward": clock.milliseconds(lambda: torchvision.ops.batched_nms(boxes, scores, classes, 0.6)[:100])}
    return times


def cell_of(request):
    """Of benchmarks/cpu_vs_pytorch_worker.py: the networks of tests/golden, filled by their formula."""
    import cpu_vs_pytorch_worker as worker
    return worker, worker.Cell(request["folder"], request["model"], "gpu", request["batch"], request["height"], request["width"])


def files(_, request):
    """Our weights, all activations on a small picture, and a picture."""
    worker, cell = cell_of(request)
    os.makedirs(cell.folder, exist_ok=True)
    worker.write_model(cell)
    return {"weights": cell.path("weights.safetensors"), "dump": cell.path("dump.safetensors")}


class Networks:
    """Networks and steps of one model and size at a time, by mode."""

    def __init__(self):
        self.plain, self.made, self.cell = {}, {}, None

    def base(self, request):
        if request["model"] not in self.plain:
            worker, cell = cell_of(request)
            self.plain[request["model"]] = worker.network(cell)[0]
        return copy.deepcopy(self.plain[request["model"]])

    def run(self, clock, request):
        cell = tuple(request[name] for name in ("do", "model", "batch", "height", "width"))
        if cell != self.cell:
            self.made, self.cell = {}, cell
        if request["mode"] not in self.made:
            before = 0
            if clock.device != "cpu":
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()
                before = torch.cuda.memory_allocated()  # of the other modes
            begin = time.perf_counter()
            call = (inference if request["do"] == "network" else step)(clock.device, self.base(request), request)
            for _ in range(2):  # a step has its momentum from the first on
                call()
            clock.wait()
            about = {"first_run_seconds": time.perf_counter() - begin}
            if clock.device != "cpu":
                about["peak_memory_bytes"] = torch.cuda.max_memory_allocated() - before
            self.made[request["mode"]] = call, about
        call, about = self.made[request["mode"]]
        return clock.wall(call, request["calls"]) | about


def pictures(device, request):
    shape = request["batch"], 3, -(-request["height"] // 32) * 32, -(-request["width"] // 32) * 32
    return torch.randn(*shape, device=device)


def rounded(device, mode):
    dtype = {"fp16": torch.float16, "bf16": torch.bfloat16, "graph": torch.bfloat16, "compile": torch.bfloat16}.get(mode)
    # Rounded weights that a graph reads must be the graph's own.
    return torch.autocast(device, dtype, cache_enabled=mode != "graph") if dtype else contextlib.nullcontext()


def inference(device, model, request):
    """eager: fp32. channels_last: TF32 on tensor cores as well. bf16, fp16: autocast, channels_last. graph, compile
    (reduce-overhead): bf16 as one CUDA graph, without and with fusion."""
    mode = request["mode"]
    set_precision("fp32" if mode == "eager" else "tf32")
    model, images = model.eval().to(device), pictures(device, request)
    if mode != "eager":
        model, images = model.to(memory_format=torch.channels_last), images.to(memory_format=torch.channels_last)
    if mode == "compile":
        model = torch.compile(model, mode="reduce-overhead" if device != "cpu" else None)

    def forward():
        with torch.no_grad(), rounded(device, mode):
            return model(images)
    return captured(device, forward) if mode == "graph" else forward


def leaves(output):
    if hasattr(output, "shape"):
        return [output]
    return [tensor for part in output if part is not None for tensor in leaves(part)]


def step(device, model, request):
    mode = request["mode"]
    set_precision("fp32" if mode == "eager" else "tf32")
    model, images = model.train().to(device), pictures(device, request)
    if mode != "eager":
        model, images = model.to(memory_format=torch.channels_last), images.to(memory_format=torch.channels_last)
    forward = torch.compile(model) if mode == "compile" else model
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1e-6, momentum=0.9, weight_decay=1e-4)
    cotangents = []

    def run():
        optimizer.zero_grad()
        with rounded(device, mode):
            outputs = [output for output in leaves(forward(images)) if output.requires_grad]
        if not cotangents:
            cotangents.extend(1e-3 * torch.randn_like(output) for output in outputs)
        torch.autograd.backward(outputs, cotangents)
        optimizer.step()
    return run


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), required=True)
    device = parser.parse_args().device
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    say = lambda answer: print(json.dumps(answer), file=answers, flush=True)
    if device == "cpu":
        torch.set_num_threads(1)  # tiny sizes: threads would wait for each other
    networks, clock = Networks(), Clock(device)
    table = {"ceilings": ceilings, "convolutions": convolutions, "operations": operations, "files": files, "network": networks.run, "step": networks.run}
    say({"ready": True, "start_seconds": time.time() - STARTED})
    for line in sys.stdin:
        request = json.loads(line)
        try:
            say(table[request["do"]](clock, request))
        except Exception as error:  # the reason is the result
            say({"error": f"{type(error).__name__}: {error}".split("\n")[0][:300]})
        if device != "cpu" and request["do"] not in ("network", "step"):
            torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
