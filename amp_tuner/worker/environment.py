"""The environment of a worker: minimal, so that nothing ambient changes what is measured.

Standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from amp_tuner.worker.protocol import Threads

#: What a process needs to find its files, its language and its devices.
KEPT = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "TMPDIR",
    "TZ",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "LD_LIBRARY_PATH",
    "CUDA_VISIBLE_DEVICES",
    "NVIDIA_VISIBLE_DEVICES",
)
#: Families that change TensorFlow's graphs, kernels, threads or memory: their loss is reported.
REPORTED_PREFIXES = (
    "TF_",
    "ITEX_",
    "ONEAPI_",
    "ONEDNN_",
    "DNNL_",
    "MKL_",
    "OMP_",
    "KMP_",
    "GOMP_",
    "XLA_",
    "JAX_",
    "CUDA_",
    "NVIDIA_",
    "CUDNN_",
    "TENSORFLOW_",
    "KERAS_",
    "OPENBLAS_",
    "MALLOC_",
    "GLIBC_TUNABLES",
    "LD_PRELOAD",
    "PYTHONPATH",
    "PYTHONHOME",
)
#: scikit-learn sets these in the tuner itself when it is imported; no user asked for them.
_OUR_OWN = ("KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK")


def worker_environment(
    ambient: Mapping[str, str], package_folder: Path, threads: Threads, *, onednn: bool
) -> tuple[dict[str, str], tuple[str, ...]]:
    """The environment of a worker and the names that were dropped from the ambient one.

    Args:
        ambient: the tuner's environment.
        package_folder: a folder that holds ``amp_tuner`` and nothing else.
        threads: TensorFlow's thread pools; 0 leaves a pool as TensorFlow has it.
        onednn: TensorFlow's process-wide oneDNN switch.

    Returns:
        The environment, and the dropped names of the families that change what TensorFlow does,
        sorted; what a worker never reads anyway is dropped without a word.
    """
    kept = _kept(ambient)
    dropped = sorted(
        name
        for name in ambient
        if name not in (*kept, *_OUR_OWN) and name.startswith(REPORTED_PREFIXES)
    )
    ours = {
        "PYTHONPATH": str(package_folder),
        "PYTHONUTF8": "1",
        # keras.json of the user's home would choose another backend or float type.
        "KERAS_HOME": str(package_folder.with_name("keras")),
        "KERAS_BACKEND": "tensorflow",
        "TF_ENABLE_ONEDNN_OPTS": "1" if onednn else "0",
        # The pass would otherwise wrap float32 kernels in casts.
        "TF_AUTO_MIXED_PRECISION_GRAPH_REWRITE_EMULATE_FP16": "0",
    }
    return {**kept, **ours, **_pools(threads)}, tuple(dropped)


def runner_environment(ambient: Mapping[str, str], threads: Threads) -> dict[str, str]:
    """The environment of a runner: nothing of XLA's or JAX's comes from outside.

    Args:
        ambient: the tuner's environment; what is dropped is what a worker drops.
        threads: XLA's pool on the CPU has ``intra_op`` threads; it has no other.
    """
    ours = {
        "PYTHONUTF8": "1",
        # Two runners may share a device; by default each takes three quarters of its memory.
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    }
    pool = {"NPROC": str(threads.intra_op)} if threads.intra_op else {}
    return {**_kept(ambient), **ours, **pool}


def _kept(ambient: Mapping[str, str]) -> dict[str, str]:
    return {name: ambient[name] for name in KEPT if name in ambient}


def _pools(threads: Threads) -> dict[str, str]:
    """Sizes of the thread pools.

    The pools belong to the process and are made with the first session or eager operation, which
    loading a model already is: a later session's own ``ConfigProto`` changes nothing any more.
    ITEX's kernels take their threads from OpenMP.
    """
    sizes = {
        "TF_NUM_INTRAOP_THREADS": threads.intra_op,
        "OMP_NUM_THREADS": threads.intra_op,
        "TF_NUM_INTEROP_THREADS": threads.inter_op,
    }
    return {name: str(size) for name, size in sizes.items() if size}
