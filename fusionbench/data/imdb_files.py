"""The files of the Large Movie Review Dataset: where they are, how they get here, and how they are read.

    <root>/aclImdb/{train,test}/{pos,neg}/<number>_<rating>.txt     a review, number 0 .. 12499
    <root>/aclImdb/{train,test}/urls_{pos,neg}.txt                  line i: the film of review i
    <root>/aclImdb_v1.tar.gz                                        the official archive

The rating is never read: it gives the label away. Of the archive only these files are unpacked.

Source: https://ai.stanford.edu/~amaas/data/sentiment/
"""

from __future__ import annotations

import re
import tarfile
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from fusionbench.core.errors import UserError, shown
from fusionbench.core.files import is_hidden
from fusionbench.core.locks import locked
from fusionbench.data.archives import DAMAGED, members, official
from fusionbench.data.download import md5_of

FOLDER = "aclImdb"
ARCHIVE = "aclImdb_v1.tar.gz"
URL = f"https://ai.stanford.edu/~amaas/data/sentiment/{ARCHIVE}"
ARCHIVE_MD5 = "7c2ac02c03563afcf9b574c7e56c153a"
ARCHIVE_BYTES = 84_125_825
PARTS = ("train", "test")
LABELS = ("neg", "pos")
"""A label's index is its class."""
EACH = 12_500
"""Reviews of one part and label."""
UNPACKED_BYTES = 2**30
"""The archive unpacks to less, the reviews without labels included."""
LARGEST_BYTES = 2**20
"""No file that is read is larger."""
REVIEW = re.compile(r"(0|[1-9][0-9]{0,4})_([0-9]|10)\.txt")
WANTED = re.compile(rf"{FOLDER}/((?:train|test)/(?:(?:neg|pos)/{REVIEW.pattern}|urls_(?:neg|pos)\.txt))")
FILM = re.compile(r"/title/(tt[0-9]+)/")


@dataclass
class Reviews:
    """All reviews: training, then test rows; of each first the negative, then the positive ones, by number."""

    texts: list[str] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    films: list[str] = field(default_factory=list)
    is_test: list[bool] = field(default_factory=list)


def is_here(folder: Path) -> bool:
    """Whether the folder looks like the official one; `read_reviews` finds out whether it is whole."""
    return all((folder / part / f"urls_{label}.txt").is_file() for part in PARTS for label in LABELS)


def told_missing(folder: Path) -> str:
    """That the reviews are not there, and on a second line every way to get them."""
    archive = folder.parent / ARCHIVE
    wrong = f" ({ARCHIVE} is there, but its MD5 is {md5_of(archive)})" if archive.is_file() else ""
    return (
        f"IMDB's reviews are not in {folder}{wrong}\nwith a network, `fusionbench prepare imdb` downloads them; or put "
        f"the official {ARCHIVE} (MD5 {ARCHIVE_MD5}) in {folder.parent}, or its folder {FOLDER} there; or name another "
        f"data folder with --data"
    )


def bring(folder: Path) -> None:
    """Downloads and unpacks the reviews, unless the folder is there.

    Raises:
        UserError: no network, a wrong checksum, an archive that is not the official one, or no room.
    """
    if folder.exists():
        return
    archive = folder.parent / ARCHIVE
    official(archive, URL, ARCHIVE_MD5, ARCHIVE_BYTES, told_missing(folder))
    unpack(archive, folder)


def unpack(archive: Path, folder: Path) -> None:
    """Takes the labelled reviews out of the archive: the folder appears whole or not at all.

    Raises:
        UserError: the archive holds a link, a device, a path that leads elsewhere, or too much; or there is no room.
    """
    try:
        lock = locked(folder.with_name(f".{FOLDER}.lock"))
        with lock, tempfile.TemporaryDirectory(prefix=f".{FOLDER}.", dir=folder.parent) as made:
            new = Path(made) / FOLDER
            _extract(archive, new)
            read_reviews(new)
            if not folder.exists():
                new.rename(folder)
    except DAMAGED as error:
        raise _refused(archive, f"damaged ({error})") from error
    except OSError as error:
        raise UserError(
            f"{error.filename or folder}: {error.strerror or error} while unpacking {archive.name}; make room or make "
            f"it accessible, or name another data folder with --data"
        ) from error


def _extract(archive: Path, folder: Path) -> None:
    for part in PARTS:
        for label in LABELS:
            (folder / part / label).mkdir(parents=True)
    with members(archive, UNPACKED_BYTES) as found:
        for member in found:
            wanted = _wanted(archive, member)
            content = found.extractfile(member) if wanted else None
            if wanted and content is not None:
                # Its name is of letters, digits and the four known folders, so it cannot lead elsewhere.
                (folder / wanted).write_bytes(content.read())


def _wanted(archive: Path, member: tarfile.TarInfo) -> str | None:
    """The path below the folder, if the member is a file that is read; None if it is another file or a folder."""
    inside = member.name == FOLDER or (member.name.startswith(f"{FOLDER}/") and ".." not in member.name.split("/"))
    if not inside or not (member.isreg() or member.isdir()):
        raise _refused(archive, f"holds {shown(member.name)}, {'a file' if member.isreg() else 'no plain file'}")
    match = WANTED.fullmatch(member.name)
    if match is None or not member.isreg():
        return None
    if member.size > LARGEST_BYTES:
        raise _refused(archive, f"its {match[1]} has {member.size} bytes")
    return match[1]


def _refused(archive: Path, problem: str) -> UserError:
    return UserError(f"{archive}: {problem}: not IMDB's archive; nothing was unpacked, remove it or copy it again")


def read_reviews(folder: Path) -> Reviews:
    """Every review once; what an operating system keeps in a folder for itself (.DS_Store) is not looked at.

    Raises:
        UserError: there are too few or too many, one is empty or no UTF-8, or a list of films is not one line per
            review.
    """
    found = Reviews()
    for part in PARTS:
        for target, label in enumerate(LABELS):
            films = _films(folder / part / f"urls_{label}.txt")
            paths = _numbered(folder / part / label)
            found.texts += [_review(path) for path in paths]
            found.films += films
            found.targets += [target] * EACH
            found.is_test += [part == "test"] * EACH
    return found


def _numbered(folder: Path) -> list[Path]:
    """The reviews of one folder by number."""
    there = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    names = sorted(name for name in there if not is_hidden(name))
    by_number = {int(match[1]): folder / name for name in names if (match := REVIEW.fullmatch(name))}
    if len(names) != EACH or sorted(by_number) != list(range(EACH)):
        absent = [str(number) for number in range(EACH) if number not in by_number]
        other = [shown(name) for name in names if not ((m := REVIEW.fullmatch(name)) and int(m[1]) < EACH)]
        first = f"; no review {', '.join(absent[:3])}" if absent else ""
        strange = f"; besides {', '.join(other[:3])}" if other else ""
        raise UserError(f"{folder}: {len(names)} files, expected {EACH} reviews{first}{strange}; copy the folder again")
    return [by_number[number] for number in range(EACH)]


def _films(path: Path) -> list[str]:
    films = [match[1] for line in _text(path).splitlines() if (match := FILM.search(line))]
    if len(films) != EACH:
        raise UserError(f"{path}: {len(films)} lines with a film, expected {EACH}; copy the folder again")
    return films


def _review(path: Path) -> str:
    text = _text(path)
    if not cleaned(text):
        raise UserError(f"{path}: an empty review; copy the file again")
    return text


def cleaned(text: str) -> str:
    """Without the line breaks of HTML, on one line."""
    return " ".join(text.replace("<br />", " ").split())


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: byte {error.start} is no UTF-8; copy the file again") from error
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}; copy the folder again") from error
