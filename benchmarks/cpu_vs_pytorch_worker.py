#!/usr/bin/env python3
"""One mode of the other side of cpu_vs_pytorch.py, as a process of its own.

    cpu_vs_pytorch_worker.py FOLDER MODEL TASK BATCH HEIGHT WIDTH MODE THREADS

MODE "files" writes what all others read: our weights, the pictures with their objects, PyTorch's activations and outputs,
the network as ONNX. Any other mode runs once, says on standard output that it is ready and how far its outputs lie from
those, and then runs once for every line of standard input, like `tessera bench turns`.
"""
import json
import os
import resource
import sys
import time

import numpy as np

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(REPOSITORY, "tests", "golden"))
# What the heads give, in both programs: compared at the size that is timed.
HEADS = ("cls_logits", "bbox_pred", "ctrness", "pixel.embed", "object.pred", "class_logits", "kernel", "mask.output.norm",
         "semantic")


class Cell:
    """A model, a task, a batch and a size, and the files about them."""

    def __init__(self, folder, model, task, batch, height, width):
        self.folder, self.model, self.task, self.batch = folder, model, task, int(batch)
        self.height, self.width = int(height), int(width)

    def path(self, kind):
        """Of weights and the dump of a small picture: of the model; of everything else: of the cell."""
        if kind in ("weights.safetensors", "dump.safetensors"):
            return os.path.join(self.folder, f"{self.model}.{kind}")
        return os.path.join(self.folder, f"{self.model}_{self.batch}x{self.height}x{self.width}.{kind}")


def config_of(model):
    import cases
    config = {"gridmask_r50": cases.gridmask_r50, "anchor_free_r50": cases.anchor_free_r50}[model]()
    if model == "anchor_free_r50":  # grids and ranges of full-size pictures
        config["anchor_free"] |= dict(grids=[40, 36, 24, 16, 12], ranges=[1, 96, 48, 192, 96, 384, 192, 768, 384, 2048])
    else:
        config["fcos"]["range_scale"] = 1.0
    return config


def flat(output):
    if hasattr(output, "shape"):
        return [output]
    return [tensor for part in output if part is not None for tensor in flat(part)]


def network(cell):
    """The reference with the weights of the file, or of the formula where there is no file yet. And its module."""
    import anchor_free
    import cases
    import formula
    import gridmask
    import torch
    from safetensors import safe_open
    config = config_of(cell.model)
    module = anchor_free if cell.model == "anchor_free_r50" else gridmask
    made = module.Network(config)
    if not os.path.exists(cell.path("weights.safetensors")):
        return cases.filled(made, torch.float32), module
    with safe_open(cell.path("weights.safetensors"), "pt") as file, torch.no_grad():
        for name, tensor in made.state_dict().items():
            formula.engine_layout(tensor).copy_(file.get_tensor(name).reshape(formula.engine_layout(tensor).shape))
    return made, module


def write_model(cell):
    """Our weights, and every activation on a small picture."""
    import cases
    import formula
    import torch
    from record import named_calls, watch
    from safetensors.torch import save_file
    made, _ = network(cell)
    picture = formula.pictures(1, 96, 128, torch.float32)
    calls, _ = watch(made, cases.reported(made))
    with torch.no_grad():
        made(picture)
    dump = {name: value.contiguous() for name, value in named_calls(calls)}
    save_file({**dump, "input": picture.contiguous()}, cell.path("dump.safetensors"))
    tensors = {name: formula.engine_layout(t.detach()).contiguous() for name, t in made.state_dict().items()}
    categories = [{"id": i + 1, "name": f"class {i + 1}"} for i in range(80)]
    about = {"format": "tessera", "config": json.dumps({"model": config_of(cell.model)}),
             "categories": json.dumps(categories)}
    save_file(tensors, cell.path("weights.safetensors") + ".new", about)
    os.rename(cell.path("weights.safetensors") + ".new", cell.path("weights.safetensors"))


def write_cell(cell):
    import cases
    import formula
    import torch
    from record import named_calls, watch
    from safetensors.torch import save_file
    made, _ = network(cell)
    pictures = formula.pictures(cell.batch, cell.height, cell.width, torch.float32).contiguous()
    scene = cases.scene(cell.height, cell.width, cell.batch)
    objects = [(i, label, *box) for i, picture in enumerate(scene) for label, box, _ in picture]
    masks = torch.stack([mask for picture in scene for _, _, mask in picture]).to(torch.uint8)
    calls, _ = watch(made, {name for name in cases.reported(made) if name.endswith(HEADS)})
    with torch.inference_mode():
        outputs = flat(made.eval()(pictures))
    heads = {name: value.contiguous() for name, value in named_calls(calls)}
    save_file({**heads, "input": pictures}, cell.path("heads.safetensors"))
    save_file({f"{i:02}": value.contiguous() for i, value in enumerate(outputs)}, cell.path("outputs.safetensors"))
    save_file({"input": pictures, "objects": torch.tensor(objects), "masks": masks}, cell.path("input.safetensors"))


def write_onnx(cell):
    import torch
    from safetensors.torch import load_file
    made, _ = network(cell)

    class Flat(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = made

        def forward(self, images):
            return tuple(flat(self.inner(images)))
    pictures = load_file(cell.path("input.safetensors"))["input"]
    torch.onnx.export(Flat().eval(), (pictures,), cell.path("onnx.new"), dynamo=False, input_names=["images"])
    os.rename(cell.path("onnx.new"), cell.path("onnx"))


def make_files(cell):
    os.makedirs(cell.folder, exist_ok=True)
    if not os.path.exists(cell.path("weights.safetensors")):
        write_model(cell)
    if not os.path.exists(cell.path("input.safetensors")):
        write_cell(cell)
    if cell.task == "forward" and not os.path.exists(cell.path("onnx")):
        write_onnx(cell)
    return {"ready": True}


def training_step(cell, mode):
    """A function that gives the losses before its update."""
    import torch
    from safetensors.torch import load_file
    tensors = load_file(cell.path("input.safetensors"))
    pictures = tensors["input"]
    scene = [[] for _ in range(cell.batch)]
    for (picture, label, *box), mask in zip(tensors["objects"].tolist(), tensors["masks"]):
        scene[int(picture)].append((int(label), box, mask.bool()))
    made, module = network(cell)
    if mode.startswith("channels_last"):
        made, pictures = made.to(memory_format=torch.channels_last), pictures.to(memory_format=torch.channels_last)
    forward = torch.compile(made.forward) if mode.startswith("compile") else made.forward
    if mode.endswith("bf16"):
        def rounded(images, inner=forward):
            with torch.autocast("cpu", torch.bfloat16):
                output = inner(images)
            return torch.utils._pytree.tree_map(lambda tensor: tensor.float(), output)
        forward = rounded
    made.forward = forward
    trained = [p for p in made.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=1e-6, momentum=0.9, weight_decay=1e-4)

    def step():
        optimizer.zero_grad()
        losses = module.losses(made, pictures, scene)
        losses.sum().backward()
        optimizer.step()
        return losses.detach()
    return step


def forward_pass(cell, mode, threads):
    """A function that gives the outputs as a list of arrays."""
    if mode in ("onnxruntime", "openvino"):
        from safetensors.numpy import load_file
        pictures = load_file(cell.path("input.safetensors"))["input"]
        if mode == "onnxruntime":
            import onnxruntime
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = threads
            session = onnxruntime.InferenceSession(cell.path("onnx"), options, providers=["CPUExecutionProvider"])
            return lambda: session.run(None, {"images": pictures})
        import openvino
        compiled = openvino.Core().compile_model(cell.path("onnx"), "CPU", {
            "INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"})
        return lambda: list(compiled(pictures).values())
    import contextlib
    import torch
    from safetensors.torch import load_file
    pictures = load_file(cell.path("input.safetensors"))["input"]
    made = network(cell)[0].eval()
    if mode.startswith("channels_last"):
        made, pictures = made.to(memory_format=torch.channels_last), pictures.to(memory_format=torch.channels_last)
    if mode.startswith("compile"):
        made = torch.compile(made)
    rounded = torch.autocast("cpu", torch.bfloat16) if mode.endswith("bf16") else contextlib.nullcontext()

    def forward():
        with torch.inference_mode(), rounded:
            return flat(made(pictures))
    return forward


def first_run(cell, run):
    """How far the outputs are from PyTorch's own, relative to the scale of each; or the losses."""
    if cell.task == "train":
        return {"losses": run().tolist()}
    from safetensors.numpy import load_file
    expected = load_file(cell.path("outputs.safetensors"))
    outputs = run()
    if len(outputs) != len(expected):
        raise RuntimeError(f"{len(outputs)} outputs instead of {len(expected)}")
    greatest = 0.0
    for name, output in zip(sorted(expected), outputs):
        values = np.asarray(output.float() if hasattr(output, "float") else output)
        if values.shape != expected[name].shape:
            raise RuntimeError(f"output {name}: {values.shape} instead of {expected[name].shape}")
        greatest = max(greatest, float(np.abs(values - expected[name]).max() / np.abs(expected[name]).max()))
    return {"difference": greatest}


def main():
    cell, mode, threads = Cell(*sys.argv[1:7]), sys.argv[7], int(sys.argv[8])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    say = lambda answer: print(json.dumps(answer), file=answers, flush=True)
    try:
        if mode not in ("onnxruntime", "openvino"):
            import torch
            torch.set_num_threads(threads)
        if mode == "files":
            return say(make_files(cell))
        run = training_step(cell, mode) if cell.task == "train" else forward_pass(cell, mode, threads)
        begin = time.perf_counter()
        first = first_run(cell, run)
        say({"ready": True, "first_run_seconds": time.perf_counter() - begin, **first})
    except Exception as error:  # the reason is the result
        text = f"{type(error).__name__}: {error}".split("\n")[0]
        return say({"error": text[:300]})
    for _ in sys.stdin:
        begin = time.perf_counter()
        run()
        seconds = time.perf_counter() - begin
        say({"seconds": seconds, "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024})


if __name__ == "__main__":
    main()
