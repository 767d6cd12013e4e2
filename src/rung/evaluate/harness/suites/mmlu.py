"""MMLU (Hendrycks et al. 2021): 57 subjects in four categories, five worked examples each, answers by letter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType

from rung.errors import RungError
from rung.evaluate.harness.spec import Metric, Shots
from rung.evaluate.harness.suites import forms
from rung.evaluate.harness.suites.suite import Prepared, Row, chosen, home, made, whole

LETTERS = ["A", "B", "C", "D"]
CATEGORIES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "stem": (
            "abstract_algebra", "anatomy", "astronomy", "college_biology", "college_chemistry", "college_computer_science",
            "college_mathematics", "college_physics", "computer_security", "conceptual_physics", "electrical_engineering",
            "elementary_mathematics", "high_school_biology", "high_school_chemistry", "high_school_computer_science",
            "high_school_mathematics", "high_school_physics", "high_school_statistics", "machine_learning",
        ),
        "humanities": (
            "formal_logic", "high_school_european_history", "high_school_us_history", "high_school_world_history",
            "international_law", "jurisprudence", "logical_fallacies", "moral_disputes", "moral_scenarios", "philosophy",
            "prehistory", "professional_law", "world_religions",
        ),
        "social_sciences": (
            "econometrics", "high_school_geography", "high_school_government_and_politics", "high_school_macroeconomics",
            "high_school_microeconomics", "high_school_psychology", "human_sexuality", "professional_psychology",
            "public_relations", "security_studies", "sociology", "us_foreign_policy",
        ),
        "other": (
            "business_ethics", "clinical_knowledge", "college_medicine", "global_facts", "human_aging", "management",
            "marketing", "medical_genetics", "miscellaneous", "nutrition", "professional_accounting",
            "professional_medicine", "virology",
        ),
    }
)  # fmt: skip
CATEGORY_OF = {subject: category for category, subjects in CATEGORIES.items() for subject in subjects}


def build(folder: Path, only: str | None) -> Iterator[Prepared]:
    """The subjects; the worked examples are the first of dev, in order."""
    place = home(folder, ["mmlu", "MMLU", "data"])
    subjects = chosen("mmlu", sorted(CATEGORY_OF), only)
    files = {part: {s: place / part / f"{s}_{part}.csv" for s in subjects} for part in ("dev", "test")}
    there = [s for s in subjects if all(files[part][s].is_file() for part in files)]
    whole("mmlu", subjects, there, place)
    options = "".join(f"{letter}. {{{{choices[{n}]}}}}\n" for n, letter in enumerate(LETTERS))
    for subject in subjects:
        spoken = subject.replace("_", " ")
        task = made(
            f"mmlu_{subject}", place, "multiple_choice",
            doc_to_text="{{question.strip()}}\n" + options + "Answer:", doc_to_choice=LETTERS, doc_to_target="answer",
            description=f"The following are multiple choice questions (with answers) about {spoken}.\n\n",
            num_fewshot=5, shots=Shots(sampler="first_n", split="dev"), metrics=(Metric("acc"),),
        )  # fmt: skip
        pool = partial(_rows, files["dev"][subject])
        yield Prepared(task, _rows(files["test"][subject]), pool, (f"mmlu_{CATEGORY_OF[subject]}",))


def _rows(file: Path) -> list[Row]:
    """Question, four choices, and the answer's place or letter: with a header, or without as first given away."""
    first, *others = forms.cells(file)
    table = others if "question" in first else [first, *others]
    rows: list[Row] = []
    for number, cells in enumerate(table, 1):
        answer = cells[-1].strip()
        if len(cells) != 6 or answer not in (*LETTERS, "0", "1", "2", "3"):
            raise RungError(
                "is no question with four choices and an answer", where=f"{file}, row {number}", mend="fetch it again"
            )
        place = LETTERS.index(answer) if answer in LETTERS else int(answer)
        rows.append({"question": cells[0], "choices": cells[1:5], "answer": place})
    return rows
