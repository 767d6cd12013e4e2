"""The table of suites, and how a name on the command line finds one, or one task of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from rung.errors import RungError, nearest
from rung.evaluate.harness.suites import big_bench, glue, mmlu, questions, super_glue, texts
from rung.evaluate.harness.suites.suite import Prepared, Suite

SUITES: Mapping[str, Suite] = MappingProxyType(
    {
        one.name: one
        for one in (
            Suite("mmlu", "MMLU, 57 subjects", "mmlu/{dev,test}/<subject>_{dev,test}.csv", mmlu.build, by_size=True),
            Suite("gsm8k", "GSM8K", "gsm8k/{test,train}.jsonl", questions.gsm8k),
            Suite("truthfulqa", "TruthfulQA, mc1 and mc2", "truthfulqa/TruthfulQA.csv", questions.truthfulqa),
            Suite("humaneval", "HumanEval, with --run-code", "humaneval/HumanEval.jsonl.gz", questions.humaneval),
            Suite("wikitext", "WikiText, perplexity", "wikitext2/test.txt, or wiki.test.raw", texts.wikitext),
            Suite("blimp", "Minimal pairs in BLiMP's form", "blimp/*.jsonl: sentence_good, sentence_bad", texts.pairs),
            Suite("winobias", "WinoBias as minimal pairs", "winobias/{pro,anti}_stereotyped_*.txt.test", texts.winobias),
            Suite("glue", "GLUE but STS-B", "CoLA, SST-2, MRPC, QQP, MNLI, QNLI, RTE, WNLI: dev.tsv", glue.build),
            Suite("super_glue", "SuperGLUE", "BoolQ, CB, COPA, MultiRC, ReCoRD, RTE, WiC, WSC: val.jsonl", super_glue.build),
            Suite("bigbench", "BIG-bench, its JSON tasks", "bigbench/<task>/task.json", big_bench.build),
            Suite("bbh", "BIG-bench Hard", "bbh/<task>.json, cot-prompts/<task>.txt", big_bench.build_hard, by_size=True),
        )
    }
)  # fmt: skip


def build(name: str, folder: Path) -> tuple[Suite, Iterator[Prepared]]:
    """The suite of that name with its tasks, or with the one that `suite_task` names.

    Raises RungError for a name that is none.
    """
    if name in SUITES:
        return SUITES[name], SUITES[name].build(folder, None)
    for suite in SUITES.values():
        if name.startswith(f"{suite.name}_"):
            return suite, suite.build(folder, name.removeprefix(f"{suite.name}_"))
    mend = f"task files end in .yaml; {nearest(name, SUITES)}"
    raise RungError(f"no suite {name!r}", where="benchmark", mend=mend)
