"""Writes the kernels of a CUDA build of TensorFlow as a table that works without it.

Run under an interpreter with that build; no GPU is needed:

    python experiments/kernel_tables/dump.py > amp_tuner/amp/data/kernels-tf-cuda-2.15.json
"""

from __future__ import annotations

import json
import platform
from collections import defaultdict

import tensorflow as tf
from tensorflow.python.framework import kernels


def main() -> None:
    if not tf.test.is_built_with_cuda():
        raise SystemExit("this TensorFlow is no CUDA build")
    table = defaultdict(list)
    for kernel in kernels.get_all_registered_kernels().kernel:
        if kernel.device_type in ("GPU", "DEFAULT"):
            constraints = [
                [constraint.name, sorted(constraint.allowed_values.list.type)]
                for constraint in kernel.constraint
            ]
            table[kernel.op].append(
                [kernel.device_type, kernel.label, kernel.priority, constraints]
            )
    source = (
        f"TensorFlow {tf.__version__}, wheel for {platform.system()} {platform.machine()} "
        "(a CUDA build): kernels registered for devices GPU and DEFAULT"
    )
    lines = [
        f"  {json.dumps(op)}: {json.dumps(sorted(table[op]), separators=(',', ':'))}"
        for op in sorted(table)
    ]
    print(f'{{\n "source": {json.dumps(source)},\n "kernels": {{')
    print(",\n".join(lines))
    print(" }\n}")


if __name__ == "__main__":
    main()
