#!/usr/bin/env python3
"""Writes the goldens, or checks that the committed ones come out again.   generate.py FOLDER [--against DATA] [--photos DIR] [CASE ...]

Exit status 1 when a file differs from its committed form by more than the bound, or when the same case in single precision
comes near a tolerance."""
import argparse
import glob
import os
import sys
import time

import torch

from cases import CASES, PHOTO_CONFIGS, make_case, photo_case
from record import SINGLE, difference, shares

# References run in double precision and are stored in single: another machine's order of summation moves the last bit.
BOUND = 1e-6
# A case is conditioned well enough when PyTorch's own single precision stays within these shares of the tolerances: of what
# the schedule of ten steps decides, and of what one pass does.
SHARES = {"losses": 1 / 20, "gradient_norms": 1 / 20, "trained": 1 / 20, "activation": 1 / 10, "first_losses": 1 / 10,
          "gradient": 1 / 10}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--against", metavar="DATA", help="folder of the committed files")
    parser.add_argument("--photos", metavar="DIR", help="also detections on three of these, which are not committed")
    parser.add_argument("cases", nargs="*", default=[])
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # sums of any machine in one order
    torch.use_deterministic_algorithms(True)
    failed = False
    for name in arguments.cases or CASES:
        start = time.time()
        path = os.path.join(arguments.folder, name + ".safetensors")
        golden = make_case(name)
        share = shares(golden, make_case(name, torch.float32))
        golden.facts[SINGLE] = {kind: float(f"{value:.1g}") for kind, value in share.items()}
        golden.write(path)
        kind = max(share, key=lambda kind: share[kind] / SHARES[kind])
        failed |= share[kind] > SHARES[kind]
        line = f"{name:28} {os.path.getsize(path) / 1e3:6.1f} kB {time.time() - start:6.1f} s"
        line += f"  single precision: {share[kind]:.4f} of the tolerance of {kind}" + (" <-" if share[kind] > SHARES[kind] else "")
        if arguments.against:
            committed = os.path.join(arguments.against, name + ".safetensors")
            with open(path, "rb") as a, open(committed, "rb") as b:
                equal = a.read() == b.read()
            greatest = 0.0 if equal else difference(path, committed)
            good = greatest is not None and greatest <= BOUND
            failed |= not good
            line += "  the same bytes" if equal else f"  difference {greatest} of the scale" + ("" if good else "  <-")
        print(line, flush=True)
    if arguments.photos:
        photos = sorted(glob.glob(os.path.join(arguments.photos, "*.png")) +
                        glob.glob(os.path.join(arguments.photos, "*.jpg")))
        for model, config in PHOTO_CONFIGS.items():
            for path in photos[:: max(1, len(photos) // 3)][:3]:
                name = f"photos_{model}_{os.path.splitext(os.path.basename(path))[0]}.safetensors"
                photo_case(config(), path).write(os.path.join(arguments.folder, name))
                print(name, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
