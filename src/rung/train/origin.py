"""Where a pretraining begins: a tokenizer and weights, new ones or those of a model to go on with; and its rows of text.

Each is put into the work folder once, whole or not at all. Training them is the matter of `pretrain`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerFast

from rung.data.blend import Blend
from rung.data.mixture import Document, documents, marked
from rung.data.source import Source
from rung.errors import RungError
from rung.model.build import build, continued
from rung.model.load import Model, pick_device
from rung.model.tokenizer import Fertility, train_tokenizer
from rung.run import read_json, write_atomic
from rung.train.objectives import OBJECTIVES
from rung.train.objectives.attend import attend_by
from rung.train.objectives.objective import Objective
from rung.train.objectives.probe import check_module
from rung.train.objectives.rows import NoiseSettings, Tokens
from rung.train.objectives.spans import sentinels_needed
from rung.train.recipe import Recipe
from rung.train.stream import Corpus, Stage, Steps, write_corpus

Report = Callable[[str], None]
MEASURED_TEXTS = 200  # of those held out, on which the tokenizer is measured


@dataclass(frozen=True)
class Origin:
    """Tokenizer, module and objective of a recipe, ready to be trained."""

    recipe: Recipe
    tokenizer: Any
    module: Any
    objective: Objective
    tokens: Tokens

    def steps(self, corpus: Corpus, seed: int) -> Steps:
        """Rows as the loop reads them."""
        return Steps(corpus, self.objective, self.tokens, self.recipe.train.noise, seed)


def begin(recipe: Recipe, work: Path, report: Report) -> Origin:
    """Tokenizer and module, checked against the objective. Raises RungError where they do not fit it."""
    objective = OBJECTIVES[recipe.train.objective]
    tokenizer = _tokenizer(recipe, work, report)
    if recipe.begins_with:
        module = continued(Model.load(recipe.begins_with), objective.architecture)
    else:
        window = max([stage.length for stage in recipe.train.stages])
        window = window if recipe.tokenizer_of else max(window, recipe.tokenizer.window)
        module = build(recipe.model, tokenizer, kind=objective.architecture, seed=recipe.seed, window=window)
        report(f"model: {recipe.model['model_type']} of {module.num_parameters():,} parameters")
    start = getattr(module.config, "decoder_start_token_id", None)
    tokens = Tokens.of(tokenizer, start)
    _check_marks(recipe, tokens)
    _check_window(recipe, module)
    module.to(pick_device("auto"))
    attend_by(module, recipe.train.attention)
    check_module(module, objective, tokens, apart=recipe.train.separate_documents)
    return Origin(recipe, tokenizer, module, objective, tokens)


def _check_marks(recipe: Recipe, tokens: Tokens) -> None:
    if tokens.end is None:
        raise RungError("the tokenizer has no end mark (eos_token)", where="tokenizer", mend="save it with one")
    if recipe.train.objective == "masked" and tokens.mask is None:
        mend = "train a tokenizer, or choose another objective"
        raise RungError("the tokenizer has no mask token", where="tokenizer", mend=mend)
    needed = _sentinels(recipe, recipe.train.noise) if recipe.train.objective == "span-corruption" else 0
    if len(tokens.sentinels) < needed:
        raise RungError(
            f"the tokenizer has {len(tokens.sentinels)} sentinels and rows need {needed}",
            where="tokenizer",
            mend=f"set sentinels: {needed}, or use shorter rows",
        )


def _sentinels(recipe: Recipe, noise: NoiseSettings) -> int:
    return max(sentinels_needed(stage.length, noise) for stage in recipe.train.stages)


def _check_window(recipe: Recipe, module: Any) -> None:
    config = module.config.get_text_config()
    window = getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None)
    longest = max(stage.length for stage in recipe.train.stages)
    if isinstance(window, int) and longest > window:
        mend = "use shorter rows, or set max_position_embeddings"
        raise RungError(f"rows of {longest} tokens and a window of {window}", where="train.stages", mend=mend)


# -- the tokenizer -----------------------------------------------------------------------------------------------------


def _tokenizer(recipe: Recipe, work: Path, report: Report) -> Any:
    known = recipe.begins_with or recipe.tokenizer_of
    if known and recipe.begins_with:
        tokenizer = Model.load(known).tokenizer
    elif known:
        tokenizer = _tokenizer_of(known)
    else:
        tokenizer = _trained(recipe, work, report)
    if not tokenizer.is_fast:
        raise RungError("is no fast tokenizer", where=known, mend="save it with a tokenizer.json")
    if not (work / "fertility.json").exists() and recipe.corpus.sources:
        found = Fertility.of(tokenizer, islice(_measured(recipe), MEASURED_TEXTS))
        write_atomic(work / "fertility.json", json.dumps(asdict(found), indent=1))
        report(
            f"tokenizer: {len(tokenizer):,} tokens, {found.tokens_per_word:.2f} a word, "
            f"{found.bytes_per_token:.2f} bytes each, {100 * found.unknown_share:.2f} % unknown"
        )
    return tokenizer


def _measured(recipe: Recipe) -> Iterator[str]:
    """Texts that the tokenizer was not trained on; where nothing is held out, those it was."""
    blend = recipe.corpus.blend(recipe.seed)
    return blend.held_out() if blend.share else blend.once()


def _tokenizer_of(folder: str) -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0]
        raise RungError(f"the tokenizer does not load ({reason})", where=folder, mend="name its folder") from error


def _trained(recipe: Recipe, work: Path, report: Report) -> Any:
    folder, settings = work / "tokenizer", recipe.tokenizer
    if recipe.train.objective == "span-corruption" and not settings.sentinels:
        settings = replace(settings, sentinels=_sentinels(recipe, recipe.train.noise))
    if not folder.exists():
        report(f"tokenizer: {settings.kind} of {settings.vocabulary} tokens")
        texts = islice(_texts(recipe), recipe.corpus.tokenizer_documents)
        trained = train_tokenizer(texts, settings, mask=recipe.train.objective == "masked")
        place(folder, lambda part: trained.save_pretrained(part))
    return PreTrainedTokenizerFast.from_pretrained(folder)


def _texts(recipe: Recipe) -> Iterator[str]:
    if recipe.corpus.generator is None:
        return recipe.corpus.blend(recipe.seed).once()
    return ("".join(text for text, _ in made) for made in documents(recipe.corpus.mature, recipe.seed + 1))


# -- rows --------------------------------------------------------------------------------------------------------------


def corpus_of(origin: Origin, work: Path, report: Report) -> Corpus:
    """The rows to train on, in their order."""
    recipe, folder = origin.recipe, work / "corpus"
    if not folder.exists():
        report(f"corpus: {sum(stage.tokens for stage in recipe.train.stages):,} tokens")
        blend = recipe.corpus.blend(recipe.seed) if recipe.corpus.sources else None
        found = _marked(origin, blend.training()) if blend else documents(recipe.corpus, recipe.seed)

        def fill(part: Path) -> None:
            _write(origin, found, recipe.train.stages, part)
            if blend is not None:
                card = read_json(part / "corpus.json") | {"sources": blend.card()}
                write_atomic(part / "corpus.json", json.dumps(card, indent=1))

        place(folder, fill)
    return Corpus(folder, recipe.train.stages, apart=recipe.train.separate_documents)


def validation_of(origin: Origin, work: Path) -> Corpus | None:
    """Rows of documents held out; of a generator, of fresh ones from the mixture that the run ends in."""
    recipe, rows = origin.recipe, origin.recipe.train.validation_rows
    if not rows or (recipe.corpus.sources and not recipe.corpus.validation):
        return None
    if recipe.corpus.sources:
        found = _marked(origin, recipe.corpus.blend(recipe.seed).held_out())
    else:
        found = documents(recipe.corpus.mature, recipe.seed + 2)
    made = _laid_out(origin, found, work / "validation", rows)
    if not len(made):
        mend = "raise corpus.validation, or set train.validation_rows to 0"
        raise RungError("no document is held out for validation", where="corpus", mend=mend)
    return made


def guard_of(origin: Origin, work: Path) -> Corpus | None:
    """Rows of the guard's text."""
    guard = origin.recipe.guard
    if guard is None:
        return None
    source = Source(guard.file, column=guard.column, separator=guard.separator)
    made = _laid_out(origin, _marked(origin, Blend([source], 0).once()), work / "guard", guard.rows)
    if not len(made):
        raise RungError("holds no text", where=f"guard {guard.file}", mend="name a file with general text")
    return made


def _laid_out(origin: Origin, found: Iterator[Document], folder: Path, rows: int) -> Corpus:
    stages = (Stage(length=origin.recipe.train.stages[-1].length, rows=1, steps=rows),)
    if not folder.exists():
        place(folder, lambda part: _write(origin, found, stages, part))
    return Corpus(folder, stages, apart=origin.recipe.train.separate_documents)


def _marked(origin: Origin, texts: Iterator[str]) -> Iterator[Document]:
    corpus, tokenizer = origin.recipe.corpus, origin.tokenizer
    begin_mark = corpus.begin if corpus.begin is not None else tokenizer.bos_token or tokenizer.cls_token or ""
    end_mark = corpus.end if corpus.end is not None else tokenizer.eos_token
    for mark in filter(None, (begin_mark, end_mark)):
        if mark not in tokenizer.all_special_tokens:
            mend = f"name one of {', '.join(tokenizer.all_special_tokens[:8])}"
            raise RungError(f"{mark!r} is no special token of the tokenizer", where="corpus", mend=mend)
    return marked(texts, begin_mark, end_mark)


def _write(origin: Origin, found: Iterator[Document], stages: tuple[Stage, ...], part: Path) -> None:
    plain = bool(origin.recipe.corpus.sources)
    write_corpus(found, origin.tokenizer, stages, part, split_long=plain, marks_in_text=not plain)


def place(folder: Path, fill: Callable[[Path], object]) -> None:
    """Fill a folder under a temporary name, then move it to its own."""
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    fill(part)
    part.replace(folder)
