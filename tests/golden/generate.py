#!/usr/bin/env python3
"""Writes the goldens, or checks that the committed ones come out again.   generate.py FOLDER [--against DATA] [--photos DIR] [CASE ...]

Exit status 1 when a file differs from its committed form by more than the bound."""
import argparse
import glob
import os
import sys
import time

import torch

from cases import CASES, PHOTO_CONFIGS, photo_case
from record import difference

# References run in double precision and are stored in single: another machine's order of summation moves the last bit.
BOUND = 1e-6


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
        CASES[name]().write(path)
        line = f"{name:24} {os.path.getsize(path) / 1e3:8.1f} kB {time.time() - start:6.1f} s"
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
