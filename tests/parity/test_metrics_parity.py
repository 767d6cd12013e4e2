"""Metrics against their reference implementations and published numbers."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rung.metrics import METRICS, rouge_f1, score
from rung.metrics.ranking import probabilities
from rung.metrics.rouge import VARIANTS
from rung.types import Example, Message

DATA = Path(os.environ.get("RUNG_DATA", Path(__file__).parents[2].parent / "shared" / "data"))


def data(name: str) -> Path:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{path} is not there")
    return path


def examples(*columns: list[str]) -> list[Example]:
    """One example a row; each column holds one right answer of every row."""
    return [Example(str(n), (Message("user", ""),), row[0], tuple(row[1:])) for n, row in enumerate(zip(*columns))]


# -- ROUGE -------------------------------------------------------------------------------------------------------------


def rouge_cases() -> list[dict[str, Any]]:
    path = DATA / "rouge_reference" / "cases.json"
    cases: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))["cases"] if path.exists() else []
    return cases


@pytest.mark.parametrize("case", rouge_cases() or [None])
def test_rouge_equals_rouge_1_5_5(case: dict[str, Any] | None) -> None:
    if case is None:
        pytest.skip("the reference cases are not there")
    variant = case["metric"].removeprefix("rouge")
    found = rouge_f1(case["prediction"], [case["target"]], variant, stemmed=case["use_stemmer"])
    assert found == pytest.approx(case["fmeasure"], abs=0.5 * 10.0 ** -case["places"] + 1e-12)


def dialogsum() -> tuple[list[dict[str, str]], list[str]]:
    folder = data("dialogsum")
    rows = [json.loads(line) for line in (folder / "dialogsum.test.jsonl").read_text("utf-8").splitlines()]
    answers = (folder / "test_output.txt").read_text("utf-8").split("\n")[: len(rows)]
    return rows, answers


def test_rouge_of_the_dialogsum_baseline_is_the_published_one() -> None:
    """45.9 / 21.3 / 38.7: BART's answers with stemming, against the first of the three summaries."""
    rows, answers = dialogsum()
    for variant, published in (("1", 45.9), ("2", 21.3), ("L", 38.7)):
        found = [rouge_f1(answer, [row["summary1"]], variant, stemmed=True) for answer, row in zip(answers, rows)]
        assert round(100 * float(np.mean(found)), 1) == published


def test_rouge_equals_rouge_score_row_by_row() -> None:
    scorer_module = pytest.importorskip("rouge_score.rouge_scorer")
    rows, answers = dialogsum()
    for stemmed in (False, True):
        scorer = scorer_module.RougeScorer(["rouge1", "rouge2", "rougeL", "rougeLsum"], use_stemmer=stemmed)
        for answer, row in zip(answers, rows):
            references = [row[f"summary{n}"].replace(". ", ".\n") for n in (1, 2, 3)]
            answer = answer.replace(". ", ".\n")
            expected = scorer.score_multi(references, answer)
            for variant in VARIANTS:
                found = rouge_f1(answer, references, variant, stemmed=stemmed)
                assert found == pytest.approx(expected["rouge" + variant].fmeasure, abs=1e-12)


# -- BLEU and chrF -----------------------------------------------------------------------------------------------------


def reference_values(name: str) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((data("sacrebleu") / "reference_values.json").read_text("utf-8"))[name]
    return values


def test_bleu_equals_the_reference_values() -> None:
    values = reference_values("test_bleu.py")
    checked = 0
    for answers, columns, settings, expected in values["test_corpus_bleu_cases"]:
        if settings in ({}, {"tokenize": "13a"}):
            found = score("bleu", answers, examples(*columns)).value
            assert 100 * found == pytest.approx(expected, abs=1e-5)
            checked += 1
    assert checked == 3


def test_bleu_of_each_sentence_equals_sacrebleu() -> None:
    from sacrebleu.metrics.bleu import BLEU

    values = reference_values("test_sentence_bleu.py")
    found = score("bleu", [values["SYS"]], examples([values["REF"]])).value
    assert 100 * found == pytest.approx(BLEU().corpus_score([values["SYS"]], [[values["REF"]]]).score, abs=1e-9)


def test_chrf_equals_the_reference_values() -> None:
    """The table of effective order has beta 3; its values are those of beta 2 where precision equals recall."""
    from sacrebleu.metrics.chrf import CHRF

    for answers, right, expected in reference_values("test_chrf.py")["test_cases_effective_order"]:
        found = 100 * score("chrf", answers, examples(right)).value
        assert found == pytest.approx(expected, abs=1e-4)
        assert found == pytest.approx(CHRF().corpus_score(answers, [right]).score, abs=1e-9)


def systems() -> tuple[dict[str, list[str]], list[str]]:
    with gzip.open(data("sacrebleu") / "wmt17_en_de_systems.json.gz", "rt", encoding="utf-8") as file:
        content = json.load(file)
    return dict(content["systems"]), content["references"][1][0]


def resampled(metric: str, answers: list[str], right: list[str], reference: Any) -> None:
    """The score of whole, halved and resampled rows from our column sums equals the reference's on the same rows."""
    rows = examples(right)
    table = METRICS[metric].statistics(answers, rows)
    generator = np.random.default_rng(5)
    draws = [np.arange(len(rows)), np.arange(0, len(rows), 2), *generator.integers(0, len(rows), (3, len(rows)))]
    totals = np.array([table[draw].sum(axis=0) for draw in draws])
    ours = METRICS[metric].value(totals, len(rows))
    for value, draw in zip(ours, draws):
        theirs = reference.corpus_score([answers[n] for n in draw], [[right[n] for n in draw]]).score
        assert 100 * value == pytest.approx(theirs, abs=1e-9)


def test_bleu_of_a_real_system_equals_sacrebleu() -> None:
    from sacrebleu.metrics.bleu import BLEU

    found, right = systems()
    resampled("bleu", next(iter(found.values()))[:600], right[:600], BLEU(force=True))


def test_chrf_of_a_real_system_equals_sacrebleu() -> None:
    from sacrebleu.metrics.chrf import CHRF

    found, right = systems()
    resampled("chrf", next(iter(found.values()))[:200], right[:200], CHRF())


def test_several_references_and_rows_with_fewer_equal_sacrebleu() -> None:
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    rows, answers = dialogsum()
    answers, rows = [*answers[:38], "", "?"], rows[:40]
    columns: list[list[str | None]] = [[row[f"summary{n}"] for row in rows] for n in (1, 2, 3)]
    columns[2][5] = columns[1][5] = columns[2][6] = None
    made = [
        Example(str(n), (), row[0], tuple(text for text in row[1:] if text is not None))
        for n, row in enumerate(zip(*columns))
    ]
    for name, reference in (("bleu", BLEU(force=True)), ("chrf", CHRF())):
        theirs = reference.corpus_score(answers, columns).score
        assert 100 * score(name, answers, made).value == pytest.approx(theirs, abs=1e-9)


def test_bleu_of_hard_cases_equals_sacrebleu() -> None:
    from sacrebleu.metrics.bleu import BLEU

    cases = [("", "a"), ("a", "a"), ("a b", "a b"), ("a b c", "a b d e f"), ("x", "a b c d"), ("a b c d e", "a b c"),
             ("a a a a a a", "a b c d"), ("d c b a", "a b c d"), ("a x b y c z", "a b c")]  # fmt: skip
    for said, right in cases:
        theirs = BLEU(force=True).corpus_score([said], [[right]]).score
        assert 100 * score("bleu", [said], examples([right])).value == pytest.approx(theirs, abs=1e-9)


def test_ter_equals_the_reference_values() -> None:
    cases = reference_values("test_ter.py")["test_cases"]
    for answers, right, expected in cases:
        found = score("one_minus_ter", answers, examples(right)).value
        assert found == pytest.approx(max(0.0, 1 - expected), abs=1e-3)
    assert len(cases) > 6


def test_ter_of_a_real_system_equals_sacrebleu() -> None:
    from sacrebleu.metrics.ter import TER

    found, right = systems()
    answers = next(iter(found.values()))[:150]
    theirs = TER().corpus_score(answers, [right[:150]]).score
    assert 100 * (1 - score("one_minus_ter", answers, examples(right[:150])).value) == pytest.approx(theirs, abs=1e-9)


# -- classes and ranking -----------------------------------------------------------------------------------------------


def test_class_scores_equal_scikit_learn() -> None:
    from sklearn import metrics as sk

    generator = np.random.default_rng(3)
    for classes in (2, 4, 30):
        labels = [f"label {n:02}" for n in range(classes)]
        targets = [labels[n] for n in generator.integers(0, classes, 300)]
        said = [t if generator.random() < 0.6 else labels[generator.integers(0, classes)] for t in targets]
        theirs = {
            "balanced_accuracy": sk.balanced_accuracy_score(targets, said),
            "mcc": sk.matthews_corrcoef(targets, said),
            **{
                f"{average}_{part}": function(targets, said, average=average, zero_division=0)
                for average in ("macro", "micro")
                for part, function in (
                    ("f1", sk.f1_score), ("precision", sk.precision_score), ("recall", sk.recall_score),
                )
            },
        }  # fmt: skip
        for name, expected in theirs.items():
            assert score(name, said, examples(targets), labels=labels).value == pytest.approx(expected, abs=1e-12)


def test_ranking_scores_equal_scikit_learn() -> None:
    """Two labels and more, with ties; the entries' scatter is the error of DeLong and of the jackknife."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    generator = np.random.default_rng(4)
    for classes in (2, 4):
        labels = [f"label {n}" for n in range(classes)]
        targets = generator.integers(0, classes, 300)
        logits = generator.normal(size=(300, classes)).round(1)
        logits[np.arange(300), targets] += 0.8
        chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        chances = chances.round(2) + 0.005
        chances /= chances.sum(axis=1, keepdims=True)
        rows = examples([labels[n] for n in targets])
        logs = [dict(zip(labels, np.log(row))) for row in chances]
        chances, *_ = probabilities([""] * 300, rows, labels, logs)  # the ties that rounding left
        onehot = np.eye(classes)[targets]
        given = (targets, chances[:, 1]) if classes == 2 else (onehot, chances)
        for name, theirs in (("auroc", roc_auc_score), ("average_precision", average_precision_score)):
            made = score(name, [""] * 300, rows, labels=labels, scores=logs)
            assert made.value == pytest.approx(theirs(*given), abs=1e-9)
            without = [theirs(np.delete(given[0], n, 0), np.delete(given[1], n, 0)) for n in range(300)]
            jackknife = np.sqrt(299 * np.var(without))
            assert made.statistics[:, 0].std() / np.sqrt(300) == pytest.approx(jackknife, rel=0.03)


# -- macro-F1 ----------------------------------------------------------------------------------------------------------


def test_macro_f1_and_classes_equal_scikit_learn() -> None:
    from sklearn.metrics import confusion_matrix, f1_score, precision_recall_fscore_support

    from rung.metrics.confusion import confusion

    generator = np.random.default_rng(11)
    for classes in (2, 5, 150):
        labels = [f"label {n}" for n in range(classes)]
        targets = [labels[n] for n in generator.integers(0, classes, 400)]
        said = [t if generator.random() < 0.7 else labels[generator.integers(0, classes)] for t in targets]
        rows = examples(targets)
        ours = score("macro_f1", said, rows, labels=labels).value
        assert ours == pytest.approx(f1_score(targets, said, average="macro"), abs=1e-12)
        matrix = confusion(said, rows, labels)
        assert (matrix.counts[:, :-1] == confusion_matrix(targets, said, labels=labels)).all()
        expected = precision_recall_fscore_support(targets, said, labels=labels, zero_division=0)
        for n, one in enumerate(matrix.classes):
            assert (one.precision, one.recall, one.f1) == pytest.approx([part[n] for part in expected[:3]])
