"""Puts the cases that the test suite wrote to PyYAML, and compares its answers by value and type.

usage: check.py CASES FIXTURES [--keep]

CASES is the folder that `cases_for_pyyaml` wrote to. FIXTURES is compared with PyYAML's answers to the fixed
cases, or written anew with --keep. Exits with 1 if anything differs.
"""

import datetime
import json
import math
import pathlib
import struct
import sys

import yaml


def typed(value):
    """A value with the type of each part spelt out; floats as their bits."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return {"bool": value}
    if isinstance(value, int):
        return {"int": str(value)}
    if isinstance(value, float):
        return {"float": "nan" if math.isnan(value) else struct.pack(">d", value).hex()}
    if isinstance(value, str):
        return {"str": value}
    if isinstance(value, list):
        return {"list": [typed(item) for item in value]}
    if isinstance(value, dict):
        return {"map": [[typed(key), typed(item)] for key, item in value.items()]}
    if isinstance(value, (datetime.date, datetime.datetime)):
        return "timestamp"
    raise TypeError(type(value))


def resolve(text):
    """What PyYAML makes of a plain scalar."""
    loader = yaml.SafeLoader("")
    tag = loader.resolve(yaml.ScalarNode, text, (True, False))
    kind = tag.rsplit(":", 1)[1]
    if kind in ("merge", "value", "yaml"):
        return "special"
    if kind in ("str", "timestamp"):
        return kind
    if kind == "int":
        try:
            number = loader.construct_object(yaml.ScalarNode(tag, text))
        except ValueError:
            return "large int"
        return typed(number) if -(2**63) <= number < 2**63 else "large int"
    return typed(loader.construct_object(yaml.ScalarNode(tag, text)))


def line(value):
    """As the test suite writes a line."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n"


def check(path, answer):
    """Compares PyYAML's answer to each case with ours; gives all answers."""
    answers, wrong = [], 0
    with open(path, encoding="utf-8", newline="\n") as lines:
        for number, text in enumerate(lines, 1):
            case = json.loads(text)
            try:
                theirs = answer(case)
            except Exception as error:  # whatever PyYAML raises is an answer
                theirs = {"error": repr(error)}
            answers.append(theirs)
            if theirs != case:
                wrong += 1
                if wrong <= 20:
                    print(f"{path.name}:{number}\n  ours   {line(case)}  theirs {line(theirs)}", end="")
    print(f"{path.name}: {len(answers)} cases, {wrong} differ")
    return answers, wrong


def main():
    cases, fixtures = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    document = lambda case: {"yaml": case["yaml"], "value": typed(yaml.safe_load(case["yaml"]))}
    scalar = lambda case: {"text": case["text"], "pyyaml": resolve(case["text"])}
    print("PyYAML", yaml.__version__)
    failed = 0
    for name, answer in [("documents", document), ("scalars", scalar)]:
        failed += check(cases / f"{name}.jsonl", answer)[1]
        answers, wrong = check(cases / f"fixed_{name}.jsonl", answer)
        failed += wrong
        text, kept = "".join(map(line, answers)), fixtures / f"{name}.jsonl"
        if "--keep" in sys.argv:
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(text, encoding="utf-8", newline="\n")
        elif kept.read_text(encoding="utf-8") != text:
            print(f"{kept} is not what PyYAML answers")
            failed += 1
    sys.exit(failed > 0)


main()
