"""Variables that other programs left in the environment: what must not reach training, and what a record notes.

A scheduler, a sweep, a notebook or a training library talks to its own programs through variables. To a run of ours
they say nothing: it has to come out the same inside all of them. Two kinds stay. What picks kernels, threads or devices
(`noted`) may change a score in its last digits, and stands in the record. What torchrun sets is how it starts us.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

NOTED = (
    *(
        "ATEN_",
        "CUBLAS",
        "CUDA_",
        "CUDNN_",
        "DISABLE_ADDMM",
        "DNNL_",
        "GOMP_",
        "GPU_NUM",
        "HIP_",
        "HSA_",
        "KMP_",
        "LD_PRELOAD",
        "MKL_",
    ),
    *("MIOPEN_", "NPY_DISABLE", "NPY_ENABLE", "NVIDIA_TF32", "NVIDIA_VISIBLE", "OMP_", "ONEDNN_", "OPENBLAS_"),
    *("PYTORCH_ALLOC", "PYTORCH_CUDA_", "PYTORCH_ENABLE_MPS", "PYTORCH_HIP_", "PYTORCH_MPS_", "PYTORCH_NO_"),
    *("PYTORCH_NVML", "PYTORCH_TUNABLEOP", "ROCBLAS_", "ROCR_", "TIMM_FUSED", "TORCH_ALLOW_TF32", "TORCH_BLAS"),
    *("TORCH_CUBLAS", "TORCH_CUDNN", "TORCH_DEVICE", "TORCH_LINALG", "TORCH_NNPACK", "TORCH_ROCM", "VECLIB_"),
)
"""How the names begin of variables that pick kernels, threads or devices."""
KEPT = ("TORCH_CPP_LOG_LEVEL", "TORCH_GLOO", "TORCH_HOME", "TORCH_NCCL")
"""Others of torch: what it prints, where it keeps weights, and over which network devices talk."""
FOREIGN = (
    *("FLUX_", "HYDRA_", "I_MPI_", "JSM_", "KUBERNETES_", "LSB_", "LSF_", "MPICH_", "MPI_", "OMPI_", "PALS_", "PBS_"),
    *("PMIX_", "PMI_", "PRTE_", "RAY_", "SGE_", "SLURMD_", "SLURM_", "SM_", "SRUN_", "TPU_", "XRT_"),
    *("CLEARML_", "COMET_", "MLFLOW_", "NEPTUNE_", "WANDB_", "_WANDB_"),
    *("IPYTHON", "JPY_", "JUPYTER_", "MATPLOTLIBRC", "MPLBACKEND"),
    *("ACCELERATE_", "AOT_", "COMPOSER_", "DEEPSPEED_", "FSDP_", "LIGHTNING_", "LT_", "PL_", "PYTORCH_", "TORCH"),
)
"""How the names begin of variables of schedulers, trackers, notebooks and plots, and training libraries."""
GROUP = (
    "RANK",
    "WORLD_SIZE",
    "LOCAL_RANK",
    "LOCAL_WORLD_SIZE",
    "NODE_RANK",
    "GROUP_RANK",
    "MASTER_ADDR",
    "MASTER_PORT",
)
"""What any launcher tells a process of its place in a group; without torchrun's own sign it is another program's."""


def noted(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that pick kernels, threads or devices, by name.

    >>> noted({"OMP_NUM_THREADS": "1", "SLURM_NTASKS": "2", "HOME": "/home/me"})
    {'OMP_NUM_THREADS': '1'}
    """
    return {name: environment[name] for name in sorted(environment) if name.startswith(NOTED)}


def foreign(environment: Mapping[str, str]) -> list[str]:
    """The names of variables that are other programs' words to themselves.

    >>> foreign({"SLURM_NTASKS": "2", "SLURM_TMPDIR": "/scratch", "RANK": "1", "CUDA_VISIBLE_DEVICES": "0"})
    ['RANK', 'SLURM_NTASKS']
    """
    begun_by_torchrun = "TORCHELASTIC_RUN_ID" in environment
    return sorted(name for name in environment if _is_foreign(name, begun_by_torchrun=begun_by_torchrun))


def _is_foreign(name: str, *, begun_by_torchrun: bool) -> bool:
    if begun_by_torchrun and (name in GROUP or name.startswith(("ROLE_", "TORCHELASTIC_", "TORCH_NCCL"))):
        return False
    if name.startswith((*NOTED, *KEPT)) or name.endswith("TMPDIR"):  # A job's own folder is a place like any other.
        return False
    return name in GROUP or name.startswith(FOREIGN)


@contextmanager
def alone() -> Iterator[None]:
    """The environment without what is foreign; it comes back as it was."""
    hidden = {name: os.environ.pop(name) for name in foreign(os.environ)}
    try:
        yield
    finally:
        os.environ.update(hidden)
