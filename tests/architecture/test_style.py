"""House rules that a compiler does not know. Length is only warned about: sometimes long is clearer."""

import re
import subprocess
import warnings

import pytest

from source_tree import REPOSITORY, SRC, sources

#: Lines of a file and of a function: (look at it, a second noun moved in).
FILE_LINES = (400, 600)
FUNCTION_LINES = (40, 70)


def tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=REPOSITORY,
                            capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.splitlines() if (REPOSITORY / name).is_file()]


def is_for_tests(file) -> bool:
    return file.name.endswith("_test.cc") or file.name.startswith(("test_", "fake_"))


def functions(text: str):
    """(first line, number of lines) of each function body that begins at a definition's `{` at the end of a line.

    Bodies are matched by indentation, which clang-format guarantees: the closing brace stands under the first word."""
    lines = text.splitlines()
    for i, line in enumerate(lines):
        if not re.match(r"^( {0,4})[A-Za-z~].*[)a-z&] (const )?(override )?(noexcept )?\{$", line) or "(" not in line:
            continue
        indent = re.match(r" *", line)[0]
        if re.match(r"\s*(if|for|while|switch|namespace|class|struct|enum|else|do|try|return|TEST)\b", line):
            continue
        end = next((j for j in range(i + 1, len(lines)) if lines[j].startswith(indent + "}")), None)
        if end is not None:
            yield i + 1, end - i + 1


def test_long_files_and_functions_are_pointed_out():
    for file in sources():
        text = (SRC / file).read_text()
        count = text.count("\n")
        if count > FILE_LINES[0]:
            urge = ": ask which second noun moved in" if count > FILE_LINES[1] else ""
            warnings.warn(f"src/{file} has {count} lines{urge}")
        if is_for_tests(file):
            continue
        for line, length in functions(text):
            if length > FUNCTION_LINES[0]:
                urge = ": push ifs up and fors down" if length > FUNCTION_LINES[1] else ""
                warnings.warn(f"src/{file}:{line}: a function of {length} lines{urge}")


def test_lines_fit():
    long = [f"src/{f}:{n}" for f in sources() for n, line in enumerate((SRC / f).read_text().splitlines(), 1)
            if len(line) > 120]
    assert not long, long


def test_only_the_command_line_sees_the_environment():
    seen = [str(f) for f in sources() if not f.is_relative_to("cli") and not is_for_tests(f)
            and re.search(r"\b(secure_)?getenv\s*\(|\benviron\b", (SRC / f).read_text())]
    assert not seen, seen


def test_cited_documents_exist():
    cited = {found for f in sources() for found in re.findall(r"\bdocs/[\w./-]+\.md", (SRC / f).read_text())}
    cited |= {found for name in tracked() if name.startswith(("tools/", "cmake/"))
              for found in re.findall(r"\bdocs/[\w./-]+\.md", (REPOSITORY / name).read_text())}
    missing = sorted(name for name in cited if not (REPOSITORY / name).exists())
    assert not missing, missing


def test_links_between_documents_lead_somewhere():
    broken = []
    for name in tracked():
        if not name.endswith(".md"):
            continue
        for target in re.findall(r"\]\(([^)#:]+)\)", (REPOSITORY / name).read_text()):
            if not (REPOSITORY / name).parent.joinpath(target).exists():
                broken.append(f"{name}: {target}")
    assert not broken, broken


def test_nothing_is_left_for_later():
    marks = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")
    left = [name for name in tracked() if name.endswith((".cc", ".h", ".py", ".cmake", ".proto"))
            and marks.search((REPOSITORY / name).read_text())]
    assert not left, left


@pytest.mark.parametrize("what, pattern", [
    ("an absolute path of one machine", re.compile(r"(?<![\w.$}])/(home|root|work|Users)/\w+")),
    ("a download host", re.compile(r"(registry\.npmjs|files\.pythonhosted|deb\.debian)\.(org|com)")),
])
def test_the_repository_names_no(what, pattern):
    named = []
    for name in tracked():
        try:
            text = (REPOSITORY / name).read_text()
        except UnicodeDecodeError:
            continue  # a binary file: a fuzz seed, a picture
        if name != "tests/architecture/test_style.py":
            named += [f"{name}: {found[0]}" for found in pattern.finditer(text)]
    assert not named, f"{what}: {named}"


def test_the_test_programs_are_the_layers_own():
    """Unit tests stand beside the code; a test in a folder that CMake does not build would never run."""
    built = re.findall(r"mooncake_layer\((\w+)", (SRC / "CMakeLists.txt").read_text())
    lost = [str(f) for f in sources() if f.name.endswith("_test.cc") and f.parts[0] not in built]
    assert not lost, lost
