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
from seem_ros.files import check_name, expanded, share_folders, write_atomically
from seem_ros.plain_yaml import read_yaml_mapping
from seem_ros.runtime.spec import MAX_BUCKET, ModelSpec, mapping, whole

FORMAT = 1
DESCRIPTION = "model.yaml"
_FIELDS = ("format", "model", "graphs", "weights", "tokenizer", "gate", "norms", "architecture", "check")
PRECISIONS = ("fp32", "fp16", "bf16", "int8")
BUILTIN = "builtin"  # wherever a model is named, stands for the one that comes with seem_ros
_BUILTIN_FOLDER = "lite"


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

    def prompt_decoders(self) -> frozenset[str]:
        """The files of all prompt decoders."""
        return frozenset((*self.decoders.values(), *self.small_decoders.values()))

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
        """Full path of a file of this package, links resolved: weights are looked for beside the real graph."""
        return (self.folder / name).resolve()

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
        if sys.version_info >= (3, 11):
            return hashlib.file_digest(stream, "sha256").hexdigest()
        return _digest(stream)


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
    text = yaml.safe_dump(plain, sort_keys=False, width=110)
    text += f"check: {hashlib.sha256(text.encode()).hexdigest()}\n"
    write_atomically(package.folder / DESCRIPTION, text.encode())
    (package.folder / DESCRIPTION).chmod(0o644)


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
    path = folder / DESCRIPTION
    plain = read_yaml_mapping(path, PackageError)
    if "format" not in plain:
        raise PackageError(f"{path} is not the description of a model package: it has no field format")
    if type(plain["format"]) is not int or plain["format"] != FORMAT:
        raise PackageError(
            f"{folder} has package format {str(plain['format'])[:40]}, this version reads format {FORMAT}: export it "
            "again"
        )
    _check_own(path)
    unknown = sorted(set(plain) - set(_FIELDS))
    if unknown:
        listed = " ".join(", ".join(unknown).split())[:200]
        raise PackageError(f"{path}: unknown fields {listed}; known are {', '.join(_FIELDS)}")
    try:
        graphs = {
            precision: _graph_files(files, f"graphs.{precision}")
            for precision, files in mapping("graphs", plain.get("graphs")).items()
        }
        package = Package(
            folder=folder,
            spec=ModelSpec.from_mapping(mapping("model", plain.get("model"))),
            graphs=graphs,
            weights=_file_name("weights", plain.get("weights")),
            tokenizer=_file_name("tokenizer", plain.get("tokenizer")),
            gate=_file_name("gate", plain.get("gate")),
            architecture=mapping("architecture", plain.get("architecture")),
            norms=None if plain.get("norms") is None else _file_name("norms", plain["norms"]),
        )
    except ModelError as error:
        raise PackageError(f"{path}: {' '.join(str(error).split())}") from error
    if "fp32" not in graphs or set(graphs) - set(PRECISIONS):
        raise PackageError(f"{path}: graphs must include fp32 and be of {PRECISIONS}, got {sorted(graphs)}")
    for precision, files in graphs.items():
        for kind, decoders in (("decoders", files.decoders), ("small_decoders", files.small_decoders)):
            wanted = package.spec.prompt_buckets if decoders or kind == "decoders" else ()
            if tuple(sorted(decoders)) != tuple(wanted):
                raise PackageError(
                    f"{path}: graphs.{precision}.{kind} must have a file for each of model.prompt_buckets "
                    f"{list(wanted)}, got {sorted(decoders)}"
                )
    _verify(package, contents=verify)
    return package


def _graph_files(plain: Any, name: str) -> GraphFiles:
    """The files of one precision.

    Raises:
        ModelError: A field is missing, unknown or no file name.
    """
    plain = mapping(name, plain)
    unknown = sorted(set(plain) - {"image_encoder", "text_encoder", "decoders", "objects", "small_decoders"})
    if unknown:
        raise ModelError(f"{name} has unknown fields {', '.join(unknown)[:200]}")

    def decoders(kind: str, given: Any) -> dict[int, str]:
        if not isinstance(given, dict):
            raise ModelError(f"{name}.{kind} must be a mapping from prompt counts to files, got {type(given).__name__}")
        return {
            whole(f"{name}.{kind}", count, 1, MAX_BUCKET): _file_name(f"{name}.{kind}[{count}]", file)
            for count, file in given.items()
        }

    return GraphFiles(
        _file_name(f"{name}.image_encoder", plain.get("image_encoder")),
        _file_name(f"{name}.text_encoder", plain.get("text_encoder")),
        decoders("decoders", plain.get("decoders")),
        None if plain.get("objects") is None else _file_name(f"{name}.objects", plain["objects"]),
        decoders("small_decoders", plain.get("small_decoders") or {}),
    )


def _file_name(field: str, value: Any) -> str:
    """A file of a package: a name and no path, so that a package cannot name other people's files.

    Raises:
        ModelError: It is none.
    """
    return check_name(field, value, ModelError)


def _check_own(path: Path) -> None:
    """Compares the description with its own checksum, its last line; packages from before have none.

    Raises:
        PackageError: A character of it was altered.
    """
    body, mark, check = path.read_text(encoding="utf-8").rpartition("\ncheck: ")
    if mark and hashlib.sha256(f"{body}\n".encode()).hexdigest() != check.strip():
        raise PackageError(
            f"{path} is altered or damaged: it does not fit its own checksum. If you changed it on purpose, delete its "
            "last line, check: ..."
        )


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
    yield from (share / "models" for share in share_folders())


def _all_files(package: Package) -> Iterator[str]:
    seen: set[str] = set()
    for files in package.graphs.values():
        seen.update(files.files())
    seen.update((package.weights, package.tokenizer, package.gate))
    if package.norms:
        seen.add(package.norms)
    yield from sorted(seen)


def _verify(package: Package, contents: bool) -> None:
    homes: set[Path] = set()
    for name in _all_files(package):
        path = package.path(name)
        if not path.is_file():
            raise PackageError(f"model package {package.folder} is incomplete: {name} is missing")
        homes.add(path.parent)
        if name not in package.spec.sha256:
            raise PackageError(f"{package.folder / DESCRIPTION} has no sha256 for {name}")
        if contents:
            got = file_sha256(path)
            if got != package.spec.sha256[name]:
                raise PackageError(
                    f"model package {package.folder} is altered or damaged: {name} has sha256 {got[:16]}..., "
                    f"{DESCRIPTION} says {package.spec.sha256[name][:16]}..."
                )
    if len(homes) > 1:  # ONNX Runtime would look for the weights beside the graph, the others here
        raise PackageError(
            f"model package {package.folder} is made of links into {len(homes)} folders; copy the files into one"
        )


def _plain(value: Any) -> Any:
    """Tuples as lists, all the way down: YAML's safe writer knows no tuples."""
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, (list, tuple)) else value
