"""What is kept of tensors too large to store, and the files it is kept in. The C++ side is golden_file.h."""
import json
import os

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import save_file

import formula

SAMPLES = 64
HEAD = 4
SINGLE = "single_precision_share"  # fact: what PyTorch in single precision takes of each tolerance
# Of checks.cpp. Losses relative to max(1, loss), gradient norms to themselves, digests to their scale.
TOLERANCES = {"activation": 1e-4, "first_losses": 1e-5, "losses": 1e-4, "gradient": 1e-3, "gradient_norms": 1e-3,
              "trained": 1e-4}


def flat(tensor):
    """float64, in the engine's layout."""
    return formula.engine_layout(tensor.detach()).reshape(-1).double().numpy()


def sample_index(name, count):
    if count <= SAMPLES:
        return np.arange(count)
    return formula.bits("sample " + name, np.arange(SAMPLES, dtype=np.uint32)) % np.uint32(count)


def digest(name, tensor):
    """Greatest magnitude; sums weighted with noise(name), of the values and of the values after a ReLU; greatest value;
    up to 64 samples."""
    values = flat(tensor)
    weights = formula.noise(name, len(values)).astype(np.float64)
    head = [np.abs(values).max(), values @ weights, np.maximum(values, 0) @ weights, values.max()]
    return np.concatenate([head, values[sample_index(name, len(values))]]).astype(np.float32)


def pack_runs(bits):
    """Lengths of the runs of one long row that begins with zeros, each in groups of seven bits, the lowest group first,
    all but the last with the eighth bit set."""
    packed = bytearray()
    edges = np.flatnonzero(np.diff(bits.astype(np.int8), prepend=0))
    for length in np.diff(np.concatenate([[0], edges, [len(bits)]])).tolist():
        while length >= 128:
            packed.append(length % 128 + 128)
            length //= 128
        packed.append(length)
    return np.frombuffer(bytes(packed), dtype=np.uint8)


def unpack_runs(packed):
    pieces, value, length, shift = [], False, 0, 0
    for byte in packed.tolist():
        length |= byte % 128 << shift
        shift += 7
        if byte < 128:
            pieces.append(np.full(length, value))
            value, length, shift = not value, 0, 0
    return np.concatenate(pieces)


class Golden:
    """One file: digests of activations, gradients and trained parameters, losses, detections."""

    def __init__(self, config):
        self.config, self.tensors, self.facts = config, {}, {}

    def add(self, name, values):
        self.tensors[name] = np.ascontiguousarray(values)

    def add_digest(self, kind, name, tensor):
        self.add(f"{kind}/{name}", digest(name, tensor))

    def add_scene(self, scene):
        rows = [(picture, label, *box) for picture, objects in enumerate(scene) for label, box, _ in objects]
        self.add("objects", np.array(rows, dtype=np.float32).reshape(-1, 6))

    def add_detections(self, prefix, boxes, scores, labels, masks=None, runs=False):
        """runs: masks as the lengths of their runs, which takes a tenth of the bits."""
        if boxes is not None:
            self.add(prefix + "boxes", boxes.detach().float().numpy().reshape(-1, 4))
        self.add(prefix + "scores", scores.detach().float().numpy())
        self.add(prefix + "labels", labels.numpy().astype(np.int32))
        if masks is not None and runs:
            self.add(prefix + "mask_runs", pack_runs(masks.numpy().reshape(-1)))
        elif masks is not None:
            self.add(prefix + "masks", np.packbits(masks.numpy().reshape(len(masks), -1), axis=1, bitorder="little"))

    def write(self, path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        metadata = {"config": json.dumps({"model": self.config}), "facts": json.dumps(self.facts)}
        save_file(dict(sorted(self.tensors.items())), path, metadata)


def read(path):
    with safe_open(path, "numpy") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()


def difference(path, other):
    """Greatest difference of two files relative to each tensor's greatest magnitude; None: not even the same names,
    shapes, dtypes or facts (but single precision's). Bit masks: the share of differing bits."""
    (ours, about), (theirs, about_theirs) = read(path), read(other)
    for metadata in (about, about_theirs):
        metadata["facts"] = {key: fact for key, fact in json.loads(metadata["facts"]).items() if key != SINGLE}
    if about != about_theirs or ours.keys() != theirs.keys():
        return None
    greatest = 0.0
    for name, a in ours.items():
        b = theirs[name]
        if name.endswith("mask_runs"):
            a, b = np.packbits(unpack_runs(a)), np.packbits(unpack_runs(b))
        if a.shape != b.shape or a.dtype != b.dtype:
            return None
        if a.dtype == np.uint8:
            greatest = max(greatest, float(np.unpackbits(a ^ b).mean()) if a.size else 0)
        elif a.size:
            scale = max(float(np.abs(a.astype(np.float64)).max()), 1e-30)
            greatest = max(greatest, float(np.abs(a.astype(np.float64) - b).max()) / scale)
    return greatest


def shares(golden, other):
    """Of each tolerance, how much lies between two goldens of one case."""
    distances = {}
    for name, a in golden.tensors.items():
        kind, b = name.split("/")[0], other.tensors[name] if name in other.tensors else None
        if kind == "losses":
            relative = np.abs(a - b) / np.maximum(1, a)
            distances["first_losses"], distances["losses"] = relative[0].max(), relative.max()
        elif kind == "gradient_norms":
            distances[kind] = (np.abs(a - b) / a).max()
        elif kind in TOLERANCES:
            distance = np.abs(a[HEAD:] - b[HEAD:]).max() / max(a[0], 1e-12)
            distances[kind] = max(distances.get(kind, 0), distance)
    return {kind: float(distance) / TOLERANCES[kind] for kind, distance in distances.items()}


def watch(model, names):
    """Hooks that collect the outputs of these modules, as {name: [tensor of each call]}."""
    calls, handles = {}, []

    def hook(name):
        return lambda module, inputs, output: calls.setdefault(name, []).append(output.detach().clone())

    for name, module in model.named_modules():
        if name in names:
            handles.append(module.register_forward_hook(hook(name)))
    return calls, handles


def named_calls(calls):
    for name, outputs in calls.items():
        for call, output in enumerate(outputs):
            yield (name if len(outputs) == 1 else f"{name}@{call}"), output
