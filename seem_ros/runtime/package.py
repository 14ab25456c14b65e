# SPDX-License-Identifier: Apache-2.0
"""Model packages: a folder with ``model.yaml``, graphs, one file of weights and a tokenizer, verified before use.

Weights are stored once, as safetensors. The ONNX graphs name byte ranges of that file as their external data and the
torch backend reads the same file, so a package with graphs for several prompt counts and precisions stays small.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from seem_ros.errors import BackendError, ModelError, PackageError
from seem_ros.files import expanded
from seem_ros.runtime.spec import ModelSpec

FORMAT = 1
DESCRIPTION = "model.yaml"
PRECISIONS = ("fp32", "fp16", "bf16")
BUILTIN = "builtin"  # wherever a model is named, stands for the one that comes with seem_ros
_BUILTIN_FOLDER = "pico"


@dataclass(frozen=True)
class GraphFiles:
    """The ONNX files of one precision, relative to the package.

    Attributes:
        image_encoder: Picture to features.
        text_encoder: Token ids to text features.
        decoders: Prompt decoder by prompt count.
        objects: Object queries of a picture, or None where the model has none.
        small_decoders: Decoders with ``spec.small_slots`` slots and no text, by prompt count; may be empty.
    """

    image_encoder: str
    text_encoder: str
    decoders: Mapping[int, str]
    objects: str | None = None
    small_decoders: Mapping[int, str] = field(default_factory=dict)

    def files(self) -> Iterator[str]:
        """Every file name of this set."""
        yield self.image_encoder
        yield self.text_encoder
        yield from self.decoders.values()
        yield from self.small_decoders.values()
        if self.objects:
            yield self.objects


@dataclass(frozen=True)
class Package:
    """A verified model package.

    Attributes:
        folder: Where it lies.
        spec: Sizes and rules, with the SHA-256 of every file.
        graphs: Graph files by precision; ``fp32`` is always there.
        weights: Name of the safetensors file.
        tokenizer: Name of the tokenizer file.
        gate: Name of the stored inputs that new engines are compared on.
        architecture: Configuration that rebuilds the torch model.
        norms: Name of the file of batch norms that the weights have taken in, to train on from here; None in packages
            from before and where the model has none.
    """

    folder: Path
    spec: ModelSpec
    graphs: Mapping[str, GraphFiles]
    weights: str
    tokenizer: str
    gate: str
    architecture: Mapping[str, Any]
    norms: str | None = None

    def path(self, name: str) -> Path:
        """Full path of a file of this package."""
        return self.folder / name

    def graph_set(self, precision: str) -> GraphFiles:
        """The graphs of one precision.

        Raises:
            PackageError: They were not exported.
        """
        if precision not in self.graphs:
            raise PackageError(
                f"{self.folder} holds no {precision} graphs, only {sorted(self.graphs)}; export it with "
                f"--precision {precision}"
            )
        return self.graphs[precision]

    def identity(self, graph: str) -> str:
        """SHA-256 (hex) of a graph together with the weights it names: what a built engine stands for."""
        parts = self.spec.sha256[graph] + self.spec.sha256[self.weights]
        return hashlib.sha256(parts.encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """SHA-256 (hex) of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() if sys.version_info >= (3, 11) else _digest(stream)


def _digest(stream: Any) -> str:
    digest = hashlib.sha256()
    for block in iter(lambda: stream.read(1 << 20), b""):
        digest.update(block)
    return digest.hexdigest()


def write_description(package: Package) -> None:
    """Writes ``model.yaml`` with fresh SHA-256s of all files; call last, when every file is in place.

    Raises:
        PackageError: A file that the package names is missing.
    """
    sha256 = {}
    for name in _all_files(package):
        if not package.path(name).is_file():
            raise PackageError(f"{package.folder}: {name} was not written")
        sha256[name] = file_sha256(package.path(name))
    graphs = {
        precision: {
            "image_encoder": files.image_encoder,
            "text_encoder": files.text_encoder,
            "decoders": {int(k): v for k, v in files.decoders.items()},
            "objects": files.objects,
            "small_decoders": {int(k): v for k, v in files.small_decoders.items()},
        }
        for precision, files in package.graphs.items()
    }
    plain = {
        "format": FORMAT,
        "model": replace(package.spec, sha256=sha256).to_mapping(),
        "graphs": graphs,
        "weights": package.weights,
        "tokenizer": package.tokenizer,
        "gate": package.gate,
        **({"norms": package.norms} if package.norms else {}),
        "architecture": _plain(package.architecture),
    }
    temporary = package.folder / f".{DESCRIPTION}.{os.getpid()}"
    temporary.write_text(yaml.safe_dump(plain, sort_keys=False, width=110), encoding="utf-8")
    temporary.replace(package.folder / DESCRIPTION)


def open_package(name_or_folder: str | os.PathLike[str], verify: bool = True) -> Package:
    """Reads and verifies a model package.

    Args:
        name_or_folder: A folder with ``model.yaml``, or the name of an installed model, such as
            ``builtin`` for the one that comes with seem_ros.
        verify: Compare the SHA-256 of every file (takes about a second per GB).

    Raises:
        PackageError: No such package, another format version, a file missing or altered.
    """
    folder = find_package(name_or_folder)
    try:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        plain = yaml.load((folder / DESCRIPTION).read_text(encoding="utf-8"), loader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise PackageError(f"{folder / DESCRIPTION} cannot be read: {error}") from error
    if not isinstance(plain, dict) or "format" not in plain:
        raise PackageError(f"{folder / DESCRIPTION} is not the description of a model package")
    if plain["format"] != FORMAT:
        raise PackageError(
            f"{folder} has package format {plain['format']!r}, this version reads format {FORMAT}: export it again"
        )
    try:
        graphs = {
            str(precision): GraphFiles(
                str(files["image_encoder"]),
                str(files["text_encoder"]),
                {int(k): str(v) for k, v in files["decoders"].items()},
                files.get("objects"),
                {int(k): str(v) for k, v in (files.get("small_decoders") or {}).items()},
            )
            for precision, files in plain["graphs"].items()
        }
        package = Package(
            folder,
            ModelSpec.from_mapping(plain["model"]),
            graphs,
            str(plain["weights"]),
            str(plain["tokenizer"]),
            str(plain["gate"]),
            plain["architecture"],
            plain.get("norms"),
        )
    except (KeyError, TypeError, AttributeError, ValueError, ModelError) as error:
        raise PackageError(f"{folder / DESCRIPTION}: {error}") from error
    if "fp32" not in graphs or set(graphs) - set(PRECISIONS):
        raise PackageError(
            f"{folder / DESCRIPTION}: graphs must include fp32 and be of {PRECISIONS}, got {sorted(graphs)}"
        )
    _verify(package, contents=verify)
    return package


def find_package(name_or_folder: str | os.PathLike[str]) -> Path:
    """Folder of a model package; ``builtin`` is the one that comes with seem_ros.

    Raises:
        PackageError: Nothing is there; the message lists where it was looked for.
    """
    try:
        given = expanded(_BUILTIN_FOLDER if str(name_or_folder) == BUILTIN else name_or_folder, "a model package")
    except BackendError as error:
        raise PackageError(str(error)) from error
    if (given / DESCRIPTION).is_file():
        return given
    looked = [given]
    if len(given.parts) == 1:
        for root in _model_roots():
            looked.append(root / given)
            if (root / given / DESCRIPTION).is_file():
                return root / given
    raise PackageError(
        f"no model package {str(name_or_folder)!r}: no {DESCRIPTION} in " + ", ".join(str(p) for p in looked)
    )


def _model_roots() -> Iterator[Path]:
    """Folders that may hold installed models: named by the user, of a source tree, of a ROS or pip installation."""
    if os.environ.get("SEEM_ROS_MODELS"):
        yield expanded(os.environ["SEEM_ROS_MODELS"], "$SEEM_ROS_MODELS")
    here = Path(__file__).resolve()
    yield here.parents[2] / "models"
    for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep):
        if prefix:
            yield Path(prefix) / "share" / "seem_ros" / "models"
    yield Path(sys.prefix) / "share" / "seem_ros" / "models"


def _all_files(package: Package) -> Iterator[str]:
    seen = set()
    for files in package.graphs.values():
        seen.update(files.files())
    seen.update((package.weights, package.tokenizer, package.gate))
    if package.norms:
        seen.add(package.norms)
    yield from sorted(seen)


def _verify(package: Package, contents: bool) -> None:
    for name in _all_files(package):
        path = package.path(name)
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise PackageError(f"{package.folder / DESCRIPTION} names {name!r}, which lies outside the package")
        if not path.is_file():
            raise PackageError(f"model package {package.folder} is incomplete: {name} is missing")
        if name not in package.spec.sha256:
            raise PackageError(f"{package.folder / DESCRIPTION} has no sha256 for {name}")
        if contents:
            got = file_sha256(path)
            if got != package.spec.sha256[name]:
                raise PackageError(
                    f"model package {package.folder} is altered or damaged: {name} has sha256 {got[:16]}..., "
                    f"{DESCRIPTION} says {package.spec.sha256[name][:16]}..."
                )


def _plain(value: Any) -> Any:
    """Tuples as lists, all the way down: YAML's safe writer knows no tuples."""
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, (list, tuple)) else value
