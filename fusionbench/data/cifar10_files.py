"""The files of CIFAR-10: which they are, how they get here, and how they come out of their archive.

    <root>/cifar-10-batches-py/data_batch_1 .. data_batch_5, test_batch, batches.meta     the official layout
    <root>/cifar-10-python.tar.gz                                                         the official archive

Source: https://www.cs.toronto.edu/~kriz/cifar.html
"""

from __future__ import annotations

import hashlib
import tarfile
import tempfile
from pathlib import Path

from fusionbench.core.errors import UserError, shown
from fusionbench.core.locks import locked
from fusionbench.data.archives import DAMAGED, members, official
from fusionbench.data.download import md5_of

FOLDER = "cifar-10-batches-py"
ARCHIVE = "cifar-10-python.tar.gz"
URL = f"https://www.cs.toronto.edu/~kriz/{ARCHIVE}"
ARCHIVE_MD5 = "c58f30108f718f92721af3b95e74349a"
ARCHIVE_BYTES = 170_498_071
FILES = {
    "data_batch_1": (31_035_704, "c99cafc152244af753f735de768cd75f"),
    "data_batch_2": (31_035_320, "d4bba439e000b95fd0a9bffe97cbabec"),
    "data_batch_3": (31_035_999, "54ebc095f3ab1f0389bbae665268c751"),
    "data_batch_4": (31_035_696, "634d18415352ddfa80567beed471001a"),
    "data_batch_5": (31_035_623, "482c414d41f54cd18b22e5b47cb7c3cb"),
    "test_batch": (31_035_526, "40351d587109b95175f43aff81a1287e"),
    "batches.meta": (158, "5ff9c542aee3614f3951f8cda6e48888"),
}
"""By name, its size in bytes and its MD5."""
BATCHES = ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch")
"""Those with pictures, the test rows last; batches.meta only names the classes."""
README = f"{FOLDER}/readme.html"
"""In the archive too; left out."""
SLACK_BYTES = 2**20
"""What the archive may hold beside the files: headers and padding."""


def missing(folder: Path) -> list[str]:
    """The batches that are not in the folder."""
    return [name for name in BATCHES if not (folder / name).is_file()]


def told_missing(folder: Path) -> str:
    """Which batches are not there, and on a second line every way to get them."""
    archive = folder.parent / ARCHIVE
    wrong = f" ({ARCHIVE} is there, but its MD5 is {md5_of(archive)})" if archive.is_file() else ""
    return (
        f"CIFAR-10 is not whole in {folder}: no {', '.join(missing(folder))}{wrong}\n"
        f"with a network, `fusionbench prepare cifar10` downloads it; or put the official {ARCHIVE} (MD5 "
        f"{ARCHIVE_MD5}) in {folder.parent}, or its files in {folder}; or name another data folder with --data"
    )


def bring(folder: Path) -> None:
    """Downloads and unpacks what is missing; files that are there already are left as they are.

    Raises:
        UserError: no network, a wrong checksum, an archive that is not the official one, or no room.
    """
    if not missing(folder):
        return
    archive = folder.parent / ARCHIVE
    official(archive, URL, ARCHIVE_MD5, ARCHIVE_BYTES, told_missing(folder))
    unpack(archive, folder)


def unpack(archive: Path, folder: Path) -> None:
    """Takes CIFAR-10's files out of its archive: each appears in the folder whole and verified, or none does.

    No path of the archive is ever used: a member has one of the known names and that file's size and MD5, or all of the
    archive is refused.

    Raises:
        UserError: the archive holds anything else, is damaged, or there is no room.
    """
    try:
        lock = locked(folder.with_name(f".{FOLDER}.lock"))
        with lock, tempfile.TemporaryDirectory(prefix=f".{FOLDER}.", dir=folder.parent) as made:
            _extract(archive, Path(made))
            folder.mkdir(exist_ok=True)
            for name in (name for name in FILES if not (folder / name).exists()):
                (Path(made) / name).rename(folder / name)
    except DAMAGED as error:
        raise _refused(archive, f"damaged ({error})") from error
    except OSError as error:
        raise UserError(
            f"{error.filename or folder}: {error.strerror or error} while unpacking {archive.name}; make "
            f"room or make it accessible, or name another data folder with --data"
        ) from error


def _extract(archive: Path, folder: Path) -> None:
    limit = sum(size for size, _ in FILES.values()) + SLACK_BYTES
    found = set[str]()
    with members(archive, limit) as found_members:
        for member in found_members:
            if (member.name == FOLDER and member.isdir()) or (member.name == README and member.isreg()):
                continue
            name = _known(archive, member)
            content = found_members.extractfile(member)
            assert content is not None
            (folder / name).write_bytes(verified(content.read(), name, f"{archive}: {name}"))
            found.add(name)
    absent = [name for name in FILES if name not in found]
    if absent:
        raise _refused(archive, f"holds no {', '.join(absent)}")


def _known(archive: Path, member: tarfile.TarInfo) -> str:
    """Which of the files a member is; a link, a device or anything else is none of them."""
    name = next((name for name in FILES if member.name == f"{FOLDER}/{name}"), None)
    if name is None or not member.isreg():
        raise _refused(archive, f"holds {shown(member.name)}, {'a file' if member.isreg() else 'no plain file'}")
    if member.size != FILES[name][0]:
        raise _refused(archive, f"its {name} has {member.size} bytes, not {FILES[name][0]}")
    return name


def _refused(archive: Path, problem: str) -> UserError:
    return UserError(f"{archive}: {problem}: not CIFAR-10's archive; nothing was unpacked, remove it or copy it again")


def verified(content: bytes, name: str, place: str) -> bytes:
    """The content of one of the files, if it is the published one.

    Args:
        content: of the file.
        name: which of FILES it has to be.
        place: what an error calls it.

    Raises:
        UserError: its size or MD5 is another.
    """
    size, md5 = FILES[name]
    remedy = "remove it, `fusionbench prepare cifar10` downloads it again; or copy it again"
    if len(content) != size:
        some = f"{len(content)} bytes" if len(content) < size else "more bytes"
        raise UserError(f"{place}: {some}, expected {size}: cut off, or not CIFAR-10's; {remedy}")
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != md5:
        raise UserError(f"{place}: MD5 {found}, expected {md5}: damaged, or not CIFAR-10's; {remedy}")
    return content


def read_verified(path: Path) -> bytes:
    """The bytes of a file in the official layout, compared with what is published; no more of it is read than that."""
    try:
        with path.open("rb") as file:
            content = file.read(FILES[path.name][0] + 1)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}; make it readable or copy it again") from error
    return verified(content, path.name, str(path))
