"""Numbers that the generator and the C++ tests compute alike (tests/golden/formula.h): nothing large is stored.

Tensors are filled in the engine's layout: convolutions O, H, W, I; pictures N, H, W, C.
"""
import numpy as np
import torch


def hash_name(name):
    """FNV-1a, 64 bits."""
    value = 14695981039346656037
    for byte in name.encode():
        value = ((value ^ byte) * 1099511628211) % 2**64
    return value


def bits(name, index):
    """A 32-bit mix of the low half of the hash and the index, uint32 like `index`."""
    with np.errstate(over="ignore"):
        x = index.astype(np.uint32) * np.uint32(2654435761) + np.uint32(hash_name(name) % 2**32)
        x ^= x >> np.uint32(16)
        x *= np.uint32(0x7FEB352D)
        x ^= x >> np.uint32(15)
        x *= np.uint32(0x846CA68B)
        x ^= x >> np.uint32(16)
    return x


def noise(name, count):
    """float32 [count] in [-0.5, 0.5)."""
    x = bits(name, np.arange(count, dtype=np.uint32))
    return (x.astype(np.float64) * 2.0**-32 - 0.5).astype(np.float32)


def parameter_values(name, shape):
    """The parameter `name` of the engine, float32, its shape. The rules stand in formula.h."""
    count = int(np.prod(shape, dtype=np.int64))
    values = noise(name, count)
    rank = len(shape)
    if name.endswith(("running_var", ".scale")) or (rank == 1 and name.endswith("weight")):
        values = np.float32(1) + values
    elif name.endswith(("cls_logits.bias", "class_logits.bias")):
        values = values - np.float32(2)
    elif name.endswith("bbox_pred.bias"):
        values = values + np.float32(2)
    elif ".position." in name:
        values = np.float32(2) * values
    elif ".gate." in name:
        values = np.float32(0.25) * values
    elif name.endswith(("class_logits.weight", "kernel.weight")):
        values = np.float32(0.34 / np.sqrt(count / shape[0])) * values
    elif rank >= 2:
        values = np.float32(3.4 / np.sqrt(count / shape[0])) * values
    else:
        values = np.float32(0.5) * values
    return values.reshape(shape)


def engine_layout(tensor):
    """A tensor of PyTorch's layout as the engine lays it out."""
    return tensor.permute(0, 2, 3, 1) if tensor.dim() == 4 else tensor


def fill(named_tensors):
    """Sets (engine's name, tensor) pairs in place."""
    with torch.no_grad():
        for name, tensor in named_tensors:
            view = engine_layout(tensor)
            view.copy_(torch.from_numpy(parameter_values(name, tuple(view.shape))))


def pictures(count, height, width, dtype):
    """Normalised pictures [N, 3, H, W]: noise around coloured stripes."""
    values = 2 * noise("pictures", count * height * width * 3).reshape(count, height, width, 3)
    y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(3), indexing="ij")
    stripes = ((x * (c + 1) + y * (3 - c)) // 16 % 3).astype(np.float32) - np.float32(1)
    return torch.from_numpy(values + stripes).permute(0, 3, 1, 2).to(dtype)


def ellipse(box, height, width):
    """bool [H, W]: pixels whose centre lies in the ellipse inscribed in the box, whose edges are at quarters of a pixel:
    in quarters everything is a whole number."""
    x1, y1, x2, y2 = (int(4 * v) for v in box)
    dx = 8 * np.arange(width, dtype=np.int64) + 4 - x1 - x2
    dy = 8 * np.arange(height, dtype=np.int64) + 4 - y1 - y2
    w, h = x2 - x1, y2 - y1
    return (dx * dx * h * h)[None, :] + (dy * dy * w * w)[:, None] <= w * w * h * h
