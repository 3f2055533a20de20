#!/usr/bin/env python3
"""Writes the goldens, or checks that the committed ones come out again.   generate.py FOLDER [--against DATA] [--photos DIR] [CASE ...]

Exit status 1 when a file differs from its committed form by more than the bound, or when the same case in single precision
comes near a tolerance."""
import argparse
import os
import sys
import time

import torch

from cases import CASES, PHOTO_CONFIGS, PHOTOS, make_case, photo_case
from record import SINGLE, difference, shares

# References run in double precision and are stored in single: another machine's order of summation moves the last bit.
BOUND = 1e-6
# A case is conditioned well enough when PyTorch's own single precision stays within these shares of the tolerances: of what
# the schedule of ten steps decides, and of what one pass does.
SHARES = {"losses": 1 / 20, "gradient_norms": 1 / 20, "trained": 1 / 20, "activation": 1 / 10, "first_losses": 1 / 10,
          "gradient": 1 / 10}


def write(golden, name, start, arguments, remark=""):
    """Writes a file and says so; False when it is not the committed one."""
    path = os.path.join(arguments.folder, name + ".safetensors")
    golden.write(path)
    good, line = True, f"{name:28} {os.path.getsize(path) / 1e3:6.1f} kB {time.time() - start:6.1f} s{remark}"
    if arguments.against:
        committed = os.path.join(arguments.against, name + ".safetensors")
        with open(path, "rb") as a, open(committed, "rb") as b:
            equal = a.read() == b.read()
        greatest = 0.0 if equal else difference(path, committed)
        good = greatest is not None and greatest <= BOUND
        line += "  the same bytes" if equal else f"  difference {greatest} of the scale" + ("" if good else "  <-")
    print(line, flush=True)
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--against", metavar="DATA", help="folder of the committed files")
    parser.add_argument("--photos", metavar="DIR", help="folder of the photographs: also detections on two of them")
    parser.add_argument("cases", nargs="*", default=[])
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # sums of any machine in one order
    torch.use_deterministic_algorithms(True)
    failed = False
    for name in arguments.cases or CASES:
        start = time.time()
        golden = make_case(name)
        share = shares(golden, make_case(name, torch.float32))
        golden.facts[SINGLE] = {kind: float(f"{value:.1g}") for kind, value in share.items()}
        kind = max(share, key=lambda kind: share[kind] / SHARES[kind])
        failed |= share[kind] > SHARES[kind]
        single = f"  single precision: {share[kind]:.4f} of the tolerance of {kind}" + (" <-" if share[kind] > SHARES[kind] else "")
        failed |= not write(golden, name, start, arguments, single)
    for model, config in PHOTO_CONFIGS.items() if arguments.photos else []:
        for photo in PHOTOS:
            start = time.time()
            golden = photo_case(config(), os.path.join(arguments.photos, photo))
            failed |= not write(golden, f"photos_{model}_{os.path.splitext(photo)[0]}", start, arguments)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
