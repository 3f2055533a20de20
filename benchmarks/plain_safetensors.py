"""The three calls of the package safetensors that our scripts make, for machines without it: put_in_place() before they
import it. The format is eight bytes of length, a JSON header, then the tensors."""
import json
import struct
import sys
import types

import numpy as np

DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "U8": "u1", "BOOL": "?"}
NAMES = {np.dtype(value): key for key, value in DTYPES.items()}


def save_arrays(arrays, path, metadata=None):
    header, offset = {"__metadata__": metadata} if metadata else {}, 0
    for name, array in arrays.items():
        header[name] = {"dtype": NAMES[array.dtype], "shape": list(array.shape), "data_offsets": [offset, offset + array.nbytes]}
        offset += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for array in arrays.values():
            file.write(np.ascontiguousarray(array).tobytes())


def load_arrays(path):
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        data = file.read()
    header.pop("__metadata__", None)
    arrays = {}
    for name, about in header.items():
        begin, end = about["data_offsets"]
        arrays[name] = np.frombuffer(data[begin:end], DTYPES[about["dtype"]]).reshape(about["shape"]).copy()
    return arrays


class Opened:
    """What safe_open(path, "pt" or "numpy") gives, as far as it is used."""

    def __init__(self, path, framework):
        self.arrays, self.framework = load_arrays(path), framework

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def keys(self):
        return self.arrays.keys()

    def get_tensor(self, name):
        if self.framework == "numpy":
            return self.arrays[name]
        import torch
        return torch.from_numpy(self.arrays[name])


def save_tensors(tensors, path, metadata=None):
    save_arrays({name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}, path, metadata)


def load_tensors(path):
    import torch
    return {name: torch.from_numpy(array) for name, array in load_arrays(path).items()}


def put_in_place():
    """Nothing where the package is there."""
    try:
        import safetensors  # noqa: F401
        return
    except ImportError:
        pass
    package = types.ModuleType("safetensors")
    package.safe_open = Opened
    for name, save, load in (("numpy", save_arrays, load_arrays), ("torch", save_tensors, load_tensors)):
        part = types.ModuleType("safetensors." + name)
        part.save_file, part.load_file = save, load
        setattr(package, name, part)
        sys.modules["safetensors." + name] = part
    sys.modules["safetensors"] = package
