"""Models of the library sentence-transformers, from a folder or the hub's cache; no code that comes with one is run.

Weights are read from .safetensors alone, which hold tensors and nothing else; modules are the library's own.
"""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download

from fusionbench.core.canonical import sha256_of
from fusionbench.core.contents import content_sha256, located
from fusionbench.core.errors import UserError, shown

OWNER = "encoder 'sentence_transformer'"
ORGANISATION = "sentence-transformers"
"""On the hub: whose a model is that is named without an owner."""
WANTED = ("*.json", "*.txt", "*.model", "*.safetensors")
"""What is fetched of a model: settings, vocabulary, and weights as tensors."""
UNUSED = "pooler."
"""Weights of BERT's own pooling, which no model of the library reads."""
SHOWN = 3
NO_RESULT = ("_name_or_path", "transformers_version", "architectures")
"""Settings that say where a network comes from, not what it does."""


def model_folder(model: str, revision: str, weights: str) -> Path:
    """Where the model lies: the folder that `weights` names, else in the hub's cache, fetched if it is not there.

    Args:
        model: its name on the hub.
        revision: of the hub's; empty: the newest, or the newest that is in the cache.
        weights: a folder; empty: the hub's.

    Raises:
        UserError: there is no such folder, or no such model, or there is no network to get it.
    """
    if weights:
        try:
            place = located(weights)
        except UserError as error:
            raise UserError(f"{OWNER}: {error}") from error
        if not place.is_dir():
            raise UserError(f"{OWNER}: weights: {shown(weights)} is no folder; name the one that holds config.json")
        return place
    if Path(model).expanduser().is_dir():
        raise UserError(f"{OWNER}: {shown(model)} is a folder; name it by weights: FOLDER, so that its content counts")
    name = model if "/" in model else f"{ORGANISATION}/{model}"
    wanted: dict[str, Any] = {"revision": revision or None, "allow_patterns": list(WANTED)}
    try:
        return Path(snapshot_download(name, local_files_only=True, **wanted))
    except (OSError, ValueError):  # Not in the cache, or no name at all: the hub says which.
        pass
    try:
        return Path(snapshot_download(name, **wanted))
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).strip().partition("\n")[0].split())[:120]
        raise UserError(
            f"{OWNER}: {shown(model)} is not in the cache and could not be had ({reason});\n"
            "run once with network access and the same HF_HOME, or name a folder that has it by weights: FOLDER"
        ) from error


def loaded(folder: Path) -> Any:
    """A copy of the model in a folder, read once in a process as long as its content is the same.

    Raises:
        UserError: the library is not installed, or the folder holds no model that can be used, or a damaged one.
    """
    return copy.deepcopy(_read(folder, content_sha256(str(folder))))


def settings_of(model: Any) -> dict[str, Any]:
    """JSON of what decides a model's numbers besides its weights: architecture, pooling, tokenizer, versions."""
    import transformers

    words = json.loads(model.tokenizer.backend_tokenizer.to_str())
    core = {name: value for name, value in model[0].auto_model.config.to_dict().items() if name not in NO_RESULT}
    parts = [[type(part).__name__, part.get_config_dict()] for part in list(model)[1:]]
    # How a batch was padded and cut the last time is kept with the tokenizer too; it is no part of it.
    vocabulary = sha256_of({name: value for name, value in words.items() if name not in ("padding", "truncation")})
    versions = {"sentence_transformers": _library().__version__, "transformers": transformers.__version__}
    return {**versions, "network": json.loads(json.dumps(core, default=str)), "parts": parts, "tokenizer": vocabulary}


@cache
def _read(folder: Path, _: str) -> Any:
    library = _library()
    _refuse_foreign_modules(folder)
    with _quiet():
        try:
            model = library.SentenceTransformer(
                str(folder),
                device="cpu",
                trust_remote_code=False,
                local_files_only=True,
                model_kwargs={"use_safetensors": True},
            )
            _refuse_gaps(model, folder)
            found = model(dict(model.tokenizer(["a"], return_tensors="pt")))
            widths = {found[name].shape[-1] for name in ("token_embeddings", "sentence_embedding")}
            model.tokenizer.backend_tokenizer.to_str()
        except UserError:
            raise
        except Exception as error:  # Whatever two libraries raise for a file that is damaged or not there.
            what = error if str(error).strip() else type(error).__name__
            reason = " ".join(str(what).strip().partition("\n")[0].split())[:160]
            raise UserError(
                f"{OWNER}: {folder} holds no model that can be used, or a damaged one ({reason});\n"
                "it must be as sentence-transformers saves it, with weights as .safetensors"
            ) from error
    if len(widths) > 1:
        raise UserError(
            f"{OWNER}: {folder}: the model gives tokens and vectors of {shown(widths)} numbers; take one that gives "
            "equally many"
        )
    if getattr(model[0].auto_model, "pooler", None) is not None:
        model[0].auto_model.pooler = None  # Nothing reads it: it would be counted, and on several devices missed.
    return model.eval()


def _library() -> Any:
    try:
        import sentence_transformers
    except ImportError as error:
        raise UserError(
            f"{OWNER} needs the extra `text`: pip install 'multimodal-fusionbench[text]' ({error})"
        ) from error
    return sentence_transformers


def _refuse_foreign_modules(folder: Path) -> None:
    """A model names the classes that it is made of, and the library would import whatever is named."""
    place = folder / "modules.json"
    try:
        named = [str(part["type"]) for part in json.loads(place.read_text(encoding="utf-8"))] if place.exists() else []
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise UserError(f"{OWNER}: {place} is damaged ({error}); fetch or save the model anew") from error
    for name in named:
        if not name.startswith("sentence_transformers."):
            raise UserError(f"{OWNER}: {place} names the class {shown(name)}; only those of the library are used")


def _refuse_gaps(model: Any, folder: Path) -> None:
    """Weights that a file lacks would be drawn at random, which the library only warns of."""
    core, inside = model[0].auto_model, _network_folder(folder)
    _, facts = type(core).from_pretrained(
        str(inside), config=core.config, output_loading_info=True, local_files_only=True, use_safetensors=True
    )
    missing = sorted(name for name in facts["missing_keys"] if not name.startswith(UNUSED))
    if missing:
        more = ", ..." if len(missing) > SHOWN else ""
        raise UserError(
            f"{OWNER}: {inside}: its weights do not fit its config.json: {len(missing)} missing in the file: "
            f"{', '.join(missing[:SHOWN])}{more}"
        )


def _network_folder(folder: Path) -> Path:
    """The folder of the first module, the network itself."""
    place = folder / "modules.json"
    return folder / json.loads(place.read_text(encoding="utf-8"))[0]["path"] if place.exists() else folder


@contextmanager
def _quiet() -> Iterator[None]:
    """Bars and warnings of loading off, and as they were afterwards: what matters is told as an error."""
    from transformers.utils import logging as bars

    logger = logging.getLogger("transformers")
    level, shown_before = logger.level, bars.is_progress_bar_enabled()
    logger.setLevel(logging.ERROR)
    bars.disable_progress_bar()
    try:
        yield
    finally:
        logger.setLevel(level)
        if shown_before:
            bars.enable_progress_bar()
